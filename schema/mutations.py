"""The mutations: each hands its input to one use case of `sagas.service` and answers what became of it."""

from collections.abc import Awaitable, Callable
from typing import Annotated, cast

import strawberry

from sagas import ports
from sagas.errors import Problem, RefusedError, RetryableError
from sagas.service import Answer, SagaService
from sagas.texts import Language, in_language
from schema import ids
from schema.context import Context, Info
from schema.enums import RefusalCode
from schema.inputs import (
    AdvanceSagaInput,
    CancelSagaInput,
    CreateMergeRequestInput,
    RetrySagaInput,
    RunCalculationInput,
    SagaActionInput,
    StartBalanceCalculationInput,
)
from schema.merge_request import MergeRequest
from schema.resolver import mutation
from schema.saga import Saga, saga_of

GITLAB_UNAVAILABLE = RefusalCode.GITLAB_UNAVAILABLE
CREATED = "True where this request did it, false where an earlier one had; the answer is as it is now."
USER_ERRORS = "Why nothing was done; empty where it was."


@strawberry.type(
    description=(
        "What the caller can act on: mend it, or (GITLAB_UNAVAILABLE: nothing was started) try again later. Anything "
        "else is a GraphQL error with extensions.code."
    )
)
class UserError:
    """One problem of a refused command."""

    code: RefusalCode = strawberry.field(description="The kind of problem.")
    message: str = strawberry.field(description="What is wrong, and what would be right.")
    field: list[str] | None = strawberry.field(
        description='Path of the input field, such as ["values", "cooling_water", "flow"]; null where none is to blame.'
    )


@strawberry.type(description="What became of a command to a saga.")
class SagaPayload:
    """The saga, or the reasons why not."""

    saga: Saga | None = strawberry.field(description="The saga as it is now; null where nothing was done.")
    created: bool = strawberry.field(description=CREATED)
    user_errors: list[UserError] = strawberry.field(description=USER_ERRORS)


@strawberry.type(description="What became of the wish for a merge request.")
class CreateMergeRequestPayload:
    """The merge request, or the reasons why not."""

    merge_request: MergeRequest | None = strawberry.field(
        description="The open merge request; null where `userErrors` says why not."
    )
    created: bool = strawberry.field(description=CREATED)
    user_errors: list[UserError] = strawberry.field(description=USER_ERRORS)


def _user_errors(refusal: RefusedError | RetryableError, language: Language) -> list[UserError]:
    if isinstance(refusal, RefusedError):
        problems = refusal.problems
    elif refusal.code == GITLAB_UNAVAILABLE:
        problems = (Problem(GITLAB_UNAVAILABLE, refusal.message),)
    else:
        raise refusal
    return [
        UserError(
            code=problem.code,
            message=in_language(problem.message, language),
            field=list(problem.field) if problem.field else None,
        )
        for problem in problems
    ]


async def _command(info: Info, command: Callable[[SagaService, ports.User], Awaitable[Answer]]) -> SagaPayload:
    context: Context = info.context
    try:
        answer = await command(context.backend.sagas, context.viewer)
    except (RefusedError, RetryableError) as refusal:
        return SagaPayload(saga=None, created=False, user_errors=_user_errors(refusal, context.language))
    context.refresh()
    return SagaPayload(saga=await saga_of(context, answer.saga), created=answer.created, user_errors=[])


def _given(description: str) -> object:
    return strawberry.argument(name="input", description=description)


@strawberry.type(description="Everything that changes something.")
class Mutation:
    """Each is idempotent: with a key by the key, without one by what it would do."""

    @mutation(
        description=(
            "Starts the Balance calculation saga on an issue's branch, or returns the one that is active there (FR-ORCH-1)."
        )
    )
    async def start_balance_calculation(
        self,
        info: Info,
        given: Annotated[StartBalanceCalculationInput, _given("Where to calculate.")],
    ) -> SagaPayload:
        """FR-ORCH-1."""
        return await _command(
            info,
            lambda sagas, viewer: sagas.start_balance(
                viewer,
                project_path=given.project_path,
                issue_iid=given.issue_iid,
                branch=given.branch,
                idempotency_key=given.idempotency_key,
            ),
        )

    @mutation(description="Gives a waiting saga the user's input and moves it on.")
    async def advance_saga(
        self, info: Info, given: Annotated[AdvanceSagaInput, _given("The form, filled in.")]
    ) -> SagaPayload:
        """A refused document names every field that is wrong."""
        return await _command(
            info,
            lambda sagas, viewer: sagas.advance(
                viewer,
                ids.saga_id(given.saga_id, "sagaId"),
                step=given.step,
                values=cast("ports.Json", given.values),
                expected_version=given.expected_version,
                idempotency_key=given.idempotency_key,
            ),
        )

    @mutation(description="Runs one independent calculation: one commit, one task (FR-ORCH-3).")
    async def run_calculation(
        self, info: Info, given: Annotated[RunCalculationInput, _given("What to calculate, and where.")]
    ) -> SagaPayload:
        """FR-ORCH-3."""
        return await _command(
            info,
            lambda sagas, viewer: sagas.run_calculation(
                viewer,
                project_path=given.project_path,
                issue_iid=given.issue_iid,
                branch=given.branch,
                calculation=given.calculation,
                values=cast("ports.Json", given.values),
                idempotency_key=given.idempotency_key,
            ),
        )

    @mutation(
        description="Goes on with a failed saga: its failed step again, or back to an earlier step, such as the user's input."
    )
    async def retry_saga(
        self, info: Info, given: Annotated[RetrySagaInput, _given("Which saga, and from where.")]
    ) -> SagaPayload:
        """The failed step first looks whether its effect is there."""
        return await _command(
            info,
            lambda sagas, viewer: sagas.retry(
                viewer,
                ids.saga_id(given.saga_id, "sagaId"),
                from_step=given.from_step,
                expected_version=given.expected_version,
                idempotency_key=given.idempotency_key,
            ),
        )

    @mutation(description="Holds a saga where it is; what happens meanwhile is kept, deadlines go on.")
    async def pause_saga(self, info: Info, given: Annotated[SagaActionInput, _given("Which saga.")]) -> SagaPayload:
        """A step under way is finished first."""
        return await _command(
            info,
            lambda sagas, viewer: sagas.pause(
                viewer,
                ids.saga_id(given.saga_id, "sagaId"),
                expected_version=given.expected_version,
                idempotency_key=given.idempotency_key,
            ),
        )

    @mutation(description="Lets a paused saga go on.")
    async def resume_saga(self, info: Info, given: Annotated[SagaActionInput, _given("Which saga.")]) -> SagaPayload:
        """From where it was."""
        return await _command(
            info,
            lambda sagas, viewer: sagas.resume(
                viewer,
                ids.saga_id(given.saga_id, "sagaId"),
                expected_version=given.expected_version,
                idempotency_key=given.idempotency_key,
            ),
        )

    @mutation(
        description="Ends a saga; with compensate, undoes in GitLab what it did and revokes its outstanding task."
    )
    async def cancel_saga(
        self, info: Info, given: Annotated[CancelSagaInput, _given("Which saga, and how.")]
    ) -> SagaPayload:
        """CANCELLING at once, CANCELLED when all is undone."""
        return await _command(
            info,
            lambda sagas, viewer: sagas.cancel(
                viewer,
                ids.saga_id(given.saga_id, "sagaId"),
                compensate=given.compensate is not False,
                reason=given.reason,
                expected_version=given.expected_version,
                idempotency_key=given.idempotency_key,
            ),
        )

    @mutation(description="Opens the merge request of an issue's branch, or returns the open one (FR-ORCH-6).")
    async def create_merge_request(
        self, info: Info, given: Annotated[CreateMergeRequestInput, _given("From where to where.")]
    ) -> CreateMergeRequestPayload:
        """FR-ORCH-6."""
        context: Context = info.context
        try:
            answer = await context.backend.sagas.create_merge_request(
                context.viewer,
                project_path=given.project_path,
                source_branch=given.source_branch,
                target_branch=given.target_branch,
                title=given.title,
                description=given.description,
                issue_iid=given.issue_iid,
                idempotency_key=given.idempotency_key,
            )
        except (RefusedError, RetryableError) as refusal:
            return CreateMergeRequestPayload(
                merge_request=None, created=False, user_errors=_user_errors(refusal, context.language)
            )
        return CreateMergeRequestPayload(
            merge_request=MergeRequest.of(answer.merge_request), created=answer.created, user_errors=[]
        )
