"""Documents on the branch: UTF-8, two spaces, final newline; compared as parsed JSON."""

import hashlib
import json

from sagas.errors import TerminalError
from sagas.ids import BlobId
from sagas.ports import File, Json
from sagas.texts import say
from sagas.values import check_document

LARGEST_FILE = 8 * 1024 * 1024
"""Bytes; more than any calculation writes, less than what would hurt the database."""


def render(document: Json) -> str:
    """The text of a document as this service commits it."""
    return json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def parse(file: File) -> Json:
    """The document in a file.

    Raises TerminalError("INVALID_DOCUMENT") that says where it is broken, or what in it cannot be stored: NUL, half a
    surrogate pair, a number beyond a double.
    """
    try:
        document: Json = json.loads(file.content.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as broken:
        raise TerminalError(
            "INVALID_DOCUMENT",
            say("{path} is not UTF-8 text: byte {start} cannot be read.", path=file.path, start=broken.start),
        ) from broken
    except json.JSONDecodeError as broken:
        raise TerminalError(
            "INVALID_DOCUMENT",
            say(
                "{path} is not valid JSON: {msg} at line {lineno}, column {colno}.",
                path=file.path,
                msg=broken.msg,
                lineno=broken.lineno,
                colno=broken.colno,
            ),
        ) from broken
    except (ValueError, RecursionError) as broken:
        raise TerminalError(
            "INVALID_DOCUMENT", say("{path} is not valid JSON: {broken}.", path=file.path, broken=str(broken))
        ) from broken
    # What PostgreSQL cannot store would make the saga try again without end.
    problems = check_document(document, root=file.path, largest=LARGEST_FILE)
    if problems:
        raise TerminalError(
            "INVALID_DOCUMENT", say("{path} cannot be used: {message}", path=file.path, message=problems[0].message)
        )
    return document


def blob_id(text: str) -> BlobId:
    """The id that git gives to a file with this content: SHA-1 over `blob <size>`, NUL and the bytes."""
    content = text.encode()
    return BlobId(hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest())


def storable(text: str, *, longest: int = 4000) -> str:
    """Somebody else's text as columns take it: NUL and half surrogate pairs replaced, its end cut off."""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()[:longest]


def _refuse_constant(name: str) -> Json:
    raise ValueError(f"{name} is not a JSON number")
