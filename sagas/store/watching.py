"""Looks: which waiting sagas are to be looked after now, shared between processes without leasing them."""

from sagas.models import Saga
from sagas.store.database import Connection
from sagas.store.rows import to_saga

# A form may wait for days, and its user sees what it shows before he answers: its looks become five times as rare.
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
    look_interval_s = least(saga.look_interval_s * 2, CASE status WHEN 'AWAITING_INPUT' THEN 5 * $2 ELSE $2 END)
FROM due WHERE saga.id = due.id
RETURNING saga.*
"""

_TAKEN = """
SELECT saga.* FROM saga
JOIN unnest($1::uuid[], $2::timestamptz[]) AS mine(id, look_at) ON saga.id = mine.id AND saga.look_at = mine.look_at
"""


class Looks:
    """One round of looks; give it to `Database.run`, as often as it takes.

    Where its COMMIT was not answered it finds the looks that it took: nobody else would look before the next ones.
    """

    def __init__(self, *, limit: int, longest_s: float) -> None:
        self._limit = limit
        self._longest_s = longest_s
        self._taken: list[Saga] = []

    async def __call__(self, connection: Connection) -> list[Saga]:
        """The waiting sagas to look after now; each one's next look is put off by its interval, which doubles."""
        if self._taken:
            marks = [saga.id for saga in self._taken], [saga.look_at for saga in self._taken]
            records = await connection.fetch(_TAKEN, *marks)
            if records:
                return [to_saga(record) for record in records]
        self._taken = [to_saga(record) for record in await connection.fetch(LOOKS, self._limit, self._longest_s)]
        return self._taken
