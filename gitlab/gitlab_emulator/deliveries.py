"""Sending webhooks: queued in the database with the change that caused them, sent by one task, tried a few times."""

import asyncio
import base64
import hashlib
import hmac
import logging
import sqlite3
import time
import uuid
from datetime import UTC, datetime, timedelta

import httpx

from gitlab_emulator.database import Database
from gitlab_emulator.lag import Lag
from gitlab_emulator.store.hooks import add_delivery, change_delivery, change_hook, due_deliveries, hook_by_id, next_due
from gitlab_emulator.store.records import Delivery, Hook
from gitlab_emulator.times import timestamp
from gitlab_emulator.version import VERSION

TIMEOUT_S = 10.0
MAX_ATTEMPTS = 4
"""Tries of one delivery whose receiver could not be reached or answered 5xx."""
FAILURES_BEFORE_PAUSE = 4
FAILURES_BEFORE_END = 40
_RETRY_AFTER_S = 1.0
_BATCH = 16
_NEVER = "9999-12-31T00:00:00.000Z"

_log = logging.getLogger(__name__)


class DeliveryQueue:
    """The messages that wait, and the task that sends them."""

    def __init__(self, database: Database, lag: Lag) -> None:
        self._database = database
        self._lag = lag
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()

    def enqueue(
        self, connection: sqlite3.Connection, hook: Hook, *, event: str, event_uuid: str, body: str, instance: str
    ) -> Delivery:
        """Queue a message in the caller's transaction; call `wake` after it was committed."""
        due = datetime.now(UTC) + timedelta(seconds=self._lag.settings.webhook_s)
        return add_delivery(
            connection,
            hook_id=hook.id,
            uuid=str(uuid.uuid4()),
            event_uuid=event_uuid,
            event=event,
            body=body,
            instance=instance,
            due_at=timestamp(due),
        )

    def wake(self) -> None:
        """Tell the sending task, from any thread, that there is something new."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake.set)

    async def run(self) -> None:
        """Send what is due until cancelled; what an earlier process left waiting comes first."""
        self._loop = asyncio.get_running_loop()
        async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False, follow_redirects=False) as strict:
            async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False, verify=False) as lenient:  # noqa: S501 - hooks may switch verification off
                while True:
                    self._wake.clear()
                    try:
                        sent = await self._send_due(strict, lenient)
                    except Exception:  # noqa: BLE001 - one bad message must not end the sending of all others
                        _log.exception("sending webhooks failed")
                        sent = 0
                    if not sent:
                        await self._sleep_until_due()

    async def _send_due(self, strict: httpx.AsyncClient, lenient: httpx.AsyncClient) -> int:
        due = await asyncio.to_thread(self._due)
        jobs = [self._send(strict if hook.enable_ssl_verification else lenient, hook, one) for hook, one in due]
        await asyncio.gather(*jobs)
        return len(due)

    async def _sleep_until_due(self) -> None:
        due = await asyncio.to_thread(self._next_due)
        seconds = 60.0
        if due is not None:
            seconds = max(0.01, (datetime.fromisoformat(due) - datetime.now(UTC)).total_seconds())
        try:
            async with asyncio.timeout(min(seconds, 60.0)):
                await self._wake.wait()
        except TimeoutError:
            return

    def _next_due(self) -> str | None:
        with self._database.reading() as connection:
            return next_due(connection)

    def _due(self) -> list[tuple[Hook, Delivery]]:
        with self._database.reading() as connection:
            waiting = due_deliveries(connection, timestamp(), _BATCH)
            hooks = {one.hook_id: hook_by_id(connection, one.hook_id) for one in waiting}
        return [(hook, one) for one in waiting if (hook := hooks[one.hook_id]) is not None]

    async def _send(self, client: httpx.AsyncClient, hook: Hook, delivery: Delivery) -> None:
        if hook.disabled_until is not None and hook.disabled_until > timestamp():
            await asyncio.to_thread(self._record, hook, delivery, None, "hook is disabled", 0.0, skipped=True)
            return
        started = time.monotonic()
        status: int | None = None
        try:
            answer = await client.post(hook.url, content=delivery.body.encode(), headers=_headers(hook, delivery))
            status, text = answer.status_code, answer.text[:10_000]
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as failure:
            text = f"{type(failure).__name__}: {failure}"
        await asyncio.to_thread(self._record, hook, delivery, status, text, time.monotonic() - started)

    def _record(
        self, hook: Hook, delivery: Delivery, status: int | None, text: str, seconds: float, *, skipped: bool = False
    ) -> None:
        attempts = delivery.attempts + 1
        good = status is not None and 200 <= status < 300
        again = not skipped and attempts < MAX_ATTEMPTS and (status is None or status >= 500)
        due = timestamp(datetime.now(UTC) + timedelta(seconds=_RETRY_AFTER_S * 2 ** (attempts - 1)))
        with self._database.writing() as connection:
            change_delivery(
                connection,
                delivery.id,
                attempts=attempts,
                due_at=due if again else None,
                response_status="internal error" if status is None else str(status),
                response_body=text,
                execution_seconds=round(seconds, 3),
            )
            current = hook_by_id(connection, hook.id)
            if current is not None and not skipped and not again:
                change_hook(connection, hook.id, **_health(current, good=good))


def _health(hook: Hook, *, good: bool) -> dict[str, object]:
    """Four failures in a row switch a hook off for a minute and longer each time, forty for good."""
    if good:
        return {"failures": 0, "disabled_until": None}
    failures = hook.failures + 1
    if failures >= FAILURES_BEFORE_END:
        return {"failures": failures, "disabled_until": _NEVER}
    if failures < FAILURES_BEFORE_PAUSE:
        return {"failures": failures}
    pause = min(timedelta(minutes=2 ** (failures - FAILURES_BEFORE_PAUSE)), timedelta(days=1))
    return {"failures": failures, "disabled_until": timestamp(datetime.now(UTC) + pause)}


def _headers(hook: Hook, delivery: Delivery) -> dict[str, str]:
    moment = str(int(time.time()))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"GitLab/{VERSION}",
        "X-Gitlab-Event": delivery.event,
        "X-Gitlab-Event-UUID": delivery.event_uuid,
        "X-Gitlab-Webhook-UUID": hook.uuid,
        "X-Gitlab-Instance": delivery.instance,
        "Idempotency-Key": delivery.uuid,
        "webhook-id": delivery.uuid,
        "webhook-timestamp": moment,
    }
    if hook.token is not None:
        headers["X-Gitlab-Token"] = hook.token
    if hook.signing_token is not None:
        headers["webhook-signature"] = signature(hook.signing_token, delivery.uuid, moment, delivery.body)
    return headers | dict(hook.custom_headers)


def signature(signing_token: str, delivery_id: str, moment: str, body: str) -> str:
    """`v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body` (Standard Webhooks, as GitLab 19 signs)."""
    key = base64.b64decode(signing_token.removeprefix("whsec_"))
    code = hmac.new(key, f"{delivery_id}.{moment}.{body}".encode(), hashlib.sha256).digest()
    return "v1," + base64.b64encode(code).decode()
