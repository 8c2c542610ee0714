"""RFC 9457 problem documents: how the REST route refuses."""

from collections.abc import Sequence
from http import HTTPStatus

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from app.identity import language_of
from sagas.errors import Problem, RefusalCode, RefusedError, RetryableError, SagaError
from sagas.texts import ENGLISH, Language, by_words, in_language, joined, say

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5

_STATUS: dict[str, HTTPStatus] = {
    RefusalCode.INVALID_INPUT: HTTPStatus.UNPROCESSABLE_ENTITY,
    RefusalCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    RefusalCode.FORBIDDEN: HTTPStatus.FORBIDDEN,
    RefusalCode.WRONG_STATE: HTTPStatus.CONFLICT,
    RefusalCode.VERSION_CONFLICT: HTTPStatus.CONFLICT,
    RefusalCode.IDEMPOTENCY_CONFLICT: HTTPStatus.CONFLICT,
    RefusalCode.BRANCH_BUSY: HTTPStatus.CONFLICT,
    RefusalCode.GITLAB_UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    RefusalCode.GITLAB_REJECTED: HTTPStatus.BAD_GATEWAY,
    "UNAUTHENTICATED": HTTPStatus.UNAUTHORIZED,
}


def problem_of(error: SagaError, language: Language = ENGLISH) -> JSONResponse:
    """The answer to a request that was refused or cannot be served now; `code` is the code of the GraphQL API."""
    if isinstance(error, RefusedError):
        return problem(error.code, error.problems[0].message, error.problems, language=language)
    status = HTTPStatus.SERVICE_UNAVAILABLE if isinstance(error, RetryableError) else None
    return problem(error.code, error.message, status=status, language=language)


def problem(
    code: str,
    detail: str,
    problems: Sequence[Problem] = (),
    *,
    status: HTTPStatus | None = None,
    language: Language = ENGLISH,
) -> JSONResponse:
    """A problem document; `errors` lists every field that must be mended."""
    status = status or _STATUS.get(code, HTTPStatus.UNPROCESSABLE_ENTITY)
    body: dict[str, object] = {
        "type": f"urn:balance-orchestrator:problem:{code.lower().replace('_', '-')}",
        "title": status.phrase,
        "status": status.value,
        "detail": in_language(detail, language),
        "code": code,
    }
    if problems:
        body["errors"] = [
            {
                "code": one.code.value,
                "detail": in_language(one.message, language),
                "field": list(one.field or ()),
            }
            for one in problems
        ]
    return JSONResponse(body, status.value, _headers(status), MEDIA_TYPE)


_LIBRARIES = by_words(
    say("Not Found"),
    say("Method Not Allowed"),
    say("Field required"),
    say("Input should be a valid string"),
    say("Input should be a valid integer"),
    say("String should have at least 1 character"),
    say("Extra inputs are not permitted"),
)
"""What FastAPI and Pydantic say."""


async def http_problem(request: Request, error: Exception) -> Response:
    """What the framework itself refuses, such as an unknown path or a body that is not UTF-8."""
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    said = str(error.detail)
    answer = problem(status.name, _LIBRARIES.get(said, said), status=status, language=_language(request))
    # Of a method that is not allowed it says which are.
    answer.headers.update(error.headers or {})
    return answer


async def invalid_request(request: Request, error: Exception) -> Response:
    """A request that is not what a route takes; every field that must be mended is named."""
    assert isinstance(error, RequestValidationError)
    problems = [
        Problem(RefusalCode.INVALID_INPUT, *_told(fault["type"], str(fault["msg"]), fault["loc"][1:], fault.get("ctx")))
        for fault in error.errors()
    ]
    parts = [say("{field}: {problem}", field=".".join(one.field or ("body",)), problem=one.message) for one in problems]
    return problem(RefusalCode.INVALID_INPUT, joined(parts, "; "), problems, language=_language(request))


def _told(kind: str, message: str, where: Sequence[object], context: object) -> tuple[str, tuple[str, ...] | None]:
    """What is wrong, and with which field; None: with the body as a whole."""
    if kind == "json_invalid":
        reason = context.get("error") if isinstance(context, dict) else None
        place = str(where[0] if where else 0)
        return say(
            "The body is not JSON: {reason}, at character {place}.", reason=str(reason or message), place=place
        ), None
    if not where and kind in {"model_attributes_type", "model_type", "dict_type"}:
        return say("The body must be a JSON object."), None
    return _LIBRARIES.get(message, message), tuple(str(part) for part in where) or None


def _language(request: Request) -> Language:
    return language_of(request.headers.get("accept-language"))


def _headers(status: HTTPStatus) -> dict[str, str]:
    if status is HTTPStatus.UNAUTHORIZED:
        return {"WWW-Authenticate": "Bearer"}
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        return {"Retry-After": str(RETRY_AFTER_S)}
    return {}
