"""Recording what steps report: outcomes that arrive while a transaction is under way go out together in the next one.

An outcome that the database refuses takes no other with it; its step is told as broken and comes again after a back-off.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from sagas.batches import Batches
from sagas.change import Change
from sagas.errors import RetryableError, StaleLease
from sagas.faults import crash_point
from sagas.ids import SagaId
from sagas.ports import Announcer, Hint
from sagas.results import TryAgain
from sagas.store.database import Database
from sagas.store.outcomes import Definitions, Outcome, Recording
from sagas.texts import say

logger = logging.getLogger(__name__)

_PAUSE_S = 0.2


class Recorder:
    """Writes outcomes in shared transactions and announces what they changed."""

    def __init__(self, database: Database, definitions: Definitions, announcer: Announcer, *, lease: timedelta) -> None:
        self._database = database
        self._definitions = definitions
        self._announcer = announcer
        self._lease = lease
        self._batches: Batches[Outcome, Change | None] = Batches(self._write)

    async def recorded(self, outcome: Outcome) -> Change:
        """Write the outcome; returns the change that it made.

        Raises StaleLease where the lease was lost: nothing was written.
        """
        try:
            change = await self._batches.add(outcome)
        except Exception as failure:  # noqa: BLE001 - whatever it is, the saga must say that its step broke
            change = await self._batches.add(_broken(outcome, failure))
        if change is None:
            raise StaleLease
        return change

    async def aclose(self) -> None:
        """Stop writing; a lease whose outcome is not written runs out, and its step is looked after again."""
        await self._batches.aclose()

    async def _write(self, outcomes: Sequence[Outcome]) -> Sequence[Change | None]:
        # One Recording until it is through: it knows what it wrote where a COMMIT was not answered. The effects are
        # done, so their outcomes are kept until the database is back; the fence tells which leases were taken over.
        recording = Recording(outcomes, definitions=self._definitions, lease=self._lease)
        while True:
            try:
                changes = await self._database.run(recording, point="record")
                break
            except RetryableError:
                await asyncio.sleep(_PAUSE_S)
        told = [Hint(SagaId(change.saga.id), change.saga.version) for change in changes.values() if change.events]
        if told:
            crash_point("announce.before")
            self._announcer.announce(told)
            crash_point("announce.after")
        return [changes.get(outcome.held) for outcome in outcomes]


def _broken(outcome: Outcome, failure: Exception) -> Outcome:
    logger.error("the outcome of saga %s cannot be written", outcome.held.saga_id, exc_info=failure)
    broken = RetryableError("INTERNAL_ERROR", say("What the step found cannot be stored; the service's log says why."))
    return replace(outcome, result=TryAgain(broken))
