"""Recording outcomes without waiting for their rows' locks, where the rows are still as their steps knew them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta

from sagas.change import Change
from sagas.decisions import decide
from sagas.store import unchanged
from sagas.store.claims import Held
from sagas.store.clock import DatabaseClock
from sagas.store.database import Connection
from sagas.store.outcomes import Definitions, Outcome

_BEHIND = timedelta(seconds=1)
"""As far behind the database's clock may what a process knows of it lie: longer than an answer is on its way."""


class PromptRecording:
    """A batch of outcomes, for one try; give it to `Database.run` as a single statement.

    Where its COMMIT was not answered it does not try again: what it may have written is in `unsure`, for the `Recording`
    that follows to find. Its decisions' time is the database's as this process last heard it.
    """

    def __init__(
        self, outcomes: Sequence[Outcome], *, definitions: Definitions, lease: timedelta, clock: DatabaseClock
    ) -> None:
        # One process may hold two reports on a saga, the older under a lease that it lost.
        reports = Counter(outcome.held.saga_id for outcome in outcomes)
        self._outcomes = [outcome for outcome in outcomes if reports[outcome.held.saga_id] == 1]
        self._definitions = definitions
        self._lease = lease
        self._clock = clock
        self._tried = False
        self._made: dict[Held, Change] = {}
        self.unsure: dict[Held, Change] = {}

    async def __call__(self, connection: Connection) -> Mapping[Held, Change]:
        """The changes made; an outcome without one is still to be recorded."""
        if self._tried:
            return self._made
        self._tried = True
        decided = await self._decided()
        if not decided:
            return self._made
        self.unsure = {outcome.held: change for outcome, change in decided}
        moved = await unchanged.move(connection, [(outcome.saga, change) for outcome, change in decided])
        if moved.now is not None:
            self._clock.heard(moved.now)
        self._made = {held: change for held, change in self.unsure.items() if held.saga_id in moved.sagas}
        self.unsure = {}
        return self._made

    async def _decided(self) -> list[tuple[Outcome, Change]]:
        now = self._clock.now()
        if now is None:
            return []
        # What lies ahead of the database's own clock was dated before somebody set that back. Dated after it, a look or
        # another attempt would come as much too late: such decisions take the time as it is.
        dated = [outcome for outcome in self._outcomes if outcome.saga.updated_at - now <= _BEHIND]
        decided = [
            (
                outcome,
                decide(
                    outcome.saga,
                    await self._definitions(outcome.saga.definition_name, outcome.saga.definition_version),
                    outcome.result,
                    # Another process may have written the row, by the clock itself, since this one heard it.
                    now=max(now, outcome.saga.updated_at),
                    lease=self._lease,
                    signals_seen=outcome.saga.signals,
                    context=outcome.context,
                ),
            )
            for outcome in dated
        ]
        return [(outcome, change) for outcome, change in decided if unchanged.movable(change)]
