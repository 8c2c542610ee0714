"""The supervisor over the smallest services: order, restarts, ends."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psutil
import pytest

from app.demo.supervisor import Pace, Service, Supervisor, SupervisorError, supervising
from tests.support import eventually, eventually_sync

SERVICE = str(Path(__file__).with_name("service.py"))
QUICK = Pace(start=20, stop=2, back_off=(0.05, 0.2), predecessors=15)


@dataclass
class Heard:
    """What a supervisor says while it works."""

    lines: list[str] = field(default_factory=list)
    pids: list[Mapping[str, int]] = field(default_factory=list)


def service(folder: Path, name: str, *manner: str) -> Service:
    return Service(name, (sys.executable, SERVICE, str(folder), name, *manner))


def lives(folder: Path, name: str) -> list[int]:
    path = folder / f"{name}.lives"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def is_replaced(supervisor: Supervisor, name: str, killed: int) -> bool:
    return supervisor.pids[name] != killed


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def quick(folder: Path, heard: Heard, pace: Pace = QUICK) -> AbstractAsyncContextManager[Supervisor]:
    return supervising(folder, said=heard.lines.append, changed=heard.pids.append, pace=pace)


async def test_a_killed_service_is_started_again_and_its_new_pid_is_told(tmp_path: Path) -> None:
    heard = Heard()
    async with quick(tmp_path, heard) as supervisor:
        await supervisor.start(service(tmp_path, "one"))
        await supervisor.start(service(tmp_path, "two"))
        first = dict(supervisor.pids)
        assert heard.pids[-1] == first
        assert lives(tmp_path, "one") == [first["one"]]

        os.kill(first["one"], signal.SIGKILL)
        await eventually(lambda: supervisor.pids["one"] != first["one"], timeout=20)

        assert lives(tmp_path, "one") == [first["one"], supervisor.pids["one"]]
        assert heard.pids[-1] == supervisor.pids
        assert supervisor.pids["two"] == first["two"], "the other one was left alone"
        assert any("one was ended by SIGKILL" in line for line in heard.lines)
        assert any(f"one is back as process {supervisor.pids['one']}" in line for line in heard.lines)
    assert not alive(supervisor.pids["one"])
    assert not alive(supervisor.pids["two"])


async def test_a_service_that_keeps_dying_is_started_again_and_again(tmp_path: Path) -> None:
    heard = Heard()
    async with quick(tmp_path, heard) as supervisor:
        await supervisor.start(service(tmp_path, "one"))
        for _ in range(3):
            killed = supervisor.pids["one"]
            os.kill(killed, signal.SIGKILL)
            await eventually(partial(is_replaced, supervisor, "one", killed), timeout=20)
    assert len(lives(tmp_path, "one")) == 4


async def test_a_service_that_ends_before_it_is_ready_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    async with quick(tmp_path, Heard()) as supervisor:
        with pytest.raises(SupervisorError, match=r"(?s)one ended before it was ready.*no luck today"):
            await supervisor.start(service(tmp_path, "one", "fails"))
        assert supervisor.pids == {}


async def test_a_service_that_never_says_ready_is_given_up_and_ended(tmp_path: Path) -> None:
    async with quick(tmp_path, Heard(), Pace(start=1, stop=1)) as supervisor:
        with pytest.raises(SupervisorError, match="one was not ready within 1 s"):
            await supervisor.start(service(tmp_path, "one", "mute"))
        assert not any(alive(pid) for pid in lives(tmp_path, "one"))


async def test_a_service_that_does_not_listen_is_killed_in_the_end(tmp_path: Path) -> None:
    async with quick(tmp_path, Heard(), Pace(start=20, stop=0.3)) as supervisor:
        await supervisor.start(service(tmp_path, "one", "stubborn"))
    assert not alive(supervisor.pids["one"])


async def test_a_second_supervisor_on_the_same_directory_is_refused_and_told_who_works_there(tmp_path: Path) -> None:
    async with quick(tmp_path, Heard()) as supervisor:
        await supervisor.start(service(tmp_path, "one"))
        with pytest.raises(SupervisorError, match=f"Process {os.getpid()} already runs everything"):
            async with quick(tmp_path, Heard()):
                pass
        assert alive(supervisor.pids["one"])


@pytest.mark.crash
def test_the_services_of_a_killed_supervisor_end_and_the_next_one_waits_for_that(tmp_path: Path) -> None:
    script = str(Path(__file__).with_name("run_supervisor.py"))
    process = subprocess.Popen([sys.executable, script, str(tmp_path)], stdout=subprocess.DEVNULL)
    try:
        eventually_sync((tmp_path / "up").exists, timeout=30)
    finally:
        process.kill()
        process.wait()
    orphans = [*lives(tmp_path, "one"), *lives(tmp_path, "two")]
    assert len(orphans) == 2

    async def next_one() -> None:
        async with quick(tmp_path, Heard()) as supervisor:
            assert not any(alive(pid) for pid in orphans), "also the one that ignores SIGTERM has ended by now"
            await supervisor.start(service(tmp_path, "one"))
            await supervisor.start(service(tmp_path, "two"))

    asyncio.run(next_one())
    assert [len(lives(tmp_path, name)) for name in ("one", "two")] == [2, 2]
