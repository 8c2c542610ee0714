"""One emulator per test process; every test makes its own project."""

from collections.abc import Callable, Iterator

import gitlab
import pytest
from gitlab.v4.objects import Project

from tests.support_emulator import Emulator, EmulatorProject, EmulatorUser, start_emulator


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with start_emulator(tmp_path_factory.mktemp("emulator")) as running:
        yield running


@pytest.fixture
def troubled(emulator: Emulator) -> Iterator[Emulator]:
    """The emulator for tests of faults and lag; a test process runs one test at a time, so only clearing up is needed."""
    yield emulator
    emulator.clear_faults()
    emulator.lag(branch_list_s=0, merge_status_s=0, webhook_s=0, pretend_next_branch_page=False)


@pytest.fixture
def developer(emulator: Emulator) -> EmulatorUser:
    return emulator.create_user()


@pytest.fixture
def plant(emulator: Emulator, developer: EmulatorUser) -> EmulatorProject:
    """A project with one commit, in which `developer` is one."""
    files = {"balance_input.json": '{\n  "power": 300\n}\n', "src/app.py": 'print("hi!")\n'}
    return emulator.create_project(files=files, members={developer.id: 30})


Connect = Callable[[EmulatorUser], gitlab.Gitlab]


@pytest.fixture
def connect(emulator: Emulator) -> Connect:
    def client(user: EmulatorUser) -> gitlab.Gitlab:
        return gitlab.Gitlab(emulator.url, private_token=user.token, timeout=20)

    return client


@pytest.fixture
def project(connect: Connect, developer: EmulatorUser, plant: EmulatorProject) -> Project:
    """`plant` through python-gitlab, as its developer."""
    return connect(developer).projects.get(plant.id)
