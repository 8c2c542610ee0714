"""graphql-transport-ws: Strawberry's handler, made to keep to the protocol where clients do not.

Close codes: 4400 for a message that is none, 4401 for an operation before the handshake, 4403 for credentials that are
not (or no longer) accepted, which clients retry with fresh ones, 1013 while credentials cannot be checked.
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from graphql import GraphQLError
from starlette.websockets import WebSocket
from strawberry.asgi import ASGIWebSocketAdapter
from strawberry.http.async_base_view import AsyncBaseHTTPView
from strawberry.http.exceptions import WebSocketDisconnected
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler, Operation
from strawberry.subscriptions.protocols.graphql_transport_ws.types import ConnectionInitMessage, Message
from strawberry.utils.aio import aclosing

from schema.errors import public_error
from schema.shared_streams import FellBehindError, SharedStreams, is_refusal
from schema.sharing import Shareable
from schema.subscriptions import still_readable

if TYPE_CHECKING:
    from app.graphql_http import RequestContext

log = logging.getLogger(__name__)

SEND_TIMEOUT_S = 5.0
REAUTHENTICATE_S = 60.0
LONGEST_REASON = 123
"""Bytes: a websocket's close frame has no room for more."""
MALFORMED, UNAUTHORIZED, FORBIDDEN, TRY_AGAIN_LATER = 4400, 4401, 4403, 1013


class PatientWebSocketAdapter(ASGIWebSocketAdapter):
    """Sends with a time-out: a peer that keeps its socket open but never reads is let go."""

    def __init__(
        self, view: AsyncBaseHTTPView[Any, Any, Any, Any, Any, Any, Any], request: WebSocket, response: WebSocket
    ) -> None:
        super().__init__(view, request, response)
        self._stuck = asyncio.Event()

    async def send_json(self, message: Mapping[str, object]) -> None:
        """Send, or give the whole connection up."""
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await super().send_json(message)
        except (TimeoutError, RuntimeError, OSError) as failure:
            # RuntimeError: the server's word for a socket that was closed in the meantime.
            self._stuck.set()
            raise WebSocketDisconnected from failure

    async def send_text(self, text: str) -> None:
        """Like `send_json`, for a message that is text already."""
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self.ws.send_text(text)
        except (TimeoutError, RuntimeError, OSError) as failure:
            self._stuck.set()
            raise WebSocketDisconnected from failure

    async def iter_json(self, *, ignore_parsing_errors: bool = False) -> AsyncGenerator[object, None]:
        """The messages, until either side is gone."""
        messages = super().iter_json(ignore_parsing_errors=ignore_parsing_errors)
        stuck = asyncio.create_task(self._stuck.wait())
        try:
            while True:
                incoming = asyncio.ensure_future(anext(messages))
                await asyncio.wait({incoming, stuck}, return_when=asyncio.FIRST_COMPLETED)
                if not incoming.done():
                    incoming.cancel()
                    with suppress(asyncio.CancelledError, StopAsyncIteration):
                        await incoming
                    return
                try:
                    message = incoming.result()
                except StopAsyncIteration:
                    return
                yield message
        finally:
            stuck.cancel()

    async def close(self, code: int, reason: str) -> None:
        """Close with a reason that fits into the frame; closing what is closed is nothing."""
        fitting = reason.encode()[:LONGEST_REASON].decode(errors="ignore")
        with suppress(RuntimeError, OSError, TimeoutError):
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await super().close(code, fitting)


class UncheckableCredentialsError(Exception):
    """Who is asking cannot be checked at the moment."""


class Authenticates(Protocol):
    """The view, as far as the handler asks it who a connection belongs to."""

    async def still_known(self, context: "RequestContext") -> bool:
        """Whether the connection's credentials are accepted now."""


class SharesStreams(Protocol):
    """The view, as far as the handler asks it for what several subscribers share."""

    shared_streams: SharedStreams

    def shareable(
        self, query: str, variables: Mapping[str, object] | None, operation_name: str | None
    ) -> Shareable | None:
        """The operation as one that can be shared."""


class WebSocketHandler(BaseGraphQLTransportWSHandler["RequestContext", None]):
    """One connection. Each operation gets a context of its own, so that nothing loaded for one is stale in the next."""

    reauthentication: asyncio.Task[None] | None = None

    async def handle_message(self, message: Message) -> None:
        """Hand a well-formed message on; close on any other."""
        fault = _fault(message)
        if fault is not None:
            await self.handle_invalid_message(fault)
            return
        await super().handle_message(message)

    async def handle_connection_init(self, message: ConnectionInitMessage) -> None:
        """The handshake; afterwards the credentials are checked again and again."""
        if message.get("payload") is None:
            message = {"type": "connection_init", "payload": {}}
        try:
            await super().handle_connection_init(message)
        except UncheckableCredentialsError as failure:
            await self.websocket.close(TRY_AGAIN_LATER, str(failure))
            return
        if self.connection_acknowledged and self.reauthentication is None:
            self.reauthentication = asyncio.create_task(self._keep_checking())

    async def shutdown(self) -> None:
        """End everything that this connection started."""
        if self.reauthentication is not None:
            self.reauthentication.cancel()
        await super().shutdown()

    async def run_operation(self, operation: Operation["RequestContext", None]) -> None:
        """Run one operation to its end; its errors go to its own subscriber, never to the others of the connection."""
        try:
            if not await self._run_shared(operation):
                await self._run_alone(operation)
            await operation.send_operation_message({"id": operation.id, "type": "complete"})
        except WebSocketDisconnected:
            pass
        except Exception:
            log.exception("an operation over a websocket failed")
            await self.websocket.close(TRY_AGAIN_LATER, "Try again later")

    async def _run_shared(self, operation: Operation["RequestContext", None]) -> bool:
        """Read along where others ask the same; False: nothing was sent, it must run alone."""
        view: SharesStreams = self.view  # type: ignore[assignment]  # as in _keep_checking
        asked = view.shareable(operation.query, operation.variables, operation.operation_name)
        if asked is None:
            return False
        context = self.context.for_operation()
        websocket: PatientWebSocketAdapter = self.websocket  # type: ignore[assignment]  # the router's own class of them
        async with view.shared_streams.joined(asked, context) as stream:
            if stream is None:
                return False
            position = asked.after_version + 1
            prefix = f'{{"id":{json.dumps(operation.id)},"type":"next","payload":'
            try:
                async with aclosing(
                    stream.payloads(position, partial(still_readable, context, stream.project))
                ) as told:
                    async for payload in told:
                        if operation.completed:
                            return True
                        if not isinstance(payload, str):
                            await operation.send_initial_errors(list(payload))
                            return True
                        await websocket.send_text(f"{prefix}{payload}}}")
                        position += 1
            except GraphQLError as refusal:
                await operation.send_initial_errors([public_error(refusal)])
                return True
            except FellBehindError:
                pass
            else:
                return True
        await self._run_alone(operation, skip=position - asked.after_version - 1)
        return True

    async def _run_alone(self, operation: Operation["RequestContext", None], *, skip: int = 0) -> None:
        results = await self.schema.stream(
            operation.query,
            variable_values=operation.variables,
            context_value=self.context.for_operation(),
            root_value=self.root_value,
            operation_name=operation.operation_name,
        )
        async with aclosing(results):
            await self._send_results(operation, results, skip)

    async def _send_results(
        self, operation: Operation["RequestContext", None], results: AsyncGenerator[Any, None], skip: int
    ) -> None:
        async for result in results:
            if operation.completed:
                return
            if skip > 0 and not is_refusal(result):
                skip -= 1
                continue
            if is_refusal(result):
                # The protocol's word for an operation that ends with errors; `next` would look like a result.
                await operation.send_initial_errors(result.errors)
                return
            await operation.send_next(result)

    async def _keep_checking(self) -> None:
        view: Authenticates = self.view  # type: ignore[assignment]  # the router, whose type Strawberry does not carry here
        while True:
            await asyncio.sleep(REAUTHENTICATE_S)
            if not await view.still_known(self.context):
                await self.websocket.close(FORBIDDEN, "The credentials are no longer accepted")
                return


def _fault(message: object) -> str | None:
    """What is wrong with a message's form; None: nothing."""
    if not isinstance(message, dict):
        return "A message must be a JSON object"
    kind = message.get("type")
    if not isinstance(kind, str):
        return "A message must have a `type`"
    if kind in {"subscribe", "complete"} and not (isinstance(message.get("id"), str) and message["id"]):
        return f"`{kind}` must have an `id`, a text that is not empty"
    payload = message.get("payload")
    if kind == "subscribe":
        return _subscribe_fault(payload)
    if kind in {"connection_init", "ping", "pong"} and not isinstance(payload, dict | None):
        return f"The payload of `{kind}` must be an object"
    return None


def _subscribe_fault(payload: object) -> str | None:
    if not isinstance(payload, dict) or not isinstance(payload.get("query"), str):
        return "The payload of `subscribe` must be an object with a text `query`"
    if not isinstance(payload.get("variables"), dict | None):
        return "`variables` must be an object"
    if not isinstance(payload.get("operationName"), str | None):
        return "`operationName` must be text"
    return None
