"""Commits, files and branches through the API: statuses and texts byte for byte."""

import base64
import hashlib
from collections.abc import Callable

import gitlab
import pytest
import requests
from gitlab.v4.objects import Project

from tests.support_emulator import Emulator, EmulatorProject, EmulatorUser

Post = Callable[..., requests.Response]


@pytest.fixture
def send(emulator: Emulator, developer: EmulatorUser, plant: EmulatorProject) -> Post:
    """One raw request below the project, as its developer."""

    def send_one(method: str, path: str, body: dict[str, object] | None = None) -> requests.Response:
        address = f"{emulator.url}/api/v4/projects/{plant.id}{path}"
        return requests.request(method, address, json=body, headers={"PRIVATE-TOKEN": developer.token}, timeout=20)

    return send_one


@pytest.fixture
def branch(project: Project) -> str:
    """A branch the developer may push to."""
    return str(project.branches.create({"branch": "work", "ref": "main"}).name)


def head_of(emulator: Emulator, project_id: int, branch: str) -> str:
    return str(emulator.api("GET", f"/projects/{project_id}/repository/branches/{branch}")["commit"]["id"])


def action(kind: str = "create", path: str = "new.txt", **more: object) -> dict[str, object]:
    return {"action": kind, "file_path": path, **more}


def test_a_commit_with_every_action_is_one_commit(project: Project, branch: str) -> None:
    project.commits.create(
        {
            "branch": branch,
            "commit_message": "Prepare",
            "actions": [action(path="a"), action(path="b", content="b\n"), action(path="c", content="c\n")],
        }
    )
    before = project.branches.get(branch).commit["id"]
    commit = project.commits.create(
        {
            "branch": branch,
            "commit_message": "All at once\n\nSaga-Id: 42\nSaga-Step: COMMIT/1",
            "author_name": "Ada L",
            "author_email": "ada@plant.example",
            "actions": [
                action("create", "dir/new.bin", content=base64.b64encode(b"\0\1").decode(), encoding="base64"),
                action("update", "b", content="B\n"),
                action("delete", "a"),
                action("move", "moved/c", previous_path="c"),
                action("chmod", "balance_input.json", execute_filemode=True),
            ],
        }
    )
    assert commit.parent_ids == [before]
    assert commit.trailers == {"Saga-Id": "42", "Saga-Step": "COMMIT/1"}
    assert commit.author_name == "Ada L"
    assert commit.committer_name != "Ada L"
    assert project.files.raw("dir/new.bin", ref=branch) == b"\0\1"
    assert project.files.raw("moved/c", ref=branch) == b"c\n"
    assert project.files.get("balance_input.json", ref=branch).execute_filemode is True
    paths = {one["path"] for one in project.repository_tree(ref=branch, recursive=True, get_all=True)}
    assert paths == {"src", "src/app.py", "b", "balance_input.json", "dir", "dir/new.bin", "moved", "moved/c"}
    changes = {(one["old_path"], one["new_path"]) for one in commit.diff(get_all=True)}
    assert ("c", "moved/c") in changes
    assert all(one["diff"].startswith("@@") for one in commit.diff(get_all=True) if one["new_path"] == "b")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"branch": ""}, "branch is required"),
        ({"commit_message": " "}, "commit_message is required"),
        ({"actions": []}, "actions is required"),
        ({"start_branch": "main", "start_sha": "0" * 40}, "start_branch, start_sha are mutually exclusive"),
        ({"actions": [{"file_path": "x"}]}, "actions[0][action] is required"),
        ({"actions": [{"action": "create"}]}, "actions[0][file_path] is required"),
        ({"actions": [action("copy")]}, "actions[0][action] must be one of: create, update, move, delete, chmod"),
        ({"actions": [action(encoding="utf7")]}, "actions[0][encoding] must be text or base64"),
        ({"actions": [action("update")]}, "actions[0][content] is required for update action"),
        ({"actions": [action("move")]}, "actions[0][previous_path] is required for move action"),
        ({"actions": [action("chmod")]}, "actions[0][execute_filemode] is required for chmod action"),
    ],
)
def test_a_misshapen_commit_names_its_fault_and_commits_nothing(
    emulator: Emulator, plant: EmulatorProject, branch: str, send: Post, change: dict[str, object], text: str
) -> None:
    before = head_of(emulator, plant.id, branch)
    body = {"branch": branch, "commit_message": "x", "actions": [action(content="x")], **change}
    answer = send("POST", "/repository/commits", body)
    if change == {"branch": ""}:
        # Without a branch there is nothing the caller could be refused: the shape is told.
        assert answer.status_code in (400, 403)
    assert answer.json() == {"message": f"400 Bad request - {text}"}
    assert head_of(emulator, plant.id, branch) == before


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"actions": [action(path="balance_input.json")]}, "A file with this name already exists"),
        ({"actions": [action(path="src")]}, "A directory with this name already exists"),
        ({"actions": [action("update", "nope", content="x")]}, "A file with this name doesn't exist"),
        ({"actions": [action("delete", "nope")]}, "A file with this name doesn't exist"),
        ({"actions": [action("move", "x", previous_path="nope")]}, "A file with this name doesn't exist"),
        ({"actions": [action("chmod", "nope", execute_filemode=True)]}, "A file with this name doesn't exist"),
        ({"actions": [action(path="/")]}, "You must provide a file path"),
        ({"actions": [action(path="../x")]}, "Path cannot include directory traversal"),
        ({"actions": [action(path=".git/config")]}, "invalid path: '.git/config'"),
        ({"branch": "not-there"}, "You can only create or edit files when you are on a branch"),
        (
            {"start_branch": "main"},
            "A branch called 'work' already exists. Switch to that branch in order to make changes",
        ),
        ({"start_sha": "zz"}, "Invalid start_sha 'zz'"),
        ({"start_sha": "1" * 40}, f"Cannot find start_sha '{'1' * 40}'"),
        (
            {"branch": "bad..name", "start_branch": "main"},
            "Something went wrong when we tried to create 'bad..name' for you: Branch name is invalid",
        ),
    ],
)
def test_a_refused_commit_has_gitlabs_text_and_commits_nothing(
    emulator: Emulator, plant: EmulatorProject, branch: str, send: Post, change: dict[str, object], text: str
) -> None:
    before = emulator.api("GET", f"/projects/{plant.id}/repository/branches")
    body = {"branch": branch, "commit_message": "x", "actions": [action(content="x")], **change}
    answer = send("POST", "/repository/commits", body)
    assert (answer.status_code, answer.json()) == (400, {"message": text})
    assert emulator.api("GET", f"/projects/{plant.id}/repository/branches") == before


def test_one_bad_action_spoils_the_whole_commit(
    emulator: Emulator, plant: EmulatorProject, branch: str, send: Post
) -> None:
    before = head_of(emulator, plant.id, branch)
    actions = [action(content="good"), action("update", "nope", content="bad")]
    assert (
        send("POST", "/repository/commits", {"branch": branch, "commit_message": "x", "actions": actions}).status_code
        == 400
    )
    assert head_of(emulator, plant.id, branch) == before
    assert emulator.read_file(plant.id, "new.txt", branch) is None


def test_last_commit_id_guards_a_file_and_only_that_file(
    emulator: Emulator, plant: EmulatorProject, branch: str, send: Post
) -> None:
    read_at = head_of(emulator, plant.id, branch)
    emulator.commit(plant.id, branch, {"other.txt": "x"})
    change = action("update", "balance_input.json", content="{}\n", last_commit_id=read_at)
    accepted = send("POST", "/repository/commits", {"branch": branch, "commit_message": "x", "actions": [change]})
    assert accepted.status_code == 201
    change = action("update", "balance_input.json", content="[]\n", last_commit_id=read_at)
    stale = send("POST", "/repository/commits", {"branch": branch, "commit_message": "x", "actions": [change]})
    text = "The file has changed since you started editing it: balance_input.json"
    assert (stale.status_code, stale.json()) == (400, {"message": text})
    put = {"branch": branch, "commit_message": "x", "content": "[]\n", "last_commit_id": read_at}
    stale_put = send("PUT", "/repository/files/balance_input.json", put)
    text = "You are attempting to update a file that has changed since you started editing it."
    assert (stale_put.status_code, stale_put.json()) == (400, {"message": text})
    assert emulator.read_file(plant.id, "balance_input.json", branch) == "{}\n"


def test_start_sha_makes_a_branch_once_and_force_overwrites_it(project: Project) -> None:
    base = project.branches.get("main").commit["id"]
    body = {"branch": "from-sha", "start_sha": base, "commit_message": "x", "actions": [action(content="1")]}
    first = project.commits.create(body)
    with pytest.raises(gitlab.GitlabCreateError) as refusal:
        project.commits.create(body)
    assert refusal.value.response_code == 400
    assert str(refusal.value.error_message).startswith("A branch called 'from-sha' already exists.")
    assert project.branches.get("from-sha").commit["id"] == first.id
    forced = project.commits.create({**body, "force": True})
    assert project.branches.get("from-sha").commit["id"] == forced.id
    assert forced.parent_ids == [base]


def test_a_protected_branch_is_403_for_commits_and_400_for_files(
    emulator: Emulator, plant: EmulatorProject, send: Post
) -> None:
    before = head_of(emulator, plant.id, "main")
    commit = send(
        "POST", "/repository/commits", {"branch": "main", "commit_message": "x", "actions": [action(content="x")]}
    )
    assert commit.status_code == 403
    assert commit.json() == {"message": "403 Forbidden - You are not allowed to push into this branch"}
    file = send("POST", "/repository/files/new.txt", {"branch": "main", "commit_message": "x", "content": "x"})
    assert (file.status_code, file.json()) == (400, {"message": "You are not allowed to push into this branch"})
    assert head_of(emulator, plant.id, "main") == before


def test_files_answer_201_200_204_with_gitlabs_bodies(send: Post, branch: str) -> None:
    body = {"branch": branch, "commit_message": "x", "content": "one"}
    made = send("POST", "/repository/files/dir%2Fa.txt", body)
    assert (made.status_code, made.json()) == (201, {"file_path": "dir/a.txt", "branch": branch})
    again = send("POST", "/repository/files/dir%2Fa.txt", body)
    assert (again.status_code, again.json()) == (400, {"message": "A file with this name already exists"})
    changed = send("PUT", "/repository/files/dir%2Fa.txt", body | {"content": "two"})
    assert (changed.status_code, changed.json()) == (200, {"file_path": "dir/a.txt", "branch": branch})
    gone = send("DELETE", f"/repository/files/dir%2Fa.txt?branch={branch}&commit_message=x")
    assert (gone.status_code, gone.content) == (204, b"")
    missing = send("DELETE", f"/repository/files/dir%2Fa.txt?branch={branch}&commit_message=x")
    assert (missing.status_code, missing.json()) == (400, {"message": "A file with this name doesn't exist"})
    blank = send("POST", "/repository/files/x", {"branch": branch, "commit_message": "", "content": "x"})
    assert (blank.status_code, blank.json()) == (400, {"error": "commit_message is empty"})
    absent = send("POST", "/repository/files/x", {"branch": branch})
    assert absent.json() == {"error": "commit_message is missing, content is missing"}


def test_a_file_tells_its_blob_sha256_and_last_commit(
    emulator: Emulator, plant: EmulatorProject, project: Project
) -> None:
    first = head_of(emulator, plant.id, "main")
    tip = emulator.commit(plant.id, "main", {"other": "x"})
    file = project.files.get("src/app.py", ref="main")
    content = b'print("hi!")\n'
    assert file.decode() == content
    assert file.content_sha256 == hashlib.sha256(content).hexdigest()
    assert file.blob_id == hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    assert (file.commit_id, file.last_commit_id) == (tip, first)


def test_an_unknown_ref_is_told_before_an_unknown_path(send: Post) -> None:
    assert send("GET", "/repository/files/nope?ref=nope").json() == {"message": "404 Commit Not Found"}
    assert send("GET", "/repository/files/nope?ref=main").json() == {"message": "404 File Not Found"}
    assert send("GET", "/repository/files/src?ref=main").json() == {"message": "404 File Not Found"}
    assert send("GET", "/repository/files/nope").json() == {"error": "ref is missing"}


def test_branches_answer_with_gitlabs_texts(send: Post, branch: str) -> None:
    def make(name: str, ref: str = "main") -> tuple[int, object]:
        answer = send("POST", "/repository/branches", {"branch": name, "ref": ref})
        return answer.status_code, answer.json()

    assert make(branch) == (400, {"message": "Branch already exists"})
    assert make("bad name") == (400, {"message": "Branch name is invalid"})
    text = "Failed to create branch 'x': invalid reference name 'nope'"
    assert make("x", "nope") == (400, {"message": text})
    assert make("x", "") == (400, {"error": "ref is empty"})
    text = "You cannot create a branch with a 40-character hexadecimal branch name."
    assert make("a" * 40) == (400, {"message": text})
    status, body = make(f"{branch}/below")
    assert status == 400
    assert str(body).startswith(f"{{'message': \"Failed to create branch '{branch}/below'")
    assert send("GET", "/repository/branches/nope").json() == {"message": "404 Branch Not Found"}
    assert send("GET", "/repository/branches/a..b").json() == {"message": "The branch refname is invalid"}
    assert send("HEAD", f"/repository/branches/{branch}").status_code == 204
    assert send("HEAD", "/repository/branches/nope").status_code == 404
    assert send("DELETE", f"/repository/branches/{branch}").status_code == 204
    assert send("DELETE", f"/repository/branches/{branch}").json() == {"message": "404 Branch Not Found"}
    kept = send("DELETE", "/repository/branches/main")
    assert kept.json() == {"message": "The default branch of a project cannot be deleted."}
    assert send("GET", "/repository/branches/main").status_code == 200


def test_commits_are_found_by_range_path_and_trailer(emulator: Emulator, project: Project) -> None:
    base = project.branches.get("main").commit["id"]
    project.branches.create({"branch": "saga", "ref": "main"})
    for step in ("A/1", "B/1"):
        emulator.commit(
            project.id, "saga", {f"{step[0]}.json": step}, message=f"Do {step}\n\nSaga-Step: {step}\nSaga-Id: 7"
        )
    found = project.commits.list(ref_name=f"{base}..saga", trailers=True, get_all=True)
    assert [one.trailers["Saga-Step"] for one in found] == ["B/1", "A/1"]
    assert found[0].extended_trailers == {"Saga-Step": ["B/1"], "Saga-Id": ["7"]}
    # As a plain keyword `path` would replace the address in python-gitlab.
    wanted = {"ref_name": f"{base}..saga", "path": "A.json", "trailers": True}
    only = project.commits.list(query_parameters=wanted, get_all=True)
    assert [one.trailers["Saga-Step"] for one in only] == ["A/1"]
    assert project.commits.list(ref_name="saga..main", get_all=True) == []
    assert project.commits.list(ref_name="nope", get_all=True) == []
    assert project.commits.list(ref_name="main", get_all=True)[0].trailers == {}
    with pytest.raises(gitlab.GitlabGetError, match="404 Commit Not Found"):
        project.commits.get("f" * 40)
    assert project.commits.get("saga").id == found[0].id
    assert project.commits.get("saga").sequence() == {"count": 3}
    assert project.commits.get(found[0].id[:8]).id == found[0].id


def test_a_path_with_pattern_characters_is_taken_literally(emulator: Emulator, project: Project) -> None:
    project.branches.create({"branch": "stars", "ref": "main"})
    star = emulator.commit(project.id, "stars", {"a*.txt": "1"})
    emulator.commit(project.id, "stars", {"ab.txt": "1"})
    found = project.commits.list(query_parameters={"ref_name": "stars", "path": "a*.txt"}, get_all=True)
    assert [one.id for one in found] == [star]
    assert project.files.get("a*.txt", ref="stars").last_commit_id == star


def test_a_revert_is_recognised_when_done_twice_or_in_conflict(emulator: Emulator, project: Project) -> None:
    project.branches.create({"branch": "undo", "ref": "main"})
    first = emulator.commit(project.id, "undo", {"x.txt": "1\n"}, message="Write x")
    commit = project.commits.get(first)
    commit.revert(branch="undo")
    assert project.commits.get("undo").message.rstrip("\n") == (f'Revert "Write x"\n\nThis reverts commit {first}')
    assert emulator.read_file(project.id, "x.txt", "undo") is None
    head = project.branches.get("undo").commit["id"]
    with pytest.raises(gitlab.GitlabRevertError) as again:
        commit.revert(branch="undo")
    assert b'"error_code":"empty"' in (again.value.response_body or b"")
    second = emulator.commit(project.id, "undo", {"x.txt": "2\n"})
    third = emulator.commit(project.id, "undo", {"x.txt": "3\n"})
    with pytest.raises(gitlab.GitlabRevertError) as conflict:
        project.commits.get(second).revert(branch="undo")
    assert b'"error_code":"conflict"' in (conflict.value.response_body or b"")
    assert conflict.value.response_code == 400
    assert project.branches.get("undo").commit["id"] == third
    assert head != third


@pytest.mark.parametrize(("verb", "past"), [("revert", "reverted"), ("cherry_pick", "cherry-picked")])
def test_what_cannot_be_replayed_has_gitlabs_text_and_code_and_commits_nothing(
    emulator: Emulator, project: Project, send: Post, verb: str, past: str
) -> None:
    project.branches.create({"branch": "undo", "ref": "main"})
    second = emulator.commit(project.id, "undo", {"x.txt": "2\n"})
    head = emulator.commit(project.id, "undo", {"x.txt": "3\n"})
    text = (
        f"Sorry, we cannot {verb.replace('_', '-')} this commit automatically. This commit may already have been {past}, "
        "or a more recent commit may have updated some of its content."
    )
    refused = {"message": text, "error_code": "conflict"}
    address = f"/repository/commits/{second}/{verb}"
    answer = send("POST", address, {"branch": "undo"})
    assert (answer.status_code, answer.json()) == (400, refused)
    dry = send("POST", address, {"branch": "undo", "dry_run": True})
    assert (dry.status_code, dry.json()) == (400, refused | {"dry_run": "error"})
    assert send("POST", address, {"branch": "nope"}).json() == {"message": "404 Branch Not Found"}
    unknown = send("POST", f"/repository/commits/{'f' * 40}/{verb}", {"branch": "undo"})
    assert (unknown.status_code, unknown.json()) == (404, {"message": "404 Commit Not Found"})
    project.branches.create({"branch": "fresh", "ref": second if verb == "revert" else "main"})
    fine = send("POST", address, {"branch": "fresh", "dry_run": True})
    assert (fine.status_code, fine.json()) == (200, {"dry_run": "success"})
    assert project.branches.get("undo").commit["id"] == head
    assert project.branches.get("fresh").commit["id"] == (
        second if verb == "revert" else project.commits.get("main").id
    )


def test_a_range_that_is_none_and_a_project_of_no_fork_are_refused(send: Post, branch: str) -> None:
    bad = send("GET", "/repository/commits?ref_name=a%20b")
    assert (bad.status_code, bad.json()) == (400, {"message": "ref_name is invalid"})
    body = {"branch": branch, "commit_message": "x", "actions": [action(content="x")], "start_project": 999}
    stranger = send("POST", "/repository/commits", body)
    assert stranger.status_code == 403
    assert stranger.json()["message"].startswith("403 Forbidden - Project is not included in the fork network for ")


def test_a_cherry_pick_names_its_source(emulator: Emulator, project: Project) -> None:
    project.branches.create({"branch": "from", "ref": "main"})
    project.branches.create({"branch": "to", "ref": "main"})
    picked = emulator.commit(project.id, "from", {"y.txt": "y\n"}, message="Write y")
    emulator.commit(project.id, "to", {"z.txt": "z\n"})
    project.commits.get(picked).cherry_pick(branch="to")
    assert emulator.read_file(project.id, "y.txt", "to") == "y\n"
    message = project.commits.get("to").message
    assert message.endswith(f"(cherry picked from commit {picked})\n")


def test_compare_and_merge_base_follow_history(emulator: Emulator, project: Project) -> None:
    base = project.branches.get("main").commit["id"]
    project.branches.create({"branch": "side", "ref": "main"})
    tip = emulator.commit(project.id, "side", {"s": "s\n"})
    emulator.commit(project.id, "main", {"m": "m\n"})
    found = project.repository_compare("main", "side")
    assert isinstance(found, dict)
    assert [one["id"] for one in found["commits"]] == [tip]
    assert [one["new_path"] for one in found["diffs"]] == ["s"]
    same = project.repository_compare("main", "main")
    assert isinstance(same, dict)
    assert (same["compare_same_ref"], same["commit"], same["diffs"]) == (True, None, [])
    common = project.repository_merge_base(["main", "side"])
    assert isinstance(common, dict)
    assert common["id"] == base
    with pytest.raises(gitlab.GitlabGetError, match="Could not find ref: nope"):
        project.repository_merge_base(["main", "nope"])
    with pytest.raises(gitlab.GitlabGetError, match="Provide at least 2 refs"):
        project.repository_merge_base(["main"])
    with pytest.raises(gitlab.GitlabGetError, match="404 Ref Not Found"):
        project.repository_compare("main", "nope")


def test_blame_tells_who_wrote_which_lines(emulator: Emulator, project: Project) -> None:
    first = emulator.commit(project.id, "lines", {"l.txt": "one\n"}, start_branch="main")
    second = emulator.commit(project.id, "lines", {"l.txt": "one\ntwo\nthree\n"})
    blame = project.files.blame("l.txt", ref="lines")
    assert [(one["commit"]["id"], one["lines"]) for one in blame] == [(first, ["one"]), (second, ["two", "three"])]


def test_an_old_view_of_a_branch_does_not_delete_it(
    emulator: Emulator, plant: EmulatorProject, developer: EmulatorUser, branch: str
) -> None:
    address = f"{emulator.url}/api/v4/projects/{plant.id}/repository/branches/{branch}"
    headers = {"PRIVATE-TOKEN": developer.token, "If-Unmodified-Since": "Mon, 01 Jan 2001 00:00:00 GMT"}
    answer = requests.delete(address, headers=headers, timeout=20)
    assert (answer.status_code, answer.json()) == (412, {"message": "412 Precondition Failed"})
    assert head_of(emulator, plant.id, branch)


def test_an_external_status_shows_on_its_commit(project: Project) -> None:
    commit = project.commits.get("main")
    assert commit.status is None
    commit.statuses.create({"state": "success", "name": "worker", "target_url": "http://x"})
    assert [(one.name, one.status) for one in commit.statuses.list(get_all=True)] == [("worker", "success")]
    assert project.commits.get("main").status == "success"
    assert project.pipelines.list(get_all=True) == []
    with pytest.raises(gitlab.GitlabHttpError) as none:
        project.pipelines.latest()
    assert none.value.response_code == 403


def test_a_protection_is_made_once_changed_and_taken_away(
    emulator: Emulator, plant: EmulatorProject, send: Post
) -> None:
    admin = gitlab.Gitlab(emulator.url, private_token=emulator.admin_token).projects.get(plant.id)
    made = admin.protectedbranches.create({"name": "release/*", "push_access_level": 30})
    assert made.push_access_levels[0]["access_level_description"] == "Developers + Maintainers"
    with pytest.raises(gitlab.GitlabCreateError) as again:
        admin.protectedbranches.create({"name": "release/*"})
    assert (again.value.response_code, again.value.error_message) == (
        409,
        "Protected branch 'release/*' already exists",
    )
    work = {"branch": "release/1", "start_branch": "main", "commit_message": "x", "actions": [action(content="x")]}
    assert send("POST", "/repository/commits", work).status_code == 201
    assert send("GET", "/repository/branches/release%2F1").json()["developers_can_push"] is True
    emulator.api("PATCH", f"/projects/{plant.id}/protected_branches/release%2F*", {"push_access_level": 0})
    work["actions"] = [action(path="other", content="x")]
    work.pop("start_branch")
    assert send("POST", "/repository/commits", work).status_code == 403
    made.delete()
    assert send("POST", "/repository/commits", work).status_code == 201


def test_a_branch_in_an_empty_repository_begins_its_default_branch(emulator: Emulator) -> None:
    client = gitlab.Gitlab(emulator.url, private_token=emulator.admin_token)
    project = client.projects.get(emulator.create_project().id)
    assert project.branches.create({"branch": "first", "ref": "main"}).commit["title"] == "Add README.md"
    assert [one.name for one in project.branches.list(get_all=True)] == ["first", "main"]
