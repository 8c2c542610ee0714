"""What a client gets to see when something goes wrong: every error has `extensions.code`, only internal ones are masked.

Mutations answer what the caller can act on as `userErrors` (`schema.mutations`); the rest, and everything that goes
wrong in queries and subscriptions, becomes a GraphQL error here.
"""

import logging
import re
from collections.abc import Iterator
from uuid import uuid4

from graphql import GraphQLError, GraphQLSyntaxError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from strawberry.exceptions import MissingQueryError
from strawberry.extensions import SchemaExtension
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError

from sagas.errors import ManifestError, RefusalCode, RefusedError, SagaError
from sagas.store.database import CONNECTION_FAILURES, database_unavailable
from sagas.texts import ENGLISH, Language, Text, in_language, say

_CLIENTS_FAULTS = (MissingQueryError, InvalidOperationTypeError)
"""What Strawberry raises before it executes anything: no document, or not of this kind here."""

log = logging.getLogger(__name__)
_DID_YOU_MEAN = re.compile(r" Did you mean [^?]*\?")

NOT_FOUND = "NOT_FOUND"
FORBIDDEN = "FORBIDDEN"
UNAUTHENTICATED = "UNAUTHENTICATED"
BAD_USER_INPUT = "BAD_USER_INPUT"
LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
VERSION_AHEAD = "VERSION_AHEAD"
GRAPHQL_PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
GRAPHQL_VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
INTERNAL_SERVER_ERROR = "INTERNAL_SERVER_ERROR"


def api_error(code: str, message: str, **extensions: object) -> GraphQLError:
    """A GraphQL error with a public code; `extensions` go beside it."""
    return GraphQLError(message, extensions={"code": code, **extensions})


def bad_input(argument: str, message: str) -> GraphQLError:
    """The error of an argument that cannot be right; the message says what would be."""
    return api_error(BAD_USER_INPUT, message, argument=argument)


def not_found(what: str) -> GraphQLError:
    """The one answer for what does not exist and for what the viewer may not see."""
    return api_error(NOT_FOUND, say("{what} does not exist, or you may not see it.", what=what))


def no_operation(unknown: CannotGetOperationTypeError) -> Text:
    """What is said where the document has no operation of the name that was given, or several and none was named."""
    if unknown.operation_name is None:
        return say("Can't get GraphQL operation type")
    return say('Unknown operation named "{name}".', name=unknown.operation_name)


def is_database_away(failure: BaseException) -> bool:
    """Whether the failure says that PostgreSQL cannot be reached now, as the drivers tell it."""
    if isinstance(failure, DBAPIError):
        # "The database system is starting up" reaches SQLAlchemy as a plain DBAPIError around asyncpg's own.
        behind = failure.orig and failure.orig.__cause__
        return (
            failure.connection_invalidated
            or isinstance(failure, OperationalError | InterfaceError)
            or isinstance(behind, CONNECTION_FAILURES)
        )
    return isinstance(failure, (PoolTimeoutError, *CONNECTION_FAILURES))


class ValidationErrors(SchemaExtension):
    """Marks validation errors while they can still be told from others."""

    def on_validate(self) -> Iterator[None]:
        """After validation."""
        yield
        for error in self.execution_context.pre_execution_errors or ():
            _put_code(error, GRAPHQL_VALIDATION_FAILED)


def _put_code(error: GraphQLError, code: str) -> None:
    error.extensions = {"code": code, **(error.extensions or {})}


def publish_errors(errors: list[GraphQLError], language: Language = ENGLISH) -> None:
    """Put every error of a result into its public form, in place; doing it twice is harmless."""
    errors[:] = [public_error(error, language) for error in errors]


def public_error(error: GraphQLError, language: Language = ENGLISH) -> GraphQLError:
    """The error as the client gets it, in the reader's language as far as the words are ours."""
    public = _public(error)
    said = in_language(_words(public), language)
    # Errors of documents are kept for the next who asks, and that one may read another language.
    return public if said == public.message else _located(public, said, public.extensions or {})


def hide_suggestions(errors: list[GraphQLError]) -> None:
    """Take the names that the library thinks were meant out of its errors, which would tell of a schema that is kept."""
    errors[:] = [
        _located(error, _DID_YOU_MEAN.sub("", error.message), error.extensions or {})
        if _DID_YOU_MEAN.search(error.message)
        else error
        for error in errors
    ]


def _words(error: GraphQLError) -> str:
    """The error's message, with its parts where graphql-core kept only its text when it put the place to it."""
    cause: BaseException | None = error
    while isinstance(cause, GraphQLError):
        if isinstance(cause.message, Text) and cause.message == error.message:
            return cause.message
        cause = cause.original_error
    return error.message


def _public(error: GraphQLError) -> GraphQLError:
    """What nobody outside can act on is logged and masked."""
    if error.extensions and "code" in error.extensions:
        return error
    if isinstance(error, GraphQLSyntaxError):
        _put_code(error, GRAPHQL_PARSE_FAILED)
        return error
    cause = _root(error)
    if isinstance(cause, CannotGetOperationTypeError):
        return _located(error, no_operation(cause), {"code": BAD_USER_INPUT})
    if cause is None or isinstance(cause, _CLIENTS_FAULTS):
        # What graphql-core itself raises is a variable or argument that its type does not take.
        _put_code(error, BAD_USER_INPUT)
        return error
    return _located(error, *_described(cause))


def _root(error: GraphQLError) -> BaseException | None:
    cause: BaseException | None = error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    return cause


def _described(cause: BaseException) -> tuple[str, dict[str, object]]:
    if isinstance(cause, RefusedError):
        problem = cause.problems[0]
        code = BAD_USER_INPUT if problem.code is RefusalCode.INVALID_INPUT else problem.code.value
        return problem.message, {"code": code, **({"argument": ".".join(problem.field)} if problem.field else {})}
    if isinstance(cause, ManifestError):
        return cause.message, {"code": cause.code, "where": cause.where}
    if isinstance(cause, SagaError):
        return cause.message, {"code": cause.code}
    if is_database_away(cause):
        away = database_unavailable()
        return away.message, {"code": away.code}
    reference = uuid4().hex[:12]
    log.error("internal error %s", reference, exc_info=cause)
    message = say(
        "Something went wrong inside the service; its log tells more under reference {reference}.", reference=reference
    )
    return message, {"code": INTERNAL_SERVER_ERROR, "reference": reference}


def _located(error: GraphQLError, message: str, extensions: dict[str, object]) -> GraphQLError:
    return GraphQLError(
        message,
        nodes=error.nodes,
        source=error.source,
        positions=error.positions,
        path=error.path,
        extensions=extensions,
    )
