"""OPEN_MERGE_REQUEST: find the branch's open merge request, or open one that can be recognised."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sagas.definition import Trigger
from sagas.errors import TerminalError
from sagas.ids import SagaId, effect_key
from sagas.ports import MergeRequest
from sagas.results import Advanced
from sagas.steps.run import StepRun
from sagas.texts import say


def marker(run: StepRun) -> str:
    """The hidden line in a description that names the effect which opened the merge request."""
    return f"<!-- saga:{effect_key(SagaId(run.saga.id), run.saga.state, run.saga.visit)} -->"


async def open_merge_request(run: StepRun) -> Advanced:
    """Look for this effect's own merge request in any state, then for an open one of the branch; else open one.

    Its own one may have been merged or closed by the time that its opening is recorded, as after a lost answer or a
    restored database. That it was opened is true all the same, and opening another would do the effect twice: the saga
    tells of the one that it opened, and of the state in which it is.
    """
    request = run.context.request
    target = str(request["targetBranch"])
    known = await run.forge.merge_requests(run.project, source_branch=run.saga.branch, target_branch=target)
    own = _own(run, known)
    open_one = next((found for found in known if found.state == "opened"), None)
    found = own or open_one
    created = own is not None
    if found is None:
        await _refuse_missing(run, target)
        found = await run.write(
            "gitlab.create_merge_request",
            lambda: run.forge.create_merge_request(
                run.project,
                source_branch=run.saga.branch,
                target_branch=target,
                title=str(request["title"]),
                description=f"{request.get('description') or ''}\n\n{marker(run)}".lstrip(),
            ),
        )
        created = marker(run) in (found.description or "")
    stored = merge_request_to_json(found, created=created)
    return Advanced(Trigger.DONE, replace(run.context, merge_request=stored), data={"mergeRequest": stored})


async def find_own(run: StepRun) -> MergeRequest | None:
    """The merge request that an earlier attempt of this effect opened, in whatever state it is by now."""
    return _own(run, await run.forge.merge_requests(run.project, source_branch=run.saga.branch))


def _own(run: StepRun, known: Sequence[MergeRequest]) -> MergeRequest | None:
    return next((found for found in known if marker(run) in (found.description or "")), None)


async def _refuse_missing(run: StepRun, target: str) -> None:
    await run.branch()
    if await run.forge.branch(run.project, target) is None:
        raise TerminalError("GITLAB_REJECTED", say("The target branch {target} does not exist.", target=target))


def merge_request_to_json(found: MergeRequest, *, created: bool) -> Mapping[str, Any]:
    """A merge request as the context keeps it; `created` tells whether this saga opened it."""
    return {
        "id": found.id,
        "iid": found.iid,
        "projectId": found.project_id,
        "title": found.title,
        "state": found.state,
        "webUrl": found.web_url,
        "sourceBranch": found.source_branch,
        "targetBranch": found.target_branch,
        "created": created,
    }
