"""Issues, notes and merge requests."""

from typing import Any

import gitlab
import pytest
import requests
from gitlab.v4.objects import Project

from tests.emulator.conftest import Connect
from tests.support_emulator import Emulator, EmulatorProject, EmulatorUser


def test_issues_assigned_to_a_user_are_found_across_projects(
    emulator: Emulator, developer: EmulatorUser, project: Project, connect: Connect
) -> None:
    other = emulator.create_project(members={developer.id: 20})
    mine = project.issues.create({"title": "Тепло", "assignee_ids": [developer.id], "labels": "b,a"})
    emulator.api("POST", f"/projects/{other.id}/issues", {"title": "Theirs", "assignee_ids": [developer.id]})
    emulator.api("POST", f"/projects/{other.id}/issues", {"title": "Nobody's"})
    client = connect(developer)
    assert [one.title for one in client.issues.list(get_all=True)] == ["Тепло"]
    found = client.issues.list(scope="assigned_to_me", get_all=True)
    assert [one.title for one in found] == ["Theirs", "Тепло"]
    assert found[1].labels == ["a", "b"]
    assert found[1].references["full"] == f"{project.path_with_namespace}#{mine.iid}"
    everything = client.issues.list(scope="all", sort="asc", get_all=True)
    assert [one.title for one in everything] == ["Тепло", "Theirs", "Nobody's"]
    by_name = client.issues.list(scope="all", assignee_username=[developer.username], state="opened", get_all=True)
    assert len(by_name) == 2
    stranger = emulator.create_user()
    assert connect(stranger).issues.list(scope="all", get_all=True) == []


def test_issue_filters_select_what_they_say(project: Project, developer: EmulatorUser) -> None:
    one = project.issues.create({"title": "Pump fails", "labels": "bug,api", "description": "at night"})
    two = project.issues.create({"title": "Valve", "labels": "bug", "assignee_ids": [developer.id]})
    two.state_event = "close"
    two.save()

    def found(**filters: Any) -> list[int]:
        return sorted(issue.iid for issue in project.issues.list(get_all=True, **filters))

    assert found(labels=["bug"]) == [one.iid, two.iid]
    assert found(labels=["bug", "api"]) == [one.iid]
    assert found(state="closed") == [two.iid]
    assert found(iids=[two.iid]) == [two.iid]
    assert found(search="night") == [one.iid]
    assert found(assignee_id="None") == [one.iid]
    assert found(created_before="2000-01-01T00:00:00Z") == []
    assert found(created_after="2000-01-01T00:00:00+03:00") == [one.iid, two.iid]
    assert project.issues.get(two.iid).attributes["closed_by"]["id"] == developer.id
    with pytest.raises(gitlab.GitlabListError, match="state does not have a valid value"):
        found(state="open")


def test_an_issue_without_title_is_refused_and_none_is_made(project: Project) -> None:
    with pytest.raises(gitlab.GitlabCreateError, match="title is missing") as refusal:
        project.issues.create({"title": None, "description": "x"})
    assert refusal.value.response_code == 400
    with pytest.raises(gitlab.GitlabCreateError) as blank:
        project.issues.create({"title": " "})
    assert (blank.value.response_body or b"").decode() == '{"message":{"title":["can\'t be blank"]}}'
    assert project.issues.list(get_all=True) == []


def test_confidential_issues_are_hidden_from_guests(emulator: Emulator, project: Project, connect: Connect) -> None:
    guest = emulator.create_user()
    emulator.add_member(project.id, guest.id, 10)
    secret = project.issues.create({"title": "Secret", "confidential": True})
    view = connect(guest).projects.get(project.id)
    assert view.issues.list(get_all=True) == []
    with pytest.raises(gitlab.GitlabGetError, match="404 Not found"):
        view.issues.get(secret.iid)


def test_notes_keep_their_markers(project: Project) -> None:
    issue = project.issues.create({"title": "x"})
    issue.notes.create({"body": "<!-- saga:42 -->\nStarted"})
    issue.notes.create({"body": "Second"})
    assert [one.body for one in issue.notes.list(get_all=True)] == ["Second", "<!-- saga:42 -->\nStarted"]
    assert project.issues.get(issue.iid).user_notes_count == 2
    with pytest.raises(gitlab.GitlabCreateError, match="body is missing"):
        issue.notes.create({"body": None})


@pytest.fixture
def side(emulator: Emulator, project: Project) -> str:
    """Head of the branch `side`, one commit ahead of main."""
    return emulator.commit(project.id, "side", {"s.txt": "s\n"}, start_branch="main", message="Side")


def test_a_second_open_merge_request_is_a_409_with_a_list(project: Project, side: str) -> None:
    first = project.mergerequests.create({"source_branch": "side", "target_branch": "main", "title": "One"})
    assert first.sha == side
    with pytest.raises(gitlab.GitlabCreateError) as refusal:
        project.mergerequests.create({"source_branch": "side", "target_branch": "main", "title": "Two"})
    assert refusal.value.response_code == 409
    text = f"Another open merge request already exists for this source branch: !{first.iid}"
    assert str(refusal.value.error_message) == str([text])
    assert (refusal.value.response_body or b"").decode() == '{"message":["' + text + '"]}'
    assert [one.iid for one in project.mergerequests.list(get_all=True)] == [first.iid]
    first.state_event = "close"
    first.save()
    again = project.mergerequests.create({"source_branch": "side", "target_branch": "main", "title": "Two"})
    assert again.iid == first.iid + 1
    found = project.mergerequests.list(source_branch="side", target_branch="main", state="opened", get_all=True)
    assert [one.iid for one in found] == [again.iid]


def test_a_merge_request_onto_itself_or_without_title_is_refused(project: Project, side: str) -> None:
    with pytest.raises(gitlab.GitlabCreateError) as same:
        project.mergerequests.create({"source_branch": "side", "target_branch": "side", "title": "x"})
    assert same.value.response_code == 422
    text = '{"message":["You can\'t use same project/branch for source and target"]}'
    assert (same.value.response_body or b"").decode() == text
    with pytest.raises(gitlab.GitlabCreateError, match="title is missing"):
        project.mergerequests.create({"source_branch": "side", "target_branch": "main", "title": None})
    assert project.mergerequests.list(get_all=True) == []


def test_a_merge_request_of_a_missing_branch_waits_for_commits(project: Project) -> None:
    made = project.mergerequests.create({"source_branch": "ghost", "target_branch": "main", "title": "x"})
    assert made.detailed_merge_status == "commits_status"
    assert made.sha is None


def test_merging_needs_the_right_sha_and_a_person_who_may(emulator: Emulator, project: Project, side: str) -> None:
    request = project.mergerequests.create({"source_branch": "side", "target_branch": "main", "title": "x"})
    with pytest.raises(gitlab.GitlabAuthenticationError):
        request.merge(sha=side)
    admin = gitlab.Gitlab(emulator.url, private_token=emulator.admin_token).projects.get(project.id)
    mine = admin.mergerequests.get(request.iid)
    with pytest.raises(gitlab.GitlabMRClosedError) as stale:
        mine.merge(sha="0" * 40)
    assert stale.value.response_code == 409
    assert stale.value.error_message == f"SHA does not match HEAD of source branch: {side}"
    assert emulator.read_file(project.id, "s.txt") is None
    mine.merge(sha=side, should_remove_source_branch=True)
    merged = admin.mergerequests.get(request.iid)
    assert (merged.state, merged.sha) == ("merged", side)
    assert emulator.read_file(project.id, "s.txt") == "s\n"
    assert admin.commits.get(merged.merge_commit_sha).parent_ids[1] == side
    assert "side" not in [one.name for one in admin.branches.list(get_all=True)]
    with pytest.raises(gitlab.GitlabMRClosedError) as again:
        merged.merge(sha=side)
    assert again.value.response_code == 405


def test_a_conflict_is_told_and_cannot_be_merged(emulator: Emulator, project: Project) -> None:
    emulator.commit(project.id, "side", {"balance_input.json": "1\n"}, start_branch="main")
    emulator.commit(project.id, "main", {"balance_input.json": "2\n"})
    admin = gitlab.Gitlab(emulator.url, private_token=emulator.admin_token).projects.get(project.id)
    request = admin.mergerequests.create({"source_branch": "side", "target_branch": "main", "title": "x"})
    assert (request.detailed_merge_status, request.has_conflicts, request.merge_status) == (
        "conflict",
        True,
        "cannot_be_merged",
    )
    with pytest.raises(gitlab.GitlabMRClosedError) as refusal:
        request.merge()
    assert (refusal.value.response_code, refusal.value.error_message) == (422, "Branch cannot be merged")
    assert emulator.read_file(project.id, "balance_input.json") == "2\n"


def test_a_merge_request_shows_commits_changes_and_refs(project: Project, plant: EmulatorProject, side: str) -> None:
    base = project.branches.get("main").commit["id"]
    request = project.mergerequests.create({"source_branch": "side", "target_branch": "main", "title": "Draft: x"})
    read = project.mergerequests.get(request.iid)
    assert read.diff_refs == {"base_sha": base, "head_sha": side, "start_sha": base}
    assert (read.changes_count, read.draft, read.detailed_merge_status) == ("1", True, "draft_status")
    assert [one.id for one in read.commits()] == [side]
    changes = read.changes()
    assert isinstance(changes, dict)
    assert [one["new_path"] for one in changes["changes"]] == ["s.txt"]
    read.notes.create({"body": "Looks right"})
    assert [one.body for one in read.notes.list(get_all=True)] == ["Looks right"]


def test_deleting_the_source_branch_closes_the_merge_request(project: Project, side: str) -> None:
    request = project.mergerequests.create({"source_branch": "side", "target_branch": "main", "title": "x"})
    project.branches.delete("side")
    closed = project.mergerequests.get(request.iid)
    assert (closed.state, closed.sha) == ("closed", side)


def test_the_global_list_defaults_to_what_the_caller_created(
    emulator: Emulator, project: Project, developer: EmulatorUser, side: str
) -> None:
    made = project.mergerequests.create({"source_branch": "side", "target_branch": "main", "title": "x"})

    def listed(token: str, query: str = "") -> list[int]:
        answer = requests.get(
            f"{emulator.url}/api/v4/merge_requests{query}", headers={"PRIVATE-TOKEN": token}, timeout=20
        )
        return [one["id"] for one in answer.json()]

    assert listed(developer.token) == [made.id]
    reader = emulator.create_user()
    emulator.add_member(project.id, reader.id, 20)
    assert listed(reader.token) == []
    assert listed(reader.token, "?scope=all") == [made.id]


def test_a_rebase_replays_the_source_on_its_target(emulator: Emulator, project: Project, side: str) -> None:
    request = project.mergerequests.create({"source_branch": "side", "target_branch": "main", "title": "x"})
    tip = emulator.commit(project.id, "main", {"m.txt": "m\n"})
    assert request.rebase() == {"rebase_in_progress": True}
    head = project.commits.get("side")
    assert (head.title, head.parent_ids) == ("Side", [tip])
    assert head.id != side
    assert project.mergerequests.get(request.iid).sha == head.id
