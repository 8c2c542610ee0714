"""Looks: which waiting sagas are to be looked after now, shared between processes without leasing them.

All processes together stay within a budget of looks per minute, without a counter that each of them would have to write:
every look is put off in the saga's own row, whoever takes it, so that the longest intervals bound them all.
"""

from dataclasses import dataclass

from sagas.models import Saga
from sagas.store.database import Connection
from sagas.store.rows import to_saga

# Taking a look postpones the next one, so no two processes look after the same saga at once, and one that dies
# in the middle costs nothing but the interval.
LOOKS = """
WITH due AS (
    SELECT id FROM saga
    WHERE look_at <= statement_timestamp()
    ORDER BY look_at
    LIMIT $1
    FOR UPDATE SKIP LOCKED
)
UPDATE saga SET
    look_at = clock_timestamp() + make_interval(secs => saga.look_interval_s),
    look_interval_s = least(
        saga.look_interval_s * 2, CASE status WHEN 'AWAITING_INPUT' THEN $3::float8 ELSE $2::float8 END
    )
FROM due WHERE saga.id = due.id
RETURNING saga.*
"""

# Once a minute and process; the index has the waiting ones alone.
WAITING = """
SELECT count(*) FILTER (WHERE status = 'AWAITING_INPUT') AS forms,
       count(*) FILTER (WHERE status <> 'AWAITING_INPUT') AS results
FROM saga WHERE look_at IS NOT NULL
"""

_TAKEN = """
SELECT saga.* FROM saga
JOIN unnest($1::uuid[], $2::timestamptz[]) AS mine(id, look_at) ON saga.id = mine.id AND saga.look_at = mine.look_at
"""


@dataclass(frozen=True, slots=True)
class Pace:
    """The longest intervals between two looks at one saga, in seconds.

    A form may wait for days, and its user sees what it shows before he answers: its looks become five times as rare.
    """

    results_s: float = 60.0
    forms_s: float = 300.0

    @classmethod
    def within(cls, per_minute: int, *, results: int, forms: int) -> "Pace":
        """The intervals at which so many waiting sagas take `per_minute` looks at most; half is for results, half for forms.

        What moves a saga on comes by webhook, which is not held up by this; looks are for webhooks that were lost.
        """
        usual, half = cls(), per_minute / 2
        return cls(max(usual.results_s, 60 * results / half), max(usual.forms_s, 60 * forms / half))


async def pace_within(connection: Connection, per_minute: int) -> Pace:
    """The pace for the sagas that wait now."""
    found = await connection.fetchrow(WAITING)
    return Pace.within(per_minute, results=found["results"], forms=found["forms"])


class Looks:
    """One round of looks; give it to `Database.run`, as often as it takes.

    Where its COMMIT was not answered it finds the looks that it took: nobody else would look before the next ones.
    """

    def __init__(self, *, limit: int, pace: Pace) -> None:
        self._limit = limit
        self._pace = pace
        self._taken: list[Saga] = []

    async def __call__(self, connection: Connection) -> list[Saga]:
        """The waiting sagas to look after now; each one's next look is put off by its interval, which doubles."""
        if self._taken:
            marks = [saga.id for saga in self._taken], [saga.look_at for saga in self._taken]
            records = await connection.fetch(_TAKEN, *marks)
            if records:
                return [to_saga(record) for record in records]
        self._taken = [
            to_saga(record)
            for record in await connection.fetch(LOOKS, self._limit, self._pace.results_s, self._pace.forms_s)
        ]
        return self._taken
