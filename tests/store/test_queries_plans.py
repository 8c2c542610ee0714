"""The read side's hot queries keep their plans on every version of PostgreSQL that we promise: nothing reads a table whole."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.sql import ClauseElement
from sqlmodel import col

from sagas.ids import ProjectId, SagaId
from sagas.models import SagaEvent, SagaStatus
from sagas.store.pages import SagaKey, Window
from sagas.store.queries import (
    PROJECT_IDS,
    SAGAS_BY_ID,
    SagaFilter,
    bounded,
    drafts_statement,
    events_statement,
    sagas_statement,
    tasks_statement,
)
from tests.store.rows import EPOCH

PAGE = 21
LIVE = frozenset(status for status in SagaStatus if status.live)
HALFWAY = SagaKey(EPOCH, UUID(int=0)).cursor()

# 40 projects; project 1 has 3,000 sagas, each other 50; one in 300 is live, one in 10 belongs to issue 42. Documents have
# a document's size: a table of a few pages would rightly be read whole.
_CROWD = """
INSERT INTO saga_definition (name, version, hash, document) VALUES ('balance', 1, 'h', '{}');
INSERT INTO saga (id, definition_name, definition_version, state, visit, status, version, project_id, project_path,
                  branch, natural_key, started_by_id, issue_iid, created_at)
SELECT gen_random_uuid(), 'balance', 1, 'S', 1, CASE WHEN n % 300 = 0 THEN 'RUNNING' ELSE 'COMPLETED' END, 1,
       project, 'group/project-' || project, 'issue/' || n, 'k' || n, n % 97, n % 10 * 6, '2026-01-01Z'::timestamptz
       + (n - 1500) * interval '1 minute'
FROM (SELECT CASE WHEN n <= 3000 THEN 1 ELSE 2 + n % 39 END AS project, n FROM generate_series(1, 4950) AS n) AS sagas;
INSERT INTO saga_event (saga_id, version, type, to_state, status, actor)
SELECT id, version_, 'ENTERED', 'S', 'RUNNING', 'engine'
FROM (SELECT id FROM saga ORDER BY id LIMIT 100) AS saga, generate_series(1, 60) AS version_;
INSERT INTO calculation_task (id, saga_id, state, visit, calculation, status, name, queue, project_id, repo_url, branch,
                              commit_hash, input_files, output_file, result)
SELECT gen_random_uuid(), id, 'D', 1, 'c', 'SUCCEEDED', 't', 'q', project_id, 'r', branch, 'h', '{}', 'o',
       jsonb_build_object('output', repeat('x', 1500)) FROM saga;
INSERT INTO draft (saga_id, state, visit, document, changed_at_version)
SELECT id, 'S', 1, jsonb_build_object('input', repeat('x', 1500)), 1 FROM saga;
ANALYZE;
"""


@pytest.fixture
async def crowded(any_database_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(any_database_url)
    await connection.execute(_CROWD)
    yield connection
    await connection.close()


async def plan(connection: "asyncpg.Connection[asyncpg.Record]", statement: ClauseElement) -> list[dict[str, Any]]:
    """All nodes of the plan that the statement really ran by."""
    postgresql = dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's
    compiled = statement.compile(dialect=postgresql, compile_kwargs={"render_postcompile": True})
    arguments = [compiled.params[name] for name in getattr(compiled, "positiontup", None) or ()]
    explained = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {compiled}", *arguments)
    return list(_nodes(json.loads(explained)[0]["Plan"]))


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for inner in node.get("Plans", []):
        yield from _nodes(inner)


def indexes(nodes: list[dict[str, Any]]) -> set[str]:
    return {node["Index Name"] for node in nodes if "Index Name" in node}


def sorted_rows(nodes: list[dict[str, Any]]) -> int:
    """The most rows that any sort saw."""
    inputs = [node["Plans"][0] for node in nodes if "Sort" in node["Node Type"]]
    return max((int(node["Actual Rows"] * node["Actual Loops"]) for node in inputs), default=0)


def assert_reads_no_table(nodes: list[dict[str, Any]]) -> None:
    assert not [node for node in nodes if node["Node Type"] == "Seq Scan"]


def page(asked: SagaFilter, *projects: int, after: str | None = None, last: bool = False) -> ClauseElement:
    size = PAGE - 1
    window = Window.of(
        SagaKey.of_cursor, first=None if last else size, last=size if last else None, after=after, before=None
    )
    wanted = frozenset(ProjectId(project) for project in projects)
    return sagas_statement(asked, wanted, bounded(window), limit=PAGE, oldest_first=window.from_end)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("after", [None, HALFWAY])
async def test_a_page_of_one_project_reads_its_index_in_order(
    crowded: "asyncpg.Connection[asyncpg.Record]", after: str | None, last: bool
) -> None:
    nodes = await plan(crowded, page(SagaFilter(), 1, after=after, last=last))
    assert_reads_no_table(nodes)
    assert "ix_saga_project_created" in indexes(nodes)
    assert sorted_rows(nodes) <= PAGE


async def test_a_page_of_many_projects_never_sorts_more_than_a_page_of_each(
    crowded: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    nodes = await plan(crowded, page(SagaFilter(), *range(1, 41)))
    assert_reads_no_table(nodes)
    assert indexes(nodes) == {"ix_saga_project_created", "pk_saga"}
    assert sorted_rows(nodes) <= 40 * PAGE


async def test_a_page_of_a_project_by_path_reads_the_paths_index(
    crowded: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    nodes = await plan(crowded, page(SagaFilter(project_path="group/project-1"), *range(1, 41)))
    assert_reads_no_table(nodes)
    assert indexes(nodes) == {"ix_saga_path_created"}
    assert sorted_rows(nodes) == 0


async def test_a_page_of_my_sagas_reads_the_starters_index(crowded: "asyncpg.Connection[asyncpg.Record]") -> None:
    nodes = await plan(crowded, page(SagaFilter(started_by_id=5), *range(1, 41)))
    assert_reads_no_table(nodes)
    assert indexes(nodes) == {"ix_saga_starter_created"}


async def test_a_page_of_an_issues_sagas_reads_the_issues_index(
    crowded: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    nodes = await plan(crowded, page(SagaFilter(issue_iid=42), 1))
    assert_reads_no_table(nodes)
    assert "ix_saga_issue_created" in indexes(nodes)
    assert sorted_rows(nodes) <= PAGE


async def test_a_page_of_live_sagas_never_walks_over_the_finished_ones(
    crowded: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    nodes = await plan(crowded, page(SagaFilter(statuses=LIVE), *range(1, 41)))
    assert_reads_no_table(nodes)
    assert "ix_saga_live_branch" in indexes(nodes)
    read = [node for node in nodes if node.get("Relation Name") == "saga"]
    assert sum(node.get("Rows Removed by Filter", 0) * node["Actual Loops"] for node in read) == 0


async def test_listing_projects_probes_the_index_once_for_each(
    crowded: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    nodes = await plan(crowded, PROJECT_IDS)
    assert_reads_no_table(nodes)
    touched = [node for node in nodes if "Index Name" in node]
    assert touched
    assert sum(node["Actual Rows"] * node["Actual Loops"] for node in touched) <= 41


async def test_reading_on_in_a_journal_reads_its_key_in_order(
    crowded: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    saga_id = SagaId(await crowded.fetchval("SELECT saga_id FROM saga_event LIMIT 1"))
    for newest_first in (False, True):
        bounds = [col(SagaEvent.version) > 30]
        nodes = await plan(crowded, events_statement(saga_id, bounds, limit=10, newest_first=newest_first))
        assert_reads_no_table(nodes)
        assert indexes(nodes) == {"pk_saga_event"}
        assert not [node for node in nodes if node["Node Type"] == "Sort"]


async def test_what_a_page_loads_for_its_sagas_is_found_by_their_ids(
    crowded: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    records = await crowded.fetch("SELECT id FROM saga ORDER BY created_at LIMIT 20")
    ids = [SagaId(record["id"]) for record in records]
    for statement, index in (
        (SAGAS_BY_ID.params(ids=ids), "pk_saga"),
        (tasks_statement(ids), "uq_calculation_task_saga_id_state_visit"),
        (drafts_statement(ids), "pk_draft"),
    ):
        nodes = await plan(crowded, statement)
        assert_reads_no_table(nodes)
        assert index in indexes(nodes)
        assert sorted_rows(nodes) <= len(ids)
