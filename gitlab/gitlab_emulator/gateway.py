"""The way of a request: log, faults, then the control API, REST or git.

Handlers are plain functions in a pool of threads, writes in a pool of their own, so that no read waits behind one.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

from gitlab_emulator.authentication import Authenticator, check_scope
from gitlab_emulator.call import Call, Identity, Services
from gitlab_emulator.connections import Connections
from gitlab_emulator.control import Control
from gitlab_emulator.errors import ApiError, plain
from gitlab_emulator.faults import Fault, FaultTable, fault_response
from gitlab_emulator.parameters import Parameters, merge_parameters
from gitlab_emulator.replies import Reply
from gitlab_emulator.request_log import RequestLog
from gitlab_emulator.routes import ApiRouter
from gitlab_emulator.routing import split_raw_path
from gitlab_emulator.smart_http import authorize, denied, git_request, serve_git

MAX_BODY_BYTES = 300 << 20
READ_THREADS = 12
WRITE_THREADS = 8
_NO_BODY = (204, 304)

Result = TypeVar("Result")

_log = logging.getLogger(__name__)


class Gateway:
    """The ASGI application behind the lifespan."""

    def __init__(
        self,
        *,
        services: Services,
        router: ApiRouter,
        authenticator: Authenticator,
        faults: FaultTable,
        log: RequestLog,
        connections: Connections,
    ) -> None:
        self._services = services
        self._router = router
        self._authenticator = authenticator
        self._faults = faults
        self._log = log
        self._connections = connections
        self._control = Control(faults, services.lag, log)
        self._readers = ThreadPoolExecutor(READ_THREADS, "emulator-read")
        self._writers = ThreadPoolExecutor(WRITE_THREADS, "emulator-write")

    def close(self) -> None:
        """End the threads when their work is done."""
        self._readers.shutdown()
        self._writers.shutdown()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        exchange = _Exchange(scope, send)
        path = _raw_path(scope)
        fault = None
        if not path.startswith("/emulator/"):
            target = path + (f"?{exchange.query}" if exchange.query else "")
            fault = self._faults.take(str(scope["method"]), target)
        try:
            if fault is None:
                await self._answer(scope, receive, exchange.send)
            else:
                await self._spoil(fault, scope, receive, exchange)
        finally:
            self._note(scope, path, exchange, fault)

    async def _spoil(self, fault: Fault, scope: Scope, receive: Receive, exchange: "_Exchange") -> None:
        """Do to a request what its fault says. The body is taken in first: a client that gives up has sent it."""
        replay = await _whole_body(receive)
        if fault.drop == "before":
            await asyncio.sleep(fault.delay_s)
            await self._cut(scope, exchange)
            return
        if fault.drop == "after":
            await self._answer(scope, replay, _swallow)
            await asyncio.sleep(fault.delay_s)
            if fault.status is None:
                await self._cut(scope, exchange)
                return
        else:
            await asyncio.sleep(fault.delay_s)
            if fault.status is None:
                await self._answer(scope, replay, exchange.send)
                return
        await fault_response(fault)(scope, replay, exchange.send)

    async def _cut(self, scope: Scope, exchange: "_Exchange") -> None:
        client = scope.get("client")
        exchange.cut = True
        if not self._connections.cut((client[0], client[1]) if client else None):
            raise ConnectionAbortedError("this server cannot cut a connection; run it with `serve`")

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._respond(request)
        except ApiError as failure:
            response = JSONResponse(dict(failure.body), failure.status, failure.headers)
        except ClientDisconnect:
            return
        except Exception:  # noqa: BLE001 - whatever went wrong is a 500 to the client
            _log.exception("%s %s failed", request.method, request.url.path)
            response = JSONResponse({"message": "500 Internal Server Error"}, 500)
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        path = _raw_path(request.scope)
        if path.startswith("/api/v4/"):
            return await self._rest(request, path)
        if path.startswith("/emulator/"):
            return await self._controlled(request, path)
        wanted = git_request(request.url.path, request.query_params.get("service"))
        if wanted is None:
            return JSONResponse({"error": "404 Not Found"}, 404)
        base_url = self._base_url(request)
        headers = dict(request.headers)
        try:
            identity = await self._in_thread(request.method, lambda: self._authenticator.of_git(headers))
        except ApiError:
            return denied(base_url)
        _remember_user(request, identity)
        access = await self._in_thread("GET", lambda: authorize(self._services, wanted, identity, base_url))
        if isinstance(access, Response):
            return access
        return await serve_git(self._services, request, wanted, access, identity, base_url)

    async def _rest(self, request: Request, path: str) -> Response:
        segments = split_raw_path(path.removeprefix("/api/v4/").encode("latin-1"))
        method = "GET" if request.method == "HEAD" else request.method
        match = self._router.find(method, segments)
        if any("\0" in segment for segment in segments):
            raise ApiError(400, {"error": "The path of the request is invalid"})
        if match is None:
            if self._router.methods(segments):
                raise plain(405)
            raise ApiError(404, {"error": "404 Not Found"})
        params = await self._params(request)
        headers = dict(request.headers)

        def work() -> Reply:
            identity = self._authenticator.of_request(headers, params)
            check_scope(identity, request.method, match.route.scopes)
            _remember_user(request, identity)
            return match.route.handler(
                Call(
                    services=self._services,
                    identity=identity,
                    method=request.method,
                    path=match.values,
                    params=params,
                    headers=headers,
                    base_url=self._base_url(request),
                    raw_path=path,
                    query=request.url.query,
                )
            )

        return _response(await self._in_thread(request.method, work))

    async def _controlled(self, request: Request, path: str) -> Response:
        params = await self._params(request)
        headers = dict(request.headers)

        def work() -> Reply:
            identity = self._authenticator.of_request(headers, params)
            name = path.removeprefix("/emulator/").rstrip("/")
            return self._control.answer(request.method, name, params, identity)

        return _response(await self._in_thread("GET", work))

    async def _params(self, request: Request) -> Parameters:
        if int(request.headers.get("content-length", "0") or 0) > MAX_BODY_BYTES:
            raise plain(413)
        body = await request.body()
        content_type = request.headers.get("content-type", "")
        return merge_parameters(request.url.query, body, content_type)

    async def _in_thread(self, method: str, work: Callable[[], Result]) -> Result:
        pool = self._readers if method in ("GET", "HEAD") else self._writers
        return await asyncio.get_running_loop().run_in_executor(pool, work)

    def _base_url(self, request: Request) -> str:
        if self._services.external_url is not None:
            return self._services.external_url
        return f"{request.url.scheme}://{request.headers.get('host', 'localhost')}"

    def _note(self, scope: Scope, path: str, exchange: "_Exchange", fault: Fault | None) -> None:
        if path.startswith("/emulator/"):
            return
        user = scope.get("state", {}).get("gitlab_user")
        self._log.add(
            started=exchange.wall,
            method=str(scope["method"]),
            path=path,
            query=exchange.query,
            status=None if exchange.cut else exchange.status,
            user=user if isinstance(user, str) else None,
            duration_ms=round((time.perf_counter() - exchange.started) * 1000, 3),
            request_id=exchange.request_id,
            fault=fault.id if fault else None,
        )


class _Exchange:
    """One request's send side: adds the headers that every response carries, and remembers the status."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._send = send
        self.query = scope["query_string"].decode("latin-1")
        self.wall = time.time()
        self.started = time.perf_counter()
        self.request_id = uuid.uuid4().hex.upper()[:26]
        self.status: int | None = None
        self.cut = False

    async def send(self, message: Message) -> None:
        """Pass a message on."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            runtime = f"{time.perf_counter() - self.started:.6f}"
            added = [(b"x-request-id", self.request_id.encode()), (b"x-runtime", runtime.encode())]
            message = {**message, "headers": [*message.get("headers", ()), *added]}
        await self._send(message)


async def _swallow(_message: Message) -> None:
    """Take an answer that nobody shall hear."""


async def _whole_body(receive: Receive) -> Receive:
    """Read a body to its end; returns a `receive` that tells it again."""
    parts: list[bytes] = []
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            break
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    whole: list[Message] = [{"type": "http.request", "body": b"".join(parts), "more_body": False}]

    async def replay() -> Message:
        return whole.pop() if whole else await receive()

    return replay


def _raw_path(scope: Scope) -> str:
    raw = scope.get("raw_path") or scope["path"].encode()
    return str(raw.decode("latin-1"))


def _remember_user(request: Request, identity: Identity | None) -> None:
    if identity is not None:
        request.scope.setdefault("state", {})["gitlab_user"] = identity.user.username


def _response(reply: Reply) -> Response:
    body = b"" if reply.status in _NO_BODY else reply.body
    response = Response(body, reply.status, media_type=None if reply.status in _NO_BODY else reply.media_type)
    for name, value in reply.headers.items():
        response.headers[name] = value
    return response
