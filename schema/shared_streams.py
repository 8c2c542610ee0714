"""One execution for all subscribers that ask the same of the same saga.

The first subscriber begins a stream, which runs the ordinary subscription once, for nobody in particular, and keeps its
payloads as text; each subscriber reads on from its own place, after its own access check. The last one to leave ends it.
"""

import asyncio
import math
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from graphql import GraphQLError
from strawberry.types.execution import ExecutionResult, PreExecutionError
from strawberry.utils.aio import aclosing

from sagas.ids import ProjectId
from sagas.ports import AccessLevel, Rights, User
from schema import subscriptions
from schema.context import Context
from schema.permissions import may_read, readable_saga
from schema.sharing import Shareable

KEPT_EVENTS = 512
KEPT_CHARACTERS = 500_000
"""What a stream keeps of its payloads beside the newest, whose readers are told it in any case."""
HEAD_START = 32
"""Versions by which a stream begins before its first subscriber's place, for those who come back a little earlier."""


CHECKED_S = 1.0
"""How long a reader may read on in what came at once until his access is looked at anew."""


class FellBehindError(Exception):
    """The reader's next payload is not kept any more; it goes on alone."""


class SharedStream:
    """Payloads at consecutive positions: versions of events, or of a conflated stream just numbers."""

    def __init__(self, project: ProjectId, *, first: int, known: int, conflated: bool) -> None:
        self.project = project
        self._kept: deque[str] = deque()
        self._most = 1 if conflated else KEPT_EVENTS
        self._characters = 0
        self._next = first
        self._known = known
        self._conflated = conflated
        self._ended = False
        self._errors: Sequence[GraphQLError] = ()
        self._failure: Exception | None = None
        self._news = asyncio.Event()

    def reaches(self, position: int) -> bool:
        """Whether a reader can begin at this position and miss nothing."""
        return self._conflated or self._first <= position <= max(self._next, self._known + 1)

    def add(self, payload: str) -> None:
        """One more payload for every reader."""
        self._kept.append(payload)
        self._characters += len(payload)
        while len(self._kept) > self._most or (self._characters > KEPT_CHARACTERS and len(self._kept) > 1):
            self._characters -= len(self._kept.popleft())
        self._next += 1
        self._tell()

    def end(self, errors: Sequence[GraphQLError] = (), failure: Exception | None = None) -> None:
        """Nothing more comes; readers take what is kept, then end alike."""
        if self._ended:
            return
        self._ended, self._errors, self._failure = True, errors, failure
        self._tell()

    async def payloads(
        self, position: int, check: Callable[[], Awaitable[None]]
    ) -> AsyncGenerator[str | Sequence[GraphQLError], None]:
        """From this position on, as they come; `check` raises where the reader may not go on. Errors come last.

        Raises FellBehindError with the position that is not kept any more.
        """
        clock, checked = asyncio.get_running_loop().time, -math.inf
        while True:
            while position < self._next:
                # Of what came at once each second: a slow reader may lose access while he still reads what is kept.
                if clock() - checked > CHECKED_S:
                    await check()
                    checked = clock()
                if self._conflated:
                    position = self._next - 1
                elif position < self._first:
                    raise FellBehindError(position)
                yield self._kept[position - self._first]
                position += 1
            if self._ended:
                break
            await self._news.wait()
            checked = -math.inf
            if position == self._next:
                await check()
        if self._failure is not None:
            raise self._failure
        if self._errors:
            yield self._errors

    def remind(self) -> None:
        """Wake the readers without news, to look whether they may still read."""
        self._tell()

    @property
    def _first(self) -> int:
        return self._next - len(self._kept)

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


class Streams(Protocol):
    """Strawberry's schema, as far as a subscription needs it."""

    async def stream(
        self,
        query: str | None,
        variable_values: dict[str, Any] | None = None,
        context_value: Any | None = None,
        root_value: Any | None = None,
        operation_name: str | None = None,
    ) -> AsyncGenerator[Any, None]:
        """Execute the operation and stream its results."""


@dataclass(slots=True)
class _Running:
    stream: SharedStream
    task: "asyncio.Task[None]"
    readers: int = field(default=0)


class SharedStreams:
    """The streams of one process."""

    def __init__(self, schema: Streams, encode: Callable[[object], str | bytes]) -> None:
        self._schema = schema
        self._encode = encode
        self._running: dict[tuple[str, ...], _Running] = {}

    @asynccontextmanager
    async def joined(self, asked: Shareable, context: Context) -> AsyncIterator[SharedStream | None]:
        """The stream that answers `asked`, for as long as it is read; None: it must be executed for this viewer alone."""
        key = (*asked.key, context.language)
        try:
            running = await self._joinable(key, asked, context)
        except Exception:  # noqa: BLE001 - whatever it is, executing alone tells it in its public form
            running = None
        if running is None:
            yield None
            return
        running.readers += 1
        try:
            yield running.stream
        finally:
            running.readers -= 1
            if running.readers == 0:
                running.task.cancel()
                if self._running.get(key) is running:
                    del self._running[key]

    async def _joinable(self, key: tuple[str, ...], asked: Shareable, context: Context) -> _Running | None:
        running = self._running.get(key)
        if running is not None and not await may_read(context, running.stream.project):
            return None
        # Again: its last reader may have left meanwhile, and a stream that has ended tells nobody anything.
        running = self._running.get(key)
        if running is None:
            row = await readable_saga(context, asked.saga_id)
            if row is None or not row.status.live or asked.after_version > row.version:
                return None
            running = self._running.get(key) or self._begin(key, asked, context, ProjectId(row.project_id), row.version)
        return running if running.stream.reaches(asked.after_version + 1) else None

    def _begin(
        self, key: tuple[str, ...], asked: Shareable, context: Context, project: ProjectId, version: int
    ) -> _Running:
        after = asked.after_version
        if asked.after_variable is not None:
            after = max(0, after - HEAD_START)
        stream = SharedStream(project, first=after + 1, known=version, conflated=asked.conflated)
        for_nobody = Context(replace(context.backend, access=_EveryReader()), _NOBODY, context.language)
        task = asyncio.create_task(self._run(stream, asked, after, for_nobody), name="shared stream")
        running = self._running[key] = _Running(stream, task)
        task.add_done_callback(lambda _: self._forget(key, running))
        return running

    async def _run(self, stream: SharedStream, asked: Shareable, after: int, context: Context) -> None:
        async with asyncio.TaskGroup() as tasks:
            reminding = tasks.create_task(_keep_reminding(stream))
            await self._fill(stream, asked, after, context)
            reminding.cancel()

    def _forget(self, key: tuple[str, ...], ended: _Running) -> None:
        if self._running.get(key) is ended:
            del self._running[key]

    async def _fill(self, stream: SharedStream, asked: Shareable, after: int, context: Context) -> None:
        try:
            results = await self._schema.stream(
                asked.query, asked.variables_after(after), context, operation_name=asked.operation_name
            )
            async with aclosing(results):
                async for result in results:
                    if is_refusal(result):
                        stream.end(result.errors or ())
                        return
                    stream.add(self._text(result))
            stream.end()
        except Exception as failure:  # noqa: BLE001 - told to every reader, who ends as if it had happened to it
            stream.end(failure=failure)

    def _text(self, result: ExecutionResult) -> str:
        payload: dict[str, object] = {"data": result.data}
        if result.errors:
            payload["errors"] = [error.formatted for error in result.errors]
        text = self._encode(payload)
        return text if isinstance(text, str) else text.decode()


async def _keep_reminding(stream: SharedStream) -> None:
    while True:
        await asyncio.sleep(subscriptions.RECHECK_S)
        stream.remind()


def is_refusal(result: object) -> bool:
    """Whether an operation ends with this: it was refused as a whole, and no field of it answered."""
    if isinstance(result, PreExecutionError):
        return True
    if not isinstance(result, ExecutionResult) or result.data is not None:
        return False
    return bool(result.errors) and all(not error.path for error in result.errors or ())


_NOBODY = User(id=0, username="nobody")


class _EveryReader:
    """Access for what is executed once for all: each reader's own access is checked before it is told anything."""

    async def level(self, user: User, project: ProjectId) -> AccessLevel:
        return AccessLevel.REPORTER

    async def rights(self, user: User, project: ProjectId) -> Rights:
        return Rights(AccessLevel.REPORTER, code=True, issues=False)

    async def readable(self, user: User, projects: Sequence[ProjectId]) -> frozenset[ProjectId]:
        return frozenset(projects)
