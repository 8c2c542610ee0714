from collections.abc import Iterator

import pytest

from tests.security.service import LiveService, live_service
from tests.support_emulator import Emulator, start_emulator
from tests.support_postgres import TestServer


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """One GitLab emulator for this test process; each test makes its own projects and people."""
    with start_emulator(tmp_path_factory.mktemp("gitlab")) as running:
        yield running


@pytest.fixture(scope="session")
def service(
    postgres: TestServer, emulator: Emulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveService]:
    """One running service for this test process, with GitLab's own tokens as identity."""
    with postgres.database() as url, live_service(url, emulator, tmp_path_factory.mktemp("service")) as running:
        yield running
