"""A task's view of the repository: a bare clone of one branch, read and committed to without a work tree."""

from dataclasses import dataclass
from pathlib import Path

from app.demo.worker.errors import CalculationFailed, PushRefused
from app.demo.worker.git import Finished, Git, fault_of
from app.demo.worker.message import TaskMessage
from app.demo.worker.settings import WorkerSettings

TRAILER = "Correlation-Id"
_RACES = (
    "fetch first",
    "non-fast-forward",
    "failed to update ref",
    "cannot lock ref",
    "stale info",
    "reference already exists",
)
_FILE_MODE = "100644"


@dataclass(frozen=True, slots=True)
class Pushed:
    """An output file on the branch: the commit that brought it (None: it was there already) and its blob."""

    commit: str | None
    blob: str


class Repository:
    """The clone that one task works in; a new directory for each."""

    def __init__(self, directory: Path, message: TaskMessage, settings: WorkerSettings) -> None:
        self._message = message
        self._index = directory / "task-index"
        self._git = Git(directory, message.repo_url, settings)
        self._git.local("init", "--quiet", "--bare", ".")

    def fetch(self) -> str:
        """Bring the branch here as it is now; its head's hash.

        Raises `CalculationFailed` where repository or branch are not there, `GitUnavailable` where the server is away.
        """
        message = self._message
        refspec = f"+refs/heads/{message.branch}:refs/heads/fetched"
        self._git.remote("fetch", "--quiet", "--no-tags", message.repo_url, refspec)
        if self._git.run("cat-file", "-e", f"{message.commit_hash}^{{commit}}").code != 0:
            self._fetch_commit()
        return self._git.local("rev-parse", "refs/heads/fetched").decode().strip()

    def _fetch_commit(self) -> None:
        """A rewritten branch may still leave the commit on the server."""
        try:
            self._git.remote("fetch", "--quiet", "--no-tags", self._message.repo_url, self._message.commit_hash)
        except CalculationFailed as missing:
            raise CalculationFailed(f"commitHash {self._message.commit_hash} is not in the repository.") from missing

    def read(self, commit: str, path: str) -> bytes | None:
        """A file's content at a commit; None where there is no such file."""
        blob = self.blob_at(commit, path)
        return None if blob is None else self._git.local("cat-file", "blob", blob)

    def blob_at(self, commit: str, path: str) -> str | None:
        """The id of a file's blob at a commit; None where there is no such file."""
        fields = self._git.local("ls-tree", "-z", commit, "--", path).decode().split()
        return fields[2] if fields and fields[1] == "blob" else None

    def blob_of(self, content: bytes) -> str:
        """Store content in the clone; its blob id."""
        return self._git.local("hash-object", "-w", "--stdin", stdin=content).decode().strip()

    def delivered(self, head: str) -> Pushed | None:
        """What an earlier delivery of this very task has pushed, if it has."""
        message = self._message
        log = self._git.local(
            "log",
            "--full-history",
            f"--format=%H %(trailers:key={TRAILER},valueonly,separator=%x20)",
            f"{message.commit_hash}..{head}",
            "--",
            message.output_file,
        )
        for line in log.decode(errors="replace").splitlines():
            commit, *correlation_ids = line.split()
            blob = self.blob_at(commit, message.output_file)
            if message.correlation_id in correlation_ids and blob is not None:
                return Pushed(commit, blob)
        return None

    def push(self, head: str, blob: str, title: str) -> Pushed:
        """Put the blob on the branch as one commit upon `head`; nothing is pushed where it is there already.

        Raises `PushRefused` where the branch has moved, `CalculationFailed` where the server will never take it,
        `GitUnavailable` where nobody knows.
        """
        message = self._message
        if self.blob_at(head, message.output_file) == blob:
            return Pushed(None, blob)
        commit = self._commit(head, blob, title)
        finished = self._git.run(
            "push", "--quiet", "--porcelain", message.repo_url, f"{commit}:refs/heads/{message.branch}"
        )
        if finished.code != 0:
            raise _refusal(finished)
        return Pushed(commit, blob)

    def _commit(self, head: str, blob: str, title: str) -> str:
        """A commit upon `head` that changes the output file and nothing else; no push yet."""
        message = self._message
        environment = {"GIT_INDEX_FILE": str(self._index)}
        self._git.local("read-tree", head, environment=environment)
        entry = f"{_FILE_MODE},{blob},{message.output_file}"
        self._git.local("update-index", "--add", "--cacheinfo", entry, environment=environment)
        tree = self._git.local("write-tree", environment=environment).decode().strip()
        text = f"{title}\n\n{TRAILER}: {message.correlation_id}\n"
        return self._git.local("commit-tree", tree, "-p", head, stdin=text.encode()).decode().strip()


def _refusal(finished: Finished) -> Exception:
    """What a failed push means: a race, a refusal for good, or an unknown outcome."""
    told = f"{finished.text}\n{finished.complaint}"
    if any(phrase in told for phrase in _RACES):
        return PushRefused(finished.complaint.strip())
    if "[remote rejected]" in told:
        reasons = [line.removeprefix("remote:").strip() for line in told.splitlines() if line.startswith("remote:")]
        return CalculationFailed(f"The server refused the push: {' '.join(filter(None, reasons)) or finished.text}")
    return fault_of("push", finished.complaint)
