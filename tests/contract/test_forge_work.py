"""The same for what people work with in GitLab: issues, the geometry manifest, merge requests."""

import pytest

from sagas.errors import ManifestError, TerminalError
from sagas.ids import CommitSha
from sagas.ports import IssueCursor, Project
from tests.contract.worlds import BRANCH, INPUT, World

# -- issues -----------------------------------------------------------------------------------------------------------


async def test_an_issue_is_found_by_its_number_in_the_project(world: World, project: Project) -> None:
    world.add_issue(world.add_project({"a": "b"}), "Elsewhere")
    made = world.add_issue(project, "Считать конденсатор", labels=["heat", "balance"])
    found = await world.forge.issue(project.id, made.iid)
    assert found is not None
    assert (found.id, found.iid, found.project_id, found.project_path) == (made.id, 1, project.id, project.path)
    assert (found.title, found.state, found.labels) == ("Считать конденсатор", "opened", ("balance", "heat"))
    assert [assignee.id for assignee in found.assignees] == [world.engineer.id]
    assert await world.forge.issue(project.id, 2) is None


async def test_issues_are_found_by_their_numbers_together_and_no_others(world: World, project: Project) -> None:
    world.add_issue(world.add_project({"a": "b"}), "Elsewhere")
    made = [world.add_issue(project, f"Issue {number}", assigned=False) for number in range(4)]
    wanted = [made[2].iid, made[0].iid, 99]
    found = await world.forge.issues_numbered(project.id, wanted)
    assert {iid: issue.title for iid, issue in found.items()} == {wanted[0]: "Issue 2", wanted[1]: "Issue 0"}
    assert await world.forge.issues_numbered(project.id, range(10_000, 10_150)) == {}
    assert await world.forge.issues_numbered(project.id, []) == {}


async def test_the_users_own_issues_come_newest_first_page_by_page(world: World, project: Project) -> None:
    made = [world.add_issue(project, f"Issue {number}") for number in range(7)]
    world.add_issue(project, "Nobody's", assigned=False)
    seen: list[int] = []
    cursor: IssueCursor | None = None
    for expected in (3, 3, 1):
        page = await world.forge.issues(assignee=world.engineer, project=project.id, first=3, after=cursor)
        assert len(page.issues) == expected
        seen += [issue.id for issue in page.issues]
        cursor = IssueCursor(page.issues[-1].created_at, page.issues[-1].id)
        assert page.has_next == (len(seen) < 7)
    assert seen == [issue.id for issue in sorted(made, key=lambda issue: (issue.created_at, issue.id), reverse=True)]


async def test_issues_are_filtered_by_state_label_text_and_project(world: World, project: Project) -> None:
    other = world.add_project({"a": "b"})
    hot = world.add_issue(project, "Hot condenser", labels=["heat", "urgent"])
    cold = world.add_issue(project, "Cold heater", labels=["heat"])
    elsewhere = world.add_issue(other, "Cold elsewhere", labels=["urgent"])
    world.close_issue(cold)

    async def ids(within: Project | None = project, **filters: object) -> set[int]:
        number = within.id if within else None
        page = await world.forge.issues(assignee=world.engineer, project=number, **filters)  # type: ignore[arg-type]  # mixed
        return {issue.id for issue in page.issues}

    assert await ids() == {hot.id}
    assert await ids(state="all") == {hot.id, cold.id}
    assert await ids(state="closed") == {cold.id}
    assert await ids(state="all", labels=["heat", "urgent"]) == {hot.id}
    assert await ids(state="all", search="heater") == {cold.id}
    assert {hot.id, elsewhere.id} <= await ids(None)
    assert await ids(other) == {elsewhere.id}
    everywhere = await world.forge.issues(assignee=world.engineer, search="Cold elsewhere")
    assert [issue.project_path for issue in everywhere.issues] == [other.path]


# -- geometries -------------------------------------------------------------------------------------------------------


async def test_geometries_come_from_the_manifest_of_the_ref(world: World, project: Project, head: CommitSha) -> None:
    assert await world.forge.geometries(project.id, ref=BRANCH) == ()
    world.write(project, BRANCH, "geometries_manifest.json", '{"geometries": [{"key": "k-300", "name": "K-300"}]}')
    assert [geometry.key for geometry in await world.forge.geometries(project.id, ref=BRANCH)] == ["k-300"]
    assert await world.forge.geometries(project.id, ref="main") == ()
    world.write(project, BRANCH, "geometries_manifest.json", '{"geometries": [{"name": "K-300"}]}')
    with pytest.raises(ManifestError) as caught:
        await world.forge.geometries(project.id, ref=BRANCH)
    assert caught.value.where == "geometries[0].key"


# -- merge requests ---------------------------------------------------------------------------------------------------


async def test_a_merge_request_is_opened_once_and_found_again(world: World, project: Project, head: CommitSha) -> None:
    forge = world.forge
    sha = world.write(project, BRANCH, "x.json", INPUT)

    async def open_one(description: str) -> int:
        mr = await forge.create_merge_request(
            project.id, source_branch=BRANCH, target_branch="main", title="Balance", description=description
        )
        return mr.iid

    first = await open_one("<!-- saga:1/OPEN/1 -->")
    assert await open_one("<!-- saga:2/OPEN/1 -->") == first
    listed = await forge.merge_requests(project.id, source_branch=BRANCH)
    assert [(mr.iid, mr.state, mr.description) for mr in listed] == [(first, "opened", "<!-- saga:1/OPEN/1 -->")]
    found = await forge.merge_request(project.id, first)
    assert found is not None
    assert (found.title, found.source_branch, found.target_branch, found.sha) == ("Balance", BRANCH, "main", sha)
    assert found.web_url.endswith(f"/-/merge_requests/{first}")
    world.close_merge_request(project, first)
    second = await open_one("again")
    assert [mr.iid for mr in await forge.merge_requests(project.id, source_branch=BRANCH)] == [second, first]
    assert [mr.iid for mr in await forge.merge_requests(project.id, source_branch=BRANCH, state="opened")] == [second]
    assert await forge.merge_requests(project.id, source_branch=BRANCH, target_branch="other") == ()
    assert await forge.merge_requests(project.id, source_branch="issue/8") == ()
    assert await forge.merge_request(project.id, 99) is None


async def test_a_branch_cannot_be_merged_into_itself(world: World, project: Project, head: CommitSha) -> None:
    with pytest.raises(TerminalError) as caught:
        await world.forge.create_merge_request(
            project.id, source_branch=BRANCH, target_branch=BRANCH, title="x", description="x"
        )
    assert caught.value.code == "GITLAB_REJECTED"
    assert await world.forge.merge_requests(project.id, source_branch=BRANCH) == ()
