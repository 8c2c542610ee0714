"""The geometry manifest, `geometries_manifest.json`: `{"geometries": [{"key", "name", "kind", "file", …}, …]}`.

`id` is accepted for `key`, `title` for `name`. Every fault names its place: line and column where the text is not JSON,
a path such as `geometries[2].key` where it is.
"""

import json
from collections.abc import Mapping

from sagas.errors import ManifestError
from sagas.ports import Geometry, Json
from sagas.texts import say

MANIFEST = "geometries_manifest.json"

_KNOWN = frozenset({"key", "id", "name", "title", "kind", "file", "description"})


def parse_geometries(content: bytes) -> tuple[Geometry, ...]:
    """The manifest's entries in their order there.

    Raises ManifestError for text that is not UTF-8 or not JSON, for a document of another shape, for a key that is
    missing, empty or there twice; its `where` says which place is meant.
    """
    document = _decoded(content)
    if not isinstance(document, dict):
        raise _broken("$", say("must be an object with a list `geometries`, not {kind}", kind=_kind_of(document)))
    if "geometries" not in document:
        raise _broken("$", say("has no list `geometries`"))
    entries = document["geometries"]
    if not isinstance(entries, list):
        raise _broken("geometries", say("must be a list, not {kind}", kind=_kind_of(entries)))
    geometries = tuple(_geometry(entry, f"geometries[{index}]") for index, entry in enumerate(entries))
    _refuse_doubles(geometries)
    return geometries


def _decoded(content: bytes) -> Json:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _broken(f"byte {error.start}", say("is not UTF-8 text")) from error
    try:
        document: Json = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise _broken(
            f"line {error.lineno}, column {error.colno}", say("is not JSON: {what}", what=error.msg)
        ) from error
    except RecursionError as error:
        raise _broken("$", say("is nested too deeply")) from error
    return document


def _refuse_constant(name: str) -> Json:
    raise _broken("$", say("holds {name}, which is not JSON", name=name))


def _geometry(entry: Json, where: str) -> Geometry:
    if not isinstance(entry, dict):
        raise _broken(where, say("must be an object, not {kind}", kind=_kind_of(entry)))
    key = _key(entry, where)
    name = _text(entry, "name", where) or _text(entry, "title", where) or key
    return Geometry(
        key=key,
        name=name,
        kind=_text(entry, "kind", where),
        file=_text(entry, "file", where),
        description=_text(entry, "description", where),
        attributes={name: value for name, value in entry.items() if name not in _KNOWN},
    )


def _key(entry: Mapping[str, Json], where: str) -> str:
    field = "key" if "key" in entry or "id" not in entry else "id"
    if field not in entry:
        raise _broken(f"{where}.key", say("is missing"))
    value = entry[field]
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise _broken(f"{where}.{field}", say("must be a string, not {kind}", kind=_kind_of(value)))
    if not value.strip():
        raise _broken(f"{where}.{field}", say("must not be empty"))
    return value


def _text(entry: Mapping[str, Json], field: str, where: str) -> str | None:
    value = entry.get(field)
    if value is not None and not isinstance(value, str):
        raise _broken(f"{where}.{field}", say("must be a string, not {kind}", kind=_kind_of(value)))
    return value


def _refuse_doubles(geometries: tuple[Geometry, ...]) -> None:
    first_seen: dict[str, int] = {}
    for index, geometry in enumerate(geometries):
        earlier = first_seen.setdefault(geometry.key, index)
        if earlier != index:
            raise _broken(
                f"geometries[{index}].key",
                say("repeats {key!r} of {place}", key=geometry.key, place=f"geometries[{earlier}]"),
            )


def _kind_of(value: Json) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return say("a boolean")
    if isinstance(value, int | float):
        return say("a number")
    if isinstance(value, str):
        return say("a string")
    return say("a list") if isinstance(value, list) else say("an object")


def _broken(where: str, what: str) -> ManifestError:
    return ManifestError(say("{file}: {where} {what}.", file=MANIFEST, where=where, what=what), where=where)
