"""python-gitlab made fit for an asynchronous service: one client per worker thread, nothing retried behind its back."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.cookiejar import DefaultCookiePolicy
from typing import Any, TypeVar

import gitlab
import requests
from gitlab.exceptions import GitlabError
from requests.adapters import HTTPAdapter

from gitlab_facade.answers import require_object
from gitlab_facade.errors import (
    DRIVER_ERRORS,
    engine_error,
    is_network,
    is_token_refusal,
    never_sent,
    text_of,
    token_outage,
)
from gitlab_facade.throttle import Throttle
from sagas.errors import SagaError

T = TypeVar("T")
Timeouts = tuple[float, float]
"""Seconds to connect and seconds between two bytes of the answer."""


@dataclass(slots=True)
class Exchange:
    """A request to GitLab, for whoever watches them: the status of its answer, None where none came."""

    status: int | None = None


Watch = Callable[[str, str], AbstractContextManager[Exchange]]
"""Goes around each request, given its method and address; called in the threads of the pool."""

PATIENCE_S = 2.0
LONGEST_WISH_S = 3600.0
"""Whatever a header says, GitLab is asked again after an hour: a wish without end would park a saga for ever."""
_READS = frozenset({"get", "head"})
_NOT_A_PERSONAL_TOKEN = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND})
_OPTIONS: Mapping[str, Any] = {"keep_base_url": True, "per_page": 100, "retry_transient_errors": False}


class Client(gitlab.Gitlab):
    """python-gitlab for one thread; remembers of the last request what its exceptions do not tell.

    A write is sent exactly once. A read is sent again once where a kept-alive connection turned out to be dropped.
    """

    def __init__(
        self, url: str, token: str, *, timeouts: Timeouts, throttle: Throttle, watch: Watch | None = None
    ) -> None:
        self._throttle = throttle
        super().__init__(url, private_token=token, session=_session(self._note_headers, watch), **_OPTIONS)
        self._timeouts = timeouts
        self.last_was_write = False
        self.retry_after: float | None = None

    def http_request(self, verb: str, path: str, *args: Any, **kwargs: Any) -> requests.Response:
        """As in python-gitlab, but with time-outs, without sleeping through a 429 and without its retries.

        Raises RetryableError, and sends nothing, while GitLab wants to be left alone.
        """
        self._throttle.refuse()
        self.last_was_write, self.retry_after = verb.lower() not in _READS, None
        kwargs |= {"timeout": self._timeouts, "obey_rate_limit": False, "retry_transient_errors": False}
        try:
            return super().http_request(verb, path, *args, **kwargs)
        except requests.RequestException as error:
            if self.last_was_write or not _dropped(error):
                raise
        return super().http_request(verb, path, *args, **kwargs)

    def user_behind(self, token: str) -> Mapping[str, Any]:
        """`GET /user` with a user's own token; personal, project and OAuth tokens all travel as Bearer."""
        return self._ask_as(token, "/user")

    def scopes_of(self, token: str) -> frozenset[str]:
        """What a user's own token is allowed; personal and OAuth tokens tell it at different addresses."""
        try:
            answer = self._ask_as(token, "/personal_access_tokens/self")
            return frozenset(map(str, answer.get("scopes") or ()))
        except GitlabError as error:
            if error.response_code not in _NOT_A_PERSONAL_TOKEN:
                raise
        answer = self._ask_as(token, f"{self.url}/oauth/token/info")
        return frozenset(map(str, answer.get("scope") or answer.get("scopes") or ()))

    def _ask_as(self, token: str, path: str) -> Mapping[str, Any]:
        user = gitlab.Gitlab(self.url, oauth_token=token, session=self.session, **_OPTIONS)
        return require_object(user.http_get(path, timeout=self._timeouts, obey_rate_limit=False))

    def close(self) -> None:
        """Close the connections."""
        self.session.close()

    def _note_headers(self, response: requests.Response, *_args: Any, **_kwargs: Any) -> None:
        self.retry_after = retry_after(response)
        # A user's own token, which travels as `Authorization`, has a quota of its own.
        if "PRIVATE-TOKEN" in response.request.headers:
            self._throttle.heed(response.status_code, response.headers, self.retry_after or reset_after(response))


class ClientPool:
    """A bounded pool of threads, each with its own client.

    A call whose task is cancelled while it still waits for a thread is never sent.
    """

    def __init__(self, make_client: Callable[[], Client], size: int, throttle: Throttle) -> None:
        self._make_client = make_client
        self._throttle = throttle
        self._clients: list[Client] = []
        self._local = threading.local()
        self._executor = ThreadPoolExecutor(size, thread_name_prefix="gitlab")

    async def run(self, work: Callable[[Client], T]) -> T:
        """Do the work in a thread of the pool; raises the engine's errors only.

        Where GitLab wants to be left alone for a moment, that is waited for; for longer, it is told at once.
        """
        # Twice, because news of the same wish, heard meanwhile, moves its end by as long as they were under way.
        for _ in range(2):
            remaining = self._throttle.remaining_s()
            if 0 < remaining <= PATIENCE_S:
                # A timer may be early by a tick.
                await asyncio.sleep(remaining + 0.01)
        # With the caller's context: log lines and traces from the thread tell whose work it is.
        return await asyncio.get_running_loop().run_in_executor(self._executor, copy_context().run, self._call, work)

    async def aclose(self) -> None:
        """Wait for the calls under way, drop those that wait, close all connections."""
        await asyncio.to_thread(self._executor.shutdown, wait=True, cancel_futures=True)
        for client in self._clients:
            client.close()
        self._clients.clear()

    def _call(self, work: Callable[[Client], T]) -> T:
        client = self._client()
        client.last_was_write, client.retry_after = False, None
        try:
            return work(client)
        except DRIVER_ERRORS as error:
            mapped = engine_error(error, write=client.last_was_write, retry_after=client.retry_after)
            raise _token_refused(client, error) or mapped from error

    def _client(self) -> Client:
        client: Client | None = getattr(self._local, "client", None)
        if client is None:
            client = self._local.client = self._make_client()
            self._clients.append(client)
        return client


def retry_after(response: requests.Response) -> float | None:
    """How many seconds GitLab wants to be left alone: `Retry-After` (number or date), else the throttle's reset time."""
    wish = response.headers.get("Retry-After", "").strip()
    if wish.isdecimal():
        return _bounded(float(wish))
    if wish:
        return _seconds_until(wish)
    return reset_after(response) if response.status_code == HTTPStatus.TOO_MANY_REQUESTS else None


def reset_after(response: requests.Response) -> float | None:
    """How many seconds are left of the throttle's period, where the answer tells of one."""
    reset = response.headers.get("RateLimit-Reset", "")
    # Not by way of int: that refuses thousands of digits, and its result may be more than a float holds.
    return _bounded(float(reset) - datetime.now(UTC).timestamp()) if reset.isdecimal() else None


def _seconds_until(date: str) -> float | None:
    try:
        moment = parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return None
    return _bounded((moment - datetime.now(moment.tzinfo)).total_seconds())


def _bounded(seconds: float) -> float:
    return min(max(0.0, seconds), LONGEST_WISH_S)


def _token_refused(client: Client, error: Exception) -> SagaError | None:
    """Whether a plain 403 holds for the token as such (blocked account, terms not accepted): then nothing is allowed."""
    if not isinstance(error, GitlabError) or error.response_code != HTTPStatus.FORBIDDEN:
        return None
    try:
        client.http_get("/user")
    except GitlabError as refusal:
        return token_outage(text_of(refusal)) if is_token_refusal(refusal) else None
    except requests.RequestException:
        return None
    return None


def _dropped(error: requests.RequestException) -> bool:
    return is_network(error) and not never_sent(error) and not isinstance(error, requests.Timeout)


class _Session(requests.Session):
    """A session that tells tokens to GitLab only: of a redirect elsewhere, requests itself takes `Authorization` alone off."""

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        super().rebuild_auth(prepared_request, response)  # type: ignore[no-untyped-call]  # the stubs leave it out
        elsewhere: bool = self.should_strip_auth(response.request.url, prepared_request.url)  # type: ignore[no-untyped-call]  # as above
        if elsewhere:
            prepared_request.headers.pop("PRIVATE-TOKEN", None)


class _WatchedAdapter(HTTPAdapter):
    """Sends, and tells of it."""

    def __init__(self, watch: Watch, **options: Any) -> None:
        self._watch = watch
        super().__init__(**options)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """As in requests."""
        with self._watch(request.method or "", request.url or "") as exchange:
            response = super().send(request, *args, **kwargs)
            exchange.status = response.status_code
            return response


def _session(note_headers: Callable[..., None], watch: Watch | None) -> requests.Session:
    session = _Session()
    options: dict[str, Any] = {"pool_connections": 1, "pool_maxsize": 2, "max_retries": 0}
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(**options) if watch is None else _WatchedAdapter(watch, **options))
    session.hooks["response"].append(note_headers)
    # GitLab also accepts a session cookie: one user's must never ride along with another's token.
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return session
