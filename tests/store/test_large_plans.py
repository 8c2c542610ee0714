"""100,000 sagas and a million events: what a page asks for touches a page's worth of them."""

from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest
from sqlmodel import col

from sagas.ids import ProjectId, SagaId
from sagas.models import SagaEvent, SagaStatus
from sagas.store.feed import FEED
from sagas.store.queries import (
    SAGAS_BY_ID,
    SagaFilter,
    count_statement,
    events_of_each_statement,
    events_statement,
)
from tests.store.test_queries_plans import LIVE, PAGE, assert_reads_no_table, indexes, page, plan, sorted_rows
from tests.support import eventually
from tests.support_postgres import TestServer

PROJECTS = range(1, 201)

# 200 projects of 500 sagas, ten events each; one saga in a thousand is live. Indexes are made at the end, as a restored
# dump does, and the checks of what rows refer to are off meanwhile: both only for speed. Nobody else
# vacuums, or the one below could not see all rows as old.
_BULK = """
SET synchronous_commit = off;
SET session_replication_role = replica;
ALTER TABLE saga SET (autovacuum_enabled = off);
ALTER TABLE saga_event SET (autovacuum_enabled = off);
INSERT INTO saga_definition (name, version, hash, document) VALUES ('balance', 1, 'h', '{}');
INSERT INTO saga (id, definition_name, definition_version, state, visit, status, version, project_id, project_path,
                  branch, natural_key, started_by_id, issue_iid, created_at, writes)
SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'balance', 1, 'S', 1,
       CASE WHEN n % 1000 = 0 THEN 'RUNNING' ELSE 'COMPLETED' END, 10, 1 + n % 200, 'group/project-' || 1 + n % 200,
       'issue/' || n, 'k' || n, n % 97, n % 10, '2026-01-01Z'::timestamptz + n * interval '1 minute', '{}'
FROM generate_series(1, 100000) AS n;
INSERT INTO saga_event (saga_id, version, type, to_state, status, actor, xid)
SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, version_, 'ENTERED', 'S', 'RUNNING', 'engine',
       (1 + n / 2)::text::xid8
FROM generate_series(1, 100000) AS n, generate_series(1, 10) AS version_;
"""

_VISIBLE = "SELECT relpages, relallvisible FROM pg_class WHERE oid = 'saga'::regclass"


@pytest.fixture
async def large(postgres: TestServer) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    with postgres.database() as url:
        connection = await asyncpg.connect(url)
        dropped = await connection.fetch(
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename IN ('saga', 'saga_event') AND indexname LIKE 'ix_%'"
        )
        for record in dropped:
            await connection.execute(f"DROP INDEX {record['indexname']}")
        await connection.execute(_BULK)
        for record in dropped:
            await connection.execute(record["indexdef"])
        await connection.execute("SET session_replication_role = DEFAULT")

        async def seen_by_all() -> bool:
            # A page that somebody else of the server holds just now is passed over.
            await connection.execute("VACUUM (ANALYZE) saga")
            pages, visible = await connection.fetchrow(_VISIBLE)
            return bool(visible >= pages - 4)

        await eventually(seen_by_all, timeout=60, every=1, what="all rows are old enough for everybody")
        await connection.execute("ANALYZE saga_event")
        yield connection
        await connection.close()


async def test_pages_counts_and_journals_cost_what_they_show(large: "asyncpg.Connection[asyncpg.Record]") -> None:
    middle = await large.fetchval("SELECT id FROM saga WHERE project_id = 7 ORDER BY created_at OFFSET 250 LIMIT 1")
    await _pages(large)
    await _counts(large)
    await _journals(large, middle)
    nodes = await plan(large, SAGAS_BY_ID.params(ids=[middle]))
    assert indexes(nodes) == {"pk_saga"}


async def _pages(large: "asyncpg.Connection[asyncpg.Record]") -> None:
    for statement, index, most in (
        (page(SagaFilter(), 7), "ix_saga_project_created", PAGE),
        (page(SagaFilter(), *PROJECTS), "ix_saga_project_created", len(PROJECTS) * PAGE),
        (page(SagaFilter(project_path="group/project-7"), *PROJECTS), "ix_saga_path_created", 0),
        (page(SagaFilter(started_by_id=5), *PROJECTS), "ix_saga_starter_created", 0),
        (page(SagaFilter(issue_iid=6), 7), "ix_saga_issue_created", PAGE),
        (page(SagaFilter(statuses=LIVE), *PROJECTS), "ix_saga_live_branch", 100),
    ):
        nodes = await plan(large, statement)
        assert_reads_no_table(nodes)
        assert index in indexes(nodes), index
        assert sorted_rows(nodes) <= max(most, PAGE), index


async def _counts(large: "asyncpg.Connection[asyncpg.Record]") -> None:
    every = frozenset(ProjectId(number) for number in PROJECTS)
    for asked, projects, index in (
        (SagaFilter(), frozenset({ProjectId(7)}), "ix_saga_project_created"),
        (SagaFilter(), every, "ix_saga_project_created"),
        (SagaFilter(started_by_id=5), every, "ix_saga_starter_created"),
    ):
        nodes = await plan(large, count_statement(asked, projects))
        assert_reads_no_table(nodes)
        (scan,) = [node for node in nodes if "Index Name" in node]
        assert (scan["Node Type"], scan["Index Name"]) == ("Index Only Scan", index)
        # The last pages may not be known yet as seen by everybody.
        assert scan["Heap Fetches"] <= 100
    nodes = await plan(large, count_statement(SagaFilter(statuses=frozenset({SagaStatus.RUNNING})), every))
    assert_reads_no_table(nodes)


async def _journals(large: "asyncpg.Connection[asyncpg.Record]", middle: UUID) -> None:
    ids = [SagaId(record["id"]) for record in await large.fetch("SELECT id FROM saga ORDER BY created_at LIMIT 50")]
    for newest_first in (False, True):
        bounds = [col(SagaEvent.version) > 3]
        for statement, most in (
            (events_statement(SagaId(middle), bounds, limit=6, newest_first=newest_first), 6),
            (events_of_each_statement(ids, limit=6, newest_first=newest_first), 300),
        ):
            nodes = await plan(large, statement)
            assert_reads_no_table(nodes)
            assert indexes(nodes) == {"pk_saga_event"}
            read = [node for node in nodes if "Index Name" in node]
            assert sum(node["Actual Rows"] * node["Actual Loops"] for node in read) <= most
    newest = await large.fetchval("SELECT pg_snapshot_xmin(pg_current_snapshot())::text")
    explained = await large.fetch(f"EXPLAIN {FEED}", newest, UUID(int=0), 0, 1000)
    text = "\n".join(record[0] for record in explained)
    assert "ix_saga_event_feed" in text
    assert "Seq Scan on saga_event" not in text
