import base64
import json
import time
from dataclasses import replace
from typing import Any

import pytest

from gitlab_facade.webhook import WebhookVerifier, sign
from sagas.models import SagaStatus
from sagas.ports import TaskReport, TaskState
from tests.app.api import WEBHOOK_SECRET, Api

PATH = "/webhooks/gitlab"


def push(api: Api, branch: str = "issue/1-test") -> dict[str, Any]:
    """A push event as GitLab sends it, as far as anybody reads it."""
    sha = api.world.forge.head_of(api.world.project, branch)
    return {
        "object_kind": "push",
        "ref": f"refs/heads/{branch}",
        "before": "0" * 40,
        "after": sha,
        "project_id": api.world.project.id,
    }


async def deliver(api: Api, payload: object, *, token: str | None = WEBHOOK_SECRET, uuid: str = "d-1") -> Any:
    headers = {"X-Gitlab-Event": "Push Hook", "Webhook-Id": uuid} | ({} if token is None else {"X-Gitlab-Token": token})
    return await api.http.post(PATH, content=json.dumps(payload), headers=headers)


async def test_a_push_makes_the_saga_look_for_its_result_at_once(api: Api) -> None:
    saga = await api.world.start()
    await api.world.give(saga.id, "condenser")
    task = await api.world.published(saga.id, "condenser")
    commit = api.world.forge.write(
        api.world.project, saga.branch, "condenser_output.json", "{}\n", trailers={"Correlation-Id": str(task)}
    )
    api.world.publisher.finish(task, TaskReport(TaskState.SUCCEEDED, commit.sha))
    response = await deliver(api, push(api))
    assert (response.status_code, response.json()) == (200, {"kind": "push", "sagas": 1})
    await api.world.reaches(saga.id, "AWAIT_USER_FEEDWATER_HEATERS_INPUT", SagaStatus.AWAITING_INPUT)


@pytest.mark.parametrize("token", [None, "", "guess", WEBHOOK_SECRET + "x"])
async def test_a_forged_delivery_is_refused_and_logged_and_wakes_nobody(
    api: Api, token: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    saga = await api.world.start()
    await api.world.give(saga.id, "condenser")
    await api.world.published(saga.id, "condenser")
    response = await deliver(api, push(api), token=token)
    assert response.status_code == 401
    assert any("webhook refused" in record.getMessage() for record in caplog.records)
    signals = await api.world.database.read(lambda c: c.fetchval("SELECT count(*) FROM signal WHERE kind = 'WEBHOOK'"))
    assert signals == 0


@pytest.mark.parametrize("payload", [5, [], {}, {"object_kind": "push"}, {"object_kind": "push", "project_id": "x"}])
async def test_what_gitlab_would_not_send_is_400(api: Api, payload: object) -> None:
    assert (await deliver(api, payload)).status_code == 400


async def test_events_that_concern_no_saga_are_fine(api: Api) -> None:
    for payload in (push(api), {"object_kind": "pipeline", "project_id": 1}):
        response = await deliver(api, payload)
        assert (response.status_code, response.json()["sagas"]) == (200, 0)


async def _waiting_for_a_result(api: Api) -> None:
    saga = await api.world.start()
    await api.world.give(saga.id, "condenser")
    await api.world.published(saga.id, "condenser")


async def test_a_delivery_told_again_wakes_nobody_again(api: Api) -> None:
    await _waiting_for_a_result(api)
    told = [(await deliver(api, push(api), uuid="d-7")).json()["sagas"] for _ in range(3)]
    assert told == [1, 0, 0]
    assert (await deliver(api, push(api), uuid="d-8")).json()["sagas"] == 1


async def test_a_signed_delivery_counts_once_and_only_for_five_minutes(api: Api) -> None:
    signing = "whsec_" + base64.b64encode(b"k" * 32).decode()
    api.app.state.services = replace(api.services, webhooks=WebhookVerifier(None, signing))
    await _waiting_for_a_result(api)
    body, now = json.dumps(push(api)).encode(), int(time.time())

    async def sent(at: int, **changes: str) -> int:
        signed = {
            "Webhook-Id": "d-1",
            "Webhook-Timestamp": str(at),
            "Webhook-Signature": sign(signing, "d-1", at, body),
        }
        response = await api.http.post(PATH, content=body, headers=signed | changes)
        return int(response.json()["sagas"]) if response.status_code == 200 else -response.status_code

    assert [await sent(now), await sent(now), await sent(now + 1)] == [1, 0, 0]
    assert [await sent(now - 400), await sent(now + 400)] == [-401, -401]
    # A replay under another id or at another time is no longer what was signed.
    assert await sent(now, **{"Webhook-Id": "d-2"}) == -401
    assert await sent(now, **{"Webhook-Timestamp": str(now + 2)}) == -401
    assert await sent(now, **{"Webhook-Signature": ""}) == -401


async def test_without_a_secret_nobody_is_believed(api: Api) -> None:
    api.app.state.services = replace(api.services, webhooks=None)
    await _waiting_for_a_result(api)
    assert (await deliver(api, push(api))).status_code == 401
