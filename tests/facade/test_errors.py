"""Every kind of fault becomes the engine's error that fits it."""

import socket

import pytest
import requests
from gitlab.exceptions import (
    GitlabAuthenticationError,
    GitlabCreateError,
    GitlabError,
    GitlabGetError,
    GitlabHttpError,
    GitlabParsingError,
)
from urllib3.exceptions import MaxRetryError, NewConnectionError, ProtocolError

from gitlab_facade.errors import DriverError, engine_error, is_missing, text_of
from sagas.errors import RetryableError, SagaError, TerminalError, UnknownOutcomeError


def _refused() -> requests.ConnectionError:
    cause = NewConnectionError(None, "Connection refused")  # type: ignore[arg-type]  # urllib3 wants a live connection
    return requests.ConnectionError(MaxRetryError(None, "/", cause))  # type: ignore[arg-type]  # and a pool


def _cut() -> requests.ConnectionError:
    return requests.ConnectionError(ProtocolError("Connection aborted.", ConnectionResetError(104, "reset")))


def _http(
    status: int, message: object, *, body: bytes = b"{}", kind: type[GitlabError] = GitlabCreateError
) -> GitlabError:
    return kind(message, status, body)  # type: ignore[arg-type]  # GitLab sends lists and objects too


RETRYABLE, UNKNOWN, TERMINAL = RetryableError, UnknownOutcomeError, TerminalError


@pytest.mark.parametrize(
    ("error", "write", "kind", "code"),
    [
        pytest.param(_http(500, "500 Internal Server Error"), False, RETRYABLE, "GITLAB_UNAVAILABLE", id="500 read"),
        pytest.param(_http(502, b"<html>", body=b"<html>"), True, UNKNOWN, "GITLAB_UNAVAILABLE", id="502 write"),
        pytest.param(_http(503, "read-only mode"), True, UNKNOWN, "GITLAB_UNAVAILABLE", id="503 write"),
        pytest.param(_http(429, "Retry later"), True, RETRYABLE, "GITLAB_UNAVAILABLE", id="429 write did not happen"),
        pytest.param(_refused(), True, RETRYABLE, "GITLAB_UNAVAILABLE", id="refused write did not happen"),
        pytest.param(requests.ConnectTimeout("x"), True, RETRYABLE, "GITLAB_UNAVAILABLE", id="connect time-out"),
        pytest.param(requests.ReadTimeout("x"), False, RETRYABLE, "GITLAB_UNAVAILABLE", id="slow read"),
        pytest.param(requests.ReadTimeout("x"), True, UNKNOWN, "GITLAB_UNAVAILABLE", id="slow write"),
        pytest.param(_cut(), False, RETRYABLE, "GITLAB_UNAVAILABLE", id="cut read"),
        pytest.param(_cut(), True, UNKNOWN, "GITLAB_UNAVAILABLE", id="cut write"),
        pytest.param(requests.exceptions.ChunkedEncodingError("x"), True, UNKNOWN, "GITLAB_UNAVAILABLE", id="half answer"),
        pytest.param(GitlabParsingError("no JSON"), False, RETRYABLE, "GITLAB_UNAVAILABLE", id="unreadable read"),
        pytest.param(GitlabParsingError("no JSON"), True, UNKNOWN, "GITLAB_UNAVAILABLE", id="unreadable write"),
        pytest.param(_http(400, "A file with this name already exists"), True, TERMINAL, "GITLAB_CONFLICT", id="there"),
        pytest.param(_http(400, "A file with this name doesn't exist"), True, TERMINAL, "GITLAB_CONFLICT", id="gone"),
        pytest.param(
            _http(400, "The file has changed since you started editing it: a.json"),
            True, TERMINAL, "GITLAB_CONFLICT", id="changed",
        ),
        pytest.param(
            _http(400, "You are attempting to update a file that has changed since you started editing it."),
            True, TERMINAL, "GITLAB_CONFLICT", id="changed, files API",
        ),
        pytest.param(
            _http(400, "Could not update refs/heads/x. Please refresh and try again."),
            True, RETRYABLE, "GITLAB_CONFLICT", id="branch moved",
        ),
        pytest.param(
            _http(400, "You can only create or edit files when you are on a branch"),
            True, TERMINAL, "BRANCH_DELETED", id="branch gone",
        ),
        pytest.param(_http(404, "404 Commit Not Found"), False, TERMINAL, "BRANCH_DELETED", id="ref unknown"),
        pytest.param(_http(404, "404 Project Not Found"), False, TERMINAL, "PROJECT_NOT_FOUND", id="project"),
        pytest.param(
            _http(403, "403 Forbidden - You are not allowed to push into this branch"),
            True, TERMINAL, "GITLAB_REJECTED", id="protected branch",
        ),
        pytest.param(_http(422, ["You can't", "twice"]), True, TERMINAL, "GITLAB_REJECTED", id="list of texts"),
        pytest.param(_http(400, {"title": ["can't be blank"]}), True, TERMINAL, "GITLAB_REJECTED", id="validation"),
        pytest.param(requests.exceptions.InvalidURL("x"), True, TERMINAL, "GITLAB_REJECTED", id="not a request"),
    ],
)  # fmt: skip
def test_each_fault_has_its_error(error: DriverError, write: bool, kind: type[SagaError], code: str) -> None:
    mapped = engine_error(error, write=write)
    assert (type(mapped), mapped.code) == (kind, code)
    assert not getattr(mapped, "outage", False)


@pytest.mark.parametrize(
    "error",
    [
        GitlabAuthenticationError("401 Unauthorized", 401, b"{}"),
        _http(403, "insufficient_scope", body=b'{"error":"insufficient_scope","scope":"api"}', kind=GitlabGetError),
    ],
)
@pytest.mark.parametrize("write", [True, False])
def test_a_refused_service_token_is_an_outage_and_never_ends_a_saga(error: GitlabError, write: bool) -> None:
    mapped = engine_error(error, write=write)
    assert type(mapped) is RetryableError
    assert mapped.outage


def test_gitlabs_wish_travels_with_the_error() -> None:
    for status in (429, 503):
        mapped = engine_error(_http(status, "busy"), write=True, retry_after=17.0)
        assert isinstance(mapped, RetryableError)
        assert mapped.retry_after == 17.0


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("404 Branch Not Found", "404 Branch Not Found"),
        (b"Retry later\n", "Retry later"),
        (["first", "second"], "first, second"),
        ({"title": ["can't be blank", "is too short"], "path": ["taken"]}, "title can't be blank, is too short; path taken"),
        ({"error": "This endpoint has been requested too many times."}, "error This endpoint has been requested too many times."),
        (b"<html><body>Bad gateway</body></html>", "an HTML page instead of an API answer"),
        (b"\xff\xfe", "��"),
        ("", "HTTP 418 without a text"),
        ("x" * 9000, "x" * 500),
    ],
)  # fmt: skip
def test_gitlabs_own_words_survive_in_every_shape(message: object, text: str) -> None:
    assert text_of(_http(418, message)) == text


def test_only_gitlabs_own_404_means_missing() -> None:
    assert is_missing(_http(404, "404 File Not Found"), "File")
    assert is_missing(_http(404, "404 Not found"))
    assert not is_missing(_http(404, "404 Not Found"), "File"), "a wrong address answers so, for every file"
    assert not is_missing(_http(404, b"<html>404</html>"), "File")
    assert not is_missing(_http(404, "404 Commit Not Found"), "File")
    assert not is_missing(_http(400, "404 File Not Found", kind=GitlabHttpError), "File")


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/api/v4/user", "http://no-such-host.invalid/api/v4/user"])
def test_what_keeps_gitlab_from_answering_is_told_in_words_and_without_the_address(url: str) -> None:
    with pytest.raises(requests.ConnectionError) as failure:
        requests.get(url, timeout=5)
    text = engine_error(failure.value, write=False).message
    assert text.startswith("GitLab does not answer: Failed to ")
    assert "Connection" not in text.replace("Connection refused", "")
    assert "/api/v4" not in text


def test_a_read_that_timed_out_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(requests.Timeout) as failure:
        requests.get(f"http://127.0.0.1:{silent.getsockname()[1]}/", timeout=0.1)
    assert "Read timed out" in engine_error(failure.value, write=False).message
