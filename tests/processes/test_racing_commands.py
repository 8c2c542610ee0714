"""Users and workers who want different things of one saga at the same moment, over two APIs and two engines.

Whoever comes first in the journal has it; every answer stays true, and what happened is one legal history.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from app.demo.client import ApiError, Data, GraphQLClient
from sagas.models import SagaStatus
from tests.processes.racing import APIS, PATIENCE_S, branch, clients, first_form, stage
from tests.processes.stage import Stage
from tests.processes.users import FIRST_FORM, VALUES, change, look
from tests.support import eventually

__all__ = ["branch", "clients", "stage"]
pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("racing commands")]

TOO_LATE = "WRONG_STATE"
"""What a command is refused with that somebody else's has overtaken."""
WAITING = (SagaStatus.AWAITING_INPUT, SagaStatus.AWAITING_RESULT)


async def command(client: GraphQLClient, mutation: str, saga: str) -> Data | str:
    """The saga that the command was answered with, or the code that it was refused with."""
    given: dict[str, Any] = {"sagaId": saga}
    if mutation == "advanceSaga":
        given |= {"step": FIRST_FORM, "values": VALUES}
    try:
        answer: Data = (await change(client, mutation, given))["saga"]
    except ApiError as refusal:
        return refusal.code
    return answer


async def all_at_once(
    clients: list[GraphQLClient], saga: str, mutations: Sequence[str], times: int = 6
) -> list[tuple[str, Data | str]]:
    """Each of them so many times, by turns to each API."""
    asked = [mutation for _ in range(times) for mutation in mutations]
    answers = await asyncio.gather(
        *(command(clients[n % len(clients)], mutation, saga) for n, mutation in enumerate(asked))
    )
    return list(zip(asked, answers, strict=True))


def journal(stage: Stage, branch: str) -> list[tuple[int, str, str, str, str]]:
    """Version, type, state before and after, and status of each event of the branch's saga."""
    return stage.rows(
        "SELECT e.version, e.type, e.from_state, e.to_state, e.status FROM saga_event e JOIN saga s ON s.id = e.saga_id"
        " WHERE s.branch = %s ORDER BY e.version",
        branch,
    )


def assert_one_history(stage: Stage, branch: str, answers: list[tuple[str, Data | str]]) -> Counter[str]:
    """That the journal has no gap, and each answer is one of its events or a refusal for coming late; types by number."""
    events = journal(stage, branch)
    assert [event[0] for event in events] == list(range(1, len(events) + 1))
    assert all(after[2] == before[3] for before, after in pairwise(events)), events
    told = {event[0]: (event[3], event[4]) for event in events}
    for mutation, answer in answers:
        if isinstance(answer, str):
            assert answer == TOO_LATE, (mutation, answer)
        else:
            assert told[answer["version"]] == (answer["state"], answer["status"]), (mutation, answer, events)
    return Counter(event[1] for event in events)


async def let_go_on(clients: list[GraphQLClient], saga: str, *until: SagaStatus) -> Data:
    """Resume it as often as it is found paused, until it has one of these statuses."""

    async def there() -> Data | None:
        now = await look(clients[0], saga)
        if now["status"] == SagaStatus.PAUSED:
            await command(clients[1], "resumeSaga", saga)
        return now if now["status"] in until else None

    return await eventually(there, timeout=PATIENCE_S, every=0.2)


async def test_a_form_that_is_given_while_others_pause_and_resume_is_one_commit(
    stage: Stage, clients: list[GraphQLClient], branch: str
) -> None:
    saga = await first_form(stage, clients, branch)
    answers = await all_at_once(clients, saga, ("pauseSaga", "advanceSaga", "resumeSaga"))
    await let_go_on(clients, saga, *WAITING)
    if not any(mutation == "advanceSaga" and not isinstance(answer, str) for mutation, answer in answers):
        # Every one of them met a paused saga, and was told so.
        answers.append(("advanceSaga", await command(clients[0], "advanceSaga", saga)))
    await let_go_on(clients, saga, SagaStatus.AWAITING_RESULT)
    await eventually(stage.at_rest, timeout=PATIENCE_S)

    types = assert_one_history(stage, branch, answers)
    assert types["INPUT_RECEIVED"] == 1
    assert types["TASK_PUBLISHED"] == 1
    assert stage.effects(branch) == {"HYDRATE_CONDENSER/1": 1, "COMMIT_CONDENSER_INPUT/1": 1}


async def test_a_saga_that_is_cancelled_while_all_else_is_asked_of_it_ends_with_nothing_done(
    stage: Stage, clients: list[GraphQLClient], branch: str
) -> None:
    saga = await first_form(stage, clients, branch)
    answers = await all_at_once(clients, saga, ("advanceSaga", "pauseSaga", "cancelSaga", "resumeSaga", "retrySaga"))
    assert any(mutation == "cancelSaga" and not isinstance(answer, str) for mutation, answer in answers)
    await let_go_on(clients, saga, SagaStatus.CANCELLED)
    await eventually(stage.at_rest, timeout=PATIENCE_S)

    types = assert_one_history(stage, branch, answers)
    assert types["INPUT_RECEIVED"] <= 1
    assert types["CANCELLED"] == 1
    effects = stage.effects(branch)
    assert set(effects.values()) == {1}, effects
    done = {step for step in effects if not step.startswith("undo:")}
    assert {step for step in effects if step.startswith("undo:")} == {f"undo:{step}" for step in done}
    assert stage.emulator.read_file(stage.project.id, "condenser_input.json", branch) is None
    assert {status for (status,) in tasks(stage, branch)} <= {"REVOKED"}


async def test_a_result_that_comes_while_users_pause_and_resume_is_taken_once(
    stage: Stage, clients: list[GraphQLClient], branch: str
) -> None:
    saga = await first_form(stage, clients, branch)
    answers = [("advanceSaga", await command(clients[0], "advanceSaga", saga))]
    stage.tell_of_pushes(APIS[0])
    with stage.worker():

        async def result_is_there() -> bool:
            answers.extend(await all_at_once(clients, saga, ("pauseSaga", "resumeSaga", "retrySaga"), times=2))
            await let_go_on(clients, saga, *WAITING)
            return stage.emulator.read_file(stage.project.id, "condenser_output.json", branch) is not None

        await eventually(result_is_there, timeout=PATIENCE_S)
        answers.extend(await all_at_once(clients, saga, ("pauseSaga", "resumeSaga", "retrySaga")))
        await let_go_on(clients, saga, SagaStatus.AWAITING_INPUT)
    await eventually(stage.at_rest, timeout=PATIENCE_S)

    types = assert_one_history(stage, branch, answers)
    assert types["RESULT_ACCEPTED"] == 1
    assert types["TASK_PUBLISHED"] == 1
    assert tasks(stage, branch) == [("SUCCEEDED",)]


async def test_a_saga_that_is_cancelled_while_its_result_comes_takes_it_before_or_never(
    stage: Stage, clients: list[GraphQLClient], branch: str
) -> None:
    saga = await first_form(stage, clients, branch)
    answers = [("advanceSaga", await command(clients[0], "advanceSaga", saga))]
    stage.tell_of_pushes(APIS[0])
    with stage.worker():
        await eventually(lambda: tasks(stage, branch), timeout=PATIENCE_S)
        answers.extend(await all_at_once(clients, saga, ("pauseSaga", "resumeSaga", "cancelSaga")))
        assert any(mutation == "cancelSaga" and not isinstance(answer, str) for mutation, answer in answers)
        await let_go_on(clients, saga, SagaStatus.CANCELLED)
    await eventually(stage.at_rest, timeout=PATIENCE_S)

    types = assert_one_history(stage, branch, answers)
    assert types["RESULT_ACCEPTED"] <= 1
    assert journal(stage, branch)[-1][1] == "CANCELLED"
    done = ("HYDRATE_CONDENSER/1", "COMMIT_CONDENSER_INPUT/1")
    assert stage.effects(branch) == {f"{undo}{step}": 1 for undo in ("", "undo:") for step in done}
    assert stage.emulator.read_file(stage.project.id, "condenser_input.json", branch) is None
    ((status,),) = tasks(stage, branch)
    assert status == ("SUCCEEDED" if types["RESULT_ACCEPTED"] else "REVOKED")


def tasks(stage: Stage, branch: str) -> list[tuple[str]]:
    return stage.rows("SELECT status FROM calculation_task WHERE branch = %s", branch)
