"""A supervisor of two smallest services, as a process that a test can kill: `python run_supervisor.py <folder>`."""

import asyncio
import sys
from pathlib import Path

from app.demo.supervisor import Service, supervising

SERVICE = str(Path(__file__).with_name("service.py"))


async def main(folder: Path) -> None:
    async with supervising(folder, said=print, changed=lambda _: None) as supervisor:
        for name, manner in (("one", ()), ("two", ("stubborn",))):
            await supervisor.start(Service(name, (sys.executable, SERVICE, str(folder), name, *manner)))
        (folder / "up").touch()
        await asyncio.sleep(3600)


asyncio.run(main(Path(sys.argv[1])))
