"""graphql-transport-ws: Strawberry's handler, made to keep to the protocol where clients do not.

Close codes: 4400 for a message that is none, 4401 for an operation before the handshake, 4403 for credentials that are
not (or no longer) accepted, which clients retry with fresh ones, 4408 for a handshake that does not come, 4409 for an id
that is in use, 4429 for a second handshake, 4500 for a fault of ours in the connection itself, 1013 while credentials
cannot be checked or too many are connected. What goes wrong in an operation ends that operation only.
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, cast

from graphql import GraphQLError
from strawberry.exceptions import ConnectionRejectionError
from strawberry.http.exceptions import WebSocketDisconnected
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler, Operation
from strawberry.subscriptions.protocols.graphql_transport_ws.types import (
    CompleteMessage,
    ConnectionInitMessage,
    Message,
    PingMessage,
    SubscribeMessage,
)
from strawberry.utils.aio import aclosing

from app.patient_socket import PatientWebSocketAdapter
from app.ws_messages import fault_of
from sagas.texts import in_language
from schema.errors import public_error
from schema.exceeded import limit_exceeded
from schema.limits import Limits
from schema.rates import charge
from schema.shared_streams import FellBehindError, SharedStreams, is_refusal
from schema.sharing import Shareable
from schema.subscriptions import still_readable
from schema.trusted import with_name_among_extensions

if TYPE_CHECKING:
    from app.graphql_http import RequestContext

log = logging.getLogger(__name__)

REAUTHENTICATE_S = 60.0
INIT_TIMEOUT_S = 10.0
MALFORMED, UNAUTHORIZED, FORBIDDEN, INIT_TIMED_OUT, TOO_MANY_INITS = 4400, 4401, 4403, 4408, 4429
INTERNAL_ERROR, TRY_AGAIN_LATER = 4500, 1013


class UncheckableCredentialsError(Exception):
    """Who is asking cannot be checked at the moment."""


class Doorkeeper(Protocol):
    """The view, as far as the handler asks it about connections."""

    @property
    def connections(self) -> set[object]:
        """Those that are open in this process."""

    async def on_ws_connect(self, context: "RequestContext") -> object:
        """Make out who connects.

        Raises ConnectionRejectionError for whoever is not known, UncheckableCredentialsError where that cannot be told.
        """

    async def still_known(self, context: "RequestContext") -> bool:
        """Whether the connection's credentials are accepted now."""


class SharesStreams(Protocol):
    """The view, as far as the handler asks it for what several subscribers share."""

    shared_streams: SharedStreams

    def shareable(
        self, query: str, variables: Mapping[str, object] | None, operation_name: str | None, limits: Limits
    ) -> Shareable | None:
        """The operation as one that can be shared."""


class WebSocketHandler(BaseGraphQLTransportWSHandler["RequestContext", None]):
    """One connection. Each operation gets a context of its own, so that nothing loaded for one is stale in the next."""

    admission: asyncio.Task[None] | None = None

    @property
    def door(self) -> Doorkeeper:
        """Who knows users and counts connections."""
        view: Doorkeeper = self.view  # type: ignore[assignment]  # the router, whose type Strawberry does not carry here
        return view

    async def handle(self) -> None:
        """The connection from its opening to its end."""
        others = self.door.connections
        allowed = self.context.backend.limits.connections
        if len(others) >= allowed:
            refusal = limit_exceeded("connections", allowed=allowed, value=len(others) + 1)
            await self.websocket.close(TRY_AGAIN_LATER, in_language(refusal.message, self.context.language))
            return
        others.add(self)
        try:
            await super().handle()
        except Exception:
            log.exception("a websocket failed")
            await self.websocket.close(INTERNAL_ERROR, "Internal server error")
        finally:
            others.discard(self)

    def on_request_accepted(self) -> None:
        """Begin to wait for the handshake."""
        self.connection_init_wait_timeout = timedelta(seconds=INIT_TIMEOUT_S)
        super().on_request_accepted()

    async def handle_message(self, message: Message) -> None:
        """Hand a well-formed message on; close on any other."""
        fault = fault_of(message)
        if fault is not None:
            await self.handle_invalid_message(fault)
            return
        await super().handle_message(message)
        # Strawberry's loop holds on to it until the next one comes, which may be long.
        cast("dict[str, object]", message).clear()

    async def handle_connection_init(self, message: ConnectionInitMessage) -> None:
        """The handshake; it goes on beside the connection's other messages, so that pings are answered meanwhile."""
        if self.connection_timed_out:
            return
        if self.connection_init_received:
            await self.websocket.close(TOO_MANY_INITS, "Too many initialisation requests")
            return
        self.connection_init_received = True
        if self.connection_init_timeout_task is not None:
            self.connection_init_timeout_task.cancel()
        self.context.connection_params = message.get("payload") or {}
        self.admission = asyncio.create_task(self._admit())

    async def handle_ping(self, message: PingMessage) -> None:
        """Answer with what came."""
        payload = message.get("payload")
        await self.send_message({"type": "pong"} if payload is None else {"type": "pong", "payload": payload})

    async def handle_complete(self, message: CompleteMessage) -> None:
        """End an operation; nothing of it is sent any more, and its id is free."""
        operation = self.operations.get(message["id"])
        if operation is not None:
            operation.completed = True
        await super().handle_complete(message)

    async def shutdown(self) -> None:
        """End everything that this connection started."""
        if self.admission is not None:
            self.admission.cancel()
            await asyncio.wait({self.admission})
        await super().shutdown()

    async def handle_subscribe(self, message: SubscribeMessage) -> None:
        """Begin an operation, if there may be one more, and with the document that it names or sends."""
        if self.connection_acknowledged and message["id"] not in self.operations:
            try:
                self._expect_room()
                message = self._with_document(message)
            except GraphQLError as refusal:
                errors = [public_error(refusal, self.context.language).formatted]
                await self.send_message({"id": message["id"], "type": "error", "payload": errors})
                return
        await super().handle_subscribe(message)

    def _expect_room(self) -> None:
        allowed = self.context.backend.limits.subscriptions_per_connection
        if len(self.operations) >= allowed:
            raise limit_exceeded("subscriptionsPerConnection", allowed=allowed, value=len(self.operations) + 1)

    def _with_document(self, message: SubscribeMessage) -> SubscribeMessage:
        payload = with_name_among_extensions(dict(message["payload"]))
        query = self.context.backend.trusted.resolve(payload.get("query"), payload.get("extensions"))
        return {**message, "payload": {**message["payload"], "query": query or ""}}

    async def run_operation(self, operation: Operation["RequestContext", None]) -> None:
        """Run one operation to its end; its errors go to its own subscriber, never to the others of the connection."""
        with suppress(WebSocketDisconnected):
            try:
                if not await self._run_shared(operation):
                    await self._run_alone(operation)
                await operation.send_operation_message({"id": operation.id, "type": "complete"})
            except WebSocketDisconnected:
                raise
            except Exception as failure:  # noqa: BLE001 - public_error logs what is ours
                error = public_error(GraphQLError("", original_error=failure), self.context.language)
                await operation.send_initial_errors([error])

    async def _run_shared(self, operation: Operation["RequestContext", None]) -> bool:
        """Read along where others ask the same; False: nothing was sent, it must run alone."""
        view: SharesStreams = self.view  # type: ignore[assignment]  # as in `door`
        asked = view.shareable(
            operation.query, operation.variables, operation.operation_name, self.context.backend.limits
        )
        if asked is None:
            return False
        context = self.context.for_operation()
        websocket: PatientWebSocketAdapter = self.websocket  # type: ignore[assignment]  # the router's own class of them
        async with view.shared_streams.joined(asked, context) as stream:
            if stream is None:
                return False
            position = asked.after_version + 1
            prefix = f'{{"id":{json.dumps(operation.id)},"type":"next","payload":'
            told = stream.payloads(position, partial(still_readable, context, stream.project))
            send = websocket.sender().send
            try:
                await charge(context)
                async with context.backend.seats.held(context.viewer), aclosing(told):
                    async for payload in told:
                        if operation.completed:
                            return True
                        if not isinstance(payload, str):
                            await operation.send_initial_errors(list(payload))
                            return True
                        await send(f"{prefix}{payload}}}")
                        position += 1
            except GraphQLError as refusal:
                await operation.send_initial_errors([public_error(refusal, context.language)])
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

    async def _admit(self) -> None:
        """Let in who is known, then look again and again whether he still is."""
        try:
            await self.door.on_ws_connect(self.context)
            self.connection_acknowledged = True
            await self.send_message({"type": "connection_ack"})
            while True:
                await asyncio.sleep(REAUTHENTICATE_S)
                if not await self.door.still_known(self.context):
                    await self.websocket.close(FORBIDDEN, "The credentials are no longer accepted")
                    return
        except ConnectionRejectionError:
            await self.websocket.close(FORBIDDEN, "Forbidden")
        except UncheckableCredentialsError as failure:
            await self.websocket.close(TRY_AGAIN_LATER, str(failure))
        except WebSocketDisconnected:
            pass
        except Exception:
            log.exception("a websocket's credentials could not be looked at")
            await self.websocket.close(INTERNAL_ERROR, "Internal server error")
