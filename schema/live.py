"""Reads that many subscriptions of one process share: what wakes a thousand of them at once is read once.

Nothing is kept: whoever asks gets a read that began after asking, so no subscriber can miss what it was woken for.
"""

from collections.abc import Sequence

from sagas.ids import SagaId
from sagas.models import Saga, SagaEvent
from sagas.store.queries import Queries
from schema.batching import Batching

PAGE = 100


class LiveReads:
    """Batches what is asked for in the same turn of the event loop."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries
        self._sagas: Batching[SagaId, Saga | None] = Batching(self._load_sagas, cache=False)
        self._events: Batching[tuple[SagaId, int], Sequence[SagaEvent]] = Batching(self._load_events, cache=False)

    async def saga(self, saga_id: SagaId) -> Saga | None:
        """The saga as it is now."""
        return await self._sagas.load(saga_id)

    async def events(self, saga_id: SagaId, after_version: int) -> Sequence[SagaEvent]:
        """Up to `PAGE` events that follow the version, in order."""
        return await self._events.load((saga_id, after_version))

    async def _load_sagas(self, ids: list[SagaId]) -> Sequence[Saga | None]:
        found = await self._queries.sagas(list(dict.fromkeys(ids)))
        return [found.get(saga_id) for saga_id in ids]

    async def _load_events(self, keys: list[tuple[SagaId, int]]) -> Sequence[Sequence[SagaEvent]]:
        # Readers of one saga stand at the same version but for the slow ones, so this is a handful of reads.
        pages = {key: await self._queries.events(*key, limit=PAGE) for key in dict.fromkeys(keys)}
        return [pages[key] for key in keys]
