"""Hooks as the API shows them: secrets are never returned."""

from gitlab_emulator.present import Json
from gitlab_emulator.store.records import Delivery, Hook
from gitlab_emulator.times import timestamp

EVENT_SWITCHES = (
    "push_events",
    "issues_events",
    "confidential_issues_events",
    "merge_requests_events",
    "tag_push_events",
    "note_events",
    "confidential_note_events",
    "job_events",
    "pipeline_events",
    "wiki_page_events",
    "deployment_events",
    "releases_events",
    "milestone_events",
    "feature_flag_events",
)


def hook_json(hook: Hook) -> Json:
    """A hook."""
    return {
        "id": hook.id,
        "url": hook.url,
        "name": hook.name,
        "description": hook.description,
        "project_id": hook.project_id,
        "created_at": hook.created_at,
        **{switch: switch in hook.events for switch in EVENT_SWITCHES},
        "push_events_branch_filter": hook.push_events_branch_filter,
        "branch_filter_strategy": hook.branch_filter_strategy,
        "enable_ssl_verification": hook.enable_ssl_verification,
        "alert_status": alert_status(hook),
        "disabled_until": hook.disabled_until,
        "url_variables": [],
        "custom_headers": [{"key": key} for key, _ in hook.custom_headers],
        "custom_webhook_template": None,
        "token_present": hook.token is not None,
        "signing_token_present": hook.signing_token is not None,
    }


def alert_status(hook: Hook) -> str:
    """Whether failures switched a hook off: for a while, or for good."""
    if hook.disabled_until is None:
        return "executable"
    if hook.disabled_until.startswith("9999"):
        return "disabled"
    return "temporarily_disabled" if hook.disabled_until > timestamp() else "executable"


def delivery_json(delivery: Delivery, hook: Hook) -> Json:
    """One delivery of a hook's history."""
    return {
        "id": delivery.id,
        "url": hook.url,
        "trigger": delivery.event.removesuffix(" Hook").lower().replace(" ", "_") + "_hooks",
        "request_headers": {"X-Gitlab-Event": delivery.event, "Idempotency-Key": delivery.uuid},
        "request_data": delivery.body,
        "response_headers": {},
        "response_body": delivery.response_body or "",
        "execution_duration": delivery.execution_seconds,
        "response_status": delivery.response_status or "",
        "created_at": delivery.created_at,
    }
