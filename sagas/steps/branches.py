"""PREPARE_BRANCH: the issue's branch, where it has to be made."""

from dataclasses import replace
from functools import partial

from sagas.definition import Trigger
from sagas.models import EventType
from sagas.results import Advanced
from sagas.steps.run import StepRun


async def prepare_branch(run: StepRun) -> Advanced:
    """Make the branch from the commit that the start recorded; one that is there already is used as it is.

    It counts as this saga's own, and undo may remove it, only where it still points at that very commit.
    """
    base = run.context.head or run.context.default_branch
    branch = await run.forge.branch(run.project, run.saga.branch)
    if branch is None:
        create = partial(run.forge.create_branch, run.project, run.saga.branch, ref=base)
        branch = await run.write("gitlab.create_branch", create)
    own = branch.head == base
    context = replace(run.context, head=branch.head, branch_created=own, branch_base=base if own else None)
    data = {"branch": branch.name, "head": branch.head}
    return Advanced(Trigger.DONE, context, EventType.BRANCH_CREATED if own else EventType.ENTERED, data)
