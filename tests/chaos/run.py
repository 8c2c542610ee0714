"""One chaos run: start everything, let users and trouble loose, drain, collect the evidence, judge it."""

import asyncio
import pickle
import random
import sys
import time
from contextlib import suppress
from pathlib import Path

import psycopg

from tests.chaos.checker import violations
from tests.chaos.client import HonestClient
from tests.chaos.colleague import Colleague
from tests.chaos.crowd import Crowd
from tests.chaos.evidence import Evidence
from tests.chaos.history import Tape
from tests.chaos.plan import Plan
from tests.chaos.report import report
from tests.chaos.sources import Places, collect, queued
from tests.chaos.stack import Stack, running_stack
from tests.chaos.stories import Balance
from tests.chaos.subscribers import Subscribers
from tests.chaos.trouble import Trouble

STALLED_S = 150.0
"""A drain in which no saga moves for so long is over; what is left is a violation. Above the longest back-off of a run."""
STORIES_AT_ONCE = 30
_PROGRESS = "SELECT coalesce(sum(version), 0) FROM saga"
TAPE = "history.jsonl"
EVIDENCE = "evidence.pickle"
"""What the checker judged, to be looked at again."""


async def run(plan: Plan, folder: Path) -> int:
    """0 where all promises held; the report goes to standard output, recordings and data to the folder."""
    evidence, took = await play(plan, folder)
    (folder / EVIDENCE).write_bytes(pickle.dumps(evidence))
    found = await asyncio.to_thread(violations, evidence)
    for line in report(evidence, plan.options, found, took_s=took):
        print(line)
    return 1 if found else 0


async def play(plan: Plan, folder: Path) -> tuple[Evidence, float]:
    """The evidence of a run, and the seconds that it took from the first start to the last end."""
    for line in plan.lines():
        print(line, flush=True)
    with Tape(folder / TAPE) as tape:
        async with running_stack(folder, plan.options, tape) as stack:
            say(f"{', '.join(sorted(stack.supervisor.pids))} are up, over {stack.broker_url.partition(':')[0]}")
            begun = time.monotonic()
            await _loose(plan, stack, tape)
            took = time.monotonic() - begun
            say("all is quiet; collecting the evidence")
            places = _places(stack)
            await _drained(places)
            return await asyncio.to_thread(collect, places), took


def say(text: str) -> None:
    """A line about the run's progress, on the error stream: standard output is plan and report."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


async def _loose(plan: Plan, stack: Stack, tape: Tape) -> None:
    chance = random.Random(f"{plan.options.seed} clients")
    async with HonestClient(stack.graphql, tape, chance) as client:
        subscribers = Subscribers(client, chance)
        trouble = Trouble(plan, stack, tape)
        users = [
            asyncio.create_task(Crowd(plan, client, subscribers).play(), name="crowd"),
            asyncio.create_task(_stories(plan, stack, client, subscribers), name="stories"),
        ]
        making = asyncio.create_task(trouble.make())
        try:
            await making
            say("no more trouble; draining")
            await _drain(stack, users, subscribers)
        finally:
            for task in (making, *users):
                task.cancel()
            ended = await asyncio.gather(making, *users, return_exceptions=True)
            await subscribers.stop()
        for error in ended:
            if isinstance(error, Exception):
                raise error
        await trouble.settled()


async def _stories(plan: Plan, stack: Stack, client: HonestClient, subscribers: Subscribers) -> None:
    options = plan.options
    colleague = Colleague(stack.gitlab, stack.colleagues_token, client.tape)
    room = asyncio.Semaphore(STORIES_AT_ONCE)
    pause = options.seconds * 0.7 / max(1, options.balance)

    async def play(number: int) -> None:
        chance = random.Random(f"{options.seed} story {number}")
        try:
            await Balance(plan.stories[number], stack.jobs[number], client, subscribers, colleague, chance).play()
        finally:
            room.release()

    async with asyncio.TaskGroup() as group:
        for number in range(options.balance):
            await room.acquire()
            group.create_task(play(number))
            await asyncio.sleep(pause)


async def _drain(stack: Stack, users: list["asyncio.Task[None]"], subscribers: Subscribers) -> None:
    """Wait until users and subscribers are done, or nothing moves any more."""
    ends = asyncio.create_task(_all_done(users, subscribers))
    seen, at = -1, time.monotonic()
    try:
        while not ends.done():
            await asyncio.wait({ends}, timeout=5)
            progress = await _progress(stack.database_url)
            if progress != seen:
                seen, at = progress, time.monotonic()
            elif time.monotonic() - at > STALLED_S:
                say(f"nothing has moved for {STALLED_S:g} s")
                return
    finally:
        ends.cancel()


async def _all_done(users: list["asyncio.Task[None]"], subscribers: Subscribers) -> None:
    await asyncio.wait(users, return_when=asyncio.ALL_COMPLETED)
    await subscribers.finished()


async def _progress(database_url: str) -> int:
    with suppress(psycopg.Error):
        async with await psycopg.AsyncConnection.connect(database_url, connect_timeout=5) as connection:
            row = await (await connection.execute(_PROGRESS)).fetchone()
            return 0 if row is None else int(row[0])
    return -2


def _places(stack: Stack) -> Places:
    return Places(
        tape=stack.folder / TAPE,
        database_url=stack.database_url,
        gitlab_url=stack.gitlab.url,
        gitlab_token=stack.gitlab.admin_token,
        repositories=stack.folder / "gitlab" / "repositories",
        projects=stack.projects,
        broker_url=stack.broker_url,
    )


async def _drained(places: Places) -> None:
    """Give workers a moment for messages of sagas that ended without them; what stays is a violation."""
    for _ in range(60):
        with suppress(OSError, psycopg.Error):
            if not await asyncio.to_thread(queued, places):
                return
        await asyncio.sleep(1)
