"""The servers of the API benchmark, each a process of its own over the same database.

python -m tests.benchmarks.api_server product | plain | shipped | newcomer DATABASE_URL

`product` is the service; `plain` are FastAPI routes that ask the same use cases and read side, and so send the same SQL;
`shipped` is Strawberry's own router over the product's types, with its parser and validation caches; `newcomer` is the
same over types of its own (`api_newcomer`). GitLab is in memory. They print their port when they listen, and end with
their standard input.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import strawberry
from fastapi import Depends, FastAPI, Request
from strawberry.extensions import MaskErrors, ParserCache, ValidationCache
from strawberry.fastapi import GraphQLRouter
from strawberry.schema.config import StrawberryConfig

from app.graphql_http import request_context
from app.identity import identify
from app.services import Services
from sagas.ids import ProjectId, SagaId
from sagas.models import Saga
from sagas.ports import User
from sagas.store.queries import SagaFilter
from sagas.view import SagaView
from schema import ids, nodes
from schema.limits import Limits
from schema.mutations import Mutation
from schema.root import Query
from schema.scalars import SCALARS
from schema.subscriptions import Subscription
from tests.app.api import Api, serving
from tests.benchmarks.api_documents import BRANCHES
from tests.benchmarks.api_newcomer import newcomer
from tests.benchmarks.serving import run, serve
from tests.world import new_world


@asynccontextmanager
async def service(url: str) -> AsyncIterator[Api]:
    """The service without an engine, over a world with a branch for each saga."""
    async with new_world(url) as world:
        for number in range(1, BRANCHES + 1):
            world.forge.add_branch(world.project, f"issue/{number}-bench")
        # The load is one user's, and more than one user may ask in a minute.
        async with serving(world, engine=False, limits=Limits(rate=100_000_000)) as api:
            yield api


async def _user(request: Request) -> User:
    services: Services = request.app.state.services
    user = await identify(services.authenticator, request.headers.get("authorization"))
    if not isinstance(user, User):
        raise user
    return user


Caller = Annotated[User, Depends(_user)]


def plain(services: Services) -> FastAPI:
    """What somebody would write without GraphQL."""
    app = FastAPI()
    app.state.services = services
    backend = services.backend

    async def view(saga: Saga) -> dict[str, Any]:
        definition = await backend.definitions.get(saga.definition_name, saga.definition_version)
        seen = SagaView(saga, definition)
        progress = seen.progress
        return {
            "id": ids.global_id(ids.SAGA, saga.id),
            "status": saga.status,
            "state": saga.state,
            "nextStep": seen.next_step,
            "version": saga.version,
            "branch": saga.branch,
            "projectPath": saga.project_path,
            "waitingFor": seen.waiting_for,
            "progress": {"completedSteps": progress.completed_steps, "totalSteps": progress.total_steps},
            "startedBy": {"username": saga.started_by["username"], "name": saga.started_by["name"]},
            "createdAt": saga.created_at.isoformat(),
            "updatedAt": saga.updated_at.isoformat(),
        }

    @app.get("/saga/{given}")
    async def saga(given: str, user: Caller) -> Any:
        saga_id = ids.saga_id(given)
        row = (await backend.queries.sagas([saga_id])).get(saga_id)
        if row is None or not (await backend.access.rights(user, ProjectId(row.project_id))).code:
            return None
        return await view(row)

    @app.get("/sagas")
    async def sagas(first: int, user: Caller) -> Any:
        projects = await backend.access.readable(user, await backend.queries.project_ids())
        page = await backend.queries.page(SagaFilter(), projects, first=first)
        return [await view(row) for row, _ in page.edges]

    @app.post("/start")
    async def start(given: dict[str, Any], user: Caller) -> Any:
        answer = await backend.sagas.start_balance(
            user, project_path=given["projectPath"], branch=given["branch"], idempotency_key=given["idempotencyKey"]
        )
        return {"created": answer.created, "saga": await view(answer.saga)}

    @app.post("/advance")
    async def advance(given: dict[str, Any], user: Caller) -> Any:
        answer = await backend.sagas.advance(
            user,
            SagaId(ids.saga_id(given["sagaId"])),
            step=given["step"],
            values=given["values"],
            idempotency_key=given["idempotencyKey"],
        )
        return {"created": answer.created, "saga": await view(answer.saga)}

    return app


def shipped(services: Services) -> FastAPI:
    """Strawberry as it comes, with its caches and masking switched on."""
    app = FastAPI()
    app.state.services = services
    schema = strawberry.Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=nodes.NODE_CLASSES,
        extensions=[ParserCache, ValidationCache, MaskErrors],
        config=StrawberryConfig(scalar_map=SCALARS),
    )
    app.include_router(GraphQLRouter(schema, context_getter=request_context), prefix="/graphql")
    return app


async def main(kind: str, url: str) -> None:
    async with service(url) as api:
        apps: dict[str, Any] = {"product": lambda: api.app, "plain": lambda: plain(api.services)}
        apps |= {"shipped": lambda: shipped(api.services), "newcomer": lambda: newcomer(api.services, _user)}
        await serve(apps[kind]())


if __name__ == "__main__":
    run(main(*sys.argv[1:]))
