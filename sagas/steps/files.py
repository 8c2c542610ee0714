"""The one way in which a saga writes a file: look, prove the lease, write, and look again where GitLab refuses."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from sagas.context import SagaContext
from sagas.errors import RetryableError, TerminalError
from sagas.ids import BlobId, CommitSha
from sagas.ports import ChangeKind, Commit, File, FileChange, Json, User
from sagas.steps import documents
from sagas.steps.reconciling import changed, rewritten
from sagas.steps.run import StepRun
from sagas.texts import say

CONFLICT = "GITLAB_CONFLICT"
_LOOKS = 3


@dataclass(frozen=True, slots=True)
class Written:
    """The file holds the intended document now; `commit` is None where it did already."""

    blob: BlobId
    head: CommitSha
    commit: Commit | None
    previous_blob: BlobId | None

    @property
    def summary(self) -> Mapping[str, Any] | None:
        """The commit as the step's summary shows it."""
        if self.commit is None:
            return None
        return {"sha": self.commit.sha, "webUrl": self.commit.web_url, "message": self.commit.message}

    def remember(
        self, run: StepRun, path: str, *, step: str | None = None, context: SagaContext | None = None
    ) -> SagaContext:
        """The context with this write in it: the new head, the step's commit, and what undo will need.

        `step`: the effect that wrote it (default: the run's own); `context`: what it is added to (default: the run's).
        """
        context = context or run.context
        state, _, visit = (step or run.effect).rpartition("/")
        if self.commit is not None:
            kept = {
                "state": state,
                "visit": int(visit),
                "sha": self.commit.sha,
                "path": path,
                "blob": self.blob,
                "previousBlob": self.previous_blob,
                "parent": self.commit.parent_ids[0] if self.commit.parent_ids else None,
            }
            others = tuple(c for c in context.commits if c["sha"] != self.commit.sha)
            context = replace(context, commits=(*others, kept))
        context = replace(context, head=self.head)
        return context.with_step(state, commit=self.summary)


async def write_file(
    run: StepRun, *, path: str, document: Json, base: BlobId | None, subject: str, author: User
) -> Written:
    """Have `path` hold the document, by at most one commit for this effect key.

    `base` is the blob that the document was made from (None: no file). Raises TerminalError("INPUT_CHANGED") where the
    file holds something else by now, so that nothing foreign is overwritten; and what `StepRun.verify` raises, where
    something that it builds upon has changed.
    """
    text = documents.render(document)
    for _ in range(_LOOKS):
        branch = await run.branch()
        file = await run.forge.get_file_content(run.project, path, ref=branch.head)
        if branch.head != run.head:
            adopted = await _adopt(run, path=path, document=document, file=file, head=branch.head)
            if adopted is not None:
                return adopted
        if file is not None and _same(file, document):
            return Written(file.blob_id, branch.head, None, file.blob_id)
        if (None if file is None else file.blob_id) != base:
            raise await foreign(run, path)
        await run.verify()
        change = FileChange(
            kind=ChangeKind.CREATE if file is None else ChangeKind.UPDATE,
            path=path,
            content=text,
            last_commit_id=None if file is None else file.last_commit_id,
        )
        commit_it = partial(
            run.forge.create_commit,
            run.project,
            run.saga.branch,
            [change],
            message=run.message(subject),
            author=author,
        )
        try:
            commit = await run.write("gitlab.create_commit", commit_it)
        except TerminalError as refusal:
            if refusal.code != CONFLICT:
                raise
            continue
        return Written(documents.blob_id(text), commit.sha, commit, base)
    raise RetryableError(
        CONFLICT, say("{path} keeps changing on {branch}; trying again in a moment.", path=path, branch=run.saga.branch)
    )


async def _adopt(run: StepRun, *, path: str, document: Json, file: File | None, head: CommitSha) -> Written | None:
    found = await find_written(run, path, head)
    if found is None or not _same(found[1], document):
        return None
    if file is None or file.blob_id != found[0].blob:
        raise await foreign(run, path)
    return found[0]


async def find_written(run: StepRun, path: str, head: CommitSha) -> tuple[Written, File] | None:
    """What an earlier attempt of this effect committed, and the file as it wrote it; `head` is the branch's newest."""
    return await find_effect(run, run.effect, path, head, since=run.head)


async def find_effect(
    run: StepRun, effect: str, path: str, head: CommitSha, *, since: CommitSha | None
) -> tuple[Written, File] | None:
    """The like for any effect of this saga, in the history that follows `since` (None: the whole)."""
    own = await run.forge.find_own_commit(
        run.project, branch=run.saga.branch, since=since, path=path, trailers=run.trailers(effect)
    )
    made = None if own is None else await run.forge.get_file_content(run.project, path, ref=own.sha)
    if own is None or made is None:
        return None
    previous = None
    if own.parent_ids:
        before = await run.forge.get_file_content(run.project, path, ref=own.parent_ids[0])
        previous = None if before is None else before.blob_id
    return Written(made.blob_id, head, own, previous), made


async def foreign(run: StepRun, path: str) -> TerminalError:
    """The error of a file that somebody else changed: by a commit on top, or by rewriting the branch's history."""
    head = run.head
    if head is None or await run.forge.is_ancestor(run.project, ancestor=head, ref=run.saga.branch):
        return changed(path, run.saga.branch)
    return rewritten(run.saga.branch, head)


def _same(file: File, document: Json) -> bool:
    try:
        return documents.parse(file) == document
    except TerminalError:
        return False
