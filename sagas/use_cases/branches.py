"""Which branch a start works on: the given one, the issue's own, or one that has yet to be made."""

import re
from dataclasses import dataclass

from text_unidecode import unidecode

from sagas.errors import RefusalCode, refused
from sagas.ids import CommitSha
from sagas.ports import AccessLevel, Branch, Issue, Project
from sagas.store import commands
from sagas.texts import say
from sagas.use_cases.desk import Desk, not_found, refuse_unstorable

_LONGEST_SLUG = 60


@dataclass(frozen=True, slots=True)
class WorkBranch:
    """The branch to work on, and the commit it stands at; `missing`: PREPARE_BRANCH makes it from that commit."""

    name: str
    head: CommitSha
    missing: bool


def issue_branch_name(issue: Issue) -> str:
    """`issue/<iid>-<slug>` with the title in ASCII; `issue/<iid>` where nothing of it is left.

    Branch names are for everybody who sees the code, so that a confidential title stays out of them, as in GitLab's own.
    """
    if issue.confidential:
        return f"issue/{issue.iid}-confidential-issue"
    slug = re.sub(r"[^a-z0-9]+", "-", unidecode(issue.title).lower()).strip("-")[:_LONGEST_SLUG].strip("-")
    return f"issue/{issue.iid}-{slug}" if slug else f"issue/{issue.iid}"


async def choose_branch(
    desk: Desk, project: Project, level: AccessLevel, *, issue_iid: int | None, branch: str | None
) -> WorkBranch:
    """The branch of a start, by reading only.

    Raises RefusedError that names `branch` or `issueIid` where there is none, several, or no right to push.
    """
    refuse_unstorable(branch, "branch")
    if branch is None and issue_iid is None:
        raise refused(RefusalCode.INVALID_INPUT, say("Give an issue's number, a branch, or both."), "issueIid")
    if project.default_branch is None:
        raise refused(RefusalCode.INVALID_INPUT, say("The project has no commit yet."), "projectPath")
    issue = None
    if issue_iid is not None:
        issue = await desk.forge.issue(project.id, issue_iid)
        if issue is None:
            raise not_found(("issueIid",))
    if branch is not None:
        return await _given(desk, project, level, branch)
    if issue is None:
        raise AssertionError("without a branch there is an issue")
    return await _of_issue(desk, project, level, issue)


async def _given(desk: Desk, project: Project, level: AccessLevel, name: str) -> WorkBranch:
    if name == project.default_branch:
        raise refused(
            RefusalCode.INVALID_INPUT,
            say(
                "{name} is the default branch; calculations work on a branch of their own, such as issue/42-new-tubes.",
                name=name,
            ),
            "branch",
        )
    found = await desk.forge.branch(project.id, name) if 0 < len(name) <= 255 else None
    if found is None:
        raise refused(RefusalCode.NOT_FOUND, say("The project has no branch {name!r}.", name=name[:255]), "branch")
    _may_push(found, level)
    return WorkBranch(found.name, found.head, missing=False)


async def _of_issue(desk: Desk, project: Project, level: AccessLevel, issue: Issue) -> WorkBranch:
    recorded = await desk.database.read(lambda connection: commands.recorded_branch(connection, project.id, issue.iid))
    if recorded is not None:
        found = await desk.forge.branch(project.id, recorded)
        if found is not None:
            _may_push(found, level)
            return WorkBranch(found.name, found.head, missing=False)
    candidates = await desk.forge.issue_branches(project.id, issue.iid)
    if len(candidates) > 1:
        names = ", ".join(candidate.name for candidate in candidates)
        raise refused(
            RefusalCode.INVALID_INPUT,
            say("Issue {iid} has several branches: {names}. Name one.", iid=issue.iid, names=names),
            "branch",
        )
    if candidates:
        _may_push(candidates[0], level)
        return WorkBranch(candidates[0].name, candidates[0].head, missing=False)
    default = await desk.forge.branch(project.id, project.default_branch or "")
    if default is None:
        raise refused(RefusalCode.INVALID_INPUT, say("The project's default branch is gone."), "projectPath")
    return WorkBranch(issue_branch_name(issue), default.head, missing=True)


def _may_push(branch: Branch, level: AccessLevel) -> None:
    if branch.protected and not branch.developers_can_push and level < AccessLevel.MAINTAINER:
        raise refused(
            RefusalCode.FORBIDDEN,
            say("The branch {name} is protected; you may not push to it.", name=branch.name),
            "branch",
        )
    if not branch.can_push:
        raise refused(
            RefusalCode.FORBIDDEN,
            say("The service's own user may not push to the branch {name}.", name=branch.name),
            "branch",
        )
