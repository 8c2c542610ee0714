"""What mutations take."""

import strawberry
from strawberry.scalars import JSON

PROJECT_PATH = "The project's full path in GitLab, such as `power/plant-300`."
ISSUE_IID = "The issue's number in the project."
BRANCH = (
    "The branch to work on; without it, the issue's own branch `issue/<iid>-<slug>`, created from the default branch if "
    "missing."
)
IDEMPOTENCY_KEY = "A key of the client's own, up to 200 characters: the same key and input never do it twice."
SAGA_ID = "The saga."
EXPECTED_VERSION = (
    "The saga's version that the user saw: VERSION_CONFLICT where the saga has left the step that it was in at this "
    "version, or the step's draft has changed since; other events do not matter."
)


@strawberry.input(description="Which Balance calculation to start.")
class StartBalanceCalculationInput:
    """An issue, a branch, or both."""

    project_path: strawberry.ID = strawberry.field(description=PROJECT_PATH)
    issue_iid: int | None = strawberry.field(description=ISSUE_IID, default=None)
    branch: str | None = strawberry.field(description=BRANCH, default=None)
    idempotency_key: str | None = strawberry.field(description=IDEMPOTENCY_KEY, default=None)


@strawberry.input(description="The user's input for a waiting step.")
class AdvanceSagaInput:
    """A filled-in form."""

    saga_id: strawberry.ID = strawberry.field(description=SAGA_ID)
    step: str = strawberry.field(description="The step that the values are for, as pendingInput.step says.")
    values: JSON = strawberry.field(description="The whole input document; it replaces the file.")
    expected_version: int | None = strawberry.field(description=EXPECTED_VERSION, default=None)
    idempotency_key: str | None = strawberry.field(description=IDEMPOTENCY_KEY, default=None)


@strawberry.input(description="One independent calculation.")
class RunCalculationInput:
    """An issue or a branch, and the values."""

    project_path: strawberry.ID = strawberry.field(description=PROJECT_PATH)
    issue_iid: int | None = strawberry.field(description=ISSUE_IID, default=None)
    branch: str | None = strawberry.field(description=BRANCH, default=None)
    calculation: str = strawberry.field(description="A name from the catalogue, such as `condenser`.")
    values: JSON = strawberry.field(description="The whole input document; it replaces the file.")
    idempotency_key: str | None = strawberry.field(description=IDEMPOTENCY_KEY, default=None)


@strawberry.input(description="How to go on with a failed saga.")
class RetrySagaInput:
    """From where."""

    saga_id: strawberry.ID = strawberry.field(description=SAGA_ID)
    from_step: str | None = strawberry.field(
        description="A step to go back to, such as AWAIT_USER_CONDENSER_INPUT; without it the failed one.", default=None
    )
    expected_version: int | None = strawberry.field(description=EXPECTED_VERSION, default=None)
    idempotency_key: str | None = strawberry.field(description=IDEMPOTENCY_KEY, default=None)


@strawberry.input(description="Which saga to pause or resume.")
class SagaActionInput:
    """No more than the saga."""

    saga_id: strawberry.ID = strawberry.field(description=SAGA_ID)
    expected_version: int | None = strawberry.field(description=EXPECTED_VERSION, default=None)
    idempotency_key: str | None = strawberry.field(description=IDEMPOTENCY_KEY, default=None)


@strawberry.input(description="Which saga to end, and how.")
class CancelSagaInput:
    """With or without undoing."""

    saga_id: strawberry.ID = strawberry.field(description=SAGA_ID)
    compensate: bool | None = strawberry.field(
        description="Whether to undo in GitLab what the saga did; null counts as true.", default=True
    )
    reason: str | None = strawberry.field(description="Why, for the journal.", default=None)
    expected_version: int | None = strawberry.field(description=EXPECTED_VERSION, default=None)
    idempotency_key: str | None = strawberry.field(description=IDEMPOTENCY_KEY, default=None)


@strawberry.input(description="Which branch to ask a merge of.")
class CreateMergeRequestInput:
    """The work, and where it is to go."""

    project_path: strawberry.ID = strawberry.field(description=PROJECT_PATH)
    source_branch: str = strawberry.field(description="The branch with the work.")
    target_branch: str | None = strawberry.field(
        description="Where it is to go; without it the project's default branch.", default=None
    )
    title: str | None = strawberry.field(description="Its title; without it one is made.", default=None)
    description: str | None = strawberry.field(description="Its text, in GitLab's Markdown.", default=None)
    issue_iid: int | None = strawberry.field(description="The issue that the work belongs to.", default=None)
    idempotency_key: str | None = strawberry.field(description=IDEMPOTENCY_KEY, default=None)
