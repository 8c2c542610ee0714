"""One DataLoader per relation, made anew for each operation and for each event of a subscription: never stale."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

from sagas.ids import ProjectId, SagaId
from sagas.models import CalculationTask, Draft, Saga, SagaEvent
from sagas.ports import Branch, Forge, Issue, MergeRequest, Project
from sagas.store.queries import Page, Queries
from schema.backend import Backend
from schema.batching import Batching

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

IssueKey = tuple[ProjectId, int]
BranchKey = tuple[ProjectId, str]
EventsKey = tuple[SagaId, int, bool]
"""A saga, the size of a page, and whether it is its journal's last one."""


@dataclass(frozen=True, slots=True)
class Loaders:
    """What an operation has loaded so far, each thing once."""

    saga: Batching[SagaId, Saga | None]
    draft: Batching[SagaId, Draft | None]
    tasks: Batching[SagaId, Sequence[CalculationTask]]
    events: Batching[EventsKey, Page[SagaEvent]]
    project: Batching[ProjectId | str, Project | None]
    issue: Batching[IssueKey, Issue | None]
    merge_requests: Batching[BranchKey, Sequence[MergeRequest]]
    branch: Batching[BranchKey, Branch | None]
    issue_branches: Batching[IssueKey, Sequence[Branch]]

    @classmethod
    def over(cls, backend: Backend) -> Self:
        """Fresh loaders; one statement per relation and batch for what is ours, parallel calls for what is GitLab's."""
        queries, forge = backend.queries, backend.forge

        async def merge_requests(key: BranchKey) -> Sequence[MergeRequest]:
            return await forge.merge_requests(key[0], source_branch=key[1])

        async def branch(key: BranchKey) -> Branch | None:
            return await forge.branch(*key)

        async def issue_branches(key: IssueKey) -> Sequence[Branch]:
            return await forge.issue_branches(*key)

        return cls(
            saga=_optional(queries.sagas),
            draft=_optional(queries.drafts_of),
            tasks=_several(queries.tasks_of),
            events=Batching(_pages_of_events(queries)),
            project=_each(forge.project),
            issue=Batching(_issues(forge)),
            merge_requests=_each(merge_requests),
            branch=_each(branch),
            issue_branches=_each(issue_branches),
        )


def _pages_of_events(queries: Queries) -> Callable[[list[EventsKey]], Awaitable[Sequence[Page[SagaEvent]]]]:
    async def batch(keys: list[EventsKey]) -> Sequence[Page[SagaEvent]]:
        found: dict[EventsKey, Page[SagaEvent]] = {}
        for size, from_end in {(size, from_end) for _, size, from_end in keys}:
            sagas = [saga for saga, *shape in keys if shape == [size, from_end]]
            pages = await queries.events_pages(sagas, size=size, from_end=from_end)
            found |= {(saga, size, from_end): page for saga, page in pages.items()}
        return [found[key] for key in keys]

    return batch


def _issues(forge: Forge) -> Callable[[list[IssueKey]], Awaitable[Sequence[Issue | BaseException | None]]]:
    async def of_project(project: ProjectId, iids: list[int]) -> Mapping[int, Issue]:
        if len(iids) > 1:
            return await forge.issues_numbered(project, iids)
        issue = await forge.issue(project, iids[0])
        return {} if issue is None else {iids[0]: issue}

    async def batch(keys: list[IssueKey]) -> Sequence[Issue | BaseException | None]:
        numbers: dict[ProjectId, list[int]] = {}
        for project, iid in keys:
            numbers.setdefault(project, []).append(iid)
        answers = await asyncio.gather(*(of_project(*asked) for asked in numbers.items()), return_exceptions=True)
        found = dict(zip(numbers, answers, strict=True))
        # A project that cannot be asked fails its own issues only.
        return [
            known if isinstance(known := found[project], BaseException) else known.get(iid) for project, iid in keys
        ]

    return batch


def _optional(load: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]]) -> Batching[K, V | None]:
    async def batch(keys: list[K]) -> Sequence[V | BaseException | None]:
        found = await load(keys)
        return [found.get(key) for key in keys]

    return Batching(batch)


def _several(load: Callable[[Sequence[K]], Awaitable[Mapping[K, Sequence[V]]]]) -> Batching[K, Sequence[V]]:
    async def batch(keys: list[K]) -> Sequence[Sequence[V] | BaseException]:
        found = await load(keys)
        return [found.get(key, ()) for key in keys]

    return Batching(batch)


def _each(load: Callable[[K], Awaitable[V]]) -> Batching[K, V]:
    async def batch(keys: list[K]) -> Sequence[V | BaseException]:
        return await asyncio.gather(*map(load, keys), return_exceptions=True)

    return Batching(batch)
