from base64 import b64encode
from uuid import uuid4

import pytest

from sagas.errors import RefusalCode, RefusedError
from sagas.ids import SagaId
from schema import ids


def test_an_id_comes_back_as_what_it_was_made_of() -> None:
    saga = SagaId(uuid4())
    assert ids.saga_id(ids.global_id(ids.SAGA, saga)) == saga
    assert ids.event_key(ids.split_id(ids.global_id(ids.SAGA_EVENT, saga, 3), "id")[1]) == (saga, 3)
    assert ids.project_key(ids.split_id(ids.global_id(ids.ISSUE, 12, 42), "id")[1]) == (12, 42)


def test_an_id_is_opaque() -> None:
    assert "Saga" not in ids.global_id(ids.SAGA, uuid4())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "42",
        "5f0c5d8e-9c55-41c1-a5d1-b7e42f0b7a52",
        "Saga",
        b64encode(b"Saga").decode(),
        b64encode(b"Saga:nonsense").decode(),
        "ÿ",
        "\0",
    ],
)
def test_what_is_no_id_is_refused_by_the_name_of_its_argument(text: str) -> None:
    with pytest.raises(RefusedError) as refusal:
        ids.saga_id(text, "sagaId")
    problem = refusal.value.problems[0]
    assert problem.code is RefusalCode.INVALID_INPUT
    assert problem.field == ("sagaId",)
    assert "`sagaId`" in problem.message


def test_the_id_of_another_type_is_refused_and_named() -> None:
    with pytest.raises(RefusedError, match="not of a Issue"):
        ids.saga_id(ids.global_id(ids.ISSUE, 1, 2))


@pytest.mark.parametrize("key", ["1", "1:", ":1", "1:-2", "1:2:3", "a:b", "1:" + "9" * 30, "1:²"])
def test_numbers_in_ids_are_numbers(key: str) -> None:
    with pytest.raises(RefusedError):
        ids.project_key(key)


def test_the_version_in_an_events_id_is_one_that_a_column_can_hold() -> None:
    with pytest.raises(RefusedError):
        ids.event_key("5f0c5d8e-9c55-41c1-a5d1-b7e42f0b7a52:9999999999")
