"""The two servers of the fan-out benchmark, each a process of its own: the service, and a bare Starlette loop.

python -m tests.benchmarks.fanout_server product DATABASE_URL | bare

They print their port when they listen, and end with their standard input. GitLab is in memory; the hub, NOTIFY, the
access checks and the whole of GraphQL are the product's own.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket, WebSocketDisconnect

from app.adapters.broadcast import BroadcastAnnouncer, open_broadcast
from app.live import Hub
from schema.limits import Limits
from tests.app.api import serving
from tests.benchmarks.serving import run, serve
from tests.world import new_world

ONE_USER_WITH_MANY = Limits(subscriptions_per_user=1_000_000, rate=1_000_000)


@asynccontextmanager
async def product(url: str) -> AsyncIterator[ASGIApp]:
    """The service without an engine: events come from elsewhere, as from an engine's process."""
    async with new_world(url) as world, open_broadcast(url) as broadcast:
        hub, announcer = Hub(broadcast, world.database), BroadcastAnnouncer(broadcast)
        await hub.start()
        try:
            async with serving(world, engine=False, hub=hub, announcer=announcer, limits=ONE_USER_WITH_MANY) as api:
                yield api.app
        finally:
            await announcer.aclose()
            await hub.aclose()


@asynccontextmanager
async def bare() -> AsyncIterator[ASGIApp]:
    """Sockets, and a loop that sends each the same text: `POST /push?times=N` with the text as its body."""
    sockets: list[WebSocket] = []

    async def connected(websocket: WebSocket) -> None:
        await websocket.accept(subprotocol="graphql-transport-ws")
        sockets.append(websocket)
        try:
            while True:
                await websocket.receive_text()
        except WebSocketDisconnect:
            sockets.remove(websocket)

    async def push(request: Request) -> Response:
        text = (await request.body()).decode()
        for _ in range(int(request.query_params["times"])):
            for websocket in sockets:
                await websocket.send_text(text)
        return Response()

    yield Starlette(routes=[WebSocketRoute("/graphql", connected), Route("/push", push, methods=["POST"])])


async def main(kind: str, *arguments: str) -> None:
    async with product(*arguments) if kind == "product" else bare() as app:
        await serve(app)


if __name__ == "__main__":
    run(main(*sys.argv[1:]))
