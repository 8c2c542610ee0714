"""One DataLoader per relation, made anew for each operation and for each event of a subscription: never stale."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from functools import cached_property, partial
from typing import TypeVar

from sagas.ids import ProjectId, SagaId
from sagas.models import CalculationTask, Draft, Saga, SagaEvent
from sagas.ports import Branch, Forge, Issue, MergeRequest, Project
from sagas.store.queries import May, Page, Queries
from schema.backend import Backend
from schema.batching import Batching

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

IssueKey = tuple[ProjectId, int]
BranchKey = tuple[ProjectId, str]
EventsKey = tuple[SagaId, int, bool]
"""A saga, the size of a page, and whether it is its journal's last one."""


class Loaders:
    """What an operation has loaded so far, each thing once; most operations need none of them or one.

    One statement per relation and batch for what is ours, parallel calls for what is GitLab's.
    """

    def __init__(self, backend: Backend, may: May) -> None:
        """`may`: those of some projects that the viewer may see."""
        self._may = may
        self._queries, self._forge = backend.queries, backend.forge

    @cached_property
    def saga(self) -> Batching[SagaId, Saga | None]:
        """Sagas by id."""
        return _optional(partial(self._queries.sagas, may=self._may))

    @cached_property
    def draft(self) -> Batching[SagaId, Draft | None]:
        """The draft of a saga's present visit."""
        return _optional(self._queries.drafts_of)

    @cached_property
    def tasks(self) -> Batching[SagaId, Sequence[CalculationTask]]:
        """A saga's tasks, oldest first."""
        return _several(self._queries.tasks_of)

    @cached_property
    def events(self) -> Batching[EventsKey, Page[SagaEvent]]:
        """The first or last page of a saga's journal."""
        return Batching(_pages_of_events(self._queries))

    @cached_property
    def project(self) -> Batching[ProjectId | str, Project | None]:
        """Projects by id or path."""
        return _each(self._forge.project)

    @cached_property
    def issue(self) -> Batching[IssueKey, Issue | None]:
        """Issues by project and number."""
        return Batching(_issues(self._forge))

    @cached_property
    def merge_requests(self) -> Batching[BranchKey, Sequence[MergeRequest]]:
        """The merge requests of a branch, newest first."""
        return _each(lambda key: self._forge.merge_requests(key[0], source_branch=key[1]))

    @cached_property
    def branch(self) -> Batching[BranchKey, Branch | None]:
        """Branches by project and name."""
        return _each(lambda key: self._forge.branch(*key))

    @cached_property
    def issue_branches(self) -> Batching[IssueKey, Sequence[Branch]]:
        """The branches of an issue."""
        return _each(lambda key: self._forge.issue_branches(*key))


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
