"""Recording what steps report: outcomes that arrive while a transaction is under way go out together in the next one.

An outcome that the database refuses takes no other with it; its step is told as broken and comes again after a back-off.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from sagas.batches import Batches
from sagas.change import Change
from sagas.errors import RetryableError, StaleLease
from sagas.faults import crash_point
from sagas.ids import SagaId
from sagas.ports import Announcer, Hint
from sagas.results import TryAgain
from sagas.store.claims import Held
from sagas.store.clock import DatabaseClock
from sagas.store.database import Connection, Database
from sagas.store.outcomes import Definitions, Outcome, Recording
from sagas.store.prompt import PromptRecording
from sagas.texts import say

logger = logging.getLogger(__name__)

_PAUSE_S = 0.2


@dataclass(frozen=True, slots=True)
class _Left:
    """An outcome that is to be decided under its row's lock."""

    outcome: Outcome
    unsure: Change | None = None
    """What was made of it already, and sent with a COMMIT that was not answered."""


class Recorder:
    """Writes outcomes in shared transactions and announces what they changed.

    Nearly all find their rows as their steps knew them, and go out as one statement; the others wait for the rows' locks
    in transactions of their own.
    """

    def __init__(
        self,
        database: Database,
        definitions: Definitions,
        announcer: Announcer,
        *,
        lease: timedelta,
        clock: DatabaseClock | None = None,
    ) -> None:
        self._database = database
        self._definitions = definitions
        self._announcer = announcer
        self._lease = lease
        self._clock = clock or DatabaseClock()
        self._prompt: Batches[Outcome, Change | _Left] = Batches(self._write_promptly)
        self._left: Batches[_Left, Change | None] = Batches(self._write_left)

    async def recorded(self, outcome: Outcome) -> Change:
        """Write the outcome; returns the change that it made.

        Raises StaleLease where the lease was lost: nothing was written.
        """
        try:
            change = await self._written(outcome)
        except Exception as failure:  # noqa: BLE001 - whatever it is, the saga must say that its step broke
            change = await self._left.add(_Left(_broken(outcome, failure)))
        if change is None:
            raise StaleLease
        return change

    async def _written(self, outcome: Outcome) -> Change | None:
        change = await self._prompt.add(outcome)
        return await self._left.add(change) if isinstance(change, _Left) else change

    async def aclose(self) -> None:
        """Stop writing; a lease whose outcome is not written runs out, and its step is looked after again."""
        await self._prompt.aclose()
        await self._left.aclose()

    async def _write_promptly(self, outcomes: Sequence[Outcome]) -> Sequence[Change | _Left]:
        prompt = PromptRecording(outcomes, definitions=self._definitions, lease=self._lease, clock=self._clock)
        changes = await self._recorded(prompt, single=True)
        return [changes.get(outcome.held) or _Left(outcome, prompt.unsure.get(outcome.held)) for outcome in outcomes]

    async def _write_left(self, left: Sequence[_Left]) -> Sequence[Change | None]:
        # One Recording until it is through: it knows what it wrote where a COMMIT was not answered.
        recording = Recording(
            [each.outcome for each in left],
            definitions=self._definitions,
            lease=self._lease,
            unsure={each.outcome.held: each.unsure for each in left if each.unsure is not None},
        )
        changes = await self._recorded(recording)
        return [changes.get(each.outcome.held) for each in left]

    async def _recorded(
        self, work: Callable[[Connection], Awaitable[Mapping[Held, Change]]], *, single: bool = False
    ) -> Mapping[Held, Change]:
        # The effects are done, so their outcomes are kept until the database is back; the fence tells which leases were
        # taken over.
        while True:
            try:
                changes = await self._database.run(work, point="record", single=single)
                break
            except RetryableError:
                await asyncio.sleep(_PAUSE_S)
        told = [Hint(SagaId(change.saga.id), change.saga.version) for change in changes.values() if change.events]
        if told:
            crash_point("announce.before")
            self._announcer.announce(told)
            crash_point("announce.after")
        return changes


def _broken(outcome: Outcome, failure: Exception) -> Outcome:
    logger.error("the outcome of saga %s cannot be written", outcome.held.saga_id, exc_info=failure)
    broken = RetryableError("INTERNAL_ERROR", say("What the step found cannot be stored; the service's log says why."))
    return replace(outcome, result=TryAgain(broken))
