"""`make fuzz`: random requests at every door of the running service, for as long as one likes.

    python -m tests.security.fuzz [--seconds 600] [--seed 1]

Ends with 0 where the service has answered everything as it should, has logged no fault and has not grown; else what was
wrong is told, and the seed makes it again.
"""

import argparse
import random
import sys
import tempfile
from pathlib import Path

import psutil

from tests.security.fuzzing import FAULTS, Fuzzer
from tests.security.plants import new_plant
from tests.security.service import live_service
from tests.support_emulator import start_emulator
from tests.support_postgres import embedded_server

GROWTH = 250 * 2**20
"""Bytes by which the process may grow, its caches being filled by then."""


def fuzz(seconds: float, seed: int, folder: Path) -> list[str]:
    """What was wrong; nothing, if all goes well."""
    with (
        embedded_server() as postgres,
        postgres.database() as url,
        start_emulator(folder / "gitlab") as gitlab,
        live_service(url, gitlab, folder, {"LOG_LEVEL": "INFO", "LIMIT_RATE": "1000000000"}) as service,
    ):
        fuzzer = Fuzzer(service, new_plant(service, "fossa"), seed)
        process = psutil.Process(service.process.pid)
        fuzzer.graphql(min(5.0, seconds / 10))
        before = process.memory_info().rss
        for attack, share in ((fuzzer.graphql, 0.5), (fuzzer.rest, 0.1), (fuzzer.webhooks, 0.2), (fuzzer.frames, 0.2)):
            attack(seconds * share)
        wrong = sorted(set(FAULTS.findall(service.logged())))
        if service.process.poll() is not None:
            wrong.append("the process is dead")
        elif (grown := process.memory_info().rss - before) > GROWTH:
            wrong.append(f"the process has grown by {grown // 2**20} MB")
        print(", ".join(f"{number} {kind}" for kind, number in fuzzer.sent.items()))
        return wrong


def main() -> int:
    """0 where nothing was wrong."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=600)
    options.add_argument("--seed", type=int, default=random.randrange(10**6), help="default: another one each time")
    given = options.parse_args()
    print(f"seed {given.seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="orchestrator-fuzz-"))
    wrong = fuzz(given.seconds, given.seed, folder)
    for complaint in wrong:
        print(f"WRONG: {complaint} (log: {folder / 'serve.log'})")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
