"""What a real server shows late must not mislead: branch lists are cached there, single branches are not."""

from collections.abc import Iterator

import pytest

from tests.contract.server_world import ServerWorld
from tests.support_emulator import Emulator


@pytest.fixture
def slow_lists(emulator: Emulator) -> Iterator[None]:
    emulator.lag(branch_list_s=30, merge_status_s=30, pretend_next_branch_page=True)
    yield
    emulator.lag(branch_list_s=0, merge_status_s=0, pretend_next_branch_page=False)


@pytest.mark.usefixtures("slow_lists")
async def test_a_branch_is_seen_and_gone_at_once_though_the_list_is_old(server_world: ServerWorld) -> None:
    forge, project = server_world.forge, server_world.add_project({"a.json": "{}\n"})
    await forge.create_branch(project.id, "issue/7-x", ref="main")
    assert [branch.name for branch in await forge.issue_branches(project.id, 7)] == ["issue/7-x"]
    newer = server_world.write(project, "issue/7-x", "a.json", "[]\n")
    assert [branch.head for branch in await forge.issue_branches(project.id, 7)] == [newer]
    server_world.remove_branch(project, "issue/7-x")
    assert await forge.issue_branches(project.id, 7) == (), "the list still names it"
    await forge.create_branch(project.id, "issue/7", ref="main")
    assert [branch.name for branch in await forge.issue_branches(project.id, 7)] == ["issue/7"]


@pytest.mark.usefixtures("slow_lists")
async def test_a_merge_request_that_gitlab_still_prepares_is_a_merge_request(server_world: ServerWorld) -> None:
    forge, project = server_world.forge, server_world.add_project({"a.json": "{}\n"})
    await forge.create_branch(project.id, "issue/7", ref="main")
    sha = server_world.write(project, "issue/7", "a.json", "[]\n")
    made = await forge.create_merge_request(
        project.id, source_branch="issue/7", target_branch="main", title="Balance", description="x"
    )
    assert (made.state, made.sha) == ("opened", sha)
    assert await forge.merge_requests(project.id, source_branch="issue/7", state="opened") == (made,)


@pytest.mark.usefixtures("slow_lists")
async def test_more_branches_than_a_page_are_all_read(server_world: ServerWorld) -> None:
    forge, project = server_world.forge, server_world.add_project({"a.json": "{}\n"})
    names = sorted(f"issue/7-{number:03}" for number in range(101))
    for name in names:
        await forge.create_branch(project.id, name, ref="main")
    assert [branch.name for branch in await forge.issue_branches(project.id, 7)] == names
