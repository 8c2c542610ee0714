"""Trusted documents: the operations that our own clients were built with, by the sha256 of their text.

A client may name one instead of sending it: `documentId` (`sha256:<hex>`, as GraphQL over HTTP proposes) or
`extensions.persistedQuery.sha256Hash` (as Apollo and urql do). In strict mode nothing else runs, so that whoever has a
token can still ask only what the clients ask.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from graphql import GraphQLError

from sagas.texts import say
from schema.errors import api_error, bad_input

NOT_FOUND = "PERSISTED_QUERY_NOT_FOUND"
NOT_TRUSTED = "DOCUMENT_NOT_TRUSTED"
ID, EXTENSION = "documentId", "persistedQuery"
_HASH = re.compile(r"[0-9a-f]{64}")


class ManifestError(Exception):
    """The manifest cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class TrustedDocuments:
    """The manifest; without one, nothing can be named and everything may be sent."""

    texts: Mapping[str, str] = field(default_factory=dict)
    strict: bool = False

    @classmethod
    def load(cls, path: Path, *, strict: bool) -> Self:
        """Read the manifest, a JSON object from sha256 to document; raises ManifestError."""
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as broken:
            raise ManifestError(f"{path} cannot be read as JSON: {broken}") from broken
        if not isinstance(manifest, dict):
            raise ManifestError(f"{path} must be a JSON object from sha256 to document")
        for key, document in manifest.items():
            if not isinstance(document, str) or hash_of(document) != key:
                raise ManifestError(f"{path}: {key[:80]!r} is not the sha256 (64 hexadecimal digits) of its document")
        return cls(manifest, strict)

    def resolve(self, query: str | None, extensions: Mapping[str, Any] | None) -> str | None:
        """The document that is to run: the one that is named, or else the one that was sent.

        Raises the GraphQL error of a name that is not known, or of a document that may not run.
        """
        named = _named(extensions or {})
        if query is None and named is not None:
            if named not in self.texts:
                raise api_error(NOT_FOUND, say("There is no trusted document of this name."), document=named)
            return self.texts[named]
        if query is not None and named is not None and named != hash_of(query):
            raise bad_input(EXTENSION, say("The name is not the sha256 of the document that was sent with it."))
        if self.strict and query is not None and hash_of(query) not in self.texts:
            raise api_error(
                NOT_TRUSTED,
                say("Only documents of the service's manifest may run here, and this is none."),
                document=hash_of(query),
            )
        return query


def manifest(documents: Iterable[str]) -> dict[str, str]:
    """The manifest of these documents."""
    return {hash_of(document): document for document in documents}


def hash_of(document: str) -> str:
    """What names a document: the sha256 of its text in UTF-8, in hexadecimal."""
    return hashlib.sha256(document.encode(errors="surrogatepass")).hexdigest()


def with_name_among_extensions(request: dict[str, Any]) -> dict[str, Any]:
    """The parts of a request with `documentId` moved to where every transport hands it on."""
    if request.get(ID) is None:
        return request
    extensions = request.get("extensions")
    given = dict(extensions) if isinstance(extensions, dict) else {}
    return request | {"extensions": given | {ID: request[ID]}}


def names_document(request: Mapping[str, object]) -> bool:
    """Whether a request without a document names one."""
    extensions = request.get("extensions")
    named = request.get(ID) is not None or (isinstance(extensions, dict) and EXTENSION in extensions)
    return named and request.get("query") is None


def _named(extensions: Mapping[str, Any]) -> str | None:
    name = extensions.get(ID)
    if name is None:
        persisted = extensions.get(EXTENSION)
        name = persisted.get("sha256Hash") if isinstance(persisted, dict) else None
        if name is None:
            return None
    digest = name.removeprefix("sha256:").lower() if isinstance(name, str) else ""
    if not _HASH.fullmatch(digest):
        raise _bad_name()
    return digest


def _bad_name() -> GraphQLError:
    return bad_input(ID, say("A document is named by `sha256:` and the 64 hexadecimal digits of its text's sha256."))
