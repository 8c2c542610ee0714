"""Leases: taking due sagas, keeping them, proving that they are still held, and handing them back."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sagas.ids import LeaseToken, SagaId
from sagas.models import Saga
from sagas.store.database import Connection
from sagas.store.rows import to_saga


@dataclass(frozen=True, slots=True)
class Held:
    """A lease that this process holds."""

    saga_id: SagaId
    token: LeaseToken


# statement_timestamp(), not clock_timestamp(): the latter is volatile and would keep the index out of the plan.
# Its COMMIT need not reach the disk: a server that crashes forgets the lease, so that the guard before the next outside
# write, or the fence at the outcome, finds it gone. Whatever commits after it takes it to the disk too.
_TAKE = """
UPDATE saga SET lease_token = $3, due_at = clock_timestamp() + $2
FROM due WHERE saga.id = due.id
RETURNING saga.*, set_config('synchronous_commit', 'off', true)
"""

# Entries of rows that were due once stay in the index as long as anybody holds an older snapshot: 400,000 of them cost a second
# of reading. Looks for what became due lately pass them by.
CLAIM = f"""
WITH due AS (
    SELECT id FROM saga
    WHERE due_at <= statement_timestamp() AND due_at > statement_timestamp() - $4::interval
    ORDER BY due_at
    LIMIT $1
    FOR UPDATE SKIP LOCKED
)
{_TAKE}
"""
# Said so that no plan can take the index of due ones for it.
CLAIM_NAMED = f"""
WITH due AS (
    SELECT id FROM saga
    WHERE id = ANY($4::uuid[]) AND coalesce(due_at <= statement_timestamp(), false)
    LIMIT $1
    FOR UPDATE SKIP LOCKED
)
{_TAKE}
"""

_CLAIMED = "SELECT * FROM saga WHERE due_at IS NOT NULL AND lease_token = $1"

# Locked in id order, like every statement over many sagas, so that no two of them can deadlock.
_RENEW = """
WITH held AS (
    SELECT saga.id FROM saga
    JOIN unnest($1::uuid[], $2::uuid[]) AS mine(id, token) ON saga.id = mine.id AND saga.lease_token = mine.token
    ORDER BY saga.id
    FOR UPDATE OF saga
)
UPDATE saga SET due_at = clock_timestamp() + $3 FROM held WHERE saga.id = held.id
RETURNING saga.id, saga.lease_token
"""

_RELEASE = """
WITH held AS (
    SELECT saga.id FROM saga
    JOIN unnest($1::uuid[], $2::uuid[]) AS mine(id, token) ON saga.id = mine.id AND saga.lease_token = mine.token
    ORDER BY saga.id
    FOR UPDATE OF saga
)
UPDATE saga SET lease_token = NULL, due_at = clock_timestamp() FROM held WHERE saga.id = held.id
RETURNING saga.id
"""

EVER = timedelta(days=36_500)


class Claim:
    """One round of claiming; give it to `Database.run`, as often as it takes.

    Each has a token of its own, by which it finds what it leased where its COMMIT was not answered: nobody else would
    wake those sagas before the lease ran out.
    """

    def __init__(
        self, *, limit: int, lease: timedelta, among: Sequence[SagaId] | None = None, due_within: timedelta = EVER
    ) -> None:
        """`among`: only those of these sagas that are due; None: whatever became due within this last time."""
        self._due_within = due_within
        self._limit = limit
        self._among = among
        self._lease = lease
        self._token = uuid4()
        self._again = False

    async def __call__(self, connection: Connection) -> list[Saga]:
        """The sagas leased by this round."""
        if self._again:
            records = await connection.fetch(_CLAIMED, self._token)
            if records:
                return [to_saga(record) for record in records]
        self._again = True
        return await claim(
            connection,
            limit=self._limit,
            lease=self._lease,
            token=self._token,
            among=self._among,
            due_within=self._due_within,
        )


async def claim(
    connection: Connection,
    *,
    limit: int,
    lease: timedelta,
    token: UUID | None = None,
    among: Sequence[SagaId] | None = None,
    due_within: timedelta = EVER,
) -> list[Saga]:
    """Lease up to `limit` due sagas, skipping rows that others hold; a lease that ran out is due again by itself.

    Each claim stores a fresh token, so that an owner who slept past its lease can no longer write.
    """
    if among is None:
        records = await connection.fetch(CLAIM, limit, lease, token or uuid4(), due_within)
    else:
        records = await connection.fetch(CLAIM_NAMED, limit, lease, token or uuid4(), among)
    return [to_saga(record) for record in records]


async def renew(connection: Connection, held: Sequence[Held], *, lease: timedelta) -> frozenset[Held]:
    """Extend the leases; returns those that are still held."""
    records = await connection.fetch(_RENEW, *_columns(held), lease)
    return frozenset(Held(SagaId(record["id"]), LeaseToken(record["lease_token"])) for record in records)


async def release(connection: Connection, held: Sequence[Held]) -> None:
    """Hand the sagas back at once, for others to go on with."""
    await connection.fetch(_RELEASE, *_columns(held))


async def passed(connection: Connection, deadline: datetime | None) -> bool:
    """Whether the deadline is over by the database's clock."""
    return deadline is not None and bool(await connection.fetchval("SELECT clock_timestamp() >= $1", deadline))


def _columns(held: Iterable[Held]) -> tuple[list[UUID], list[UUID]]:
    pairs = list(held)
    return [pair.saga_id for pair in pairs], [pair.token for pair in pairs]
