"""Project webhooks."""

import base64
import binascii
import json
import uuid
from collections.abc import Mapping
from urllib.parse import urlsplit

from gitlab_emulator.call import Call, ProjectAccess
from gitlab_emulator.errors import not_found, with_message
from gitlab_emulator.events import Happening, issue_body, merge_request_body, push_body
from gitlab_emulator.git.objects import NULL_ID
from gitlab_emulator.git.repository import HEADS, RefChange
from gitlab_emulator.merge_state import merge_state
from gitlab_emulator.pagination import list_reply, page_of
from gitlab_emulator.present import Json
from gitlab_emulator.present.hooks import EVENT_SWITCHES, delivery_json, hook_json
from gitlab_emulator.replies import Reply, created, json_reply, no_content
from gitlab_emulator.routes import ApiRouter
from gitlab_emulator.store.hooks import (
    add_delivery,
    add_hook,
    change_hook,
    delete_hook,
    deliveries_of,
    delivery_by_id,
    hook_by_id,
    hooks_of,
)
from gitlab_emulator.store.issues import Where, find_issues
from gitlab_emulator.store.merge_requests import find_merge_requests
from gitlab_emulator.store.records import Hook, Role
from gitlab_emulator.times import timestamp

router = ApiRouter()
_STRATEGIES = ("wildcard", "regex", "all_branches")
_TEXTS = ("name", "description", "token", "signing_token", "push_events_branch_filter")


@router.get("/projects/:id/hooks")
def list_hooks(call: Call) -> Reply:
    """All hooks of a project."""
    access = call.project(Role.MAINTAINER)
    with call.services.database.reading() as connection:
        page, headers = page_of(call, hooks_of(connection, access.project.id))
    return list_reply([hook_json(one) for one in page], headers)


@router.get("/projects/:id/hooks/:hook_id")
def get_hook(call: Call) -> Reply:
    """One hook."""
    return json_reply(hook_json(_hook(call, call.project(Role.MAINTAINER))))


@router.post("/projects/:id/hooks")
def create_hook(call: Call) -> Reply:
    """A new hook; pushes are announced unless switched off."""
    access = call.project(Role.MAINTAINER)
    call.params.require("url")
    events = tuple(one for one in EVENT_SWITCHES if call.params.boolean(one, default=one == "push_events"))
    with call.services.database.writing() as connection:
        hook = add_hook(
            connection,
            access.project.id,
            uuid=str(uuid.uuid4()),
            url=_url(call),
            events=events,
            branch_filter_strategy=call.params.choice("branch_filter_strategy", _STRATEGIES, "wildcard"),
            enable_ssl_verification=call.params.boolean("enable_ssl_verification", default=True),
            custom_headers=_custom_headers(call),
            **{name: call.params.optional_text(name) for name in _TEXTS} | {"signing_token": _signing_token(call)},
        )
    return created(hook_json(hook))


@router.put("/projects/:id/hooks/:hook_id")
def update_hook(call: Call) -> Reply:
    """Change a hook; another address forgets the secret token unless a new one comes with it."""
    hook = _hook(call, call.project(Role.MAINTAINER))
    call.params.require("url")
    url, params = _url(call), call.params
    changes: dict[str, object] = {name: params.optional_text(name) for name in _TEXTS if name in params}
    if "signing_token" in params:
        changes["signing_token"] = _signing_token(call)
    if url != hook.url and "token" not in params:
        changes["token"] = None
    if "custom_headers" in params:
        changes["custom_headers"] = _custom_headers(call)
    events = tuple(one for one in EVENT_SWITCHES if params.boolean(one, default=one in hook.events))
    with call.services.database.writing() as connection:
        hook = change_hook(
            connection,
            hook.id,
            url=url,
            events=events,
            branch_filter_strategy=params.choice("branch_filter_strategy", _STRATEGIES, hook.branch_filter_strategy),
            enable_ssl_verification=params.boolean("enable_ssl_verification", default=hook.enable_ssl_verification),
            failures=0,
            disabled_until=None,
            **changes,
        )
    return json_reply(hook_json(hook))


@router.delete("/projects/:id/hooks/:hook_id")
def remove_hook(call: Call) -> Reply:
    """A hook less."""
    hook = _hook(call, call.project(Role.MAINTAINER))
    with call.services.database.writing() as connection:
        delete_hook(connection, hook.id)
    return no_content()


@router.post("/projects/:id/hooks/:hook_id/test/:trigger")
def test_hook(call: Call) -> Reply:
    """Send one message of a kind, built from the project's newest data."""
    access = call.project(Role.MAINTAINER)
    hook = _hook(call, access)
    event, body = _sample(call, access)
    with call.services.database.writing() as connection:
        call.services.deliveries.enqueue(
            connection,
            hook,
            event=event,
            event_uuid=str(uuid.uuid4()),
            body=json.dumps(body),
            instance=call.base_url,
        )
    call.services.deliveries.wake()
    return created({"message": "201 Created"})


@router.get("/projects/:id/hooks/:hook_id/events")
def list_events(call: Call) -> Reply:
    """What was sent to a hook, newest first."""
    hook = _hook(call, call.project(Role.MAINTAINER))
    with call.services.database.reading() as connection:
        found = [one for one in deliveries_of(connection, hook.id) if one.attempts]
    page, headers = page_of(call, found)
    return list_reply([delivery_json(one, hook) for one in page], headers)


@router.post("/projects/:id/hooks/:hook_id/events/:event_id/resend")
def resend_event(call: Call) -> Reply:
    """Send a message again, under the same idempotency key."""
    hook = _hook(call, call.project(Role.MAINTAINER))
    with call.services.database.writing() as connection:
        delivery = delivery_by_id(connection, call.number("event_id"))
        if delivery is None or delivery.hook_id != hook.id:
            raise not_found()
        add_delivery(
            connection,
            hook_id=hook.id,
            uuid=delivery.uuid,
            event_uuid=delivery.event_uuid,
            event=delivery.event,
            body=delivery.body,
            instance=delivery.instance,
            due_at=timestamp(),
        )
    call.services.deliveries.wake()
    return created({"response_status": 200})


def _hook(call: Call, access: ProjectAccess) -> Hook:
    with call.services.database.reading() as connection:
        hook = hook_by_id(connection, call.number("hook_id"))
    if hook is None or hook.project_id != access.project.id:
        raise not_found()
    return hook


def _url(call: Call) -> str:
    url = call.params.text("url")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise with_message(422, "Invalid url given")
    return url


def _signing_token(call: Call) -> str | None:
    token = call.params.optional_text("signing_token")
    if token is None:
        return None
    try:
        key = base64.b64decode(token.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not token.startswith("whsec_") or len(key) != 32:
        raise with_message(422, "Signing token must be whsec_ followed by the base64 of 32 bytes")
    return token


def _custom_headers(call: Call) -> tuple[tuple[str, str], ...]:
    given = call.params.raw("custom_headers")
    entries = given if isinstance(given, list) else []
    return tuple(
        (str(one["key"]), str(one.get("value", ""))) for one in entries if isinstance(one, Mapping) and "key" in one
    )


def _sample(call: Call, access: ProjectAccess) -> tuple[str, Json]:
    trigger, repository = call.path["trigger"], access.repository
    happening = Happening(access.project, call.user, call.base_url)
    mine = Where().also("project_id = ?", access.project.id)
    with call.services.database.reading() as connection:
        if trigger in ("push_events", "tag_push_events"):
            branch = repository.default_branch()
            head = repository.head(branch)
            if head is None:
                raise with_message(422, "Ensure the project has at least one commit.")
            parents = repository.commit(head).parents
            change = RefChange(parents[0] if parents else NULL_ID, head, HEADS + branch)
            return "Push Hook", push_body(connection, repository, happening, change)
        if trigger == "issues_events":
            issues, _ = find_issues(connection, mine, order="id DESC", limit=1, offset=0)
            if not issues:
                raise with_message(422, "Ensure the project has issues.")
            return "Issue Hook", issue_body(connection, repository, happening, issues[0], action="open", changes={})
        if trigger == "merge_requests_events":
            requests, _ = find_merge_requests(connection, mine, order="id DESC", limit=1, offset=0)
            if not requests:
                raise with_message(422, "Ensure the project has merge requests.")
            state = merge_state(repository, requests[0], 0)
            return "Merge Request Hook", merge_request_body(
                connection, repository, happening, requests[0], state, action="open", changes={}
            )
    raise with_message(400, "trigger does not have a valid value")
