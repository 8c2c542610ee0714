"""FR-ORCH-6: the merge request of a branch, as a one-step saga that its mutation waits for."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sagas.context import SagaContext
from sagas.errors import RefusalCode, refused
from sagas.ids import ProjectId, SagaId
from sagas.models import Saga, SagaStatus
from sagas.ports import MergeRequest, Project, User
from sagas.store import commands
from sagas.texts import remembered, say
from sagas.use_cases import commanding
from sagas.use_cases.answers import Answer
from sagas.use_cases.births import Birth
from sagas.use_cases.desk import Desk, not_found, refuse_unstorable, refusing_gitlab, request
from sagas.use_cases.starting import bear

PATIENCE_S = 20.0
_QUICK_ACTION = re.compile(r"^[^\S\n]*/[A-Za-z].*", re.MULTILINE)
"""GitLab carries out lines such as `/merge` or `/copy_metadata` for whoever opens the merge request: the service."""
_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 0.25


@dataclass(frozen=True, slots=True)
class MergeRequestAnswer:
    """The open merge request; `created` tells whether this very request opened it."""

    merge_request: MergeRequest
    created: bool


async def create_merge_request(
    desk: Desk,
    user: User,
    *,
    project_path: str,
    source_branch: str,
    target_branch: str | None,
    title: str | None,
    description: str | None,
    issue_iid: int | None,
    idempotency_key: str | None,
) -> MergeRequestAnswer:
    """Open the branch's merge request, or return the open one.

    With a key the open one gets a saga too: the key must go on naming it after somebody has closed it.
    """
    asked = request(
        user,
        "createMergeRequest",
        idempotency_key,
        project_path,
        source_branch,
        target_branch,
        title,
        description,
        issue_iid,
    )
    refuse_unstorable(source_branch, "sourceBranch")
    refuse_unstorable(target_branch, "targetBranch")
    _check_texts(title, description)
    async with refusing_gitlab():
        project, _ = await desk.project(user, project_path)
        answer = await desk.repeated(asked, project.id)
        if answer is None:
            target = await _target(desk, project, source_branch, target_branch)
            found = await desk.forge.merge_requests(
                project.id, source_branch=source_branch, target_branch=target, state="opened"
            )
            own = await _live(desk, project, source_branch, target)
            if found and own is None and idempotency_key is None:
                return MergeRequestAnswer(found[0], created=False)
            texts = await _texts(desk, project, source_branch, title, description, issue_iid)
    if answer is None:
        if own is not None and own.status is SagaStatus.FAILED:
            await commanding.cancel(
                desk,
                user,
                SagaId(own.id),
                compensate=False,
                reason="asked for again",
                expected_version=None,
                idempotency_key=None,
            )
            await _settled(desk, Answer(own, created=False))
        context = replace(
            SagaContext(project.repo_url, project.default_branch or ""), request={"targetBranch": target, **texts}
        )
        answer = await bear(desk, _birth(desk, user, project, source_branch, target, issue_iid, context), asked)
    return await _opened(desk, answer, user)


def _birth(
    desk: Desk, user: User, project: Project, source: str, target: str, issue_iid: int | None, context: SagaContext
) -> Birth:
    definition = desk.definitions.current["merge_request"]
    return Birth(
        definition=definition,
        state=definition.initial,
        project=project,
        branch=source,
        issue_iid=issue_iid,
        writes=(),
        natural_key=_natural_key(project.id, source, target),
        context=context,
        user=user,
    )


def _natural_key(project: ProjectId, source: str, target: str) -> str:
    return f"merge_request:{project}:{source}:{target}"


async def _live(desk: Desk, project: Project, source: str, target: str) -> Saga | None:
    live = await desk.database.read(lambda connection: commands.live_on_branch(connection, project.id, source))
    key = _natural_key(project.id, source, target)
    return next((saga for saga in live if saga.natural_key == key), None)


async def _target(desk: Desk, project: Project, source: str, target: str | None) -> str:
    chosen = target or project.default_branch
    if chosen is None:
        raise refused(
            RefusalCode.INVALID_INPUT, say("The project has no default branch; name a target."), "targetBranch"
        )
    if chosen == source:
        raise refused(
            RefusalCode.INVALID_INPUT,
            say("Source and target are the same branch, {source}.", source=source),
            "sourceBranch",
        )
    if await desk.forge.branch(project.id, source) is None:
        raise not_found(("sourceBranch",))
    if await desk.forge.branch(project.id, chosen) is None:
        raise not_found(("targetBranch",))
    return chosen


def _check_texts(title: str | None, description: str | None) -> None:
    refuse_unstorable(title, "title")
    refuse_unstorable(description, "description")
    if title is not None and not 1 <= len(title.strip()) <= 255:
        raise refused(RefusalCode.INVALID_INPUT, say("A title has 1 to 255 characters."), "title")
    if title is not None and not title.isprintable():
        # GitLab may make it the subject of a merge commit: a second line could pass for a trailer of ours.
        raise refused(RefusalCode.INVALID_INPUT, say("A title is one line, without control characters."), "title")
    if description is not None and len(description) > 100_000:
        raise refused(RefusalCode.INVALID_INPUT, say("A description has up to 100000 characters."), "description")
    if description is not None and (command := _QUICK_ACTION.search(description)):
        raise refused(
            RefusalCode.INVALID_INPUT,
            say(
                "The line {line!r} begins with a slash: GitLab would carry it out as a command, with the rights "
                "of this service. Put something before it.",
                line=command.group().strip()[:80],
            ),
            "description",
        )


async def _texts(
    desk: Desk, project: Project, source: str, title: str | None, description: str | None, issue_iid: int | None
) -> Mapping[str, Any]:
    issue = None
    if issue_iid is not None:
        issue = await desk.forge.issue(project.id, issue_iid)
        if issue is None:
            raise not_found(("issueIid",))
    if title is None:
        # A merge request is for everybody who sees the code: a confidential title stays out of it.
        named = issue is not None and not issue.confidential
        title = f"Calculation: {issue.title}"[:255] if issue and named else f"Calculation on {source}"[:255]
    if description is None:
        description = f"Closes #{issue_iid}" if issue_iid is not None else ""
    return {"title": title, "description": description}


async def _settled(desk: Desk, answer: Answer) -> Saga:
    loop = asyncio.get_running_loop()
    deadline, pause = loop.time() + PATIENCE_S, _FIRST_PAUSE_S
    while True:
        saga = await desk.database.read(lambda connection: commands.saga(connection, answer.saga.id))
        if saga is None:
            raise not_found(("sagaId",))
        if saga.status in {SagaStatus.COMPLETED, SagaStatus.FAILED, SagaStatus.CANCELLED} or loop.time() > deadline:
            return saga
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_S)


async def _opened(desk: Desk, answer: Answer, user: User) -> MergeRequestAnswer:
    saga = await _settled(desk, answer)
    if saga.status is SagaStatus.COMPLETED:
        stored = saga.context["mergeRequest"]
        now = await _as_it_is(desk, stored)
        return MergeRequestAnswer(now, created=answer.created and bool(stored.get("created")))
    error = saga.error or {}
    if saga.status is SagaStatus.FAILED:
        raise refused(RefusalCode.GITLAB_REJECTED, remembered(error, "message"))
    raise refused(
        RefusalCode.GITLAB_UNAVAILABLE,
        say(
            "The merge request was accepted and is being opened, but GitLab does not answer yet. Ask again: "
            "it is not opened twice."
        ),
    )


async def _as_it_is(desk: Desk, stored: Mapping[str, Any]) -> MergeRequest:
    async with refusing_gitlab():
        found = await desk.forge.merge_request(ProjectId(stored["projectId"]), stored["iid"])
    if found is not None:
        return found
    return MergeRequest(
        id=stored["id"],
        iid=stored["iid"],
        project_id=ProjectId(stored["projectId"]),
        title=stored["title"],
        description=None,
        state=stored["state"],
        web_url=stored["webUrl"],
        source_branch=stored["sourceBranch"],
        target_branch=stored["targetBranch"],
        sha=None,
    )
