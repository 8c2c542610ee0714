"""A short burst of the requests that `make fuzz` sends for ten minutes, always the same ones."""

from collections.abc import Iterator

import psutil
import pytest

from tests.security.fuzzing import FAULTS, Fuzzer
from tests.security.plants import new_plant
from tests.security.service import LiveService

pytestmark = [pytest.mark.xdist_group("live service"), pytest.mark.timeout(300)]

SECONDS = 5.0
GROWTH = 150 * 2**20
"""Bytes by which the process may grow: its caches fill."""


@pytest.fixture(scope="module")
def fuzzer(service: LiveService) -> Fuzzer:
    return Fuzzer(service, new_plant(service, "fossa"))


@pytest.fixture(autouse=True)
def nothing_breaks(service: LiveService, fuzzer: Fuzzer) -> Iterator[None]:
    """Afterwards the process is the same, no bigger, has logged no fault, and answers."""
    process, logged = psutil.Process(service.process.pid), len(service.logged())
    before = process.memory_info().rss
    yield
    assert service.process.poll() is None
    assert process.memory_info().rss - before < GROWTH
    assert FAULTS.findall(service.logged()[logged:]) == []
    assert service.ask("{ viewer { username } }", fuzzer.token)["viewer"]["username"]


def test_no_document_makes_the_service_fail(fuzzer: Fuzzer) -> None:
    fuzzer.graphql(2 * SECONDS)
    assert min(fuzzer.sent["graphql"], fuzzer.sent["nonsense to graphql"]) > 10


def test_no_rest_request_makes_the_service_fail(fuzzer: Fuzzer) -> None:
    fuzzer.rest(SECONDS / 2)
    assert fuzzer.sent["rest"] > 5


def test_no_delivery_makes_the_service_fail(fuzzer: Fuzzer) -> None:
    fuzzer.webhooks(SECONDS / 2)
    assert fuzzer.sent["webhooks"] > 10


def test_no_frames_make_the_service_fail(fuzzer: Fuzzer) -> None:
    fuzzer.frames(SECONDS)
    assert fuzzer.sent["frames"] > 5
