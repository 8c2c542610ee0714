"""One behaviour for every GitLab behind the Forge port: the fake of the engine's tests and the facade over a real server."""

from hashlib import sha1

import pytest

from sagas.errors import TerminalError
from sagas.ids import BlobId, CommitSha, ProjectId
from sagas.ports import ChangeKind, FileChange, Project, User
from tests.contract.worlds import BRANCH, INPUT, World

UNKNOWN = ProjectId(99_999_999)
TRAILERS = {"Saga-Id": "5a1d9c1e", "Saga-Step": "COMMIT_CONDENSER_INPUT/1"}
MESSAGE = "Save the condenser's input\n\nSaga-Id: 5a1d9c1e\nSaga-Step: COMMIT_CONDENSER_INPUT/1"


def blob(text: str) -> BlobId:
    data = text.encode()
    return BlobId(sha1(b"blob %d\0%s" % (len(data), data), usedforsecurity=False).hexdigest())


def creating(path: str, text: str = INPUT) -> FileChange:
    return FileChange(ChangeKind.CREATE, path, text)


# -- projects and branches --------------------------------------------------------------------------------------------


async def test_a_project_is_found_by_id_and_by_path(world: World, project: Project) -> None:
    assert await world.forge.project(project.id) == project
    assert await world.forge.project(project.path) == project
    assert project.default_branch == "main"
    assert project.repo_url.endswith(f"{project.path}.git")
    assert "@" not in project.repo_url, "no credentials in what workers get"


@pytest.mark.parametrize("ref", [UNKNOWN, "nobody/nothing", "", "1", "no-slash"])
async def test_an_unknown_project_is_none(world: World, project: Project, ref: ProjectId | str) -> None:
    assert await world.forge.project(ref) is None


async def test_an_empty_project_has_no_default_branch(world: World) -> None:
    empty = world.add_project()
    found = await world.forge.project(empty.id)
    assert found is not None
    assert found.default_branch is None
    assert await world.forge.branch(empty.id, "main") is None


async def test_a_branch_tells_its_head_and_who_may_push(world: World, project: Project, head: CommitSha) -> None:
    main, made = [await world.forge.branch(project.id, name) for name in ("main", BRANCH)]
    assert main is not None
    assert made is not None
    assert (main.head, main.protected, main.developers_can_push) == (head, True, False)
    assert (made.name, made.head, made.protected, made.can_push) == (BRANCH, head, False, True)
    assert made.developers_can_push


@pytest.mark.parametrize("name", ["issue/8", "issue", "no such branch", "", ".", "..", "a~b"])
async def test_a_branch_that_is_not_there_is_none(world: World, project: Project, head: CommitSha, name: str) -> None:
    assert await world.forge.branch(project.id, name) is None


async def test_making_a_branch_twice_gives_the_first_as_it_is_now(
    world: World, project: Project, head: CommitSha
) -> None:
    newer = world.write(project, BRANCH, "a.json", INPUT)
    again = await world.forge.create_branch(project.id, BRANCH, ref="main")
    assert again.head == newer != head


async def test_a_branch_from_an_unknown_ref_is_refused_and_not_made(world: World, project: Project) -> None:
    with pytest.raises(TerminalError) as caught:
        await world.forge.create_branch(project.id, "issue/8", ref="nowhere")
    assert caught.value.code == "GITLAB_REJECTED"
    assert await world.forge.branch(project.id, "issue/8") is None


async def test_the_issues_branches_are_ours_and_gitlabs_but_no_neighbours(world: World, project: Project) -> None:
    for name in ("issue/7", "7-gitlabs-own", "issue/70-other", "issue/8", "70-other", "77", "issues/7-x", "x7-y"):
        await world.forge.create_branch(project.id, name, ref="main")
    found = await world.forge.issue_branches(project.id, 7)
    assert [branch.name for branch in found] == ["7-gitlabs-own", "issue/7"]
    await world.forge.delete_branch(project.id, "issue/7")
    await world.forge.create_branch(project.id, "issue/7-b", ref="main")
    await world.forge.create_branch(project.id, "issue/7-a", ref="main")
    found = await world.forge.issue_branches(project.id, 7)
    assert [branch.name for branch in found] == ["7-gitlabs-own", "issue/7-a", "issue/7-b"]
    assert await world.forge.issue_branches(project.id, 9) == ()


async def test_deleting_a_branch_twice_is_success(world: World, project: Project, head: CommitSha) -> None:
    for _ in range(2):
        await world.forge.delete_branch(project.id, BRANCH)
        assert await world.forge.branch(project.id, BRANCH) is None


async def test_the_default_branch_cannot_be_deleted(world: World, project: Project) -> None:
    with pytest.raises(TerminalError):
        await world.forge.delete_branch(project.id, "main")
    assert await world.forge.branch(project.id, "main") is not None


# -- files ------------------------------------------------------------------------------------------------------------


async def test_a_file_comes_with_its_ids(world: World, project: Project, head: CommitSha) -> None:
    newer = world.write(project, BRANCH, "other.json", INPUT)
    for ref in (BRANCH, newer):
        file = await world.forge.get_file_content(project.id, "docs/notes.txt", ref=ref)
        assert file is not None
        assert (file.path, file.content) == ("docs/notes.txt", "Температура\n".encode())
        assert (file.blob_id, file.commit_id, file.last_commit_id) == (blob("Температура\n"), newer, head)


@pytest.mark.parametrize("path", ["condenser_input.json", "docs", "docs/missing/deep.json", "", ".."])
async def test_a_missing_file_is_none(world: World, project: Project, path: str) -> None:
    assert await world.forge.get_file_content(project.id, path, ref="main") is None


async def test_an_unknown_ref_is_a_deleted_branch_and_no_missing_file(
    world: World, project: Project, head: CommitSha
) -> None:
    world.remove_branch(project, BRANCH)
    forge = world.forge
    for call in (
        forge.get_file_content(project.id, "balance_input.json", ref=BRANCH),
        forge.blob_ids(project.id, ["balance_input.json"], ref=BRANCH),
        forge.blob_ids(project.id, ["docs/deep/x.json"], ref=BRANCH),
        forge.create_commit(project.id, BRANCH, [creating("x.json")], message="x"),
        forge.commits(project.id, branch=BRANCH, since=None, path=None),
        forge.find_own_commit(project.id, branch=BRANCH, since=head, path="x.json", trailers=TRAILERS),
        forge.is_ancestor(project.id, ancestor=head, ref=BRANCH),
        forge.geometries(project.id, ref=BRANCH),
        forge.create_merge_request(project.id, source_branch=BRANCH, target_branch="main", title="x", description="x"),
    ):
        with pytest.raises(TerminalError) as caught:
            await call
        assert caught.value.code == "BRANCH_DELETED"
    assert await forge.branch(project.id, BRANCH) is None


async def test_an_unknown_project_is_told_by_every_call(world: World) -> None:
    forge = world.forge
    for call in (
        forge.branch(UNKNOWN, "main"),
        forge.issue_branches(UNKNOWN, 7),
        forge.create_branch(UNKNOWN, "x", ref="main"),
        forge.delete_branch(UNKNOWN, "x"),
        forge.get_file_content(UNKNOWN, "x.json", ref="main"),
        forge.blob_ids(UNKNOWN, ["x.json"], ref="main"),
        forge.create_commit(UNKNOWN, "main", [creating("x.json")], message="x"),
        forge.commits(UNKNOWN, branch="main", since=None, path=None),
        forge.is_ancestor(UNKNOWN, ancestor=CommitSha("a" * 40), ref="main"),
        forge.issue(UNKNOWN, 1),
        forge.issues_numbered(UNKNOWN, [1, 2]),
        forge.geometries(UNKNOWN, ref="main"),
        forge.merge_requests(UNKNOWN, source_branch="x"),
        forge.merge_request(UNKNOWN, 1),
        forge.create_merge_request(UNKNOWN, source_branch="x", target_branch="y", title="x", description="x"),
    ):
        with pytest.raises(TerminalError) as caught:
            await call
        assert caught.value.code == "PROJECT_NOT_FOUND"


async def test_blob_ids_are_gits_own_and_none_for_what_is_not_there(world: World, project: Project) -> None:
    paths = ["balance_input.json", "docs/notes.txt", "docs", "docs/x.json", "nowhere/y.json", "z.json"]
    assert await world.forge.blob_ids(project.id, paths, ref="main") == {
        "balance_input.json": blob(INPUT),
        "docs/notes.txt": blob("Температура\n"),
        "docs": None,
        "docs/x.json": None,
        "nowhere/y.json": None,
        "z.json": None,
    }
    assert await world.forge.blob_ids(project.id, [], ref="main") == {}


# -- commits ----------------------------------------------------------------------------------------------------------


async def test_a_commit_writes_all_its_files_at_once_in_the_authors_name(
    world: World, project: Project, head: CommitSha
) -> None:
    changes = [
        creating("condenser_input.json"),
        creating("new/Новый файл.json"),
        FileChange(ChangeKind.UPDATE, "balance_input.json", "{}\n", last_commit_id=head),
        FileChange(ChangeKind.DELETE, "docs/notes.txt", last_commit_id=head),
    ]
    commit = await world.forge.create_commit(
        project.id, BRANCH, changes, message=MESSAGE, author=User(7, "irina", "Ирина", "irina@example.test")
    )
    assert (commit.title, commit.message.rstrip()) == ("Save the condenser's input", MESSAGE)
    assert (commit.author_name, commit.author_email) == ("Ирина", "irina@example.test")
    assert commit.committer_email == world.service.email
    assert (commit.trailers, commit.parent_ids) == (TRAILERS, (head,))
    made = await world.forge.branch(project.id, BRANCH)
    assert made is not None
    assert made.head == commit.sha
    paths = [change.path for change in changes]
    assert await world.forge.blob_ids(project.id, paths, ref=commit.sha) == dict(
        zip(paths, [blob(INPUT), blob(INPUT), blob("{}\n"), None], strict=True)
    )


async def test_without_an_author_a_commit_is_the_services(world: World, project: Project, head: CommitSha) -> None:
    commit = await world.forge.create_commit(project.id, BRANCH, [creating("x.json")], message="Tidy up")
    assert (commit.author_email, commit.trailers) == (world.service.email, {})


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(creating("balance_input.json", "{}"), id="create what is there"),
        pytest.param(FileChange(ChangeKind.UPDATE, "missing.json", "{}"), id="update what is not there"),
        pytest.param(FileChange(ChangeKind.DELETE, "missing.json"), id="delete what is not there"),
    ],
)
async def test_a_file_that_is_there_or_gone_is_a_conflict_and_nothing_is_written(
    world: World, project: Project, head: CommitSha, change: FileChange
) -> None:
    with pytest.raises(TerminalError) as caught:
        await world.forge.create_commit(project.id, BRANCH, [creating("first.json"), change], message="x")
    assert caught.value.code == "GITLAB_CONFLICT"
    there = await world.forge.branch(project.id, BRANCH)
    assert there is not None
    assert there.head == head


@pytest.mark.parametrize("kind", [ChangeKind.UPDATE, ChangeKind.DELETE])
async def test_a_file_changed_since_it_was_read_is_a_conflict_and_foreign_work_stays(
    world: World, project: Project, head: CommitSha, kind: ChangeKind
) -> None:
    foreign = world.write(project, BRANCH, "balance_input.json", '{"by": "hand"}\n')
    mine = FileChange(kind, "balance_input.json", "{}" if kind is ChangeKind.UPDATE else None, last_commit_id=head)
    with pytest.raises(TerminalError) as caught:
        await world.forge.create_commit(project.id, BRANCH, [mine], message="x")
    assert caught.value.code == "GITLAB_CONFLICT"
    file = await world.forge.get_file_content(project.id, "balance_input.json", ref=BRANCH)
    assert file is not None
    assert (file.content, file.last_commit_id) == (b'{"by": "hand"}\n', foreign)


async def test_changes_of_other_files_are_no_conflict(world: World, project: Project, head: CommitSha) -> None:
    foreign = world.write(project, BRANCH, "other.json", "{}\n")
    mine = FileChange(ChangeKind.UPDATE, "balance_input.json", "{}\n", last_commit_id=head)
    commit = await world.forge.create_commit(project.id, BRANCH, [mine], message="x")
    assert commit.parent_ids == (foreign,)


async def test_a_protected_branch_is_a_refusal_and_no_conflict(world: World, project: Project) -> None:
    with pytest.raises(TerminalError, match="not allowed to push") as caught:
        await world.forge.create_commit(project.id, "main", [creating("x.json")], message="x")
    assert caught.value.code == "GITLAB_REJECTED"
    assert await world.forge.get_file_content(project.id, "x.json", ref="main") is None


# -- history ----------------------------------------------------------------------------------------------------------


async def test_commits_of_a_range_come_newest_first_with_trailers(
    world: World, project: Project, head: CommitSha
) -> None:
    first = world.write(project, BRANCH, "a.json", "1\n", message="By hand\n\nCorrelation-Id: c-1")
    second = world.write(project, BRANCH, "b.json", "2\n")
    third = world.write(project, BRANCH, "a.json", None)
    forge = world.forge
    assert [c.sha for c in await forge.commits(project.id, branch=BRANCH, since=head, path=None)] == [
        third, second, first,
    ]  # fmt: skip
    touching = await forge.commits(project.id, branch=BRANCH, since=head, path="a.json")
    assert [(c.sha, dict(c.trailers)) for c in touching] == [(third, {}), (first, {"Correlation-Id": "c-1"})]
    assert [c.sha for c in await forge.commits(project.id, branch=BRANCH, since=second, path="a.json")] == [third]
    assert await forge.commits(project.id, branch=BRANCH, since=third, path=None) == ()
    everything = await forge.commits(project.id, branch=BRANCH, since=None, path=None)
    assert [c.sha for c in everything][:4] == [third, second, first, head]


async def test_a_long_history_is_read_to_its_end(world: World, project: Project, head: CommitSha) -> None:
    mine = await world.forge.create_commit(project.id, BRANCH, [creating("x.json")], message=MESSAGE)
    for number in range(101):
        world.write(project, BRANCH, "x.json", f"{number}\n")
    assert len(await world.forge.commits(project.id, branch=BRANCH, since=head, path="x.json")) == 102
    found = await world.forge.find_own_commit(project.id, branch=BRANCH, since=head, path="x.json", trailers=TRAILERS)
    assert found is not None
    assert found.sha == mine.sha


async def test_only_the_services_own_commit_is_adopted(world: World, project: Project, head: CommitSha) -> None:
    async def found() -> CommitSha | None:
        commit = await world.forge.find_own_commit(
            project.id, branch=BRANCH, since=head, path="condenser_input.json", trailers=TRAILERS
        )
        return commit.sha if commit else None

    world.write(project, BRANCH, "condenser_input.json", INPUT, message=MESSAGE)
    assert await found() is None, "anybody can copy our trailers"
    world.write(project, BRANCH, "condenser_input.json", None)
    other_visit = MESSAGE.replace("/1", "/2")
    await world.forge.create_commit(project.id, BRANCH, [creating("condenser_input.json")], message=other_visit)
    assert await found() is None, "another visit is another effect"
    world.write(project, BRANCH, "condenser_input.json", None)
    await world.forge.create_commit(project.id, BRANCH, [creating("elsewhere.json")], message=MESSAGE)
    assert await found() is None, "another file is another effect"
    mine = await world.forge.create_commit(
        project.id, BRANCH, [creating("condenser_input.json")], message=MESSAGE, author=world.engineer
    )
    assert await found() == mine.sha


async def test_a_rewritten_history_no_longer_contains_the_commit(
    world: World, project: Project, head: CommitSha
) -> None:
    mine = world.write(project, BRANCH, "x.json", INPUT)
    forge = world.forge
    assert await forge.is_ancestor(project.id, ancestor=mine, ref=BRANCH)
    assert await forge.is_ancestor(project.id, ancestor=head, ref=BRANCH)
    world.force_push(project, BRANCH, head)
    assert not await forge.is_ancestor(project.id, ancestor=mine, ref=BRANCH)
    assert not await forge.is_ancestor(project.id, ancestor=CommitSha("d" * 40), ref=BRANCH)
    assert await forge.is_ancestor(project.id, ancestor=head, ref=BRANCH)


async def test_a_base_that_the_rewriting_dropped_hides_no_commit(
    world: World, project: Project, head: CommitSha
) -> None:
    world.write(project, BRANCH, "x.json", INPUT)
    world.force_push(project, BRANCH, head)
    mine = await world.forge.create_commit(project.id, BRANCH, [creating("x.json")], message=MESSAGE)
    gone = CommitSha("d" * 40)
    found = await world.forge.find_own_commit(project.id, branch=BRANCH, since=gone, path="x.json", trailers=TRAILERS)
    assert found is not None
    assert found.sha == mine.sha
