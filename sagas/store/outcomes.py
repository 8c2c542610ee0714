"""Recording what steps report: the fence by lease token, many sagas in one transaction, a poisoned one alone."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

import asyncpg

from sagas.change import Change
from sagas.context import SagaContext
from sagas.decisions import decide
from sagas.definition import SagaDefinition
from sagas.ids import LeaseToken, SagaId
from sagas.models import Saga
from sagas.results import StepResult
from sagas.store import journal
from sagas.store.claims import Held
from sagas.store.database import Connection
from sagas.store.rows import db_now, to_saga
from sagas.store.unchanged import UNVERSIONED

_LOCK_HELD = f"""
SELECT saga.id, saga.version, {", ".join(f"saga.{name}" for name in UNVERSIONED)}, clock_timestamp() AS db_now FROM saga
JOIN unnest($1::uuid[], $2::uuid[]) AS mine(id, token) ON saga.id = mine.id AND saga.lease_token = mine.token
ORDER BY saga.id
FOR UPDATE OF saga
"""
_WHOLE = "SELECT * FROM saga WHERE id = ANY($1::uuid[])"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A step's report, and the lease under which it was made."""

    held: Held
    result: StepResult
    saga: Saga
    """The row that the step acted on."""
    context: SagaContext | None = None
    """The row's context, where it was read already."""


class Known(NamedTuple):
    """A row as it is now, and its context where it was read already."""

    saga: Saga
    context: SagaContext | None
    now: datetime


Definitions = Callable[[str, int], Awaitable[SagaDefinition]]


class Recording:
    """A batch of outcomes on its way into the database; give it to `Database.run`, as often as it takes.

    Where a COMMIT's answer was lost it finds what it wrote and writes nothing again: the same report applied twice would
    move a saga past a step that it never did.
    """

    def __init__(
        self,
        outcomes: Sequence[Outcome],
        *,
        definitions: Definitions,
        lease: timedelta,
        unsure: Mapping[Held, Change] | None = None,
    ) -> None:
        """`unsure`: changes that were sent already, and whose COMMIT was not answered."""
        self._outcomes = {outcome.held: outcome for outcome in outcomes}
        self._definitions = definitions
        self._lease = lease
        self._unsure: dict[Held, Change] = dict(unsure or {})

    async def __call__(self, connection: Connection) -> Mapping[Held, Change]:
        """Write the outcomes of leases that are still held, and return the changes made.

        An outcome without a change lost its lease: somebody else went on, nothing of it was written.
        """
        ids = [held.saga_id for held in self._outcomes]
        tokens = [held.token for held in self._outcomes]
        locked = await connection.fetch(_LOCK_HELD, ids, tokens)
        # After the locks were waited for, so that a COMMIT still under way is through.
        there = await journal.standing(connection, self._unsure.values())
        stands = {
            held: change for held, change in self._unsure.items() if (change.saga.id, change.saga.version) in there
        }
        known = await self._known(connection, locked)
        made = {held: await self._decide(held, row) for held, row in known.items() if held not in stands}
        self._unsure = stands | made
        if made:
            await journal.write(connection, list(made.values()))
        return self._unsure

    async def _known(self, connection: Connection, locked: Sequence[asyncpg.Record]) -> dict[Held, Known]:
        """The locked rows. Most are as their steps knew them; those that a command has changed are read again."""
        # By saga and token: one process may hold two reports on a saga, the older under a lease that it lost.
        rows = {Held(SagaId(record["id"]), LeaseToken(record["lease_token"])): record for record in locked}
        changed = [held.saga_id for held, row in rows.items() if row["version"] != self._outcomes[held].saga.version]
        read = {row["id"]: to_saga(row) for row in await connection.fetch(_WHOLE, changed)} if changed else {}
        known = {}
        for held, row in rows.items():
            saga, outcome = read.get(held.saga_id), self._outcomes[held]
            if saga is not None:
                known[held] = Known(saga, None, db_now(row))
                continue
            news = {name: row[name] for name in UNVERSIONED if row[name] != getattr(outcome.saga, name)}
            known[held] = Known(replace(outcome.saga, **news) if news else outcome.saga, outcome.context, db_now(row))
        return known

    async def _decide(self, held: Held, known: Known) -> Change:
        outcome = self._outcomes[held]
        definition = await self._definitions(known.saga.definition_name, known.saga.definition_version)
        return decide(
            known.saga,
            definition,
            outcome.result,
            now=known.now,
            lease=self._lease,
            signals_seen=outcome.saga.signals,
            context=known.context,
        )
