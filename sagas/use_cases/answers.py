"""What a use case answers, and what an idempotency key stands for."""

from dataclasses import dataclass
from uuid import UUID

from sagas.errors import RefusalCode, RefusedError, refused
from sagas.models import Saga
from sagas.store import commands, idempotency
from sagas.store.database import Connection
from sagas.store.idempotency import Known, Request
from sagas.texts import say


@dataclass(frozen=True, slots=True)
class Answer:
    """The saga as it is now; `created` tells whether this very request did it."""

    saga: Saga
    created: bool


async def known_answer(connection: Connection, request: Request, project_id: int) -> Answer | None:
    """The answer that the request's key stands for already.

    Raises RefusedError(IDEMPOTENCY_CONFLICT) where the key was used with other input, or in another project.
    """
    known = await idempotency.find(connection, request)
    if known is None:
        return None
    refuse_other_input(known, request)
    saga = await commands.saga(connection, known.saga_id)
    return None if saga is None else answer_of(saga, known, request, project_id)


def answer_of(saga: Saga, known: Known, request: Request, project_id: int) -> Answer:
    """The saga that a key stands for, as the answer to the request that repeats it.

    Paths move from project to project, and the hash of the input has but the path: raises
    RefusedError(IDEMPOTENCY_CONFLICT) where the saga is not of the project that the request is about now, which its
    user may not even see.
    """
    if saga.project_id != project_id:
        raise _used_for_another_request()
    return Answer(saga, known.request_id == request.id)


def refuse_other_input(known: Known, request: Request) -> None:
    """Raise RefusedError(IDEMPOTENCY_CONFLICT) where the key was used with other input."""
    if known.input_hash != request.input_hash:
        raise _used_for_another_request()


def _used_for_another_request() -> RefusedError:
    return refused(
        RefusalCode.IDEMPOTENCY_CONFLICT,
        say("This idempotency key was used before with other input. Use a new key for a new request."),
        "idempotencyKey",
    )


async def keep_keys(connection: Connection, used: list[tuple[Request, UUID]]) -> None:
    """Bind the keys, or take the whole transaction back where a request at the same moment was first with one of them.

    Raises RefusedError(IDEMPOTENCY_CONFLICT); of several requests, each must then be tried alone.
    """
    if not await idempotency.keep(connection, used):
        raise used_at_the_same_moment()


def used_at_the_same_moment() -> RefusedError:
    """The refusal of a key that another request was faster with."""
    return refused(
        RefusalCode.IDEMPOTENCY_CONFLICT,
        say("This idempotency key was used at the same moment for another saga. Use a new key."),
        "idempotencyKey",
    )
