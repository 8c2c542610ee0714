"""GraphQL over HTTP: Strawberry's router, made to answer as the GraphQL-over-HTTP specification says.

Every answer is JSON, also to requests that are no GraphQL request at all; `application/graphql-response+json` is
spoken to whoever asks for it, and only then does the status code tell of errors inside.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from functools import cached_property
from typing import Any, Literal, cast

from cross_web import AsyncHTTPRequestAdapter, HTTPException
from graphql import GraphQLError
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, Response
from starlette.websockets import WebSocket
from strawberry.exceptions import ConnectionRejectionError, MissingQueryError
from strawberry.fastapi import BaseContext, GraphQLRouter
from strawberry.http import GraphQLHTTPResponse, GraphQLRequestData
from strawberry.http.base import BaseRequestProtocol
from strawberry.http.types import QueryParams
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.subscriptions import (
    GRAPHQL_SSE_PROTOCOL,
    GRAPHQL_TRANSPORT_WS_PROTOCOL,
    MULTIPART_SUBSCRIPTION_PROTOCOL,
)
from strawberry.types import ExecutionResult
from strawberry.types.graphql import OperationType
from strawberry.types.unset import UNSET, UnsetType

from app.auth import Authenticator, UnauthenticatedError
from app.explorer import explorer_page
from app.graphql_stream import TRANSPORTS, PatientStream, counted, transport_of, while_known
from app.graphql_ws import UncheckableCredentialsError, WebSocketHandler
from app.http_limits import refused_status, tell_rate, too_large
from app.identity import identify, language_of, language_of_init, token_of_init
from app.patient_socket import PatientWebSocketAdapter
from app.services import Services
from sagas.errors import RetryableError, SagaError
from sagas.ports import User
from sagas.texts import Language, Text, by_words, in_language, say
from schema.backend import Backend
from schema.context import Context
from schema.documents import schema_of
from schema.errors import BAD_USER_INPUT, api_error, no_operation, public_error
from schema.exceeded import limit_exceeded
from schema.limits import Limits
from schema.shared_streams import SharedStreams
from schema.sharing import Shareable, shareable
from schema.trusted import with_name_among_extensions

JSON = "application/json"
GRAPHQL_JSON = "application/graphql-response+json"
SUBSCRIBE = say(
    "A subscription is a stream: use a websocket with the subprotocol `graphql-transport-ws`, or POST it with "
    "`Accept: text/event-stream` or Apollo's `Accept: multipart/mixed;boundary=graphql;subscriptionSpec=1.0`."
)
_NOTHING_SET = Response()
PROTOCOLS = (GRAPHQL_TRANSPORT_WS_PROTOCOL, GRAPHQL_SSE_PROTOCOL, MULTIPART_SUBSCRIPTION_PROTOCOL)


class RequestContext(Context, BaseContext):
    """A context that also knows its HTTP request or websocket, as Strawberry's FastAPI view wants it."""

    def __init__(
        self,
        backend: Backend,
        user: User | SagaError,
        language: Language,
        *,
        authenticator: Authenticator,
        header: str | None,
    ) -> None:
        Context.__init__(self, backend, user, language)
        BaseContext.__init__(self)
        self.authenticator = authenticator
        self.header = header

    def for_operation(self) -> Context:
        """The same asker, with loaders of its own."""
        return Context(self.backend, self.user, self.language)


async def request_context(connection: HTTPConnection) -> RequestContext:
    """The context of an HTTP request; a websocket's user is made out at `connection_init`."""
    services: Services = connection.app.state.services
    header = connection.headers.get("authorization")
    context = RequestContext(
        services.backend,
        await identify(services.authenticator, header),
        language_of(connection.headers.get("accept-language")),
        authenticator=services.authenticator,
        header=header,
    )
    connection.state.graphql = context
    return context


class Router(GraphQLRouter[RequestContext, None]):
    """`/graphql`: POST and GET, websockets, and the explorer for browsers."""

    graphql_transport_ws_handler_class = WebSocketHandler
    websocket_adapter_class = PatientWebSocketAdapter
    stream_transport_classes_by_protocol = TRANSPORTS
    shows_graphiql = True

    @cached_property
    def shared_streams(self) -> SharedStreams:
        """What subscribers of one saga share."""
        return SharedStreams(self.schema, self.encode_json)

    def shareable(
        self, query: str, variables: Mapping[str, object] | None, operation_name: str | None, limits: Limits
    ) -> Shareable | None:
        """The subscription as one that others may share."""
        return shareable(schema_of(self.schema), query, variables, operation_name, limits)

    @cached_property
    def connections(self) -> set[object]:
        """The websockets and streams that are open in this process."""
        return set()

    async def run(self, request: Request | WebSocket, *args: Any, **kwargs: Any) -> Any:
        """Answer; what Strawberry refuses in plain text becomes a GraphQL answer."""
        if isinstance(request, WebSocket):
            return await super().run(request, *args, **kwargs)
        try:
            response = await super().run(request, *args, **kwargs)
        except HTTPException as refused:
            return refusal(request, refused)
        except StarletteHTTPException as refused:
            if refused.status_code != 413:
                raise
            allowed = request.app.state.services.backend.limits.body
            return too_large(request, allowed, allowed + 1, media_type(request))
        outcome = getattr(request.state, "graphql_status", None)
        if outcome is not None:
            response.status_code = outcome if speaks_graphql_json(request) else 200
            response.headers["content-type"] = f"{media_type(request)}; charset=utf-8"
        tell_rate(request, response)
        return response

    def should_render_graphql_ide(self, request: BaseRequestProtocol) -> bool:
        """For browsers only: `*/*` is what programs send."""
        wants_page = "text/html" in request.headers.get("accept", "")
        return (
            self.shows_graphiql and request.method == "GET" and request.query_params.get("query") is None and wants_page
        )

    async def render_graphql_ide(self, request: Request) -> HTMLResponse:
        """The explorer."""
        return explorer_page()

    def decode_json(self, data: str | bytes) -> object:
        """Strict JSON: UTF-8, no NaN or Infinity, no nesting that exhausts the stack. Raises JSONDecodeError."""
        try:
            # From bytes `json` would take UTF-16 and UTF-32 as well.
            text = data.decode() if isinstance(data, bytes) else data
            return json.loads(text, parse_constant=_refuse_constant)
        except json.JSONDecodeError:
            raise
        except (ValueError, RecursionError) as error:
            raise json.JSONDecodeError(str(error) or "too deeply nested", "", 0) from error

    async def parse_http_body(self, request: AsyncHTTPRequestAdapter) -> GraphQLRequestData | list[GraphQLRequestData]:
        """The request's parts, each of the type that it must have."""
        if request.method == "POST" and _content_type(request) != JSON:
            raise HTTPException(415, say("Send the request as {type}.", type=JSON))
        parsed = await super().parse_http_body(request)
        if request.method == "GET" and isinstance(parsed, GraphQLRequestData) and parsed.protocol != "http":
            raise HTTPException(405, say("Ask for a stream by POST: what a foreign page may send unasked opens none."))
        if isinstance(parsed, GraphQLRequestData) and not isinstance(parsed.operation_name, str | None):
            raise HTTPException(400, _must_be("operationName", "string"))
        return parsed

    def parse_json(self, data: str | bytes) -> Any:
        """A JSON object, or the list of a batch, which is refused later."""
        parsed = super().parse_json(data)
        if not isinstance(parsed, dict | list):
            raise HTTPException(400, say("The request body must be a JSON object with the member `query`."))
        return with_name_among_extensions(parsed) if isinstance(parsed, dict) else parsed

    def parse_query_params(self, params: QueryParams) -> dict[str, Any]:
        """The parts of a request by GET."""
        return with_name_among_extensions(super().parse_query_params(params))

    async def execute_single(
        self,
        request: Request,
        request_adapter: AsyncHTTPRequestAdapter,
        sub_response: Response,
        context: RequestContext,
        root_value: None,
        request_data: GraphQLRequestData,
    ) -> ExecutionResult:
        """Run an operation that has one answer; mutations only by POST, subscriptions only as streams."""
        by_get = request_adapter.method == "GET"
        try:
            return await self.schema.execute(
                request_data.query,
                root_value=root_value,
                variable_values=request_data.variables,
                context_value=context,
                operation_name=request_data.operation_name,
                allowed_operation_types=(OperationType.QUERY,)
                if by_get
                else (OperationType.QUERY, OperationType.MUTATION),
                operation_extensions=request_data.extensions,
            )
        except CannotGetOperationTypeError as unknown:
            raise HTTPException(400, no_operation(unknown)) from unknown
        except MissingQueryError as missing:
            raise HTTPException(400, "No GraphQL query found in the request") from missing
        except InvalidOperationTypeError as wrong:
            if wrong.operation_type is OperationType.SUBSCRIPTION:
                raise HTTPException(406, SUBSCRIBE) from wrong
            raise HTTPException(405, wrong.as_http_error_reason(request_adapter.method)) from wrong

    async def get_sub_response(self, request: Request) -> Response:
        """No resolver sets anything on the response."""
        del request
        return _NOTHING_SET

    def create_response(
        self, response_data: GraphQLHTTPResponse | list[GraphQLHTTPResponse], sub_response: Response
    ) -> Response:
        """The answer as JSON."""
        del sub_response
        return Response(self.encode_json(response_data), media_type=JSON)

    async def create_streaming_response(
        self,
        request: Request,
        stream: Callable[[], AsyncIterator[str]],
        sub_response: Response,
        headers: Mapping[str, str],
    ) -> Response:
        """Stream, as long as there is room and the credentials hold."""
        del sub_response
        context: RequestContext = request.state.graphql
        allowed = context.backend.limits.connections
        if len(self.connections) >= allowed:
            refusal = limit_exceeded("connections", allowed=allowed, value=len(self.connections) + 1)
            return _answer(request, 503, refusal, {"Retry-After": "5"})
        chunks = cast("AsyncGenerator[str, None]", stream())
        told = while_known(
            chunks, transport_of(headers), self.encode_json_string, lambda: self.still_known(context), context.language
        )
        return PatientStream(counted(told, self.connections), headers=headers)

    async def on_ws_connect(self, context: RequestContext) -> UnsetType:
        """Who is connecting: by the payload of `connection_init`, or else by the header of the handshake."""
        # The payload is as long as a message may be, and a connection lasts: nothing else of it is kept.
        given, context.connection_params = context.connection_params or {}, None
        context.language = language_of_init(given) or context.language
        try:
            header = token_of_init(given)
        except UnauthenticatedError as unknown:
            raise ConnectionRejectionError from unknown
        if header is not None:
            context.header = header
            context.user = await identify(context.authenticator, header)
        if isinstance(context.user, RetryableError):
            raise UncheckableCredentialsError(in_language(context.user.message, context.language))
        if isinstance(context.user, SagaError):
            raise ConnectionRejectionError
        no_payload: UnsetType = UNSET
        return no_payload

    async def still_known(self, context: RequestContext) -> bool:
        """Whether a connection's credentials are still those of its user; yes where that cannot be checked now."""
        user = await identify(context.authenticator, context.header)
        return user == context.user or isinstance(user, RetryableError)

    async def process_result(self, request: Request, result: ExecutionResult) -> GraphQLHTTPResponse:
        """The answer, and on the request the status that the specification gives it."""
        answer = await super().process_result(request, result)
        never_ran = result.data is None and bool(result.errors) and all(not e.path for e in result.errors or ())
        if never_ran:
            answer.pop("data", None)
        request.state.graphql_status = refused_status(result.errors or ()) if never_ran else 200
        return answer


def speaks_graphql_json(request: Request) -> bool:
    """Whether the client asks for `application/graphql-response+json`."""
    return GRAPHQL_JSON in request.headers.get("accept", "").lower()


def media_type(request: Request) -> str:
    """What the client is answered in."""
    return GRAPHQL_JSON if speaks_graphql_json(request) else JSON


def _content_type(request: AsyncHTTPRequestAdapter) -> str:
    return (request.content_type or "").partition(";")[0].strip().lower()


def _must_be(part: str, kind: Literal["string", "object"]) -> Text:
    if kind == "string":
        return say("The GraphQL operation's `{part}` must be a string or null, if provided.", part=part)
    return say("The GraphQL operation's `{part}` must be an object or null, if provided.", part=part)


_STRAWBERRYS = by_words(
    say("Unable to parse request body as JSON"),
    say("No GraphQL query found in the request"),
    say("Batching is not enabled"),
    say("mutations are not allowed when using GET"),
    _must_be("query", "string"),
    _must_be("variables", "object"),
    _must_be("extensions", "object"),
)
"""What Strawberry says of requests that are none."""


def refusal(request: Request, refused: HTTPException) -> Response:
    """The answer to a request that GraphQL over HTTP does not know."""
    allow = "POST" if request.method == "GET" else "GET, POST"
    headers = {"Allow": allow} if refused.status_code == 405 else {}
    return _answer(
        request,
        refused.status_code,
        api_error(BAD_USER_INPUT, _STRAWBERRYS.get(refused.reason, refused.reason)),
        headers,
    )


def _answer(request: Request, status: int, error: GraphQLError, headers: Mapping[str, str]) -> Response:
    said = public_error(error, language_of(request.headers.get("accept-language")))
    body = json.dumps({"errors": [said.formatted]})
    return Response(body, status, headers, f"{media_type(request)}; charset=utf-8")


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")
