"""Every error that the engine and its adapters raise on purpose.

SagaError
├─ RetryableError            the outside is away or busy: the same visit again after a back-off, without end
│   └─ UnknownOutcomeError   a write may have happened: look before trying again
├─ TerminalError             this saga's own data cause it: FAILED with a code; a person retries or cancels
├─ RefusedError              the caller's to mend: becomes entries of userErrors, nothing was changed
└─ ManifestError             geometries_manifest.json is broken, and where
StaleLease (BaseException)   somebody else owns the saga now: stop without writing
"""

from dataclasses import dataclass
from enum import StrEnum


class SagaError(Exception):
    """Base of every error raised on purpose; `code` is the public code, the message can be shown to an engineer."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(f"{code}: {message}")


class RetryableError(SagaError):
    """Worth another attempt by itself; `retry_after` is the other side's wish in seconds, where it gave one."""

    def __init__(self, code: str, message: str, *, retry_after: float | None = None, outage: bool = False) -> None:
        super().__init__(code, message)
        self.retry_after = retry_after
        self.outage = outage
        """True where it holds for everybody (service token refused): shown in /readyz."""


class UnknownOutcomeError(RetryableError):
    """The connection broke during a write: it may or may not have happened."""


class TerminalError(SagaError):
    """Never retried by itself; the saga fails with this code until a person retries or cancels."""


class ManifestError(TerminalError):
    """The geometry manifest cannot be read; `where` is the JSON path or line of the fault."""

    def __init__(self, message: str, *, where: str) -> None:
        super().__init__("INVALID_MANIFEST", message)
        self.where = where


class RefusalCode(StrEnum):
    """Why a command was refused; the codes of `UserErrorCode` in the API."""

    INVALID_INPUT = "INVALID_INPUT"
    NOT_FOUND = "NOT_FOUND"
    FORBIDDEN = "FORBIDDEN"
    WRONG_STATE = "WRONG_STATE"
    VERSION_CONFLICT = "VERSION_CONFLICT"
    IDEMPOTENCY_CONFLICT = "IDEMPOTENCY_CONFLICT"
    BRANCH_BUSY = "BRANCH_BUSY"
    GITLAB_UNAVAILABLE = "GITLAB_UNAVAILABLE"
    GITLAB_REJECTED = "GITLAB_REJECTED"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that the caller can mend; `field` is the path of the input field, such as ("values", "flow")."""

    code: RefusalCode
    message: str
    field: tuple[str, ...] | None = None


class RefusedError(SagaError):
    """The command was refused and changed nothing; it carries one problem or, for values, every one found."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__(problems[0].code.value, "; ".join(problem.message for problem in problems))


def refused(code: RefusalCode, message: str, *field: str) -> RefusedError:
    """A refusal with a single problem."""
    return RefusedError(Problem(code, message, field or None))


class StaleLease(BaseException):
    """The lease was taken over or could not be renewed: this owner must stop without writing.

    A BaseException, so that no `except Exception` in a step or an adapter swallows it.
    """
