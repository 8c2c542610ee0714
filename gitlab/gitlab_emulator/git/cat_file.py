"""Object reads through `git cat-file` processes that are kept alive, so that a plain read starts none."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gitlab_emulator.git.objects import RawObject
from gitlab_emulator.git.process import open_cat_file

MAX_IDLE = 32
MAX_IDLE_PER_REPOSITORY = 3


@dataclass(frozen=True)
class ObjectInfo:
    """What `cat-file` says about an object without its content."""

    id: str
    kind: str
    size: int


class CatFile:
    """One process; for one caller at a time."""

    def __init__(self, git_dir: Path) -> None:
        self.git_dir = git_dir
        self._process = open_cat_file(git_dir)

    def info(self, name: str) -> ObjectInfo | None:
        """Id, kind and size of an object named in any of git's ways; None when there is none."""
        return self._ask("info", name)

    def contents(self, name: str) -> tuple[ObjectInfo, RawObject] | None:
        """The object itself; None when there is none."""
        info = self._ask("contents", name)
        if info is None:
            return None
        assert self._process.stdout is not None
        data = self._process.stdout.read(info.size)
        self._process.stdout.read(1)
        return info, RawObject(info.kind, data)

    def close(self) -> None:
        """End the process."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.wait()

    def _ask(self, command: str, name: str) -> ObjectInfo | None:
        # A bare repository has neither upstream branches nor a reflog: asked for `main@{upstream}`, git ends.
        if any(character in name for character in "\n\r\0") or "@{" in name.partition(":")[0]:
            return None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{command} {name}\n".encode("utf-8", "surrogateescape"))
        self._process.stdin.flush()
        answer = self._process.stdout.readline().decode("utf-8", "surrogateescape").rstrip("\n").split(" ")
        if answer == [""]:
            raise BrokenPipeError(f"git cat-file in {self.git_dir} ended")
        if len(answer) == 3 and answer[2].isdecimal() and len(answer[0]) == 40:
            return ObjectInfo(answer[0], answer[1], int(answer[2]))
        return None


class CatFilePool:
    """Idle processes of all repositories, bounded; the longest idle is ended first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[CatFile] = []

    @contextmanager
    def borrow(self, git_dir: Path) -> Iterator[CatFile]:
        """A process of this repository for the length of the block; one that failed is not used again."""
        process = self._take(git_dir) or CatFile(git_dir)
        try:
            yield process
        except BaseException:
            process.close()
            raise
        for surplus in self._put_back(process):
            surplus.close()

    def forget(self, git_dir: Path) -> None:
        """End the processes of a repository that is going away."""
        with self._lock:
            gone = [process for process in self._idle if process.git_dir == git_dir]
            self._idle = [process for process in self._idle if process.git_dir != git_dir]
        for process in gone:
            process.close()

    def close(self) -> None:
        """End all of them."""
        with self._lock:
            gone, self._idle = self._idle, []
        for process in gone:
            process.close()

    def _take(self, git_dir: Path) -> CatFile | None:
        with self._lock:
            for index in range(len(self._idle) - 1, -1, -1):
                if self._idle[index].git_dir == git_dir:
                    return self._idle.pop(index)
        return None

    def _put_back(self, process: CatFile) -> list[CatFile]:
        with self._lock:
            if sum(idle.git_dir == process.git_dir for idle in self._idle) >= MAX_IDLE_PER_REPOSITORY:
                return [process]
            self._idle.append(process)
            surplus = self._idle[: max(0, len(self._idle) - MAX_IDLE)]
            del self._idle[: len(surplus)]
        return surplus
