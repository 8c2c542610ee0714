"""What every use case has at hand: the ports, who may do what, and how others learn of a change."""

import hashlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from sagas.catalogue import Catalogue
from sagas.errors import RefusalCode, RefusedError, RetryableError, TerminalError, refused
from sagas.faults import crash_point
from sagas.ids import ProjectId, SagaId
from sagas.models import Saga
from sagas.ports import Access, AccessLevel, Announcer, Forge, Hint, Json, Project, User
from sagas.steps import documents
from sagas.store import commands, idempotency
from sagas.store.database import Connection, Database
from sagas.store.definitions import DefinitionStore
from sagas.store.idempotency import Request


@dataclass(frozen=True, slots=True)
class Answer:
    """The saga as it is now; `created` tells whether this very request did it."""

    saga: Saga
    created: bool


@dataclass(frozen=True, slots=True)
class Desk:
    """The means of the use cases."""

    database: Database
    forge: Forge
    access: Access
    definitions: DefinitionStore
    catalogue: Catalogue
    announcer: Announcer
    wakers: list[Callable[[], None]] = field(default_factory=list)
    """Engines of this process, to be kicked after a commit."""

    def tell(self, hints: Sequence[Hint]) -> None:
        """After a commit: announce it and wake this process's own engine."""
        if not hints:
            return
        crash_point("announce.before")
        self.announcer.announce(hints)
        crash_point("announce.after")
        for wake in self.wakers:
            wake()

    def tell_of(self, saga: Saga) -> None:
        """`tell` for one saga."""
        self.tell([Hint(SagaId(saga.id), saga.version)])

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
                "You can read this project, but starting or changing a calculation needs the role Developer or more.",
                *path,
            )
        if user.read_only:
            raise refused(
                RefusalCode.FORBIDDEN,
                "Your token may only read (scope `read_api`); starting or changing a calculation needs the scope `api`.",
                *path,
            )
        return rights.level

    async def project(self, user: User, project_path: str) -> tuple[Project, AccessLevel]:
        """The project by its path, for a user who may write to it."""
        project = await self.forge.project(project_path)
        if project is None:
            raise not_found(("projectPath",))
        return project, await self.may_write(user, project.id, "projectPath")

    async def saga(self, user: User, saga_id: SagaId) -> Saga:
        """The saga, for a user who may write to its project."""
        saga = await self.database.read(lambda connection: commands.saga(connection, saga_id))
        if saga is None:
            raise not_found(("sagaId",))
        await self.may_write(user, ProjectId(saga.project_id), "sagaId", sees_code=True)
        return saga

    async def repeated(self, request: Request) -> Answer | None:
        """The answer that the request's key stands for already.

        Raises RefusedError(IDEMPOTENCY_CONFLICT) where the key was used with other input.
        """
        return await self.database.read(lambda connection: known_answer(connection, request))


def not_found(path: Sequence[str]) -> RefusedError:
    """The refusal of a thing that is not there, or that the user may not see: nobody can tell the two apart."""
    return refused(
        RefusalCode.NOT_FOUND, f"There is no such {_THINGS.get(path[-1], 'thing')}, or you cannot see it.", *path
    )


_THINGS = {
    "projectPath": "project",
    "sagaId": "saga",
    "issueIid": "issue",
    "branch": "branch",
    "sourceBranch": "branch",
    "targetBranch": "branch",
}


def refuse_unstorable(text: str | None, field: str) -> None:
    """Raise RefusedError(INVALID_INPUT) for text that no column takes: with NUL, or half of a surrogate pair."""
    if text is not None and documents.storable(text, longest=len(text)) != text:
        raise refused(RefusalCode.INVALID_INPUT, "The text contains NUL or half of a surrogate pair; remove it.", field)


def request(user: User, mutation: str, key: str | None, *input_: Json) -> Request:
    """A request with the hash of its canonical input.

    Raises RefusedError(INVALID_INPUT) for a key that is empty or over 200 characters.
    """
    refuse_unstorable(key, "idempotencyKey")
    if key is not None and not 1 <= len(key) <= 200:
        raise refused(
            RefusalCode.INVALID_INPUT,
            f"An idempotency key has 1 to 200 characters; this one has {len(key)}.",
            "idempotencyKey",
        )
    return Request(user.id, mutation, key, hash_of(list(input_)), uuid4())


def hash_of(document: Json) -> str:
    """SHA-256 over the canonical JSON of a document."""
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


async def known_answer(connection: Connection, request: Request) -> Answer | None:
    """`Desk.repeated` within a transaction."""
    known = await idempotency.find(connection, request)
    if known is None:
        return None
    if known.input_hash != request.input_hash:
        raise refused(
            RefusalCode.IDEMPOTENCY_CONFLICT,
            "This idempotency key was used before with other input. Use a new key for a new request.",
            "idempotencyKey",
        )
    saga = await commands.saga(connection, known.saga_id)
    return None if saga is None else Answer(saga, known.request_id == request.id)


async def keep_key(connection: Connection, request: Request, saga_id: UUID) -> None:
    """Bind the key, or take the whole transaction back where another request was first with other input."""
    if not await idempotency.keep(connection, request, saga_id):
        earlier = await known_answer(connection, request)
        if earlier is not None and earlier.saga.id != saga_id:
            raise refused(
                RefusalCode.IDEMPOTENCY_CONFLICT,
                "This idempotency key was used at the same moment for another saga. Use a new key.",
                "idempotencyKey",
            )


@asynccontextmanager
async def refusing_gitlab() -> AsyncIterator[None]:
    """What GitLab does not answer or grant while nothing has been started becomes a refusal."""
    try:
        yield
    except RetryableError as away:
        if away.code == "DATABASE_UNAVAILABLE":
            raise
        raise refused(
            RefusalCode.GITLAB_UNAVAILABLE, f"GitLab does not answer: {away.message} Nothing was started; try again."
        ) from away
    except TerminalError as denied:
        raise refused(RefusalCode.GITLAB_REJECTED, denied.message) from denied
