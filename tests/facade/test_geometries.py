"""The geometry manifest: what is read, and that every fault says where it is."""

import json

import pytest

from gitlab_facade.geometries import parse_geometries
from sagas.errors import ManifestError


def _manifest(*entries: object) -> bytes:
    return json.dumps({"geometries": entries}).encode()


def test_entries_keep_their_order_and_everything_they_say() -> None:
    first, second = parse_geometries(
        _manifest(
            {"key": "K-300", "name": "Конденсатор", "kind": "condenser", "file": "k.json", "description": "two passes",
             "tubes": {"count": 16000}},
            {"id": 7, "title": "Heater"},
        )
    )  # fmt: skip
    assert (first.key, first.name, first.kind, first.file) == ("K-300", "Конденсатор", "condenser", "k.json")
    assert first.description == "two passes"
    assert first.attributes == {"tubes": {"count": 16000}}
    assert (second.key, second.name, second.kind, second.attributes) == ("7", "Heater", None, {})


def test_an_empty_list_is_no_fault_and_a_byte_order_mark_neither() -> None:
    assert parse_geometries(b'\xef\xbb\xbf{"geometries": []}') == ()


@pytest.mark.parametrize(
    ("content", "where", "text"),
    [
        (b'{\n  "geometries": [,]\n}', "line 2, column 18", "not JSON"),
        (b"", "line 1, column 1", "not JSON"),
        (b'{"geometries": "\xff"}', "byte 16", "not UTF-8"),
        (b'{"geometries": [NaN]}', "$", "NaN"),
        (b"[" * 100_000, "$", "too deeply"),
        (b"[]", "$", "not a list"),
        (b"{}", "$", "no list `geometries`"),
        (b'{"geometries": {}}', "geometries", "not an object"),
        (_manifest({"key": "a"}, "b"), "geometries[1]", "not a string"),
        (_manifest({"key": "a"}, {"key": "b"}, {"name": "c"}), "geometries[2].key", "missing"),
        (_manifest({"id": None}), "geometries[0].id", "not null"),
        (_manifest({"key": True}), "geometries[0].key", "not a boolean"),
        (_manifest({"key": " "}), "geometries[0].key", "empty"),
        (_manifest({"key": "a", "name": 5}), "geometries[0].name", "not a number"),
        (_manifest({"key": "a"}, {"key": "b"}, {"id": "a"}), "geometries[2].key", "repeats 'a' of geometries[0]"),
    ],
)
def test_a_broken_manifest_says_where(content: bytes, where: str, text: str) -> None:
    with pytest.raises(ManifestError, match=r"geometries_manifest\.json") as caught:
        parse_geometries(content)
    assert caught.value.where == where
    assert text in caught.value.message
    assert caught.value.code == "INVALID_MANIFEST"
