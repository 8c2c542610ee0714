"""Webhooks: only GitLab's own are read, and only what tells where to look."""

import base64
import json

import pytest

from gitlab_facade.webhook import (
    WebhookEvent,
    WebhookForgedError,
    WebhookKind,
    WebhookMalformedError,
    WebhookVerifier,
    sign,
)
from sagas.ids import CommitSha, ProjectId

SECRET = "s3cret-секрет"
SIGNING = "whsec_" + base64.b64encode(b"k" * 32).decode()
NOW = 1_935_738_000
A, B, NONE = "a" * 40, "b" * 40, "0" * 40


def _push(**changes: object) -> bytes:
    payload = {"object_kind": "push", "before": A, "after": B, "ref": "refs/heads/issue/7-x", "project_id": 12}
    return json.dumps(payload | changes).encode()


def _with_token(body: bytes, token: str = SECRET, **headers: str) -> WebhookEvent:
    return WebhookVerifier(SECRET).receive({"X-Gitlab-Token": token, **headers}, body)


def _signed(body: bytes, *, at: int = NOW, key: str = SIGNING) -> dict[str, str]:
    signature = sign(key, "delivery-1", at, body)
    return {"Webhook-Id": "delivery-1", "Webhook-Timestamp": str(at), "Webhook-Signature": f"v1,AAAA {signature}"}


def test_a_push_tells_project_branch_and_commits() -> None:
    event = _with_token(_push(), **{"Idempotency-Key": "d-1"})
    assert event == WebhookEvent(WebhookKind.PUSH, "d-1", ProjectId(12), "issue/7-x", CommitSha(A), CommitSha(B))


def test_a_new_branch_has_no_before_and_a_deleted_one_no_after() -> None:
    assert _with_token(_push(before=NONE)).before is None
    assert _with_token(_push(after=NONE)).after is None


def test_issues_and_merge_requests_tell_their_number() -> None:
    issue = {"object_kind": "issue", "project": {"id": 12}, "object_attributes": {"iid": 7, "action": "close"}}
    event = _with_token(json.dumps(issue).encode())
    assert (event.kind, event.project_id, event.issue_iid, event.action) == (WebhookKind.ISSUE, 12, 7, "close")
    item = {"iid": 9, "action": "merge", "source_branch": "issue/7-x"}
    request = {"object_kind": "merge_request", "project": {"id": 12}, "object_attributes": item}
    event = _with_token(json.dumps(request).encode())
    assert (event.kind, event.merge_request_iid, event.branch) == (WebhookKind.MERGE_REQUEST, 9, "issue/7-x")


def test_events_without_use_are_named_other() -> None:
    assert _with_token(b'{"object_kind": "pipeline", "project": {"id": 3}}').kind is WebhookKind.OTHER


def test_repeats_of_a_delivery_share_their_id_even_on_old_servers() -> None:
    old = {"X-Gitlab-Event-UUID": "shared-by-several-hooks"}
    assert _with_token(_push(), **old).delivery_id == _with_token(_push(), **old).delivery_id
    assert _with_token(_push(), **old).delivery_id != _with_token(_push(after=A), **old).delivery_id
    assert _with_token(_push(), **old, **{"webhook-id": "w"}).delivery_id == "w"


def test_an_endless_delivery_id_is_still_told_from_others() -> None:
    long = [_with_token(_push(), **{"webhook-id": "x" * 5000 + end}).delivery_id for end in ("a", "a", "b")]
    assert long[0] == long[1] != long[2]
    assert len(long[0]) <= 255


@pytest.mark.parametrize("token", ["", "s3cret", "s3cret-секрет ", "\udcff"])
def test_a_wrong_secret_is_a_forgery_before_the_body_is_read(token: str) -> None:
    with pytest.raises(WebhookForgedError):
        _with_token(b"\x00 not JSON", token)


def test_a_missing_secret_is_a_forgery() -> None:
    with pytest.raises(WebhookForgedError):
        WebhookVerifier(SECRET).receive({}, _push())


def test_a_signature_proves_the_sender_and_header_names_have_no_case() -> None:
    headers = {name.upper(): value for name, value in _signed(_push()).items()}
    event = WebhookVerifier(None, SIGNING).receive(headers, _push(), now=NOW + 5)
    assert (event.delivery_id, event.branch) == ("delivery-1", "issue/7-x")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"Webhook-Signature": "v1,AAAA"}, id="other signature"),
        pytest.param({"Webhook-Signature": ""}, id="no signature"),
        pytest.param({"Webhook-Id": "delivery-2"}, id="other id"),
        pytest.param({"Webhook-Id": ""}, id="no id"),
        pytest.param({"Webhook-Timestamp": str(NOW + 1)}, id="other time"),
        pytest.param({"Webhook-Timestamp": "now"}, id="no number"),
        pytest.param({"Webhook-Timestamp": "²"}, id="a digit that is no number"),
        pytest.param({"Webhook-Timestamp": "9" * 5000}, id="a number without end"),
    ],
)
def test_any_change_to_a_signed_delivery_is_a_forgery(change: dict[str, str]) -> None:
    with pytest.raises(WebhookForgedError):
        WebhookVerifier(None, SIGNING).receive(_signed(_push()) | change, _push(), now=NOW)


def test_a_changed_body_and_a_replay_are_forgeries() -> None:
    verifier = WebhookVerifier(None, SIGNING)
    with pytest.raises(WebhookForgedError):
        verifier.receive(_signed(_push()), _push(project_id=13), now=NOW)
    for moment in (NOW + 301, NOW - 301):
        with pytest.raises(WebhookForgedError, match="off"):
            verifier.receive(_signed(_push()), _push(), now=moment)


def test_a_wrong_signature_is_not_saved_by_the_secret_token() -> None:
    headers = _signed(_push()) | {"Webhook-Signature": "v1,AAAA", "X-Gitlab-Token": SECRET}
    with pytest.raises(WebhookForgedError):
        WebhookVerifier(SECRET, SIGNING).receive(headers, _push(), now=NOW)


def test_a_hook_without_signing_still_works_by_its_secret() -> None:
    assert WebhookVerifier(SECRET, SIGNING).receive({"x-gitlab-token": SECRET}, _push()).project_id == 12


def test_no_secret_at_all_or_a_broken_one_is_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match="must be set"):
        WebhookVerifier("")
    for broken in ("whsec_", "whsec_%%%", base64.b64encode(b"k" * 32).decode()):
        with pytest.raises(ValueError, match="whsec_"):
            WebhookVerifier(None, broken)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"object_kind": "push"}', "project_id"),
        (b'{"object_kind": ["push"], "project_id": 1}', "object_kind"),
        (b'{"object_kind": {}, "project_id": 1}', "object_kind"),
        (_push(project_id="12"), "project_id"),
        (_push(project_id=True), "project_id"),
        (_push(project_id=2**63), "project_id"),
        (_push(project_id=-1), "project_id"),
        (_push(ref=None), "ref"),
        (_push(ref="refs/heads/a\0b"), "ref"),
        (_push(ref="refs/heads/\ud800"), "ref"),
        (_push(ref="refs/heads/a\nb"), "ref"),
        (_push(ref="refs/heads/" + "x" * 2000), "ref"),
        (b'{"object_kind": "push", "project_id": ' + b"9" * 5000 + b"}", "not JSON"),
        (_push(ref="refs/tags/v1"), "not a branch"),
        (_push(after=7), "after"),
        (b'{"object_kind": "issue", "project": {"id": 1}}', "object_attributes"),
        (b'{"object_kind": "issue", "project": {"id": 1}, "object_attributes": {}}', "iid"),
        (b'{"object_kind": "merge_request", "project": {"id": 1}, "object_attributes": {"iid": 1}}', "source_branch"),
        (b" " * (5 * 1024 * 1024 + 1), "longer than"),
    ],
)
def test_a_malformed_body_says_what_is_wrong(body: bytes, text: str) -> None:
    with pytest.raises(WebhookMalformedError, match=text):
        _with_token(body)
