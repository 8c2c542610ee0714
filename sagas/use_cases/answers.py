"""What a use case answers, and what an idempotency key stands for."""

from dataclasses import dataclass

from sagas.errors import RefusalCode, RefusedError, refused
from sagas.models import Saga
from sagas.store.idempotency import Known, Request
from sagas.texts import say


@dataclass(frozen=True, slots=True)
class Answer:
    """The saga as it is now; `created` tells whether this very request did it."""

    saga: Saga
    created: bool


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


def used_at_the_same_moment() -> RefusedError:
    """The refusal of a key that another request was faster with.

    The whole transaction is taken back, and of several requests each is tried alone.
    """
    return refused(
        RefusalCode.IDEMPOTENCY_CONFLICT,
        say("This idempotency key was used at the same moment for another saga. Use a new key."),
        "idempotencyKey",
    )
