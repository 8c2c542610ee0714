"""Sharing commits: outcomes that arrive while a transaction is under way go out together in the next one.

A lone saga waits for nothing: there is no timer. An outcome that the database refuses is tried again alone, so that it
takes no other with it; refused alone too, its step is told as broken and comes again after a back-off.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TypeAlias

from sagas.change import Change
from sagas.errors import RetryableError, StaleLease
from sagas.faults import crash_point
from sagas.ids import SagaId
from sagas.ports import Announcer, Hint
from sagas.results import TryAgain
from sagas.store.claims import Held
from sagas.store.database import Database
from sagas.store.outcomes import Definitions, Outcome, Recording

logger = logging.getLogger(__name__)

LARGEST_BATCH = 64
_PAUSE_S = 0.2

Entry: TypeAlias = tuple[Outcome, "asyncio.Future[Change | None]"]


class Recorder:
    """Writes outcomes in shared transactions and announces what they changed."""

    def __init__(self, database: Database, definitions: Definitions, announcer: Announcer, *, lease: timedelta) -> None:
        self._database = database
        self._definitions = definitions
        self._announcer = announcer
        self._lease = lease
        self._pending: list[Entry] = []
        self._flushing: asyncio.Task[None] | None = None

    async def recorded(self, outcome: Outcome) -> Change | None:
        """Write the outcome; returns the change to go straight on from, None where the saga rests or waits now.

        Raises StaleLease where the lease was lost: nothing was written.
        """
        written: asyncio.Future[Change | None] = asyncio.get_running_loop().create_future()
        self._pending.append((outcome, written))
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush())
        try:
            return await written
        except _StaleError:
            raise StaleLease from None

    async def aclose(self) -> None:
        """Stop writing; a lease whose outcome is not written runs out, and its step is looked after again."""
        if self._flushing is not None:
            self._flushing.cancel()
            with suppress(asyncio.CancelledError):
                await self._flushing

    async def _flush(self) -> None:
        while self._pending:
            batch, self._pending = self._pending[:LARGEST_BATCH], self._pending[LARGEST_BATCH:]
            try:
                await self._write(batch)
            except Exception as failure:  # noqa: BLE001 - whatever it is, each outcome must get its answer
                await self._write_each(batch, failure)

    async def _write_each(self, batch: Sequence[Entry], failure: Exception) -> None:
        if len(batch) == 1:
            await self._write_broken(*batch[0], failure)
            return
        for entry in batch:
            try:
                await self._write([entry])
            except Exception as own:  # noqa: BLE001 - told to the outcome's own owner
                await self._write_broken(*entry, own)

    async def _write_broken(
        self, outcome: Outcome, written: "asyncio.Future[Change | None]", failure: Exception
    ) -> None:
        logger.error("the outcome of saga %s cannot be written", outcome.held.saga_id, exc_info=failure)
        broken = RetryableError("INTERNAL_ERROR", "What the step found cannot be stored; the service's log says why.")
        try:
            await self._write([(replace(outcome, result=TryAgain(broken)), written)])
        except Exception as last:  # noqa: BLE001 - told to the outcome's owner, whose lease runs out
            if not written.done():
                written.set_exception(last)

    async def _write(self, batch: Sequence[Entry]) -> None:
        changes = await self._recorded([outcome for outcome, _ in batch])
        told = [Hint(SagaId(change.saga.id), change.saga.version) for change in changes.values() if change.events]
        if told:
            crash_point("announce.before")
            self._announcer.announce(told)
            crash_point("announce.after")
        for outcome, written in batch:
            if written.done():
                continue
            change = changes.get(outcome.held)
            if change is None:
                written.set_exception(_StaleError())
            else:
                written.set_result(change if change.keep_lease else None)

    async def _recorded(self, outcomes: Sequence[Outcome]) -> Mapping[Held, Change]:
        # One Recording until it is through: it knows what it wrote where a COMMIT was not answered. The effects are
        # done, so their outcomes are kept until the database is back; the fence tells which leases were taken over.
        recording = Recording(outcomes, definitions=self._definitions, lease=self._lease)
        while True:
            try:
                return await self._database.run(recording, point="record")
            except RetryableError:
                await asyncio.sleep(_PAUSE_S)


class _StaleError(Exception):
    """Carries StaleLease through a future: a BaseException there would end the event loop's callback instead."""
