"""Retention: how long finished sagas stay among the live ones, and the sweep that moves older ones to the archive."""

import asyncio
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from sagas.ids import ProjectId, SagaId
from sagas.store import archive
from sagas.store.database import Database
from sagas.store.queries import May

BATCH = 100
"""Sagas per transaction: some milliseconds each, so that neither locks nor the write-ahead log swell."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long a saga stays after its end."""

    usual: timedelta = timedelta(days=365)
    of: Mapping[str, timedelta] = field(default_factory=dict)
    """By the name of the definition, where it differs."""

    def after(self, definition: str) -> timedelta:
        """For this definition."""
        return self.of.get(definition, self.usual)


async def sweep(database: Database, retention: Retention) -> Mapping[str, int]:
    """Archive every saga that finished longer ago than its retention; returns how many, by definition.

    It rests as long as it worked, so that others get the database in between. Any number of sweeps may run at once.
    Raises RetryableError("DATABASE_UNAVAILABLE"); what was archived until then is.
    """
    moved = {}
    for definition in await database.read(archive.definitions):
        moved[definition] = 0
        move = partial(archive.move_away, definition=definition, older_than=retention.after(definition), limit=BATCH)
        since = archive.BEGINNING
        while True:
            began = time.monotonic()
            looked_at, batch, since = await database.run(partial(move, since=since), point="archive")
            moved[definition] += batch
            if looked_at < BATCH:
                break
            await asyncio.sleep(time.monotonic() - began)
    return moved


async def due(database: Database, retention: Retention) -> Mapping[str, int]:
    """How many sagas `sweep` would archive now, by definition."""
    return {
        definition: await database.read(
            partial(archive.count, definition=definition, older_than=retention.after(definition))
        )
        for definition in await database.read(archive.definitions)
    }


async def bring_back(database: Database, saga_ids: Collection[SagaId], may: May | None = None) -> int:
    """Move those of these sagas that are archived back among the others, for reading; returns how many are there now.

    `may`: whose projects the one who asks may see. For others nothing moves: a stranger's question has no effect.
    """
    if may is not None:
        saga_ids = await _seen_by(may, database, saga_ids)
    return await database.run(partial(archive.bring_back, saga_ids=saga_ids), point="unarchive") if saga_ids else 0


async def _seen_by(may: May, database: Database, saga_ids: Collection[SagaId]) -> Collection[SagaId]:
    """Without those that are archived and not to be seen; one that somebody else is just bringing back stays in."""
    projects = await database.read(partial(archive.projects, saga_ids=saga_ids))
    seen = await may([ProjectId(project) for project in set(projects.values())]) if projects else ()
    return [saga_id for saga_id in saga_ids if saga_id not in projects or projects[saga_id] in seen]


async def bring_all_back(database: Database) -> int:
    """Empty the archive, as a downgrade of the schema needs it; returns how many sagas were in it."""
    brought = 0
    while some := await database.read(partial(archive.some, limit=BATCH)):
        brought += await bring_back(database, [SagaId(saga_id) for saga_id in some])
    return brought
