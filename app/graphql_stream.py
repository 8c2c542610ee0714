"""Subscriptions over plain HTTP, for networks that break websockets: server-sent events and multipart answers.

Server-sent events are those of graphql-sse's distinct connections mode and take any operation; multipart is Apollo's
protocol and takes subscriptions only. Either needs a POST of JSON, so that no foreign page can ask without a preflight.
A stream that ends in order says so (`complete`, the last boundary); one that does not is to be asked for again.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import ClassVar

from graphql import GraphQLError
from starlette.responses import StreamingResponse
from starlette.types import Message, Send
from strawberry.http.streaming import HTTPStreamTransport, MultipartSubscriptionTransport, SSETransport
from strawberry.subscriptions import GRAPHQL_SSE_PROTOCOL, MULTIPART_SUBSCRIPTION_PROTOCOL
from strawberry.utils.aio import aclosing

from app.patient_socket import SEND_TIMEOUT_S
from sagas.texts import Language, say
from schema.errors import UNAUTHENTICATED, api_error, public_error

REAUTHENTICATE_S = 60.0
HEARTBEAT_S = 10.0
"""Between the signs of life of a stream that has nothing to tell."""
_UNBUFFERED = {"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"}

Encode = Callable[[object], str]


class EventStream(SSETransport):
    """Server-sent events for whoever asks for them before anything else."""

    headers: ClassVar[Mapping[str, str]] = {"Content-Type": "text/event-stream; charset=utf-8", **_UNBUFFERED}

    def __init__(self) -> None:
        super().__init__(HEARTBEAT_S)

    def accepts(self, accept: str) -> bool:
        """Whether they are the first choice: urql names them in every request, as its last."""
        return accept.partition(",")[0].partition(";")[0].strip().lower() == "text/event-stream"

    def encode_event(self, event: str, data: str | None = None) -> str:
        """One event. urql knows no line end but a plain one, and takes even a single space for data."""
        return f"event: {event}\ndata:{f' {data}' if data else ''}\n\n"

    def encode_comment(self, comment: str) -> str:
        """What readers skip."""
        return f": {comment}\n\n"


class MultipartStream(MultipartSubscriptionTransport):
    """Apollo's multipart answers, each part between boundaries, the first one too."""

    def __init__(self) -> None:
        super().__init__()
        self.heartbeat_interval = HEARTBEAT_S

    @property
    def headers(self) -> Mapping[str, str]:
        """The protocol's own, and that nobody may hold the answer back."""
        return {**super().headers, **_UNBUFFERED}


TRANSPORTS: Mapping[str, type[HTTPStreamTransport]] = {
    GRAPHQL_SSE_PROTOCOL: EventStream,
    MULTIPART_SUBSCRIPTION_PROTOCOL: MultipartStream,
}


def transport_of(headers: Mapping[str, str]) -> HTTPStreamTransport:
    """The transport whose answer has these headers."""
    return EventStream() if headers["Content-Type"].startswith("text/event-stream") else MultipartStream()


async def while_known(
    chunks: AsyncGenerator[str, None],
    transport: HTTPStreamTransport,
    encode: Encode,
    still_known: Callable[[], Awaitable[bool]],
    language: Language,
) -> AsyncGenerator[str, None]:
    """The stream for as long as its credentials are accepted; heartbeats are in it, so the look is never late by much.

    What breaks inside ends it with a masked error.
    """
    loop = asyncio.get_running_loop()
    checked = loop.time()
    try:
        if isinstance(transport, MultipartStream):
            yield f"--{transport.separator}"
        async with aclosing(chunks):
            async for chunk in chunks:
                if loop.time() - checked >= REAUTHENTICATE_S:
                    if not await still_known():
                        # No `complete`: the reference client comes back by itself, with fresh headers.
                        gone = api_error(
                            UNAUTHENTICATED, say("The credentials are no longer accepted: send fresh ones.")
                        )
                        yield _last_words(transport, encode, public_error(gone, language))
                        return
                    checked = loop.time()
                yield chunk
    except Exception as failure:  # noqa: BLE001 - public_error logs what is ours
        yield _last_words(transport, encode, public_error(GraphQLError("", original_error=failure), language))
        yield transport.encode_complete()


async def counted(chunks: AsyncGenerator[str, None], among: set[object]) -> AsyncGenerator[str, None]:
    """The stream, which is one of these while it runs."""
    among.add(chunks)
    try:
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk
    finally:
        among.discard(chunks)


def _last_words(transport: HTTPStreamTransport, encode: Encode, error: GraphQLError) -> str:
    return transport.encode_next({"data": None, "errors": [error.formatted]}, encode)


class PatientStream(StreamingResponse):
    """A streamed answer; a reader that does not take it is let go."""

    async def stream_response(self, send: Send) -> None:
        """Send each part in time, or give up."""

        async def in_time(message: Message) -> None:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await send(message)

        try:
            await super().stream_response(in_time)
        except TimeoutError:
            # The server closes the connection of an answer that does not end.
            return
