"""What a page of fifty sagas costs: statements and questions to GitLab, with every field that a saga has."""

from collections import Counter
from typing import Any
from uuid import uuid4

import pytest
from graphql import is_object_type
from sqlalchemy.ext.asyncio import AsyncEngine

from sagas.models import SagaEvent, SagaStatus
from schema.root import graphql_schema
from tests.app.api import Api, serving
from tests.app.test_queries import counted
from tests.store import rows
from tests.world import ENGINEER, World

SAGAS = 50
PAGE = "query ($first: Int!) { sagas(first: $first) { edges { node { %s } } } }"
EVERYTHING = """
  id status state nextStep version waitingFor waitingSince deadlineAt nextAttemptAt availableActions projectPath branch
  issueIid retrySteps   createdAt updatedAt finishedAt
  definition { name version title states diagram }
  progress { completedSteps totalSteps fraction }
  steps { name kind visit calculation status attempts startedAt finishedAt error { code message } commit { sha } }
  pendingInput { step calculation { name title inputSchema } draft file expectedVersion }
  tasks { id correlationId status result calculation { name } saga { id } }
  error { code message }
  startedBy { id username name }
  undoPreview { kind description }
  events(last: 3) { totalCount pageInfo { hasPreviousPage } edges { node { version type data saga { id } } } }
"""
OF_GITLAB = "issue { iid title } mergeRequest { iid state }"


@pytest.fixture
async def engine(world: World) -> AsyncEngine:
    return world.database.engine


async def crowd(world: World, engine: AsyncEngine, *, issues: int) -> None:
    """Fifty sagas that wait for their forms, each with a draft, two tasks and five events, on so many issues' branches."""
    project = world.project
    iids = [world.forge.add_issue(project, f"Work {n}", assignees=(ENGINEER,)).iid for n in range(issues)]
    written: list[Any] = []
    for n in range(SAGAS):
        iid = iids[n % issues]
        saga = rows.saga(
            minute=n,
            project_id=project.id,
            project_path=project.path,
            issue_iid=iid,
            branch=f"issue/{iid}",
            natural_key=str(uuid4()),
            status=SagaStatus.AWAITING_INPUT,
            version=5,
            context={"repoUrl": "r", "defaultBranch": "main"},
        )
        tasks = [rows.task(saga, visit=visit, calculation="condenser") for visit in (1, 2)]
        events: list[SagaEvent] = [rows.event(saga, version) for version in range(1, 6)]
        written += [saga, rows.draft(saga), *tasks, *events]
    await rows.insert(engine, written)


async def test_a_page_with_every_field_takes_as_many_statements_for_fifty_sagas_as_for_one(
    world: World, engine: AsyncEngine
) -> None:
    await crowd(world, engine, issues=SAGAS)
    async with serving(world, engine=False) as api:
        query = PAGE % (EVERYTHING + OF_GITLAB)
        await api.ask(query, first=1)
        with counted(api) as for_one:
            await api.ask(query, first=1)
        with counted(api) as for_fifty:
            found = (await api.ask(query, first=SAGAS))["sagas"]["edges"]
        assert len(found) == SAGAS
        assert len({edge["node"]["events"]["edges"][0]["node"]["saga"]["id"] for edge in found}) == SAGAS
        assert all(edge["node"]["pendingInput"] and len(edge["node"]["tasks"]) == 2 for edge in found)
        assert len(for_fifty) == len(for_one), "\n".join(for_fifty)
        # Projects, the page, definitions are in memory; drafts, tasks, events; the sagas of tasks and events.
        assert len(for_fifty) <= 6, "\n".join(for_fifty)


async def asked_of_gitlab(api: Api, query: str, first: int) -> Counter[str]:
    """How often each method of GitLab's port is called meanwhile."""
    calls = api.world.forge.calls
    before = len(calls)
    await api.ask(query, first=first)
    return Counter(call.method for call in calls[before:])


async def test_gitlab_is_asked_once_for_all_issues_and_once_for_each_branch_and_only_where_they_are_wanted(
    world: World, engine: AsyncEngine
) -> None:
    await crowd(world, engine, issues=5)
    async with serving(world, engine=False) as api:
        assert await asked_of_gitlab(api, PAGE % EVERYTHING, SAGAS) == Counter()
        asked = await asked_of_gitlab(api, PAGE % OF_GITLAB, SAGAS)
        assert asked == Counter(issues_numbered=1, merge_requests=5)


def test_every_field_of_a_saga_is_counted_here() -> None:
    saga = graphql_schema.type_map["Saga"]
    assert is_object_type(saga)
    selected = f"{EVERYTHING} {OF_GITLAB}".replace("{", " ").replace("(", " ").split()
    assert set(saga.fields) - set(selected) == set()
