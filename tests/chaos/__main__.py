"""`make chaos`: kills and faults over the running service, and the proof that nothing was lost and nothing done twice.

ARGS="--sagas N --balance N --seconds S --seed X"; exit status 1 on any violation.
"""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.chaos.plan import Options, make_plan
from tests.chaos.run import run, say


def options(arguments: list[str]) -> tuple[Options, Path | None]:
    """What was asked for; ends the process with a text where it makes no sense."""
    usual = Options(seed=0)
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("--sagas", type=int, default=usual.sagas, help="engine-only sagas (500)")
    add("--balance", type=int, default=usual.balance, help="Balance sagas with real calculations and commits (50)")
    add("--seconds", type=float, default=usual.seconds, help="how long there are kills and faults (120)")
    add("--seed", type=int, default=None, help="of the plan; random and told unless given")
    add("--pause", type=float, nargs=2, default=usual.pause, metavar=("LEAST", "MOST"), help="between kills (5 40)")
    add("--apis", type=int, default=usual.apis)
    add("--engines", type=int, default=usual.engines)
    add("--workers", type=int, default=usual.workers)
    add("--keep", type=Path, default=None, help="a new folder for recordings, repositories and logs, kept")
    given = parser.parse_args(arguments)
    if min(given.sagas, given.balance) < 0 or given.seconds <= 0 or not 0 < given.pause[0] <= given.pause[1]:
        parser.error("numbers of sagas must be 0 or more, seconds and pauses above 0, the least pause first")
    if min(given.apis, given.engines, given.workers) < 1:
        parser.error("there must be at least one API, one engine and one worker")
    if given.keep is not None and given.keep.exists():
        parser.error(f"--keep {given.keep} is there already; name a new folder")
    seed = random.SystemRandom().randrange(1_000_000) if given.seed is None else given.seed
    asked = Options(
        seed,
        given.sagas,
        given.balance,
        given.seconds,
        (given.pause[0], given.pause[1]),
        given.apis,
        given.engines,
        given.workers,
    )
    return asked, given.keep


def main() -> int:
    """The exit status: 0 where all promises held."""
    asked, keep = options(sys.argv[1:])
    folder = (keep or Path(tempfile.mkdtemp(prefix="orchestrator-chaos-"))).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)  # PostgreSQL may run as another user
    status = 1
    try:
        status = asyncio.run(run(make_plan(asked), folder))
    finally:
        if keep is None and status == 0:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            say(f"recordings, repositories and logs are in {folder}")
    return status


if __name__ == "__main__":
    sys.exit(main())
