"""A client of the public API: GraphQL over HTTP, subscriptions over `graphql-transport-ws`.

Whoever repeats a request with an idempotency key, and resumes a subscription after the last version seen, may lose any
connection at any moment: that is how `retrying` and `follow` work.
"""

import asyncio
import base64
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

T = TypeVar("T")
Data = Mapping[str, Any]

_PROTOCOL = Subprotocol("graphql-transport-ws")
_REFUSED = range(4400, 4500)


class ApiError(Exception):
    """The API refused: `code` as in the contract, `field` where it names one."""

    def __init__(self, code: str, message: str, field: Sequence[str] | None = None) -> None:
        self.code, self.message, self.field = code, message, field
        super().__init__(f"{code}: {message}" + (f" (field {'.'.join(field)})" if field else ""))


class UnavailableError(Exception):
    """The API, or what it needs, is away at the moment; the same again may succeed."""


class GraphQLClient:
    """One user's connection to one API."""

    def __init__(self, url: str, token: str | None = None, *, timeout: float = 30) -> None:
        """`url` is the endpoint, such as `http://127.0.0.1:8000/graphql`."""
        self._url = url
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._http = httpx.AsyncClient(headers=self._headers, timeout=timeout, trust_env=False)
        self._timeout = timeout

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def execute(self, query: str, variables: Mapping[str, object] | None = None) -> Data:
        """The data of a query or mutation.

        Raises ApiError for the first error of the answer, UnavailableError where there is no answer or one that says so.
        """
        try:
            response = await self._http.post(self._url, json={"query": query, "variables": variables or {}})
        except httpx.TransportError as error:
            raise UnavailableError(f"{self._url} does not answer: {_words(error)}") from error
        if response.status_code >= 500:
            raise UnavailableError(f"{self._url} answers {response.status_code}")
        try:
            answer = response.json()
        except ValueError:
            raise ApiError("NO_GRAPHQL", f"{self._url} answers {response.status_code}, and no JSON.") from None
        _raise_first(answer.get("errors"))
        data: Data = answer["data"]
        return data

    async def mutate(self, query: str, name: str, given: Mapping[str, object]) -> Data:
        """The payload of the mutation `name` with this input; raises like `execute`, also for its first user error."""
        payload: Data = (await self.execute(query, {"input": given}))[name]
        for error in payload["userErrors"]:
            _raise(error["code"], error["message"], error.get("field"))
        return payload

    async def subscribe(self, query: str, variables: Mapping[str, object]) -> AsyncGenerator[Data, None]:
        """The data of a subscription's results, until it completes; raises like `execute`."""
        try:
            async with connect(
                _websocket_url(self._url),
                subprotocols=[_PROTOCOL],
                open_timeout=self._timeout,
                close_timeout=2,
                max_size=None,
                proxy=None,
            ) as socket:
                async for result in _results(socket, self._headers, query, variables):
                    yield result
        except (OSError, WebSocketException, TimeoutError) as error:
            close = getattr(getattr(error, "rcvd", None), "code", None)
            if close in _REFUSED:
                raise ApiError(f"CLOSED_{close}", str(error)) from error
            raise UnavailableError(f"the subscription broke: {_words(error)}") from error

    async def follow(
        self, query: str, variables: Mapping[str, object], *, patience: float, after_version: int = 0
    ) -> AsyncGenerator[Data, None]:
        """`subscribe` to a stream of events that takes `afterVersion` and has `version`, over breaks of any kind.

        Each event once and in order. Raises UnavailableError once nothing was to be had for `patience` seconds.
        """
        after = after_version
        lost_at: float | None = None
        while True:
            try:
                async with aclosing(self.subscribe(query, {**variables, "afterVersion": after})) as results:
                    async for result in results:
                        lost_at = None
                        event = next(iter(result.values()))
                        if event["version"] > after:
                            after = event["version"]
                            yield event
            except UnavailableError:
                lost_at = time.monotonic() if lost_at is None else lost_at
                if time.monotonic() - lost_at > patience:
                    raise
                await asyncio.sleep(0.3)
            else:
                return


async def retrying(ask: Callable[[], Awaitable[T]], *, patience: float) -> T:
    """What `ask` answers, asked again while the API is away, at most `patience` seconds; only for what may be repeated."""
    deadline = time.monotonic() + patience
    pause = 0.1
    while True:
        try:
            return await ask()
        except UnavailableError:
            if time.monotonic() + pause > deadline:
                raise
        await asyncio.sleep(pause)
        pause = min(pause * 2, 2)


def saga_global_id(given: str) -> str:
    """The API's id of a saga from a bare UUID; anything else is taken as it is."""
    try:
        return base64.b64encode(f"Saga:{UUID(given)}".encode()).decode()
    except ValueError:
        return given


def bare_id(given: str) -> str:
    """The UUID inside the API's id of a saga."""
    return base64.b64decode(given).decode().partition(":")[2]


async def _results(
    socket: ClientConnection, headers: Mapping[str, str], query: str, variables: Mapping[str, object]
) -> AsyncIterator[Data]:
    await _send(socket, {"type": "connection_init", "payload": dict(headers)})
    async for text in socket:
        message = json.loads(text)
        match message["type"]:
            case "connection_ack":
                payload = {"query": query, "variables": variables}
                await _send(socket, {"id": "1", "type": "subscribe", "payload": payload})
            case "ping":
                await _send(socket, {"type": "pong"})
            case "next":
                _raise_first(message["payload"].get("errors"))
                yield message["payload"]["data"]
            case "error":
                _raise_first(message["payload"])
            case "complete":
                return
            case _:
                pass
    raise UnavailableError(f"the server closed the subscription ({socket.close_code})")


async def _send(socket: ClientConnection, message: Mapping[str, object]) -> None:
    await socket.send(json.dumps(message))


def _raise_first(errors: Sequence[Mapping[str, Any]] | None) -> None:
    for error in errors or ():
        _raise(error.get("extensions", {}).get("code", "UNKNOWN"), error["message"])


def _raise(code: str, message: str, field: Sequence[str] | None = None) -> None:
    if code.endswith("_UNAVAILABLE"):
        raise UnavailableError(f"{code}: {message}")
    raise ApiError(code, message, field)


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _websocket_url(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(scheme="wss" if parts.scheme == "https" else "ws"))
