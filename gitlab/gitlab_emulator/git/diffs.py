"""What changed between two trees, file by file."""

from dataclasses import dataclass
from functools import lru_cache

from gitlab_emulator.git.objects import Commit
from gitlab_emulator.git.repository import Repository

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


@dataclass(frozen=True)
class FileDiff:
    """One file's change; `diff` holds the hunks only."""

    old_path: str
    new_path: str
    old_mode: str
    new_mode: str
    status: str
    """Git's letter: A added, D deleted, M modified, R renamed, T type changed."""
    diff: str

    @property
    def added_lines(self) -> int:
        """Lines this change adds."""
        return sum(line.startswith("+") for line in self.diff.split("\n"))

    @property
    def removed_lines(self) -> int:
        """Lines this change takes away."""
        return sum(line.startswith("-") for line in self.diff.split("\n"))


@lru_cache(512)
def diff_trees(repository: Repository, old: str, new: str) -> tuple[FileDiff, ...]:
    """The changes from one commit or tree to another, renames found."""
    out = repository.git("diff-tree", "-r", "-M", "-z", "--raw", "--patch", "--no-color", "--full-index", old, new)
    records, patch = _split_raw(out)
    pieces = _pieces(patch.decode("utf-8", "replace"))
    return tuple(
        FileDiff(*record, diff=_hunks(pieces[index]) if index < len(pieces) else "")
        for index, record in enumerate(records)
    )


def commit_diff(repository: Repository, commit: Commit) -> tuple[FileDiff, ...]:
    """What a commit changed against its first parent."""
    return diff_trees(repository, commit.parents[0] if commit.parents else EMPTY_TREE, commit.id)


def _split_raw(out: bytes) -> tuple[list[tuple[str, str, str, str, str]], bytes]:
    r"""Raw records `:<old mode> <new mode> <old id> <new id> <status>\0<path>\0[<new path>\0]`, then the patch."""
    records = []
    at = 0
    while out[at : at + 1] == b":":
        end = out.index(b"\0", at)
        old_mode, new_mode, _, _, status = out[at + 1 : end].decode().split(" ")
        at = end + 1
        names = []
        for _ in range(2 if status[0] in "RC" else 1):
            end = out.index(b"\0", at)
            names.append(out[at:end].decode("utf-8", "surrogateescape"))
            at = end + 1
        records.append((names[0], names[-1], old_mode, new_mode, status[0]))
    return records, out[at:].lstrip(b"\0")


def _pieces(patch: str) -> list[str]:
    r"""One piece per file: hunk lines start with a blank, `+`, `-` or `\`, so only a header starts with `diff`."""
    return ("\n" + patch).split("\ndiff --git ")[1:]


def _hunks(piece: str) -> str:
    lines = piece.split("\n")
    for index, line in enumerate(lines):
        if line.startswith("@@"):
            return "\n".join(lines[index:]).rstrip("\n") + "\n"
        if line.startswith("Binary files "):
            return line + "\n"
    return ""
