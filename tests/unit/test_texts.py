"""Every message that people read has its English and its Russian, and reads in either also after it was stored."""

import ast
import copy
import json
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sagas.russian import RUSSIAN
from sagas.texts import Text, in_language, joined, places, remembered, retold, say, told

ROOT = Path(__file__).parents[2]
PRODUCT = ("app", "schema", "sagas", "gitlab/gitlab_facade")
CYRILLIC = re.compile("[а-яА-ЯёЁ]")
IS_GONE = "The connection has {value} operations at once; at most {allowed} are accepted. Complete some first."


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Each call of `say` and `template` in the product, and where it stands."""
    for folder in PRODUCT:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Name)
                    and node.func.id in {"say", "template"}
                ):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def literal(call: ast.Call) -> str | None:
    match call.args:
        case [ast.Constant(value=str(words))]:
            return words
        case _:
            return None


CALLS = [(where, call) for where, call in calls() if not where.startswith("sagas/texts.py")]


def test_every_message_is_a_literal_so_that_its_other_language_can_be_found() -> None:
    assert len(CALLS) > 10
    assert [where for where, call in CALLS if literal(call) is None] == []


def test_every_message_has_its_russian_and_no_russian_is_left_over() -> None:
    written = {literal(call) for _, call in CALLS}
    assert written - set(RUSSIAN) == set()
    assert set(RUSSIAN) - written == set()


ERRORS = {
    **dict.fromkeys(
        (
            "refused",
            "Problem",
            "TerminalError",
            "EndedByHandError",
            "RetryableError",
            "UnknownOutcomeError",
            "api_error",
            "bad_input",
        ),
        1,
    ),
    **dict.fromkeys(("UnauthenticatedError", "TokenRefusedError", "ManifestError", "not_found"), 0),
}
"""Whatever makes an error that people see, and which argument is its message."""


def test_no_error_is_raised_with_words_of_one_language() -> None:
    plain = []
    for folder in PRODUCT:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                place = (
                    ERRORS.get(node.func.id) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else None
                )
                if place is None or not isinstance(node, ast.Call) or len(node.args) <= place:
                    continue
                if isinstance(node.args[place], ast.JoinedStr | ast.Constant) and path.name not in FOR_OPERATORS:
                    plain.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert plain == []


FOR_OPERATORS = {"trusted.py"}
"""Their errors are for whoever starts the service, in its log and on its console."""


@pytest.mark.parametrize("english", RUSSIAN)
def test_both_languages_name_the_same_places(english: str) -> None:
    assert places(RUSSIAN[english]) == places(english)


def test_the_russian_is_russian() -> None:
    words = {english: re.sub(r"\{.*?\}", "", english) for english in RUSSIAN}
    has_words = [english for english, left in words.items() if re.search("[a-z]", left)]
    assert [english for english in has_words if not CYRILLIC.search(RUSSIAN[english])] == []
    assert [english for english in RUSSIAN if CYRILLIC.search(english)] == []


def test_every_place_of_a_message_is_filled() -> None:
    for where, call in CALLS:
        words = literal(call)
        assert words is not None
        if isinstance(call.func, ast.Name) and call.func.id == "say":
            assert {keyword.arg for keyword in call.keywords} == places(words), where


def test_a_message_reads_in_english_wherever_text_is_wanted() -> None:
    said = say(IS_GONE, value=3, allowed=2)
    assert said == "The connection has 3 operations at once; at most 2 are accepted. Complete some first."
    assert json.dumps({"message": said}) == json.dumps({"message": str(said)})


def test_a_message_reads_in_russian_also_inside_of_another_and_after_it_was_stored() -> None:
    inner = say(IS_GONE, value=3, allowed=2)
    outer = Text("{what} ({code})", {"what": inner, "code": "X"})
    russian = "Одновременных операций на соединении — 3; допускается не более 2. Сначала завершите лишние. (X)"
    kept = json.loads(json.dumps(told({"message": outer, "code": "X", "sha": "plain"})))
    assert kept["message"] == f"{inner} (X)"
    assert remembered(kept, "message") == f"{inner} (X)"
    assert retold(kept, "en") == {"message": f"{inner} (X)", "code": "X", "sha": "plain"}
    assert retold(kept, "ru") == {"message": russian, "code": "X", "sha": "plain"}
    for said in (outer, remembered(kept, "message"), copy.deepcopy(outer), pickle.loads(pickle.dumps(outer))):
        assert said == f"{inner} (X)"
        assert in_language(said, "ru") == russian


def test_parts_in_a_row_are_each_in_the_readers_language() -> None:
    said = joined([say("a number"), say("text")], say(" or "))
    assert said == "a number or text"
    assert in_language(said, "ru") == "число или текст"
    assert joined([], ", ") == ""


def test_words_of_others_stay_as_they_are() -> None:
    assert in_language("GitLab's own {words}", "ru") == "GitLab's own {words}"
    assert told({"message": "GitLab's own {words}"}) == {"message": "GitLab's own {words}"}
    assert in_language(Text("an older release's {words}", {"words": "template"}), "ru") == "an older release's template"


def test_what_was_stored_before_messages_had_parts_reads_as_it_is() -> None:
    assert retold({"code": "X", "message": "old"}, "ru") == {"code": "X", "message": "old"}
    assert remembered({"code": "X", "message": "old"}, "message") == "old"
