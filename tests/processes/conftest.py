from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.processes.stage import Stage
from tests.support_emulator import Emulator, start_emulator


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with start_emulator(tmp_path_factory.mktemp("gitlab")) as running:
        yield running


@pytest.fixture
def set_stage(emulator: Emulator, database_url: str, tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    """Makes stages over the test's own database; their processes end with the test."""
    stages: list[Stage] = []

    def make(*, lease_s: float = 1.0) -> Stage:
        folder = tmp_path / uuid4().hex[:6]
        folder.mkdir()
        stages.append(Stage(emulator, database_url, folder, lease_s))
        return stages[-1]

    yield make
    for stage in stages:
        stage.close()


@pytest.fixture
def stage(set_stage: Callable[..., Stage]) -> Stage:
    """A project, a database and a lease of one second."""
    return set_stage()
