"""How the benchmarks' own servers run: as `serve` does, until their standard input ends."""

import asyncio
import socket
import sys
from collections.abc import Coroutine
from typing import Any

from starlette.types import ASGIApp
from uvicorn.loops.auto import auto_loop_factory

from app.garbage import collect_less_often
from app.server import Server, server_config


async def serve(app: ASGIApp) -> None:
    """Listen on a free port of loopback, print it, and serve until standard input ends."""
    server = Server(server_config(app, lifespan="off", timeout_graceful_shutdown=1, backlog=2_000))
    with _listening_socket() as bound:
        serving = asyncio.create_task(server._serve([bound]))
        while not server.started:
            await asyncio.sleep(0.01)
        collect_less_often()
        print(bound.getsockname()[1], flush=True)
        await asyncio.to_thread(sys.stdin.read)
        server.should_exit = True
        await serving


def run(main: Coroutine[Any, Any, None]) -> None:
    """In the event loop of `serve`."""
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        runner.run(main)


def _listening_socket() -> socket.socket:
    # Said to be TCP, or asyncio leaves Nagle's algorithm on and answers wait for an ACK.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    listening.listen(2_000)
    return listening
