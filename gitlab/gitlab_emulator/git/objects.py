"""Git objects: parsing, encoding, and packing them for one `git unpack-objects`."""

import hashlib
import re
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

NULL_ID = "0" * 40
TREE_MODE = "040000"
FILE_MODE = "100644"
EXECUTABLE_MODE = "100755"
SUBMODULE_MODE = "160000"

_PACK_TYPE = {"commit": 1, "tree": 2, "blob": 3}
_PERSON = re.compile(r"^(?P<name>.*?) ?<(?P<email>[^>]*)> (?P<seconds>-?\d+) (?P<zone>[+-]\d{4})$")


@dataclass(frozen=True)
class RawObject:
    """An object with its uncompressed content."""

    kind: str
    data: bytes

    @property
    def id(self) -> str:
        """Its SHA-1 name."""
        header = f"{self.kind} {len(self.data)}\0".encode()
        return hashlib.sha1(header + self.data, usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class TreeEntry:
    """One line of a tree; `mode` in six digits as the API shows it."""

    mode: str
    name: str
    id: str

    @property
    def kind(self) -> str:
        """`tree`, `blob`, or `commit` for a submodule."""
        return {TREE_MODE: "tree", SUBMODULE_MODE: "commit"}.get(self.mode, "blob")


@dataclass(frozen=True)
class Person:
    """Author or committer of a commit."""

    name: str
    email: str
    at: datetime

    def encoded(self) -> str:
        """As it stands in a commit object."""
        return f"{_clean(self.name)} <{_clean(self.email)}> {int(self.at.timestamp())} {self.at:%z}"


@dataclass(frozen=True)
class Commit:
    """A parsed commit."""

    id: str
    tree: str
    parents: tuple[str, ...]
    author: Person
    committer: Person
    message: str

    @property
    def title(self) -> str:
        """The first line of the message."""
        return self.message.lstrip("\n").partition("\n")[0].strip()


def parse_tree(data: bytes) -> tuple[TreeEntry, ...]:
    """The entries of a tree object, in git's order."""
    entries = []
    at = 0
    while at < len(data):
        space = data.index(b" ", at)
        end = data.index(b"\0", space)
        mode = data[at:space].decode().rjust(6, "0")
        name = data[space + 1 : end].decode("utf-8", "surrogateescape")
        entries.append(TreeEntry(mode, name, data[end + 1 : end + 21].hex()))
        at = end + 21
    return tuple(entries)


def encode_tree(entries: Iterable[TreeEntry]) -> RawObject:
    """A tree object; git sorts directories as if their names ended in a slash."""

    def order(entry: TreeEntry) -> bytes:
        name = entry.name.encode("utf-8", "surrogateescape")
        return name + b"/" if entry.mode == TREE_MODE else name

    lines = (
        f"{entry.mode.lstrip('0')} ".encode()
        + entry.name.encode("utf-8", "surrogateescape")
        + b"\0"
        + bytes.fromhex(entry.id)
        for entry in sorted(entries, key=order)
    )
    return RawObject("tree", b"".join(lines))


def parse_commit(object_id: str, data: bytes) -> Commit:
    """A commit object's fields; its message is decoded by its own `encoding` header."""
    head, _, body = data.partition(b"\n\n")
    fields: dict[str, list[str]] = {}
    for line in head.decode("utf-8", "replace").split("\n"):
        # A line that starts with a space continues a signature, which nobody here reads.
        if not line.startswith(" "):
            key, _, value = line.partition(" ")
            fields.setdefault(key, []).append(value)
    encoding = fields.get("encoding", ["utf-8"])[0]
    try:
        message = body.decode(encoding, "replace")
    except LookupError:
        message = body.decode("utf-8", "replace")
    return Commit(
        id=object_id,
        tree=fields["tree"][0],
        parents=tuple(fields.get("parent", ())),
        author=_parse_person(fields["author"][0]),
        committer=_parse_person(fields["committer"][0]),
        message=message,
    )


def encode_commit(*, tree: str, parents: Sequence[str], author: Person, committer: Person, message: str) -> RawObject:
    """A commit object; the message gets the final newline that `git commit` would give it."""
    lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents)]
    lines += [f"author {author.encoded()}", f"committer {committer.encoded()}", ""]
    text = message.replace("\r\n", "\n").replace("\0", "")
    return RawObject("commit", ("\n".join(lines) + "\n" + text.rstrip("\n") + "\n").encode("utf-8", "replace"))


def pack(objects: Sequence[RawObject]) -> bytes:
    """A version 2 pack of whole objects (gitformat-pack): one `git unpack-objects` then writes all of them."""
    parts = [b"PACK", struct.pack(">II", 2, len(objects))]
    for item in objects:
        parts += [_pack_header(_PACK_TYPE[item.kind], len(item.data)), zlib.compress(item.data, 1)]
    body = b"".join(parts)
    return body + hashlib.sha1(body, usedforsecurity=False).digest()


def _pack_header(kind: int, size: int) -> bytes:
    """Type in bits 4 to 6 of the first byte, size in its low four bits, then seven bits a byte."""
    first, size = (kind << 4) | (size & 0x0F), size >> 4
    header = bytearray()
    while size:
        header.append(first | 0x80)
        first, size = size & 0x7F, size >> 7
    header.append(first)
    return bytes(header)


def _parse_person(line: str) -> Person:
    found = _PERSON.match(line)
    if found is None:
        return Person(line, "", datetime.fromtimestamp(0, UTC))
    zone = found["zone"]
    offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:5])) * (-1 if zone[0] == "-" else 1)
    try:
        at = datetime.fromtimestamp(int(found["seconds"]), timezone(offset))
    except (ValueError, OverflowError, OSError):
        at = datetime.fromtimestamp(0, UTC)
    return Person(found["name"], found["email"], at)


def _clean(text: str) -> str:
    """Git refuses these characters inside a name or an address."""
    return re.sub(r"[<>\n\r\0]", "", text).strip()
