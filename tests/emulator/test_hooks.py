"""Webhooks that really arrive."""

import base64
import hashlib
import hmac
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import gitlab
import pytest
from gitlab.v4.objects import Project

from tests.support import eventually_sync
from tests.support_emulator import Emulator, start_emulator


@dataclass
class Delivery:
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        return dict(json.loads(self.raw))


@dataclass
class Receiver:
    url: str
    deliveries: list[Delivery] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    """Statuses to answer with before all is well."""

    def has(self, count: int) -> bool:
        return len(self.deliveries) == count

    def of(self, kind: str) -> list[Delivery]:
        return [one for one in self.deliveries if one.body["object_kind"] == kind]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            found.deliveries.append(Delivery({name.lower(): value for name, value in self.headers.items()}, raw))
            self.send_response(found.answers.pop(0) if found.answers else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found = Receiver(f"http://127.0.0.1:{server.server_port}/hook")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield found
        server.shutdown()
        thread.join(timeout=10)


@pytest.fixture
def admin_project(emulator: Emulator) -> Project:
    made = emulator.create_project(files={"a": "a\n"})
    return gitlab.Gitlab(emulator.url, private_token=emulator.admin_token).projects.get(made.id)


def test_a_commit_through_the_api_fires_a_push_hook_with_the_secret_token(
    emulator: Emulator, admin_project: Project, receiver: Receiver
) -> None:
    before = admin_project.branches.get("main").commit["id"]
    hook = admin_project.hooks.create({"url": receiver.url, "token": "s3cret"})
    assert hook.token_present is True
    assert "token" not in hook.attributes
    after = emulator.commit(admin_project.id, "main", {"a": None, "b": "b\n"}, message="Swap\n\nSaga-Id: 1")
    (delivery,) = eventually_sync(lambda: receiver.of("push"))
    assert delivery.headers["x-gitlab-event"] == "Push Hook"
    assert delivery.headers["x-gitlab-token"] == "s3cret"
    assert delivery.headers["idempotency-key"] == delivery.headers["webhook-id"]
    assert delivery.headers["x-gitlab-instance"] == emulator.url
    body = delivery.body
    assert (body["before"], body["after"], body["checkout_sha"]) == (before, after, after)
    assert body["ref"] == "refs/heads/main"
    assert body["project"]["path_with_namespace"] == admin_project.path_with_namespace
    assert body["total_commits_count"] == 1
    (commit,) = body["commits"]
    assert (commit["id"], commit["added"], commit["removed"], commit["modified"]) == (after, ["b"], ["a"], [])


def test_a_signing_token_signs_id_time_and_body(emulator: Emulator, admin_project: Project, receiver: Receiver) -> None:
    key = os.urandom(32)
    admin_project.hooks.create({"url": receiver.url, "signing_token": "whsec_" + base64.b64encode(key).decode()})
    emulator.commit(admin_project.id, "main", {"c": "c"})
    (delivery,) = eventually_sync(lambda: receiver.of("push"))
    signed = f"{delivery.headers['webhook-id']}.{delivery.headers['webhook-timestamp']}.".encode() + delivery.raw
    expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert delivery.headers["webhook-signature"] == expected
    assert "x-gitlab-token" not in delivery.headers


def test_issues_and_merge_requests_fire_with_action_and_changes(
    emulator: Emulator, admin_project: Project, receiver: Receiver
) -> None:
    admin_project.hooks.create(
        {"url": receiver.url, "push_events": False, "issues_events": True, "merge_requests_events": True}
    )
    issue = admin_project.issues.create({"title": "Warm"})
    issue.title = "Hot"
    issue.state_event = "close"
    issue.save()
    eventually_sync(lambda: len(receiver.of("issue")) == 2)
    by_action = {one.body["object_attributes"]["action"]: one for one in receiver.of("issue")}
    assert set(by_action) == {"open", "close"}
    closed = by_action["close"]
    assert closed.body["changes"]["title"] == {"previous": "Warm", "current": "Hot"}
    assert closed.body["object_attributes"]["iid"] == issue.iid

    first = emulator.commit(admin_project.id, "side", {"s": "1"}, start_branch="main")
    request = admin_project.mergerequests.create({"source_branch": "side", "target_branch": "main", "title": "MR"})
    eventually_sync(lambda: receiver.of("merge_request"))
    second = emulator.commit(admin_project.id, "side", {"s": "2"})
    eventually_sync(lambda: len(receiver.of("merge_request")) == 2)
    request.merge(sha=second)
    eventually_sync(lambda: len(receiver.of("merge_request")) == 3)
    requests = {one.body["object_attributes"]["action"]: one.body for one in receiver.of("merge_request")}
    assert set(requests) == {"open", "update", "merge"}
    assert requests["update"]["object_attributes"]["oldrev"] == first
    assert "oldrev" not in requests["open"]["object_attributes"]
    assert requests["merge"]["object_attributes"]["state"] == "merged"
    assert receiver.of("push") == []


def test_more_than_three_branches_in_one_push_fire_nothing(
    emulator: Emulator, admin_project: Project, receiver: Receiver, tmp_path: Any
) -> None:

    admin_project.hooks.create({"url": receiver.url})
    address = admin_project.http_url_to_repo.replace("http://", f"http://x:{emulator.admin_token}@")
    subprocess.run(["git", "clone", "-q", address, tmp_path / "w"], check=True, timeout=60)

    def push(*names: str) -> None:
        refs = [f"HEAD:refs/heads/{name}" for name in names]
        subprocess.run(["git", "push", "-q", "origin", *refs], cwd=tmp_path / "w", check=True, timeout=60)

    push("a", "b", "c", "d")
    push("e")
    eventually_sync(lambda: receiver.of("push"))
    assert [one.body["ref"] for one in receiver.of("push")] == ["refs/heads/e"]
    assert receiver.of("push")[0].body["before"] == "0" * 40


def test_a_failed_delivery_is_tried_again_under_the_same_key(
    emulator: Emulator, admin_project: Project, receiver: Receiver
) -> None:
    receiver.answers[:] = [500]
    hook = admin_project.hooks.create({"url": receiver.url})
    emulator.commit(admin_project.id, "main", {"d": "d"})
    eventually_sync(lambda: len(receiver.deliveries) == 2, timeout=20)
    assert len({one.headers["webhook-id"] for one in receiver.deliveries}) == 1
    eventually_sync(
        lambda: (
            emulator.api("GET", f"/projects/{admin_project.id}/hooks/{hook.id}/events")[0]["response_status"] == "200"
        )
    )
    events = emulator.api("GET", f"/projects/{admin_project.id}/hooks/{hook.id}/events")
    emulator.api("POST", f"/projects/{admin_project.id}/hooks/{hook.id}/events/{events[0]['id']}/resend")
    eventually_sync(lambda: len(receiver.deliveries) == 3)
    assert len({one.headers["idempotency-key"] for one in receiver.deliveries}) == 1


def test_four_failures_switch_a_hook_off_for_a_while(
    emulator: Emulator, admin_project: Project, receiver: Receiver
) -> None:
    receiver.answers[:] = [410] * 4
    hook = admin_project.hooks.create({"url": receiver.url})
    for number in range(4):
        emulator.commit(admin_project.id, "main", {"e": str(number)})
        eventually_sync(partial(receiver.has, number + 1))
    eventually_sync(lambda: admin_project.hooks.get(hook.id).alert_status == "temporarily_disabled")
    emulator.commit(admin_project.id, "main", {"e": "more"})
    eventually_sync(lambda: len(emulator.api("GET", f"/projects/{admin_project.id}/hooks/{hook.id}/events")) == 5)
    assert len(receiver.deliveries) == 4


def test_hooks_need_a_maintainer_and_never_give_their_secret_back(
    emulator: Emulator, project: Project, admin_project: Project, receiver: Receiver
) -> None:
    with pytest.raises(gitlab.GitlabCreateError) as refusal:
        project.hooks.create({"url": receiver.url})
    assert refusal.value.response_code == 403
    with pytest.raises(gitlab.GitlabCreateError) as bad:
        admin_project.hooks.create({"url": "ftp://x"})
    assert (bad.value.response_code, bad.value.error_message) == (422, "Invalid url given")
    hook = admin_project.hooks.create({"url": receiver.url, "token": "one"})
    hook.url = receiver.url + "/other"
    hook.save()
    assert admin_project.hooks.get(hook.id).token_present is False
    hook.test("push_events")
    delivery = eventually_sync(lambda: receiver.of("push"))[0]
    assert "x-gitlab-token" not in delivery.headers
    hook.delete()
    assert admin_project.hooks.list(get_all=True) == []
    with pytest.raises(gitlab.GitlabGetError, match="404 Not found"):
        admin_project.hooks.get(hook.id)


def test_a_delivery_outlives_kill_9(tmp_path: Any, receiver: Receiver) -> None:
    data = tmp_path / "data"
    with start_emulator(data) as emulator:
        project = emulator.create_project(files={"a": "a"})
        emulator.api("POST", f"/projects/{project.id}/hooks", {"url": receiver.url})
        emulator.lag(webhook_s=1)
        emulator.commit(project.id, "main", {"a": "b"})
        assert receiver.deliveries == []
        emulator.kill()
    with start_emulator(data):
        eventually_sync(lambda: receiver.of("push"), timeout=20)


def test_notes_and_tags_fire_where_they_are_wanted(
    emulator: Emulator, admin_project: Project, receiver: Receiver, tmp_path: Any
) -> None:
    admin_project.hooks.create(
        {"url": receiver.url, "push_events": False, "note_events": True, "tag_push_events": True}
    )
    issue = admin_project.issues.create({"title": "x"})
    issue.notes.create({"body": "Hello"})
    address = admin_project.http_url_to_repo.replace("http://", f"http://x:{emulator.admin_token}@")
    subprocess.run(["git", "clone", "-q", address, tmp_path / "w"], check=True, timeout=60)
    subprocess.run(["git", "push", "-q", "origin", "HEAD:refs/tags/v1"], cwd=tmp_path / "w", check=True, timeout=60)
    note = eventually_sync(lambda: receiver.of("note"))[0]
    assert note.headers["x-gitlab-event"] == "Note Hook"
    assert (note.body["object_attributes"]["note"], note.body["issue"]["iid"]) == ("Hello", issue.iid)
    tag = eventually_sync(lambda: receiver.of("tag_push"))[0]
    assert (tag.headers["x-gitlab-event"], tag.body["ref"]) == ("Tag Push Hook", "refs/tags/v1")
    assert receiver.of("push") == []
    assert receiver.of("issue") == []


def test_a_branch_filter_selects_pushes(emulator: Emulator, admin_project: Project, receiver: Receiver) -> None:
    admin_project.hooks.create({"url": receiver.url, "push_events_branch_filter": "issue/*"})
    emulator.commit(admin_project.id, "main", {"x": "x"})
    emulator.commit(admin_project.id, "issue/7-x", {"y": "y"}, start_branch="main")
    eventually_sync(lambda: receiver.of("push"))
    assert [one.body["ref"] for one in receiver.of("push")] == ["refs/heads/issue/7-x"]
