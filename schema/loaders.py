"""One DataLoader per relation, made anew for each operation and for each event of a subscription: never stale."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

from strawberry.dataloader import DataLoader

from sagas.ids import ProjectId, SagaId
from sagas.models import CalculationTask, Draft, Saga
from sagas.ports import Issue, MergeRequest, Project
from schema.backend import Backend

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

IssueKey = tuple[ProjectId, int]
BranchKey = tuple[ProjectId, str]


@dataclass(frozen=True, slots=True)
class Loaders:
    """What an operation has loaded so far, each thing once."""

    saga: DataLoader[SagaId, Saga | None]
    draft: DataLoader[SagaId, Draft | None]
    tasks: DataLoader[SagaId, Sequence[CalculationTask]]
    project: DataLoader[ProjectId | str, Project | None]
    issue: DataLoader[IssueKey, Issue | None]
    merge_requests: DataLoader[BranchKey, Sequence[MergeRequest]]

    @classmethod
    def over(cls, backend: Backend) -> Self:
        """Fresh loaders; one statement per relation and batch for what is ours, parallel calls for what is GitLab's."""
        queries, forge = backend.queries, backend.forge

        async def merge_requests(key: BranchKey) -> Sequence[MergeRequest]:
            return await forge.merge_requests(key[0], source_branch=key[1])

        return cls(
            saga=_optional(queries.sagas),
            draft=_optional(queries.drafts_of),
            tasks=_several(queries.tasks_of),
            project=_each(forge.project),
            issue=_each(lambda key: forge.issue(*key)),
            merge_requests=_each(merge_requests),
        )


def _optional(load: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]]) -> DataLoader[K, V | None]:
    async def batch(keys: list[K]) -> Sequence[V | BaseException | None]:
        found = await load(keys)
        return [found.get(key) for key in keys]

    return DataLoader(batch)


def _several(load: Callable[[Sequence[K]], Awaitable[Mapping[K, Sequence[V]]]]) -> DataLoader[K, Sequence[V]]:
    async def batch(keys: list[K]) -> Sequence[Sequence[V] | BaseException]:
        found = await load(keys)
        return [found.get(key, ()) for key in keys]

    return DataLoader(batch)


def _each(load: Callable[[K], Awaitable[V]]) -> DataLoader[K, V]:
    async def batch(keys: list[K]) -> Sequence[V | BaseException]:
        return await asyncio.gather(*map(load, keys), return_exceptions=True)

    return DataLoader(batch)
