"""The one place where errors of python-gitlab and `requests` become the engine's.

RetryableError      GITLAB_UNAVAILABLE  5xx of a read, 429, time-out, refused connection; outage=True: the token
                                        itself is refused (401, scope too small, account blocked)
                    GITLAB_CONFLICT     the branch moved during the write, which therefore did not happen
UnknownOutcomeError GITLAB_UNAVAILABLE  connection lost, time-out or 5xx during a write
TerminalError       GITLAB_CONFLICT     the file is there, gone or changed since: look again before judging
                    BRANCH_DELETED      the branch (or commit) that was named does not exist
                    PROJECT_NOT_FOUND   the project does not exist, or the service may not see it
                    GITLAB_REJECTED     every other refusal, in GitLab's own words
"""

import re
from collections.abc import Mapping
from http import HTTPStatus

import requests
from gitlab.exceptions import GitlabAuthenticationError, GitlabError, GitlabParsingError
from requests.exceptions import ChunkedEncodingError, ConnectTimeout, ContentDecodingError
from urllib3.exceptions import HTTPError, MaxRetryError, NewConnectionError

from sagas.errors import RetryableError, SagaError, TerminalError, UnknownOutcomeError
from sagas.texts import say

UNAVAILABLE = "GITLAB_UNAVAILABLE"
REJECTED = "GITLAB_REJECTED"
CONFLICT = "GITLAB_CONFLICT"
BRANCH_DELETED = "BRANCH_DELETED"
PROJECT_NOT_FOUND = "PROJECT_NOT_FOUND"

DriverError = GitlabError | requests.RequestException | HTTPError
DRIVER_ERRORS = (GitlabError, requests.RequestException, HTTPError)
"""Everything that python-gitlab and the library beneath it raise of themselves."""

_LONGEST_TEXT = 500
_POOLS = ("HTTPConnection", "HTTPSConnection")

# GitLab has no codes for these; the texts are those of its commit and branch services.
_FILE_CHANGED = re.compile(
    r"A file with this name (already exists|doesn't exist)|changed since you started editing it", re.IGNORECASE
)
_BRANCH_MOVED = re.compile(r"Could not update refs/heads/|Please refresh and try again|branch diverged", re.IGNORECASE)
_BRANCH_GONE = re.compile(
    r"when you are on a branch|404 (Branch|Commit|Ref|Tree|Repository) Not Found|invalid revision or path",
    re.IGNORECASE,
)
_PROJECT_GONE = re.compile(r"404 Project Not Found", re.IGNORECASE)
_SCOPE_TOO_SMALL = re.compile(r"insufficient_scope", re.IGNORECASE)


class TokenRefusedError(SagaError):
    """GitLab does not accept the token that a user brought, or lets it not even say whose it is."""

    def __init__(self, message: str) -> None:
        super().__init__("UNAUTHENTICATED", message)


def engine_error(error: DriverError, *, write: bool, retry_after: float | None = None) -> SagaError:
    """The engine's error for what a call raised.

    `write`: the request that failed was one that changes something; `retry_after`: GitLab's wish in seconds, which
    python-gitlab's exceptions do not carry.
    """
    if not isinstance(error, GitlabError):
        return _network_error(error, write=write)
    status, text = error.response_code, text_of(error)
    if isinstance(error, GitlabAuthenticationError):
        return token_outage(text)
    if isinstance(error, GitlabParsingError) or status is None:
        return _lost(say("GitLab's answer could not be read: {text}", text=text), write=write)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _lost(
            say("GitLab answers {status}: {text}", status=status, text=text), write=write, retry_after=retry_after
        )
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT}:
        return RetryableError(
            UNAVAILABLE, say("GitLab answers {status}: {text}", status=status, text=text), retry_after=retry_after
        )
    if status == HTTPStatus.FORBIDDEN and _SCOPE_TOO_SMALL.search(_body(error)):
        return token_outage(text)
    return _refusal(status, text)


def token_outage(text: str) -> RetryableError:
    """The service's own token is refused: nothing works for anybody until an administrator replaces it."""
    return RetryableError(UNAVAILABLE, say("GitLab refuses the service's token: {text}", text=text), outage=True)


def is_token_refusal(error: GitlabError) -> bool:
    """Whether the token as such is refused, in answer to a question that every token may ask."""
    return isinstance(error, GitlabAuthenticationError) or error.response_code == HTTPStatus.FORBIDDEN


def text_of(error: GitlabError) -> str:
    """GitLab's own words, whatever shape they came in: text, list, dictionary of lists, or a proxy's page."""
    text = " ".join(_flat(error.error_message).split())
    if text.startswith("<"):
        text = "an HTML page instead of an API answer"
    return text[:_LONGEST_TEXT] or f"HTTP {error.response_code} without a text"


def is_missing(error: GitlabError, *what: str) -> bool:
    """Whether this is GitLab's own 404 for one of `what` (`Branch`, `File`, …; none: a row looked up by its number).

    A 404 with another text comes from a wrong address or a proxy and says nothing about what was asked for.
    """
    texts = {f"404 {kind.lower()} not found" for kind in what} or {"404 not found"}
    return error.response_code == HTTPStatus.NOT_FOUND and text_of(error).lower() in texts


def _network_error(error: requests.RequestException | HTTPError, *, write: bool) -> SagaError:
    text = say("GitLab does not answer: {reason}", reason=_reason(error)[:_LONGEST_TEXT])
    if never_sent(error):
        return RetryableError(UNAVAILABLE, text)
    if is_network(error):
        return _lost(text, write=write)
    return TerminalError(REJECTED, say("The request to GitLab is not a valid one: {error}", error=str(error)))


def _reason(error: requests.RequestException | HTTPError) -> str:
    """What went wrong on the way, without the objects that urllib3 puts around it."""
    inner = error.args[0] if error.args else error
    reason = getattr(inner, "reason", None) or inner
    text = str(reason)
    return text.partition("): ")[2] if text.startswith(_POOLS) else text or type(error).__name__


def is_network(error: Exception) -> bool:
    """Whether the connection failed, as opposed to a request that could not even be put together."""
    kinds = (requests.ConnectionError, requests.Timeout, ChunkedEncodingError, ContentDecodingError, HTTPError)
    return isinstance(error, kinds)


def never_sent(error: Exception) -> bool:
    """Whether the connection was not even made, so that a write certainly did not happen."""
    if isinstance(error, ConnectTimeout | NewConnectionError):
        return True
    reason = error.args[0] if isinstance(error, requests.ConnectionError) and error.args else error
    return isinstance(reason, MaxRetryError) and isinstance(reason.reason, NewConnectionError)


def _lost(text: str, *, write: bool, retry_after: float | None = None) -> RetryableError:
    kind = UnknownOutcomeError if write else RetryableError
    return kind(UNAVAILABLE, text, retry_after=retry_after)


def _refusal(status: int, text: str) -> SagaError:
    if _BRANCH_MOVED.search(text):
        return RetryableError(CONFLICT, text)
    if status == HTTPStatus.CONFLICT or _FILE_CHANGED.search(text):
        return TerminalError(CONFLICT, text)
    if _PROJECT_GONE.search(text):
        return TerminalError(PROJECT_NOT_FOUND, text)
    if _BRANCH_GONE.search(text):
        return TerminalError(BRANCH_DELETED, text)
    return TerminalError(REJECTED, text)


def _flat(message: object) -> str:
    if isinstance(message, bytes):
        return message.decode("utf-8", "replace")
    if isinstance(message, Mapping):
        return "; ".join(f"{key} {_flat(value)}" for key, value in message.items())
    if isinstance(message, list | tuple):
        return ", ".join(_flat(part) for part in message)
    return "" if message is None else str(message)


def _body(error: GitlabError) -> str:
    body = error.response_body or b""
    return body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body)
