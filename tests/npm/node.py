"""Scripts of this folder, run by Node; they tell what they find as lines of JSON."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
_WITH_NODE = FOLDER.parents[1] / "app" / "with-node"
PATIENCE_S = 60.0


class Script:
    """A script at work."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def tells(self) -> Any:
        """The next thing that it says; AssertionError where it says nothing more or nothing in time."""
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(PATIENCE_S):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise AssertionError("the script says nothing") from None
        assert line, f"the script has ended: {await self._complaint()}"
        return json.loads(line)

    async def rest(self) -> list[Any]:
        """Everything else that it says until it ends, which must be in order."""
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            lines = [json.loads(line) async for line in self._process.stdout]
            assert await self._process.wait() == 0, await self._complaint()
        return lines

    async def told(self, message: object) -> None:
        """Say something to it."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        await self._process.stdin.drain()

    async def _complaint(self) -> str:
        assert self._process.stderr is not None
        return (await self._process.stderr.read()).decode(errors="replace")[-4000:]


@asynccontextmanager
async def running(script: str, **given: object) -> AsyncIterator[Script]:
    """The script `<name>` of this folder with these arguments, which it finds as JSON; it is ended at the end."""
    process = await asyncio.create_subprocess_exec(
        _WITH_NODE,
        "node",
        str(FOLDER / script),
        json.dumps(given),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=2**24,
    )
    try:
        yield Script(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def with_node(*command: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """A command of Node's, run to its end there."""
    return subprocess.run([_WITH_NODE, *command], cwd=cwd, capture_output=True, text=True, check=False)


async def run(script: str, **given: object) -> list[Any]:
    """All that the script says."""
    async with running(script, **given) as at_work:
        return await at_work.rest()
