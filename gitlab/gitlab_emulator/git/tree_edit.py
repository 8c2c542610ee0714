"""Editing a tree in memory: only the directories on the way to a change are read and written."""

from dataclasses import dataclass, field

from gitlab_emulator.git.objects import TREE_MODE, RawObject, TreeEntry, encode_tree
from gitlab_emulator.git.repository import Repository


@dataclass
class _Directory:
    entries: dict[str, "TreeEntry | _Directory"] = field(default_factory=dict)


class TreeEdit:
    """A tree that changes; `objects()` are the new ones, children before parents."""

    def __init__(self, repository: Repository, tree: str | None) -> None:
        self._repository = repository
        self._root = self._load(tree) if tree else _Directory()

    def get(self, path: str) -> TreeEntry | None:
        """The file at a path, None when nothing or a directory stands there."""
        directory, name = self._parent(path, create=False)
        found = directory.entries.get(name) if directory else None
        return found if isinstance(found, TreeEntry) and found.mode != TREE_MODE else None

    def is_directory(self, path: str) -> bool:
        """Whether a directory stands at a path."""
        directory, name = self._parent(path, create=False)
        found = directory.entries.get(name) if directory else None
        return isinstance(found, _Directory) or (isinstance(found, TreeEntry) and found.mode == TREE_MODE)

    def file_above(self, path: str) -> bool:
        """Whether a file stands where a directory of this path would have to be."""
        parts = path.split("/")
        return any(self.get("/".join(parts[:depth])) is not None for depth in range(1, len(parts)))

    def put(self, path: str, mode: str, blob: str) -> None:
        """Set a file; missing directories are made."""
        directory, name = self._parent(path, create=True)
        assert directory is not None
        directory.entries[name] = TreeEntry(mode, name, blob)

    def remove(self, path: str) -> None:
        """Take a file away, and the directories that this empties."""
        directory, name = self._parent(path, create=False)
        if directory is None:
            return
        directory.entries.pop(name, None)
        above, _, _ = path.rpartition("/")
        if above and not directory.entries:
            self.remove(above)

    def objects(self) -> list[RawObject]:
        """Every tree that was opened, the root last."""
        return _encode(self._root)

    def _load(self, tree: str) -> _Directory:
        return _Directory({entry.name: entry for entry in self._repository.tree(tree)})

    def _parent(self, path: str, *, create: bool) -> tuple[_Directory | None, str]:
        *parents, name = path.split("/")
        directory = self._root
        for part in parents:
            found = directory.entries.get(part)
            if isinstance(found, TreeEntry) and found.mode == TREE_MODE:
                found = directory.entries[part] = self._load(found.id)
            if not isinstance(found, _Directory):
                if not create:
                    return None, name
                found = directory.entries[part] = _Directory()
            directory = found
        return directory, name


def _encode(directory: _Directory) -> list[RawObject]:
    objects: list[RawObject] = []
    entries: list[TreeEntry] = []
    for name, entry in directory.entries.items():
        if isinstance(entry, TreeEntry):
            entries.append(entry)
        else:
            below = _encode(entry)
            objects += below
            entries.append(TreeEntry(TREE_MODE, name, below[-1].id))
    return [*objects, encode_tree(entries)]
