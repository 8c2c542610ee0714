"""`orchestrator trust`: the manifest of the documents that clients were built with."""

import json
from collections.abc import Sequence
from pathlib import Path

from graphql import GraphQLError, parse, validate

from app.cli.words import fail
from schema.root import graphql_schema
from schema.trusted import manifest


def manifest_of(files: Sequence[Path]) -> str:
    """The manifest as JSON; ends the command with words where a document is none that the schema takes."""
    documents: list[str] = []
    for path in files:
        try:
            document = path.read_text(encoding="utf-8")
            errors = validate(graphql_schema, parse(document))
        except (UnicodeDecodeError, GraphQLError) as broken:
            fail(f"{path}: {getattr(broken, 'message', broken)}")
        if errors:
            fail(f"{path}: " + "; ".join(error.message for error in errors))
        documents.append(document)
    return json.dumps(manifest(documents), ensure_ascii=False, indent=2)
