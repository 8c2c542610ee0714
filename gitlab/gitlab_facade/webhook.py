"""GitLab's webhooks: who sent this, and what does it hint at.

A webhook is a hint to look: late, doubled or lost ones harm nobody, so only what tells where to look is read from it.
Headers and payloads as in GitLab's documentation of webhooks and webhook events.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from sagas.ids import CommitSha, ProjectId
from sagas.ports import Json

LONGEST_BODY = 5 * 1024 * 1024
"""Bytes; GitLab's payloads list at most 20 commits and stay far below."""

_LONGEST_TEXT = 1024
"""Characters; git's own refs end before."""
_LONGEST_ID = 255
_NO_ID = 2**63
_IN_NO_NAME = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_NO_COMMIT = "0" * 40
_HEADS = "refs/heads/"
_KEY_PREFIX = "whsec_"
_UNIX_TIME = re.compile(r"[0-9]{1,12}")


class WebhookForgedError(Exception):
    """The request does not prove that it comes from our GitLab; the message is for the log, not for the sender."""


class WebhookMalformedError(Exception):
    """The request is GitLab's, as it seems, but not what GitLab sends; the message names what is wrong."""


class WebhookKind(StrEnum):
    """What happened; OTHER are events that the service has no use for."""

    PUSH = "push"
    TAG_PUSH = "tag_push"
    ISSUE = "issue"
    MERGE_REQUEST = "merge_request"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """One delivery. `delivery_id` is the same for GitLab's repeats of it; fields that the kind lacks are None.

    `branch`: of a push, or a merge request's source. `before` None: the branch is new; `after` None: it was deleted.
    """

    kind: WebhookKind
    delivery_id: str
    project_id: ProjectId
    branch: str | None = None
    before: CommitSha | None = None
    after: CommitSha | None = None
    issue_iid: int | None = None
    merge_request_iid: int | None = None
    action: str | None = None


@dataclass(frozen=True, slots=True)
class WebhookVerifier:
    """Checks and reads deliveries; at least one of secret token and signing token (`whsec_…`) must be set.

    `tolerance`: how many seconds a signed delivery's time may be off.
    """

    secret: str | None = None
    signing_token: str | None = None
    tolerance: float = 300

    def __post_init__(self) -> None:
        if not self.secret and not self.signing_token:
            raise ValueError("a webhook secret or a signing token must be set: anybody could send webhooks otherwise")
        if self.signing_token is not None:
            _signing_key(self.signing_token)

    def receive(self, headers: Mapping[str, str], body: bytes, *, now: float | None = None) -> WebhookEvent:
        """The event of a delivery. Header names may be in any case; `now` is Unix time.

        A signature counts where a signing token is set and the delivery carries one, else the secret token does.
        Raises WebhookForgedError before it looks at the body, WebhookMalformedError for a body that is not GitLab's.
        """
        lower = {name.lower(): value for name, value in headers.items()}
        self._verify(lower, body, time.time() if now is None else now)
        return _event(lower, body)

    def _verify(self, headers: Mapping[str, str], body: bytes, now: float) -> None:
        if self.signing_token is not None and ("webhook-signature" in headers or self.secret is None):
            _verify_signature(headers, body, _signing_key(self.signing_token), now, self.tolerance)
        elif self.secret is None or not _same(headers.get("x-gitlab-token", ""), self.secret):
            raise WebhookForgedError("X-Gitlab-Token is missing or wrong")


def sign(signing_token: str, delivery_id: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`: `v1,` and the base64 of HMAC-SHA256 over `<id>.<time>.<body>`."""
    signed = b".".join((delivery_id.encode(), str(timestamp).encode(), body))
    digest = hmac.new(_signing_key(signing_token), signed, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def _signing_key(signing_token: str) -> bytes:
    try:
        key = base64.b64decode(signing_token.removeprefix(_KEY_PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("the signing token must be `whsec_` and base64, as GitLab shows it") from error
    if not signing_token.startswith(_KEY_PREFIX) or not key:
        raise ValueError("the signing token must be `whsec_` and base64, as GitLab shows it")
    return key


def _verify_signature(headers: Mapping[str, str], body: bytes, key: bytes, now: float, tolerance: float) -> None:
    timestamp, delivery_id = headers.get("webhook-timestamp", ""), headers.get("webhook-id", "")
    if not _UNIX_TIME.fullmatch(timestamp) or not delivery_id:
        raise WebhookForgedError("webhook-id or webhook-timestamp is missing or malformed")
    if abs(now - int(timestamp)) > tolerance:
        raise WebhookForgedError(f"webhook-timestamp {timestamp} is more than {tolerance:g} s off")
    token = _KEY_PREFIX + base64.b64encode(key).decode()
    expected = sign(token, delivery_id, int(timestamp), body)
    if not any(_same(candidate, expected) for candidate in headers.get("webhook-signature", "").split()):
        raise WebhookForgedError("webhook-signature does not match")


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected.encode("utf-8", "surrogateescape"))


def _event(headers: Mapping[str, str], body: bytes) -> WebhookEvent:
    payload = _payload(body)
    kind = payload.get("object_kind")
    if not isinstance(kind, str):
        raise WebhookMalformedError("object_kind is missing or not text")
    delivery_id = _delivery_id(headers, body)
    project_id = ProjectId(_project_id(payload))
    if kind in {"push", "tag_push"}:
        return _push(WebhookKind(kind), delivery_id, project_id, payload)
    if kind in {"issue", "merge_request"}:
        return _item(WebhookKind(kind), delivery_id, project_id, payload)
    return WebhookEvent(WebhookKind.OTHER, delivery_id, project_id)


def _payload(body: bytes) -> Mapping[str, Json]:
    if len(body) > LONGEST_BODY:
        raise WebhookMalformedError(f"the body is longer than {LONGEST_BODY} bytes")
    try:
        payload: Json = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise WebhookMalformedError("the body is not JSON") from error
    if not isinstance(payload, dict):
        raise WebhookMalformedError("the body is not a JSON object")
    return payload


def _delivery_id(headers: Mapping[str, str], body: bytes) -> str:
    # X-Gitlab-Event-UUID is shared by hooks that one event triggers, and older servers send nothing else:
    # with the body's digest it tells deliveries apart, and a repeat of the same body is a double.
    known = headers.get("webhook-id") or headers.get("idempotency-key")
    if known is not None and len(known) > _LONGEST_ID:
        return hashlib.sha256(known.encode("utf-8", "surrogateescape")).hexdigest()
    return known or f"{headers.get('x-gitlab-event-uuid', '')}:{hashlib.sha256(body).hexdigest()}"


def _project_id(payload: Mapping[str, Json]) -> int:
    project = payload.get("project")
    candidates = (payload.get("project_id"), project.get("id") if isinstance(project, dict) else None)
    for candidate in candidates:
        if isinstance(candidate, int) and not isinstance(candidate, bool) and 0 < candidate < _NO_ID:
            return candidate
    raise WebhookMalformedError("project_id is missing or not the number of a project")


def _push(kind: WebhookKind, delivery_id: str, project_id: ProjectId, payload: Mapping[str, Json]) -> WebhookEvent:
    ref = _text(payload, "ref", "ref")
    if kind is WebhookKind.PUSH and not ref.startswith(_HEADS):
        raise WebhookMalformedError(f"ref {ref!r} of a push is not a branch")
    return WebhookEvent(
        kind,
        delivery_id,
        project_id,
        branch=ref.removeprefix(_HEADS) if kind is WebhookKind.PUSH else None,
        before=_commit(payload, "before"),
        after=_commit(payload, "after"),
    )


def _item(kind: WebhookKind, delivery_id: str, project_id: ProjectId, payload: Mapping[str, Json]) -> WebhookEvent:
    item = payload.get("object_attributes")
    if not isinstance(item, dict):
        raise WebhookMalformedError("object_attributes is missing")
    iid = item.get("iid")
    if not isinstance(iid, int) or isinstance(iid, bool):
        raise WebhookMalformedError("object_attributes.iid is missing or not a number")
    action = item.get("action")
    is_issue = kind is WebhookKind.ISSUE
    return WebhookEvent(
        kind,
        delivery_id,
        project_id,
        branch=None if is_issue else _text(item, "source_branch", "object_attributes.source_branch"),
        issue_iid=iid if is_issue else None,
        merge_request_iid=None if is_issue else iid,
        action=action if isinstance(action, str) else None,
    )


def _text(payload: Mapping[str, Json], field: str, name: str) -> str:
    value = payload.get(field)
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_TEXT or _IN_NO_NAME.search(value):
        raise WebhookMalformedError(f"{name} is missing or not text that git takes for a name")
    return value


def _commit(payload: Mapping[str, Json], field: str) -> CommitSha | None:
    sha = _text(payload, field, field)
    return None if sha == _NO_COMMIT else CommitSha(sha)
