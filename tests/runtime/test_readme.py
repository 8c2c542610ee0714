"""The README says what is so: its picture is the definition's, its examples run, its paths exist."""

import json
import re
from pathlib import Path

import pytest
from graphql import build_schema, parse, validate

from app.cli.commands import app as command_line
from sagas.catalogue import Catalogue
from sagas.definitions import shipped_definitions

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [
    "README.md",
    "CONTRIBUTING.md",
    "docs/settings.md",
    "docs/workers.md",
    "docs/engineering.md",
    "docs/deployment.md",
    "docs/operations.md",
    "docs/api.md",
    "docs/frontend.md",
    "docs/faults.md",
    "docs/guarantees.md",
]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def picture() -> str:
    """The Balance saga without the ways back to a form, of which there is one from each later step."""
    lines = shipped_definitions(Catalogue.load(None))["balance"].mermaid().splitlines()
    kept = [line for line in lines if ": Back to" not in line and "direction" not in line]
    return "\n".join(kept).strip() + "\n"


def test_the_picture_of_the_balance_saga_is_generated_from_its_definition() -> None:
    assert blocks("mermaid") == [picture()], f"put this into the README:\n{picture()}"


def test_every_graphql_example_is_valid_for_the_schema() -> None:
    schema = build_schema((ROOT / "schema" / "schema.graphql").read_text(encoding="utf-8"))
    examples = blocks("graphql")
    assert {
        word for example in examples for word in re.findall(r"^(mutation|subscription)", example, re.MULTILINE)
    } == {
        "mutation",
        "subscription",
    }
    for example in examples:
        assert validate(schema, parse(example)) == []


def test_every_json_example_is_json() -> None:
    for example in blocks("json"):
        json.loads(example)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_to_a_file_of_ours_leads_somewhere(name: str) -> None:
    page = ROOT / name
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_every_command_is_told_of() -> None:
    names = [
        command.name or command.callback.__name__ for command in command_line.registered_commands if command.callback
    ]
    names += [group.typer_instance.info.name or "" for group in command_line.registered_groups if group.typer_instance]
    assert names
    assert [name for name in names if f"`{name}" not in README and f"orchestrator {name}" not in README] == []


def test_every_top_level_folder_is_in_the_tour() -> None:
    for folder in ("app", "schema", "sagas", "gitlab", "migrations", "tests", "docs"):
        assert re.search(rf"^\| `{folder}/", README, re.MULTILINE), folder
        assert (ROOT / folder).is_dir()
