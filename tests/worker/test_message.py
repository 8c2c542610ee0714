"""The message's schema, the parser and the producer's port say the same."""

import json
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from app.demo.worker.errors import CalculationFailed
from app.demo.worker.message import TaskMessage
from sagas import ports
from sagas.ids import CommitSha, TaskId

CONTRACTS = Path(__file__).parents[2] / "docs" / "contracts"
SCHEMA = Draft202012Validator(json.loads((CONTRACTS / "task-message.schema.json").read_text(encoding="utf-8")))


def body(**changed: object) -> dict[str, object]:
    return {
        "correlationId": str(uuid4()),
        "repoUrl": "http://127.0.0.1:8080/power/plant-300.git",
        "branch": "issue/1-летний-режим",
        "commitHash": "0123456789abcdef0123456789abcdef01234567",
        "input_files": ["condenser_input.json", "данные/geometries_manifest.json"],
        "output_file": "condenser_output.json",
    } | changed


def test_the_message_is_read_as_it_stands() -> None:
    message = body()
    parsed = TaskMessage.parse(message)
    assert parsed.correlation_id == message["correlationId"]
    assert parsed.input_files == ("condenser_input.json", "данные/geometries_manifest.json")
    assert parsed.branch == "issue/1-летний-режим"


def test_what_the_producer_sends_keeps_the_contract() -> None:
    """The port's `body()` is what is published; FR-ORCH-3."""
    sent = ports.TaskMessage(
        id=TaskId(UUID("9f1c2b1e-6c1d-5f0e-9a53-0b1d6f6f2a11")),
        name="balance.calculate_condenser",
        queue="balance.calculations",
        repo_url="http://gitlab.example.com/power/plant-300.git",
        branch="issue/42-summer",
        commit_hash=CommitSha("a" * 40),
        input_files=("condenser_input.json",),
        output_file="condenser_output.json",
    ).body()
    SCHEMA.validate(sent)
    assert TaskMessage.parse(sent).correlation_id == "9f1c2b1e-6c1d-5f0e-9a53-0b1d6f6f2a11"


def test_keys_of_later_versions_are_let_pass() -> None:
    later = body(priority=3)
    SCHEMA.validate(later)
    TaskMessage.parse(later)


@pytest.mark.parametrize("key", ["correlationId", "repoUrl", "branch", "commitHash", "input_files", "output_file"])
def test_a_missing_key_is_named(key: str) -> None:
    message = body()
    del message[key]
    assert not SCHEMA.is_valid(message)
    with pytest.raises(CalculationFailed, match=f"lacks {key}"):
        TaskMessage.parse(message)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("correlationId", "42"),
        ("correlationId", None),
        ("repoUrl", ""),
        ("branch", ""),
        ("commitHash", "abc"),
        ("commitHash", "HEAD"),
        ("commitHash", "--upload-pack=touch /tmp/x"),
        ("input_files", []),
        ("input_files", "condenser_input.json"),
        ("input_files", [3]),
        ("input_files", ["/etc/passwd"]),
        ("input_files", ["../secret.json"]),
        ("input_files", ["a/../../secret.json"]),
        ("output_file", ".git/config"),
        ("output_file", "sub/.GIT/hooks/post-checkout"),
        ("output_file", "a//b.json"),
        ("output_file", "a/"),
        ("output_file", "a\\b.json"),
        ("output_file", "a\nb.json"),
        ("output_file", ""),
        ("output_file", "."),
    ],
)
def test_what_the_schema_forbids_the_worker_refuses_by_name(key: str, value: object) -> None:
    message = body(**{key: value})
    assert not SCHEMA.is_valid(message)
    with pytest.raises(CalculationFailed, match=key):
        TaskMessage.parse(message)


@pytest.mark.parametrize(
    "branch",
    [
        "-x",
        "a..b",
        "a b",
        "a~1",
        "a^",
        "a:b",
        "a?",
        "a*",
        "a[",
        "a\\b",
        "/a",
        "a/",
        "a//b",
        "a.",
        "a.lock",
        ".a",
        "a/.b",
        "a@{1}",
        "a\x7f",
    ],
)
def test_branches_that_git_would_refuse_or_misread_are_refused(branch: str) -> None:
    with pytest.raises(CalculationFailed, match="branch"):
        TaskMessage.parse(body(branch=branch))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(body())), inner, max_size=6),
        max_leaves=12,
    )
)
def test_nonsense_is_refused_and_never_crashes(nonsense: object) -> None:
    with pytest.raises(CalculationFailed):
        TaskMessage.parse(nonsense)


@given(st.lists(st.text(alphabet="ab./\\ \n\x00G.git", min_size=1, max_size=12), min_size=1, max_size=3))
def test_parser_and_schema_agree_on_paths(paths: list[str]) -> None:
    message = body(input_files=paths)
    try:
        TaskMessage.parse(message)
        accepted = True
    except CalculationFailed:
        accepted = False
    assert accepted == SCHEMA.is_valid(message)
