"""The control API: faults, lag, request log."""

import subprocess
import time
from typing import Any

import gitlab
import pytest
import requests

from tests.support import eventually_sync
from tests.support_emulator import Emulator

COMMIT = {
    "branch": "main",
    "commit_message": "x",
    "actions": [{"action": "create", "file_path": "new", "content": "new"}],
}


def post_commit(emulator: Emulator, project_id: int, **kwargs: Any) -> requests.Response:
    address = f"{emulator.url}/api/v4/projects/{project_id}/repository/commits"
    return requests.post(address, json=COMMIT, headers={"PRIVATE-TOKEN": emulator.admin_token}, timeout=20, **kwargs)


def test_throttling_has_gitlabs_text_and_headers_and_ends_after_its_times(troubled: Emulator) -> None:
    troubled.faults(method="GET", path="/version$", status=429, retry_after=7, times=2)
    address = f"{troubled.url}/api/v4/version?private_token={troubled.admin_token}"
    for _ in range(2):
        # The path is matched with its query.
        assert requests.get(address, timeout=20).status_code == 200
    plain = f"{troubled.url}/api/v4/version"
    for _ in range(2):
        answer = requests.get(plain, headers={"PRIVATE-TOKEN": troubled.admin_token}, timeout=20)
        assert (answer.status_code, answer.text) == (429, "Retry later\n")
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert answer.headers["Retry-After"] == "7"
        assert answer.headers["RateLimit-Name"] == "throttle_authenticated_api"
        assert int(answer.headers["RateLimit-Reset"]) >= int(time.time())
    assert requests.get(plain, headers={"PRIVATE-TOKEN": troubled.admin_token}, timeout=20).status_code == 200


def test_a_method_is_a_pattern_for_the_whole_of_it_in_either_case(troubled: Emulator) -> None:
    address, headers = f"{troubled.url}/api/v4/version", {"PRIVATE-TOKEN": troubled.admin_token}
    for method, met in (("get", True), (".*", True), ("POST|GET", True), ("G", False), ("POST", False)):
        troubled.faults(method=method, path="/version$", status=503, times=1)
        assert (requests.get(address, headers=headers, timeout=20).status_code == 503) is met, method
        troubled.clear_faults()


def test_the_other_forms_of_429(troubled: Emulator) -> None:
    troubled.faults(path="/a$", status=429, form="endpoint")
    troubled.faults(path="/b$", status=429, form="bare")
    endpoint = requests.get(f"{troubled.url}/api/v4/a", timeout=20)
    text = "This endpoint has been requested too many times. Try again later."
    assert endpoint.json() == {"message": {"error": text}}
    bare = requests.get(f"{troubled.url}/api/v4/b", timeout=20)
    assert bare.status_code == 429
    assert not [name for name in bare.headers if name.lower().startswith(("retry", "ratelimit"))]


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_status_alone_answers_instead_of_the_work(troubled: Emulator, status: int) -> None:
    project = troubled.create_project(files={"a": "a"})
    troubled.faults(method="POST", path="/repository/commits$", status=status, times=1)
    answer = post_commit(troubled, project.id)
    assert answer.status_code == status
    assert (answer.headers["Content-Type"] == "application/json") is (status == 500)
    assert troubled.read_file(project.id, "new") is None
    assert post_commit(troubled, project.id).status_code == 201


def test_a_cut_before_does_nothing_and_a_cut_after_has_done_all(troubled: Emulator) -> None:
    project = troubled.create_project(files={"a": "a"})
    troubled.faults(method="POST", path="/repository/commits$", drop="before", times=1)
    with pytest.raises(requests.ConnectionError):
        post_commit(troubled, project.id)
    assert troubled.read_file(project.id, "new") is None
    troubled.faults(method="POST", path="/repository/commits$", drop="after", times=1)
    with pytest.raises(requests.ConnectionError):
        post_commit(troubled, project.id)
    assert troubled.read_file(project.id, "new") == "new"
    repeated = post_commit(troubled, project.id)
    assert repeated.json() == {"message": "A file with this name already exists"}


def test_an_error_after_the_work_hides_that_it_was_done(troubled: Emulator) -> None:
    project = troubled.create_project(files={"a": "a"})
    troubled.faults(method="POST", path="/repository/commits$", drop="after", status=502, times=1)
    assert post_commit(troubled, project.id).status_code == 502
    assert troubled.read_file(project.id, "new") == "new"


def test_a_client_that_gives_up_has_still_been_served(troubled: Emulator) -> None:
    project = troubled.create_project(files={"a": "a"})
    troubled.faults(method="POST", path="/repository/commits$", delay_s=1, times=1)
    address = f"{troubled.url}/api/v4/projects/{project.id}/repository/commits"
    with pytest.raises(requests.Timeout):
        requests.post(address, json=COMMIT, headers={"PRIVATE-TOKEN": troubled.admin_token}, timeout=0.2)
    eventually_sync(lambda: troubled.read_file(project.id, "new") == "new")


def test_faults_meet_git_too(troubled: Emulator, tmp_path: Any) -> None:
    project = troubled.create_project(files={"a": "a"})
    address = project.git_url.replace("http://", f"http://x:{troubled.admin_token}@")

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["git", "-c", "user.name=x", "-c", "user.email=x@x", *command],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    troubled.faults(path="/info/refs", status=503, times=1)
    assert "503" in run("clone", "-q", address, "w").stderr
    assert run("clone", "-q", address, "w").returncode == 0
    assert run("-C", "w", "commit", "-q", "--allow-empty", "-m", "Empty").returncode == 0
    troubled.faults(method="POST", path="git-receive-pack$", drop="after", times=1)
    assert run("-C", "w", "push", "-q", "origin", "HEAD:refs/heads/pushed").returncode != 0
    found = troubled.api("GET", f"/projects/{project.id}/repository/branches/pushed")
    assert found["commit"]["title"] == "Empty"


def test_several_faults_are_taken_in_order_and_cleared(troubled: Emulator) -> None:
    troubled.faults(path="/version", status=500, times=1)
    troubled.faults(path="/version", status=403, times=None)
    address = f"{troubled.url}/api/v4/version"
    headers = {"PRIVATE-TOKEN": troubled.admin_token}
    assert [requests.get(address, headers=headers, timeout=20).status_code for _ in range(3)] == [500, 403, 403]
    listed = troubled.request("GET", "/emulator/faults")
    assert [(one["times"], one["hits"]) for one in listed] == [(0, 1), (None, 2)]
    troubled.clear_faults()
    assert requests.get(address, headers=headers, timeout=20).status_code == 200


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ({"path": "("}, "path is no regular expression"),
        ({"path": "x", "status": 500, "method": "*"}, "method is no regular expression"),
        ({"path": "x"}, "one of status, drop, delay_s is required"),
        ({"path": "x", "drop": "later"}, "drop must be before or after"),
        ({"path": "x", "status": 7}, "status must be between 100 and 599"),
        ({"path": "x", "status": 500, "times": 0}, "times must be at least 1"),
        ({"path": "x", "status": 500, "drop": "before"}, "exclude each other"),
        ({"path": "x", "delay_s": "soon"}, "delay_s must be a number of seconds"),
    ],
)
def test_a_misshapen_fault_is_refused_and_not_set(troubled: Emulator, fault: dict[str, object], text: str) -> None:
    with pytest.raises(AssertionError, match="400") as refusal:
        troubled.faults(**fault)
    assert text in str(refusal.value)
    assert troubled.request("GET", "/emulator/faults") == []


def test_the_control_api_is_for_administrators_and_health_for_everybody(emulator: Emulator) -> None:
    user = emulator.create_user()
    address = f"{emulator.url}/emulator/requests"
    assert requests.get(address, timeout=20).status_code == 401
    assert requests.get(address, headers={"PRIVATE-TOKEN": user.token}, timeout=20).status_code == 403
    assert requests.get(f"{emulator.url}/emulator/health", timeout=20).json()["status"] == "ok"


def test_the_request_log_tells_who_asked_what(troubled: Emulator) -> None:
    user = troubled.create_user()
    troubled.request("DELETE", "/emulator/requests")
    gitlab.Gitlab(troubled.url, private_token=user.token).auth()
    (seen,) = troubled.requests_seen()
    assert (seen["method"], seen["path"], seen["status"], seen["user"]) == ("GET", "/api/v4/user", 200, user.username)
    assert troubled.requests_seen(since=seen["seq"]) == []


def test_lag_delays_branch_lists_and_merge_status_but_not_single_branches(troubled: Emulator) -> None:
    project = troubled.create_project(files={"a": "a"})
    troubled.lag(branch_list_s=600, merge_status_s=0.6)
    branches = f"/projects/{project.id}/repository/branches"
    assert [one["name"] for one in troubled.api("GET", branches)] == ["main"]
    troubled.commit(project.id, "new", {"b": "b"}, start_branch="main")
    assert [one["name"] for one in troubled.api("GET", branches)] == ["main"]
    assert troubled.api("GET", f"{branches}/new")["name"] == "new"
    body = {"source_branch": "new", "target_branch": "main", "title": "x"}
    made = troubled.api("POST", f"/projects/{project.id}/merge_requests", body)
    assert (made["detailed_merge_status"], made["diff_refs"], made["prepared_at"]) == ("preparing", None, None)
    read = f"/projects/{project.id}/merge_requests/{made['iid']}"
    eventually_sync(lambda: troubled.api("GET", read)["detailed_merge_status"] == "mergeable")
    troubled.lag(branch_list_s=0)
    assert len(troubled.api("GET", branches)) == 2


def test_every_response_carries_a_request_id(emulator: Emulator) -> None:
    first, second = (requests.get(f"{emulator.url}/api/v4/version", timeout=20) for _ in range(2))
    assert first.headers["X-Request-Id"] != second.headers["X-Request-Id"]
    assert float(first.headers["X-Runtime"]) >= 0


def test_the_quirk_of_branch_pages_can_be_switched_on(troubled: Emulator) -> None:
    project = troubled.create_project(files={"a": "a"})
    address = f"{troubled.url}/api/v4/projects/{project.id}/repository/branches?per_page=1"
    headers = {"PRIVATE-TOKEN": troubled.admin_token}
    assert requests.get(address, headers=headers, timeout=20).headers["X-Next-Page"] == ""
    troubled.lag(pretend_next_branch_page=True)
    assert requests.get(address, headers=headers, timeout=20).headers["X-Next-Page"] == "2"
    assert requests.get(f"{address}&page=2", headers=headers, timeout=20).json() == []
