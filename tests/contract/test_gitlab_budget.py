"""Issue of rate limits: what one Balance saga costs GitLab is known, bounded, and goes over kept connections."""

from collections import Counter
from pathlib import Path

import pytest

from tests.benchmarks.gitlab import CONCURRENCY, counted_connections, opened
from tests.support_emulator import start_emulator

WRITES = 4
"""Two inputs made, two given; results are the workers' own commits."""
MOST = 120
"""73 where nothing has to be waited for; each look that comes in between adds up to 7."""


@pytest.mark.timeout(240)
async def test_a_balance_saga_keeps_to_its_requests_and_reuses_its_connections(
    database_url: str, tmp_path: Path
) -> None:
    with start_emulator(tmp_path / "gitlab") as emulator:
        async with opened(database_url, emulator) as stage:
            with counted_connections() as connections:
                made = await stage.whole_saga("issue/1-budget")
    methods = Counter(request["method"] for request in made)
    assert methods["POST"] == WRITES
    assert set(methods) == {"GET", "POST"}
    assert sum(methods.values()) <= MOST
    # One for each thread of the service, and of the two hands that set the stage; none per request.
    assert len(connections) <= CONCURRENCY + 2
