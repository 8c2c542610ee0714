"""What every use case has at hand: the ports, who may do what, and how others learn of a change."""

import hashlib
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol
from uuid import uuid4

from sagas.batches import Batches
from sagas.catalogue import Catalogue
from sagas.change import Change
from sagas.errors import (
    RefusalCode,
    RefusedError,
    RetryableError,
    SagaError,
    TerminalError,
    UnknownOutcomeError,
    refused,
)
from sagas.faults import crash_point
from sagas.ids import ProjectId, SagaId
from sagas.models import Saga
from sagas.ports import Access, AccessLevel, Announcer, Forge, Hint, Json, Project, User
from sagas.retention import bring_back
from sagas.steps import documents
from sagas.store import commands, database, idempotency
from sagas.store.database import Database
from sagas.store.definitions import DefinitionStore
from sagas.store.idempotency import Known, Request
from sagas.texts import say
from sagas.use_cases.answers import Answer, answer_of, refuse_other_input
from sagas.use_cases.births import Bearing, Start
from sagas.use_cases.deciding import Command, Commanding, Left, Prompt

_KEPT_IN_MIND = 10_000


class Waker(Protocol):
    """An engine of this process."""

    def kick(self, sagas: Iterable[SagaId] = ()) -> None:
        """Something is due now: these sagas, where they are known."""

    def kick_all(self) -> None:
        """Look for due sagas now, and after waiting ones."""


@dataclass(frozen=True, slots=True)
class Lasting:
    """What of a saga never changes: whose it is, and by which definition it goes."""

    project_id: ProjectId
    definition_name: str
    definition_version: int


@dataclass(slots=True)
class Desk:
    """The means of the use cases."""

    database: Database
    forge: Forge
    access: Access
    definitions: DefinitionStore
    catalogue: Catalogue
    announcer: Announcer
    wakers: list[Waker] = field(default_factory=list)
    """Engines of this process, to be kicked after a commit."""
    starts: Batches[Start, Answer] = field(init=False)
    """Starts of all users; no two on one branch in one transaction."""
    _prompt: Batches[Command, Answer | Left] = field(init=False)
    _commands: Batches[Left, Answer] = field(init=False)
    _keys: Batches[Request, Known | None] = field(init=False)
    _lasting: dict[SagaId, Lasting] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Commands and starts share transactions, each kind with its own; so do looks for keys."""
        self._prompt = Batches(self._command_promptly, apart=lambda command: command.asked.saga_id)
        self._commands = Batches(self._command, apart=lambda left: left.command.asked.saga_id)
        self.starts = Batches(self._start, apart=lambda start: start.birth.place)
        self._keys = Batches(self._find)

    async def command(self, command: Command) -> Answer:
        """Have a command done, in one transaction with whatever comes at the same moment; raises its refusal."""
        try:
            return await self._done(command)
        except RefusedError as refusal:
            # It was there when its place was first asked for: it may have been archived since.
            if refusal is not command.absent or not await bring_back(self.database, [SagaId(command.asked.saga_id)]):
                raise
        return await self._done(command)

    async def _done(self, command: Command) -> Answer:
        answer = await self._prompt.add(command)
        return await self._commands.add(answer) if isinstance(answer, Left) else answer

    async def _command_promptly(self, batch: Sequence[Command]) -> Sequence[Answer | SagaError | Left]:
        prompt = Prompt(batch)
        try:
            await self.database.run(prompt, point="command", single=True)
        except RetryableError:
            return [_away(in_doubt=command.asked.saga_id in prompt.unsure) for command in batch]
        self._tell_of(prompt.made)
        return prompt.answers

    async def _command(self, batch: Sequence[Left]) -> Sequence[Answer | SagaError]:
        commanding = Commanding(batch)
        try:
            answers = await self.database.run(commanding, point="command")
        except RetryableError as away:
            # What was sent without locks, and not answered, may stand although nothing of this was sent.
            lost = isinstance(away, UnknownOutcomeError)
            return [_away(in_doubt=lost or left.unsure is not None) for left in batch]
        self._tell_of(commanding.made)
        return answers

    async def _start(self, batch: Sequence[Start]) -> Sequence[Answer | RefusedError]:
        bearing = Bearing(batch)
        answers = await self.database.run(bearing, point="start")
        for change in bearing.made:
            self._keep_in_mind(change.saga)
        self._tell_of(bearing.made)
        return answers

    def _tell_of(self, changes: Sequence[Change]) -> None:
        self.tell([Hint(SagaId(change.saga.id), change.saga.version) for change in changes])

    def tell(self, hints: Sequence[Hint], *, outside: bool = False) -> None:
        """After a commit: announce it and wake this process's own engine; `outside`: GitLab has news for its watcher."""
        if not hints:
            return
        crash_point("announce.before")
        self.announcer.announce(hints)
        crash_point("announce.after")
        for waker in self.wakers:
            if outside:
                waker.kick_all()
            else:
                waker.kick([hint.saga_id for hint in hints])

    async def may_write(self, user: User, project: ProjectId, *path: str, sees_code: bool = False) -> AccessLevel:
        """The user's level, which is Developer or more.

        Raises RefusedError: NOT_FOUND without read access (`sees_code`: to the code), FORBIDDEN without the right to write.
        """
        rights = await self.access.rights(user, project)
        if rights.level is AccessLevel.NONE or (sees_code and not rights.code):
            raise not_found(path)
        if rights.level < AccessLevel.DEVELOPER:
            raise refused(
                RefusalCode.FORBIDDEN,
                say(
                    "You can read this project, but starting or changing a calculation needs the role Developer or "
                    "more."
                ),
                *path,
            )
        if user.read_only:
            raise refused(
                RefusalCode.FORBIDDEN,
                say(
                    "Your token may only read (scope `read_api`); starting or changing a calculation needs the scope "
                    "`api`."
                ),
                *path,
            )
        return rights.level

    async def project(self, user: User, project_path: str) -> tuple[Project, AccessLevel]:
        """The project by its path, for a user who may write to it."""
        refuse_unstorable(project_path, "projectPath")
        project = await self.forge.project(project_path)
        if project is None:
            raise not_found(("projectPath",))
        return project, await self.may_write(user, project.id, "projectPath")

    async def saga(self, user: User, saga_id: SagaId) -> Saga:
        """The saga, for a user who may write to its project."""
        saga = await self.database.read(lambda connection: commands.saga(connection, saga_id))

        async def may(projects: Sequence[ProjectId]) -> Sequence[ProjectId]:
            for project in projects:
                await self.may_write(user, project, "sagaId", sees_code=True)
            return projects

        if saga is None and await bring_back(self.database, [saga_id], may):
            saga = await self.database.read(lambda connection: commands.saga(connection, saga_id))
        if saga is None:
            raise not_found(("sagaId",))
        await self.may_write(user, ProjectId(saga.project_id), "sagaId", sees_code=True)
        return saga

    async def lasting(self, user: User, saga_id: SagaId) -> Lasting:
        """What of the saga never changes, for a user who may write to its project; read once in a process."""
        known = self._lasting.get(saga_id)
        if known is None:
            return self._keep_in_mind(await self.saga(user, saga_id))
        await self.may_write(user, known.project_id, "sagaId", sees_code=True)
        return known

    def _keep_in_mind(self, saga: Saga) -> Lasting:
        if len(self._lasting) >= _KEPT_IN_MIND:
            self._lasting.clear()
        lasting = Lasting(ProjectId(saga.project_id), saga.definition_name, saga.definition_version)
        self._lasting[SagaId(saga.id)] = lasting
        return lasting

    async def repeated(self, request: Request, project: int) -> Answer | None:
        """The answer that the request's key stands for already; `project` is the one that the request is about.

        Raises RefusedError(IDEMPOTENCY_CONFLICT) where the key was used with other input, or in another project.
        """
        known = None if request.key is None else await self._keys.add(request)
        if known is None:
            return None
        refuse_other_input(known, request)
        saga = await self.database.read(lambda connection: commands.saga(connection, known.saga_id))
        return None if saga is None else answer_of(saga, known, request, project)

    async def _find(self, requests: Sequence[Request]) -> Sequence[Known | None]:
        _, known = await self.database.read(lambda connection: idempotency.find(connection, requests))
        return known


def _away(*, in_doubt: bool) -> RetryableError:
    return database.in_doubt() if in_doubt else database.database_unavailable()


def not_found(path: Sequence[str]) -> RefusedError:
    """The refusal of a thing that is not there, or that the user may not see: nobody can tell the two apart."""
    return refused(
        RefusalCode.NOT_FOUND,
        say("There is no such {thing}, or you cannot see it.", thing=_THINGS.get(path[-1], say("thing"))),
        *path,
    )


_THINGS = {
    "projectPath": say("project"),
    "sagaId": say("saga"),
    "issueIid": say("issue"),
    "branch": say("branch"),
    "sourceBranch": say("branch"),
    "targetBranch": say("branch"),
}


def refuse_unstorable(text: str | None, field: str) -> None:
    """Raise RefusedError(INVALID_INPUT) for text that no column takes: with NUL, or half of a surrogate pair."""
    if text is not None and documents.storable(text, longest=len(text)) != text:
        raise refused(
            RefusalCode.INVALID_INPUT, say("The text contains NUL or half of a surrogate pair; remove it."), field
        )


def request(user: User, mutation: str, key: str | None, *input_: Json) -> Request:
    """A request with the hash of its canonical input.

    Raises RefusedError(INVALID_INPUT) for a key that is empty or over 200 characters.
    """
    refuse_unstorable(key, "idempotencyKey")
    if key is not None and not 1 <= len(key) <= 200:
        raise refused(
            RefusalCode.INVALID_INPUT,
            say("An idempotency key has 1 to 200 characters; this one has {length}.", length=len(key)),
            "idempotencyKey",
        )
    return Request(user.id, mutation, key, hash_of(list(input_)), uuid4())


def hash_of(document: Json) -> str:
    """SHA-256 over the canonical JSON of a document."""
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


@asynccontextmanager
async def refusing_gitlab() -> AsyncIterator[None]:
    """What GitLab does not answer or grant while nothing has been started becomes a refusal."""
    try:
        yield
    except RetryableError as away:
        if away.code == "DATABASE_UNAVAILABLE":
            raise
        raise refused(
            RefusalCode.GITLAB_UNAVAILABLE,
            say("GitLab does not answer: {message} Nothing was started; try again.", message=away.message),
        ) from away
    except TerminalError as denied:
        raise refused(RefusalCode.GITLAB_REJECTED, denied.message) from denied
