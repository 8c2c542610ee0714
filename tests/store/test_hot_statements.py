"""NF-ORCH-1: the engine's hot statements keep their plans, on every version of PostgreSQL that we promise."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from sagas.store.archive import BEGINNING, LOCK_OLD
from sagas.store.claims import CLAIM, CLAIM_NAMED, EVER
from sagas.store.feed import FEED
from sagas.store.standing import DUE, LIVE, OUTBOX
from sagas.store.stuck import COUNTS, STUCK
from sagas.store.tasks import PRODUCED
from sagas.store.watching import LOOKS, WAITING, Looks, Pace, pace_within

_PARKED = """
INSERT INTO saga_definition (name, version, hash, document) VALUES ('d', 1, 'h', '{}');
INSERT INTO saga (id, definition_name, definition_version, state, visit, status, version, project_id, project_path,
                  branch, natural_key, started_by_id, due_at, look_at)
SELECT gen_random_uuid(), 'd', 1, 'AWAIT', 1, 'AWAITING_INPUT', 1, 1, 'p', 'b' || n, 'k' || n, 1,
       CASE WHEN n % 500 = 0 THEN now() - interval '1 minute' END,
       CASE WHEN n % 400 = 0 THEN now() - interval '1 minute' END
FROM generate_series(1, 20000) AS n;
INSERT INTO calculation_task (id, saga_id, state, visit, calculation, status, name, queue, project_id, repo_url, branch,
                              commit_hash, input_files, output_file, output_blob)
SELECT gen_random_uuid(), id, 'D', 1, 'c', 'SUCCEEDED', 't', 'q', project_id, 'r', branch, 'h', '{}', 'o', 'blob'
FROM saga;
ANALYZE;
"""


@pytest.fixture
async def crowded(any_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """20,000 parked sagas, of which 40 are due and 50 to be looked after."""
    connection = await asyncpg.connect(any_database_url)
    await connection.execute(_PARKED)
    yield connection
    await connection.close()


async def plan(connection: asyncpg.Connection, statement: str, *arguments: object) -> list[dict[str, Any]]:
    """All nodes of the statement's plan."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        explained = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {statement}", *arguments)
    finally:
        await transaction.rollback()
    nodes, found = [json.loads(explained)[0]["Plan"]], []
    while nodes:
        node = nodes.pop()
        found.append(node)
        nodes.extend(node.get("Plans", []))
    return found


async def test_a_claim_reads_the_partial_index_of_due_sagas_and_never_the_table(crowded: asyncpg.Connection) -> None:
    nodes = await plan(crowded, CLAIM, 32, timedelta(seconds=6), uuid4(), EVER)
    assert any(node.get("Index Name") == "ix_saga_due" for node in nodes)
    assert not [node for node in nodes if node["Node Type"] in {"Seq Scan", "Sort"}]


async def test_a_claim_of_named_sagas_reads_neither_the_table_nor_the_index_of_due_ones(
    crowded: asyncpg.Connection,
) -> None:
    ids = await crowded.fetchval("SELECT array_agg(id) FROM (SELECT id FROM saga WHERE due_at IS NOT NULL LIMIT 5) t")
    nodes = await plan(crowded, CLAIM_NAMED, 32, timedelta(seconds=6), uuid4(), ids)
    assert {node.get("Index Name") for node in nodes} - {None} == {"pk_saga"}
    assert not [node for node in nodes if node["Node Type"] in {"Seq Scan", "Sort"}]


async def test_looks_read_their_partial_index_and_never_the_table(crowded: asyncpg.Connection) -> None:
    for statement, arguments in ((LOOKS, (8, 60.0, 300.0)), (WAITING, ())):
        nodes = await plan(crowded, statement, *arguments)
        assert any(node.get("Index Name") == "ix_saga_look" for node in nodes)
        assert not [node for node in nodes if node["Node Type"] in {"Seq Scan", "Sort"}]


async def test_the_more_sagas_wait_the_rarer_each_is_looked_after(crowded: Any) -> None:
    """50 forms wait; by ten looks a minute, of which five are for forms, each one's turn comes every ten minutes."""
    pace = await pace_within(crowded, 10)
    assert pace == Pace(results_s=60.0, forms_s=600.0)
    await crowded.execute("UPDATE saga SET look_interval_s = 290 WHERE look_at IS NOT NULL")
    await crowded.execute("UPDATE saga SET look_interval_s = 500 WHERE look_at IS NOT NULL AND branch < 'b5'")
    taken = await Looks(limit=100, pace=pace)(crowded)
    assert len(taken) == 50
    assert {saga.look_interval_s for saga in taken} == {580.0, 600.0}


@pytest.mark.parametrize(
    ("results", "forms"), [(0, 0), (1, 3), (599, 2_999), (601, 3_001), (50_000, 0), (9_000, 90_000)]
)
def test_however_many_wait_the_looks_stay_within_the_budget(results: int, forms: int) -> None:
    pace = Pace.within(1200, results=results, forms=forms)
    assert 60 * results / pace.results_s + 60 * forms / pace.forms_s <= 1200
    assert pace.results_s >= 60
    assert pace.forms_s >= 300


async def test_asking_what_is_stuck_reads_partial_indexes_and_never_the_table(crowded: asyncpg.Connection) -> None:
    await crowded.execute(
        "INSERT INTO saga_event (saga_id, version, type, to_state, status, actor) "
        "SELECT id, n, 'ENTERED', 'S', 'RUNNING', 'engine' FROM saga, generate_series(1, 3) AS n"
    )
    await crowded.execute("ANALYZE saga_event")
    for statement, more in ((STUCK, [100]), (COUNTS, [])):
        nodes = await plan(crowded, statement, timedelta(minutes=5), timedelta(minutes=15), *more)
        used = {node["Index Name"] for node in nodes if "Index Name" in node}
        assert {"ix_saga_due", "ix_saga_look", "ix_saga_unwoken", "pk_saga_event"} <= used
        assert not [node for node in nodes if node["Node Type"] == "Seq Scan"]


async def test_the_figures_for_the_metrics_never_read_what_is_finished(crowded: asyncpg.Connection) -> None:
    await crowded.execute("UPDATE saga SET status = 'COMPLETED', due_at = NULL WHERE due_at IS NULL")
    await crowded.execute("UPDATE calculation_task SET published_at = now()")
    for table in ("saga", "calculation_task"):
        await crowded.execute(f"VACUUM ANALYZE {table}")
    for statement, index in (
        (LIVE, "ix_saga_live_branch"),
        (DUE, "ix_saga_due"),
        (OUTBOX, "ix_calculation_task_outbox"),
    ):
        nodes = await plan(crowded, statement)
        assert any(node.get("Index Name") == index for node in nodes), statement
        assert not [node for node in nodes if node["Node Type"] == "Seq Scan"], statement


async def test_the_archive_finds_the_oldest_by_their_index_and_never_reads_the_others(
    crowded: asyncpg.Connection,
) -> None:
    await crowded.execute("UPDATE saga SET status = 'COMPLETED', finished_at = created_at - interval '2 years'")
    await crowded.execute("VACUUM ANALYZE saga")
    nodes = await plan(crowded, LOCK_OLD, "d", timedelta(days=365), BEGINNING, 100)
    assert any(node.get("Index Name") == "ix_saga_finished" for node in nodes)
    assert not [node for node in nodes if node["Node Type"] == "Seq Scan" and node["Relation Name"] == "saga"]


async def test_asking_who_made_an_output_reads_an_index(crowded: asyncpg.Connection) -> None:
    nodes = await plan(crowded, PRODUCED, 1, "b77", "c", "blob")
    assert any(node.get("Index Name") == "ix_calculation_task_output" for node in nodes)
    assert not [node for node in nodes if node["Node Type"] == "Seq Scan"]


async def test_parked_sagas_are_in_no_index_that_a_claim_walks(crowded: asyncpg.Connection) -> None:
    entries = await crowded.fetchval("SELECT reltuples FROM pg_class WHERE relname = 'ix_saga_due'")
    assert entries == 40


async def test_a_look_for_what_became_due_lately_passes_older_entries_by(crowded: asyncpg.Connection) -> None:
    """Such as those of rows that were due once, which stay in the index while anybody holds an older snapshot."""
    await crowded.execute("UPDATE saga SET due_at = now() - interval '2 hours' WHERE due_at IS NOT NULL")
    assert await crowded.fetch(CLAIM, 50, timedelta(seconds=60), uuid4(), timedelta(hours=1)) == []
    nodes = await plan(crowded, CLAIM, 50, timedelta(seconds=60), uuid4(), timedelta(hours=1))
    (walk,) = [node for node in nodes if node.get("Index Name") == "ix_saga_due"]
    assert walk["Index Cond"].count("due_at") == 2, "both ends are the index's to find"
    assert len(await crowded.fetch(CLAIM, 50, timedelta(seconds=60), uuid4(), EVER)) == 40


async def test_claims_of_two_engines_never_overlap(crowded: asyncpg.Connection, any_database_url: str) -> None:
    other = await asyncpg.connect(any_database_url)
    try:
        batches = await asyncio.gather(
            crowded.fetch(CLAIM, 25, timedelta(seconds=60), uuid4(), EVER),
            other.fetch(CLAIM, 25, timedelta(seconds=60), uuid4(), EVER),
        )
    finally:
        await other.close()
    ids = [record["id"] for batch in batches for record in batch]
    assert len(ids) == len(set(ids)) == 40


async def test_the_safety_read_walks_its_index_from_where_it_stands(crowded: asyncpg.Connection) -> None:
    await crowded.execute(
        "INSERT INTO saga_event (saga_id, version, type, to_state, status, actor) "
        "SELECT id, n, 'ENTERED', 'S', 'RUNNING', 'engine' FROM saga, generate_series(2, 4) AS n"
    )
    await crowded.execute("ANALYZE saga_event")
    position = await crowded.fetchval("SELECT pg_snapshot_xmin(pg_current_snapshot())::text")
    nodes = await plan(crowded, FEED, position, UUID(int=0), 0, 1000)
    assert any(node.get("Index Name") == "ix_saga_event_feed" for node in nodes)
    assert not [node for node in nodes if node["Node Type"] in {"Seq Scan", "Sort"}]
