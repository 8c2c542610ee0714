import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.support_postgres import TEST_DATABASE_URL, TestServer, debian_programs, embedded_server, named_server
from tests.support_rabbitmq import BROKER_URL, RabbitMq, rabbitmq_node

# The same examples in every run, so that a red build means a change; HYPOTHESIS_PROFILE=explore looks for new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

SECOND_CHANCE = (
    "adapters",
    "app",
    "benchmarks",
    "browser",
    "contract",
    "demo",
    "emulator",
    "facade",
    "identity",
    "npm",
    "processes",
    "runtime",
    "security",
    "telemetry",
    "worker",
)
"""Folders whose tests talk to real servers under deadlines, which a busy machine can make them miss.

A failure there is tried once more and shows as RERUN in the summary: a test to be mended, but no red build. Everything
else has one chance: what a random story, a crash or a race found once is a finding.
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name in SECOND_CHANCE and "CI" in os.environ:
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(scope="session")
def postgres() -> Iterator[TestServer]:
    """The PostgreSQL of this test process: the one that the environment names, else one from the wheel."""
    url = os.environ.get(TEST_DATABASE_URL)
    with named_server(url) if url else embedded_server() as server:
        yield server


@pytest.fixture(scope="session")
def debian_postgres() -> Iterator[TestServer]:
    """Debian's PostgreSQL, the older of the versions that the statements must run on."""
    with embedded_server(programs=debian_programs()) as server:
        yield server


@pytest.fixture
def database_url(postgres: TestServer) -> Iterator[str]:
    """A fresh database at the newest migration; dropped after the test."""
    with postgres.database() as url:
        yield url


@pytest.fixture
def empty_database_url(postgres: TestServer) -> Iterator[str]:
    """A fresh database without any table; dropped after the test."""
    with postgres.database(migrated=False) as url:
        yield url


@pytest.fixture(params=["wheel", "debian"])
def any_postgres(request: pytest.FixtureRequest) -> TestServer:
    """Runs the test on both versions of PostgreSQL that we promise to work with."""
    server = request.getfixturevalue("postgres" if request.param == "wheel" else "debian_postgres")
    assert isinstance(server, TestServer)
    return server


@pytest.fixture
def any_database_url(any_postgres: TestServer) -> Iterator[str]:
    """`database_url` on both versions of PostgreSQL."""
    with any_postgres.database() as url:
        yield url


@pytest.fixture
def any_empty_database_url(any_postgres: TestServer) -> Iterator[str]:
    """`empty_database_url` on both versions of PostgreSQL."""
    with any_postgres.database(migrated=False) as url:
        yield url


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitMq]:
    """A RabbitMQ node of this test process's own, which a test may stop, kill and start again."""
    with rabbitmq_node() as node:
        yield node


@pytest.fixture
def rabbitmq_url(request: pytest.FixtureRequest) -> str:
    """A RabbitMQ to publish to: the one that the environment names, else our own."""
    named = os.environ.get(BROKER_URL)
    return named or str(request.getfixturevalue("rabbitmq").url)
