"""What is done to the service: the plan's kills and faults, each at its time, and a look at what every kill leaves behind."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg

from tests.chaos.history import FaultSet, FaultsMet, Leased, Tape, now
from tests.chaos.plan import Kind, Plan
from tests.chaos.stack import Stack

_LEASED = "SELECT id::text, lease_token::text, version, due_at::text FROM saga WHERE lease_token IS NOT NULL"
_LEASES = "SELECT id::text, lease_token::text, version, due_at::text FROM saga WHERE id = ANY(%s::uuid[])"
_EVERY_S = 0.25
_BUSY, _BUSY_LOOKS = 6, 500
_WATCHED_S = 90.0


@dataclass
class Trouble:
    """Follows the plan."""

    plan: Plan
    stack: Stack
    tape: Tape
    _watches: set["asyncio.Task[None]"] = field(default_factory=set)
    _hits: dict[int, int] = field(default_factory=dict)

    async def make(self) -> None:
        """All of it; returns when the plan's time is over and no fault is left."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._kill_all())
            group.create_task(self._set_faults())
        await self._end_faults()

    async def settled(self) -> None:
        """Wait until every watched lease has moved."""
        while self._watches:
            await asyncio.wait(set(self._watches))

    async def _kill_all(self) -> None:
        begun = asyncio.get_running_loop().time()
        for kill in self.plan.kills:
            await asyncio.sleep(max(0.0, begun + kill.at - asyncio.get_running_loop().time()))
            if kill.kind is Kind.ENGINE:
                await self._busy()
            process = await self.stack.kill(kill.kind, kill.which)
            if process is not None and kill.kind is Kind.ENGINE:
                watch = asyncio.create_task(Watch(self.stack.database_url, self.tape).run())
                self._watches.add(watch)
                watch.add_done_callback(self._watches.discard)
        await asyncio.sleep(max(0.0, begun + self.plan.options.seconds - asyncio.get_running_loop().time()))

    async def _busy(self) -> None:
        """Wait a little for a moment in which engines hold sagas: killing an idle one shows nothing."""
        with suppress(psycopg.Error):
            async with await psycopg.AsyncConnection.connect(self.stack.database_url, connect_timeout=3) as connection:
                for _ in range(_BUSY_LOOKS):
                    if len(await (await connection.execute(_LEASED.encode())).fetchall()) >= _BUSY:
                        return
                    await connection.commit()

    async def _set_faults(self) -> None:
        begun = asyncio.get_running_loop().time()
        for fault in self.plan.faults:
            await asyncio.sleep(max(0.0, begun + fault.at - asyncio.get_running_loop().time()))
            with suppress(AssertionError, OSError, ValueError):
                await self._set(fault.body)

    async def _set(self, body: Mapping[str, Any]) -> None:
        await self._count()
        await asyncio.to_thread(self.stack.gitlab.faults, **dict(body))
        self.tape.write(FaultSet(now(), json.dumps(dict(body))))

    async def _count(self) -> None:
        """Note the requests that met faults so far; the emulator forgets its faults when it is killed."""
        told: list[Mapping[str, int]] = await asyncio.to_thread(self.stack.gitlab.request, "GET", "/emulator/faults")
        hits = {fault["id"]: fault["hits"] for fault in told}
        if not self._hits.keys() <= hits.keys():
            self._hits = {}
        met = sum(hits.values()) - sum(self._hits.values())
        self._hits = hits
        if met > 0:
            self.tape.write(FaultsMet(now(), met))

    async def _end_faults(self) -> None:
        for _ in range(100):
            with suppress(AssertionError, OSError, ValueError):
                await self._count()
                await asyncio.to_thread(self.stack.gitlab.clear_faults)
                return
            await asyncio.sleep(0.3)


class Watch:
    """Looks after the leases that stand at the moment of an engine's kill, until each has moved.

    A dead engine renews nothing, so what is renewed later has a living owner.
    """

    def __init__(self, database_url: str, tape: Tape) -> None:
        self._database_url = database_url
        self._tape = tape
        self._killed_at = now()
        self._first: dict[str, tuple[Any, ...]] = {}
        self._renewed: dict[str, float] = {}

    async def run(self) -> None:
        """Until every lease has moved; those that never do are recorded so."""
        deadline = self._killed_at + _WATCHED_S
        first = await self._rows(_LEASED, deadline)
        self._first = {row[0]: row for row in first or ()}
        while self._first and now() < deadline:
            await asyncio.sleep(_EVERY_S)
            rows = await self._rows(_LEASES, deadline, list(self._first))
            for row in rows or ():
                self._seen(row)
        for saga in self._first:
            self._tape.write(Leased(now(), self._killed_at, saga, self._renewed.get(saga), None))

    def _seen(self, row: tuple[Any, ...]) -> None:
        saga, token, version, due_at = row
        _, first_token, first_version, first_due_at = self._first[saga]
        if (token, version) != (first_token, first_version):
            renewed = self._renewed.get(saga)
            self._tape.write(Leased(now(), self._killed_at, saga, renewed, now()))
            del self._first[saga]
        elif due_at != first_due_at:
            self._renewed[saga] = now()
            self._first[saga] = row

    async def _rows(self, query: str, deadline: float, *values: object) -> list[tuple[Any, ...]] | None:
        """The rows, asked again while PostgreSQL is away."""
        while now() < deadline:
            try:
                async with await psycopg.AsyncConnection.connect(self._database_url, connect_timeout=3) as connection:
                    return await (await connection.execute(query.encode(), values)).fetchall()
            except psycopg.Error:
                await asyncio.sleep(_EVERY_S)
        return None
