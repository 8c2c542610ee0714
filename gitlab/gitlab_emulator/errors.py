"""GitLab's error answers: the status, and the body in the key style that GitLab uses for it."""

from collections.abc import Mapping
from http import HTTPStatus


class ApiError(Exception):
    """An answer other than success; the gateway turns it into the response."""

    def __init__(self, status: int, body: Mapping[str, object], headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.body = body
        self.headers = dict(headers or {})
        super().__init__(f"{status} {body}")


def with_message(status: int, message: object) -> ApiError:
    """`{"message": …}`: what GitLab's own code raises."""
    return ApiError(status, {"message": message})


def with_error(text: str, status: int = 400) -> ApiError:
    """`{"error": …}`: what the declaration of a parameter or a route refuses."""
    return ApiError(status, {"error": text})


def not_found(what: str = "") -> ApiError:
    """404 of a named thing (`404 Project Not Found`), or of a database lookup (`404 Not found`)."""
    return with_message(404, f"404 {what} Not Found" if what else "404 Not found")


def bad_request(reason: str) -> ApiError:
    """400 raised by hand, as the newer commits API does."""
    return with_message(400, f"400 Bad request - {reason}")


def refused(text: str) -> ApiError:
    """400 with the plain text of a service's refusal."""
    return with_message(400, text)


def forbidden(reason: str = "") -> ApiError:
    """403, with GitLab's reason where it gives one."""
    return with_message(403, f"403 Forbidden - {reason}" if reason else "403 Forbidden")


def unauthorized() -> ApiError:
    """401 of a missing or unknown token, and of a merge by a user who may not merge."""
    return with_message(401, "401 Unauthorized")


def plain(status: int) -> ApiError:
    """The status with its standard phrase, such as `405 Method Not Allowed`."""
    return with_message(status, f"{status} {HTTPStatus(status).phrase}")


def invalid(**fields: str) -> ApiError:
    """400 of a model's validation: `{"message": {"title": ["can't be blank"]}}`."""
    return with_message(400, {field: [text] for field, text in fields.items()})
