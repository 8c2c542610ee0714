"""Starts of many users share a transaction: their branches locked, one look, then each is found or born, one write."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sagas.change import Change
from sagas.context import SagaContext
from sagas.definition import SagaDefinition
from sagas.errors import RefusalCode, RefusedError, refused
from sagas.models import Saga, SagaStatus
from sagas.ports import Project, User
from sagas.results import NewDraft
from sagas.steps.run import user_to_json
from sagas.store import commands, idempotency, journal
from sagas.store.database import Connection
from sagas.store.drafts import Submission
from sagas.store.idempotency import Known, Request
from sagas.texts import say
from sagas.use_cases.answers import Answer, answer_of, refuse_other_input, used_at_the_same_moment


@dataclass(frozen=True, slots=True)
class Birth:
    """Everything that a new saga is born with."""

    definition: SagaDefinition
    state: str
    project: Project
    branch: str
    issue_iid: int | None
    writes: tuple[str, ...]
    natural_key: str
    context: SagaContext
    user: User
    given: "GivenInput | None" = None
    """The values of a single calculation, which its COMMIT step will read."""

    @property
    def place(self) -> tuple[int, str]:
        """Where it works: starts on one branch go one after the other."""
        return (self.project.id, self.branch)


@dataclass(frozen=True, slots=True)
class GivenInput:
    """The values given with the start, and the draft they are held against."""

    form: str
    base: NewDraft
    values: dict[str, Any]
    values_hash: str


@dataclass(frozen=True, slots=True)
class Start:
    """One request for a saga, and the id that it gets where it is born."""

    birth: Birth
    asked: Request
    saga_id: UUID
    traceparent: str | None = None
    """The trace that it belongs to."""


class Bearing:
    """A batch of starts on its way into the database, no two on one branch; for `Database.run`, as often as it takes."""

    def __init__(self, batch: Sequence[Start]) -> None:
        self._batch = batch
        self._answers: list[Answer | RefusedError] = []
        self._used: list[tuple[Request, UUID]] = []
        self.made: list[Change] = []
        """The sagas born."""

    async def __call__(self, connection: Connection) -> list[Answer | RefusedError]:
        """Find or bear; an answer or a refusal for each start.

        Raises RefusedError(IDEMPOTENCY_CONFLICT) where a key was used at the same moment for another saga.
        """
        places = [start.birth.place for start in self._batch]
        await commands.lock_branches(connection, places)
        if await journal.stand(connection, self.made):
            return self._answers
        now, known = await idempotency.find(connection, [start.asked for start in self._batch])
        live: dict[tuple[int, str], list[Saga]] = {}
        for saga in await commands.live_on_branches(connection, places):
            live.setdefault((saga.project_id, saga.branch), []).append(saga)
        self._answers, self._used, self.made = [], [], []
        for start, key in zip(self._batch, known, strict=True):
            try:
                self._answers.append(await self._answer(connection, start, key, live.get(start.birth.place, ()), now))
            except RefusedError as refusal:
                self._answers.append(refusal)
        await self._write(connection)
        return self._answers

    async def _answer(
        self, connection: Connection, start: Start, known: Known | None, live: Sequence[Saga], now: datetime
    ) -> Answer:
        if known is not None:
            refuse_other_input(known, start.asked)
            saga = await commands.saga(connection, known.saga_id)
            if saga is not None:
                return answer_of(saga, known, start.asked, start.birth.project.id)
        for saga in live:
            if saga.natural_key == start.birth.natural_key:
                self._used.append((start.asked, saga.id))
                return Answer(saga, saga.id == start.saga_id)
            shared = set(saga.writes) & set(start.birth.writes)
            if shared:
                raise _busy(saga, sorted(shared))
        change = _born(start, now)
        self.made.append(change)
        self._used.append((start.asked, start.saga_id))
        return Answer(change.saga, created=True)

    async def _write(self, connection: Connection) -> None:
        born = {change.saga.id for change in self.made}
        given = [_submission(start) for start in self._batch if start.saga_id in born]
        written = [submission for submission in given if submission is not None]
        if not await journal.write(connection, (), born=self.made, given=written, keys=self._used):
            raise used_at_the_same_moment()


def _born(start: Start, now: datetime) -> Change:
    birth = start.birth
    change = Change(_new_row(start, now), birth.definition, now, known=birth.context)
    data: Mapping[str, Any] = {"branch": birth.branch, "issueIid": birth.issue_iid}
    change.start(birth.state, actor=birth.user.name or birth.user.username, data=data)
    return change


def _submission(start: Start) -> Submission | None:
    given = start.birth.given
    if given is None:
        return None
    return Submission(
        saga_id=start.saga_id,
        state=given.form,
        visit=0,
        base=given.base,
        changed_at_version=1,
        values=given.values,
        values_hash=given.values_hash,
        user=dict(user_to_json(start.birth.user)),
        request_id=start.asked.id,
    )


def _new_row(start: Start, now: datetime) -> Saga:
    birth = start.birth
    return Saga(
        id=start.saga_id,
        definition_name=birth.definition.name,
        definition_version=birth.definition.version,
        state=birth.state,
        visit=0,
        attempts=0,
        status=SagaStatus.RUNNING,
        version=0,
        project_id=birth.project.id,
        project_path=birth.project.path,
        issue_iid=birth.issue_iid,
        branch=birth.branch,
        writes=list(birth.writes),
        natural_key=birth.natural_key,
        started_by_id=birth.user.id,
        started_by=user_to_json(birth.user),
        look_interval_s=2.0,
        signals=0,
        signals_seen=0,
        traceparent=start.traceparent,
        created_at=now,
        updated_at=now,
    )


def _busy(live: Saga, shared: list[str]) -> RefusedError:
    files = ", ".join(shared)
    return refused(
        RefusalCode.BRANCH_BUSY,
        say(
            "Another calculation ({definition}, saga {saga}) is at work on {branch} with the files of "
            "{files}. Wait until it ends, or cancel it.",
            definition=live.definition_name,
            saga=str(live.id),
            branch=live.branch,
            files=files,
        ),
        "branch",
    )
