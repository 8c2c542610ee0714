"""The API of the benchmark as somebody would write it who has read Strawberry's own pages: the baseline "as shipped".

Types with plain attributes, FastAPI's router with a dependency for the user, parser and validation caches and masking
switched on. Reads and commands are the product's own, so that the SQL is the same; of limits it has none.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, TypeAlias

import strawberry
from fastapi import Depends, FastAPI
from strawberry.extensions import MaskErrors, ParserCache, ValidationCache
from strawberry.fastapi import GraphQLRouter
from strawberry.scalars import JSON
from strawberry.types import Info as StrawberryInfo

from app.services import Services
from sagas import models, ports
from sagas.ids import ProjectId, SagaId
from sagas.store.queries import SagaFilter
from sagas.view import SagaView
from schema import ids

Info: TypeAlias = StrawberryInfo[dict[str, Any], None]


@strawberry.type
class Progress:
    completed_steps: int
    total_steps: int


@strawberry.type
class User:
    username: str
    name: str | None


@strawberry.type
class Saga:
    id: strawberry.ID
    status: str
    state: str
    next_step: str | None
    version: int
    branch: str
    project_path: strawberry.ID
    waiting_for: str | None
    progress: Progress
    started_by: User
    created_at: datetime
    updated_at: datetime


@strawberry.type
class SagaEdge:
    node: Saga


@strawberry.type
class SagaConnection:
    edges: list[SagaEdge]


@strawberry.type
class UserError:
    code: str
    message: str
    field: list[str] | None


@strawberry.type
class SagaPayload:
    created: bool
    user_errors: list[UserError]
    saga: Saga | None


@strawberry.input
class StartBalanceCalculationInput:
    project_path: strawberry.ID
    branch: str
    idempotency_key: str


@strawberry.input
class AdvanceSagaInput:
    saga_id: strawberry.ID
    step: str
    values: JSON
    idempotency_key: str


async def _shown(services: Services, row: models.Saga) -> Saga:
    seen = SagaView(row, await services.backend.definitions.get(row.definition_name, row.definition_version))
    progress = seen.progress
    return Saga(
        id=strawberry.ID(ids.global_id(ids.SAGA, row.id)),
        status=row.status,
        state=row.state,
        next_step=seen.next_step,
        version=row.version,
        branch=row.branch,
        project_path=strawberry.ID(row.project_path),
        waiting_for=seen.waiting_for,
        progress=Progress(completed_steps=progress.completed_steps, total_steps=progress.total_steps),
        started_by=User(username=str(row.started_by["username"]), name=row.started_by["name"]),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


@strawberry.type
class Query:
    @strawberry.field
    async def saga(self, info: Info, id: strawberry.ID) -> Saga | None:  # noqa: A002 - the argument's name in the API
        services: Services = info.context["services"]
        saga_id = ids.saga_id(id)
        row = (await services.backend.queries.sagas([saga_id])).get(saga_id)
        if row is None:
            return None
        rights = await services.backend.access.rights(info.context["user"], ProjectId(row.project_id))
        return await _shown(services, row) if rights.code else None

    @strawberry.field
    async def sagas(self, info: Info, first: int) -> SagaConnection:
        services: Services = info.context["services"]
        backend = services.backend
        projects = await backend.access.readable(info.context["user"], await backend.queries.project_ids())
        page = await backend.queries.page(SagaFilter(), projects, first=first)
        return SagaConnection(edges=[SagaEdge(node=await _shown(services, row)) for row, _ in page.edges])


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def start_balance_calculation(self, info: Info, input: StartBalanceCalculationInput) -> SagaPayload:  # noqa: A002 - as above
        services: Services = info.context["services"]
        answer = await services.backend.sagas.start_balance(
            info.context["user"],
            project_path=input.project_path,
            branch=input.branch,
            idempotency_key=input.idempotency_key,
        )
        return SagaPayload(created=answer.created, user_errors=[], saga=await _shown(services, answer.saga))

    @strawberry.mutation
    async def advance_saga(self, info: Info, input: AdvanceSagaInput) -> SagaPayload:  # noqa: A002 - as above
        services: Services = info.context["services"]
        answer = await services.backend.sagas.advance(
            info.context["user"],
            SagaId(ids.saga_id(input.saga_id)),
            step=input.step,
            values=dict(input.values),  # type: ignore[call-overload]  # parsed JSON, which the scalar calls JSON
            idempotency_key=input.idempotency_key,
        )
        return SagaPayload(created=answer.created, user_errors=[], saga=await _shown(services, answer.saga))


def newcomer(services: Services, identified: Callable[..., Awaitable[ports.User]]) -> FastAPI:
    """The application; `identified` is the dependency that tells who asks."""
    app = FastAPI()
    app.state.services = services

    async def context(user: Annotated[ports.User, Depends(identified)]) -> dict[str, Any]:
        return {"user": user, "services": services}

    schema = strawberry.Schema(query=Query, mutation=Mutation, extensions=[ParserCache, ValidationCache, MaskErrors])
    app.include_router(GraphQLRouter(schema, context_getter=context), prefix="/graphql")
    return app
