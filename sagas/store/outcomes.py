"""Recording what steps report: the fence by lease token, many sagas in one transaction, a poisoned one alone."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import asyncpg

from sagas.change import Change
from sagas.decisions import decide
from sagas.definition import SagaDefinition
from sagas.ids import LeaseToken, SagaId
from sagas.models import Saga
from sagas.results import StepResult
from sagas.store import journal
from sagas.store.claims import Held
from sagas.store.database import Connection
from sagas.store.rows import db_now, to_saga

_LOCK_HELD = """
SELECT saga.*, clock_timestamp() AS db_now FROM saga
JOIN unnest($1::uuid[], $2::uuid[]) AS mine(id, token) ON saga.id = mine.id AND saga.lease_token = mine.token
ORDER BY saga.id
FOR UPDATE OF saga
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A step's report, and the lease under which it was made."""

    held: Held
    result: StepResult
    signals_seen: int


Definitions = Callable[[str, int], Awaitable[SagaDefinition]]


class Recording:
    """A batch of outcomes on its way into the database; give it to `Database.run`, as often as it takes.

    Where a COMMIT's answer was lost it finds what it wrote and writes nothing again: the same report applied twice would
    move a saga past a step that it never did.
    """

    def __init__(self, outcomes: Sequence[Outcome], *, definitions: Definitions, lease: timedelta) -> None:
        self._outcomes = {outcome.held: outcome for outcome in outcomes}
        self._definitions = definitions
        self._lease = lease
        self._made: dict[Held, Change] = {}

    async def __call__(self, connection: Connection) -> Mapping[Held, Change]:
        """Write the outcomes of leases that are still held, and return the changes made.

        An outcome without a change lost its lease: somebody else went on, nothing of it was written.
        """
        ids = [held.saga_id for held in self._outcomes]
        tokens = [held.token for held in self._outcomes]
        locked = await connection.fetch(_LOCK_HELD, ids, tokens)
        if await journal.stand(connection, self._made.values()):
            return self._made
        self._made = dict([await self._decide(record) for record in locked])
        if self._made:
            await journal.write(connection, list(self._made.values()))
        return self._made

    async def _decide(self, record: asyncpg.Record) -> tuple[Held, Change]:
        saga: Saga = to_saga(record)
        # By saga and token: one process may hold two reports on a saga, the older under a lease that it lost.
        held = Held(SagaId(record["id"]), LeaseToken(record["lease_token"]))
        outcome = self._outcomes[held]
        definition = await self._definitions(saga.definition_name, saga.definition_version)
        change = decide(
            saga,
            definition,
            outcome.result,
            now=db_now(record),
            lease=self._lease,
            signals_seen=outcome.signals_seen,
        )
        return held, change
