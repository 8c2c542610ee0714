"""The schema: queries, and everything put together."""

from collections.abc import AsyncGenerator
from typing import Annotated, Any

import strawberry
from graphql import GraphQLError
from strawberry.extensions import SchemaExtension
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext, ExecutionResult
from strawberry.types.execution import PreExecutionError

from sagas.errors import TerminalError
from sagas.texts import ENGLISH, say
from schema import ids, nodes
from schema.calculation import Calculation
from schema.context import Context, Info
from schema.deadline import Deadline
from schema.definition import SagaDefinition
from schema.direct import execute_directly
from schema.documents import Documents, schema_of
from schema.enums import IssueState
from schema.errors import FORBIDDEN, ValidationErrors, api_error, hide_suggestions, not_found, publish_errors
from schema.filters import SagaFilter, saga_filter_of
from schema.geometry import Geometry
from schema.issue import Issue, IssueConnection, issue_cursor
from schema.mutations import Mutation
from schema.node import Node
from schema.pagination import AFTER, BEFORE, FIRST, LAST, page_arguments
from schema.permissions import (
    may_read,
    readable_project,
    readable_projects,
    readable_saga,
    visible_issue,
    visible_issues,
)
from schema.plans import PlanningExecutor
from schema.rates import RateLimit
from schema.resolver import resolver
from schema.saga import Saga, SagaConnection, saga_of, sagas_page
from schema.scalars import SCALARS
from schema.subscriptions import Subscription
from schema.user import Viewer

PROJECT_PATH = "The project's full path in GitLab, such as `power/plant-300`."


@strawberry.type(description="Everything that can be read.")
class Query:
    """What the viewer may not see is answered as if it did not exist."""

    @resolver(
        description="Anything that has a global id; null where there is no such thing, or the viewer may not see it."
    )
    async def node(
        self, info: Info, wanted: Annotated[strawberry.ID, strawberry.argument(name="id", description="Its global id.")]
    ) -> Node | None:
        """Null for what does not exist or may not be seen."""
        return await nodes.node(info.context, wanted)

    @resolver(description="The user whose credentials came with the request.")
    def viewer(self, info: Info) -> Viewer:
        """Whose rights hold."""
        return Viewer.of(info.context.viewer)

    @resolver(description="One saga; null where there is no such saga, or the viewer may not see it.")
    async def saga(
        self, info: Info, wanted: Annotated[strawberry.ID, strawberry.argument(name="id", description="The saga's id.")]
    ) -> Saga | None:
        """Null for what does not exist or may not be seen."""
        row = await readable_saga(info.context, ids.saga_id(wanted))
        return None if row is None else await saga_of(info.context, row)

    @resolver(
        description=(
            "Sagas of projects that the viewer can see, newest first. Those that finished long ago are archived: they are found "
            "by their id alone."
        )
    )
    async def sagas(
        self,
        info: Info,
        given: Annotated[SagaFilter | None, strawberry.argument(name="filter", description="Which of them.")] = None,
        first: Annotated[int | None, strawberry.argument(description=FIRST)] = None,
        after: Annotated[str | None, strawberry.argument(description=AFTER)] = None,
        last: Annotated[int | None, strawberry.argument(description=LAST)] = None,
        before: Annotated[str | None, strawberry.argument(description=BEFORE)] = None,
    ) -> SagaConnection:
        """Merge-request sagas are listed only when the filter names their definition."""
        asked = saga_filter_of(given, info.context.viewer)
        arguments = page_arguments(first, after, last, before)
        return await sagas_page(info.context, asked, await readable_projects(info.context), arguments)

    @resolver(description="The definitions that new sagas begin under.")
    def saga_definitions(self, info: Info) -> list[SagaDefinition]:
        """In the versions stored now."""
        info.context.require_viewer()
        return [SagaDefinition(stored=stored) for stored in info.context.backend.definitions.current.values()]

    @resolver(description="The catalogue: every calculation that can be run, with the JSON Schema of its input.")
    def calculations(self, info: Info) -> list[Calculation]:
        """In the order of the catalogue."""
        info.context.require_viewer()
        return [Calculation.of(entry) for entry in info.context.backend.catalogue.calculations]

    @resolver(
        description="GitLab issues assigned to the viewer (FR-ORCH-4); null, with an error, where GitLab does not answer."
    )
    async def issues(
        self,
        info: Info,
        project_path: Annotated[strawberry.ID | None, strawberry.argument(description=PROJECT_PATH)] = None,
        state: Annotated[IssueState | None, strawberry.argument(description="Which of them.")] = IssueState.OPENED,
        labels: Annotated[
            list[str] | None, strawberry.argument(description="Only issues that carry all of these.")
        ] = None,
        search: Annotated[str | None, strawberry.argument(description="Words of title or description.")] = None,
        first: Annotated[int | None, strawberry.argument(description=FIRST)] = None,
        after: Annotated[str | None, strawberry.argument(description=AFTER)] = None,
    ) -> IssueConnection | None:
        """Newest first; null with an error while GitLab is away."""
        viewer = info.context.viewer
        arguments = page_arguments(first, after)
        cursor = issue_cursor(after)
        project = None
        if project_path is not None:
            found = await readable_project(info.context, project_path)
            if found is None:
                raise not_found(say("The project {path}", path=project_path))
            project = found.id
        page = await visible_issues(
            info.context,
            lambda first, after: info.context.backend.forge.issues(
                assignee=viewer,
                project=project,
                state=IssueState(state or IssueState.OPENED).value,
                labels=labels or (),
                search=search,
                first=first,
                after=after,
            ),
            first=arguments.first or 0,
            after=cursor,
        )
        return IssueConnection.of(page, has_previous=cursor is not None)

    @resolver(description="One GitLab issue; null where there is no such issue, or the viewer may not see it.")
    async def issue(
        self,
        info: Info,
        project_path: Annotated[strawberry.ID, strawberry.argument(description=PROJECT_PATH)],
        iid: Annotated[int, strawberry.argument(description="Its number in the project.")],
    ) -> Issue | None:
        """Null for what does not exist or may not be seen."""
        project = await readable_project(info.context, project_path)
        if project is None:
            return None
        found = await visible_issue(info.context, project.id, iid)
        return None if found is None else Issue.of(found)

    @resolver(
        description=(
            "Geometries listed by the project's geometries_manifest.json (FR-ORCH-5); null, with an error, where it cannot be "
            "read."
        )
    )
    async def geometries(
        self,
        info: Info,
        project_path: Annotated[strawberry.ID, strawberry.argument(description=PROJECT_PATH)],
        ref: Annotated[
            str | None,
            strawberry.argument(description="Branch, tag or commit; without it the project's default branch."),
        ] = None,
        kind: Annotated[str | None, strawberry.argument(description="Only geometries of this kind.")] = None,
    ) -> list[Geometry] | None:
        """In the manifest's order; INVALID_MANIFEST says where a broken one is broken."""
        project = await readable_project(info.context, project_path)
        if project is None:
            raise not_found(say("The project {path}", path=project_path))
        if not await may_read(info.context, project.id):
            raise api_error(
                FORBIDDEN, say("You can see this project, but not its code; that needs the role Reporter or more.")
            )
        at = ref if ref is not None else project.default_branch
        if at is None:
            return []
        try:
            entries = await info.context.backend.forge.geometries(project.id, ref=at)
        except TerminalError as failure:
            if failure.code == "BRANCH_DELETED":
                raise not_found(say("The ref {ref}", ref=at)) from failure
            raise
        return [Geometry.of(entry, project.id, at) for entry in entries if kind is None or entry.kind == kind]


class Schema(strawberry.Schema):
    """Strawberry's schema, whatever the transport: documents may be named, and every error leaves it in its public form."""

    runs_directly = False
    """Whether an operation that is known to be in order may run without the extensions: see `schema.direct`."""

    async def execute(self, query: str | None, *args: Any, **kwargs: Any) -> ExecutionResult:
        """Run the operation that was sent or named, if it may run."""
        try:
            query = _document(query, **kwargs)
        except GraphQLError as refusal:
            return _refused(refusal, **kwargs)
        answered = await execute_directly(self, query, **kwargs) if self.runs_directly and not args else None
        if answered is None:
            return await super().execute(query, *args, **kwargs)
        if answered.errors:
            self._publish(answered.errors, kwargs["context_value"])
        return answered

    async def stream(self, query: str | None, *args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
        """As `execute`, with each of a subscription's results."""
        try:
            query = _document(query, **kwargs)
        except GraphQLError as refusal:
            return _once(_refused(refusal, **kwargs))
        return await super().stream(query, *args, **kwargs)

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Strawberry shows each result's errors here before anybody else sees them. It would log them all as its own."""
        self._publish(errors, None if execution_context is None else execution_context.context)

    def _publish(self, errors: list[GraphQLError], context: Context | None) -> None:
        publish_errors(errors, ENGLISH if context is None else context.language)
        if context is not None and not context.backend.limits.suggestions:
            hide_suggestions(errors)


def _document(
    query: str | None,
    *,
    context_value: Context | None = None,
    operation_extensions: dict[str, Any] | None = None,
    **_others: object,
) -> str | None:
    return query if context_value is None else context_value.backend.trusted.resolve(query, operation_extensions)


def _refused(refusal: GraphQLError, *, context_value: Context, **_others: object) -> PreExecutionError:
    errors = [refusal]
    publish_errors(errors, context_value.language)
    return PreExecutionError(data=None, errors=errors)


async def _once(result: ExecutionResult) -> AsyncGenerator[ExecutionResult, None]:
    yield result


def build_schema(*around: type[SchemaExtension]) -> Schema:
    """The schema; `around`: extensions that go around all of an operation."""
    built = Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=nodes.NODE_CLASSES,
        extensions=[*around, ValidationErrors, Documents, RateLimit, Deadline],
        execution_context_class=PlanningExecutor,
        config=StrawberryConfig(scalar_map=SCALARS, sort_schema=True),
    )
    built.runs_directly = not around
    return built


schema = build_schema()
"""The API's schema; `schema.as_str()` is what `schema.graphql` holds."""

graphql_schema = schema_of(schema)
"""The same, as graphql-core knows it."""
