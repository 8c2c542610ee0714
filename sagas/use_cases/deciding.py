"""Commands of many users share a transaction: one look, then each by its own rule, then one write.

Whatever a rule needs to know is read before it is asked, so that rules are pure, and a refused command changes nothing and
keeps nobody else's from being done. First without locks, since nearly every command finds nobody else at its saga; one
whose saga has moved between the look and the write is decided again under the row's lock.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import asyncpg

from sagas.change import Change
from sagas.errors import RefusedError
from sagas.ids import SagaId
from sagas.store import commands, journal, unchanged
from sagas.store.commands import Asked, Seen
from sagas.store.database import Connection
from sagas.store.drafts import Submission
from sagas.use_cases.answers import Answer, refuse_other_input, used_at_the_same_moment


@dataclass(frozen=True, slots=True)
class Decision:
    """What a command does to the saga, and the document that its user gave with it."""

    change: Change
    given: Submission | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """One command on one saga."""

    asked: Asked
    absent: RefusedError
    """The refusal where there is no such saga."""
    rule: Callable[[Seen], Decision | None]
    """What it does; None: the saga is as the command wants it already. Raises RefusedError."""
    natural: Callable[[Seen], Answer | None] | None = None
    """The answer to a command that was told before without a key."""
    traceparent: str | None = None
    """The trace that it belongs to."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of one command."""

    answer: Answer | RefusedError
    decision: Decision | None = None
    uses_key: bool = False
    """Whether its key is to stand for its saga from now on."""


@dataclass(frozen=True, slots=True)
class Left:
    """A command that is to be decided under its saga's lock."""

    command: Command
    unsure: Verdict | None = None
    """What was made of it already, and sent with a COMMIT that was not answered."""


def judge(command: Command, seen: Seen | None) -> Verdict:
    """What becomes of the command on its saga as it was seen; no I/O, nothing is written."""
    try:
        return _judged(command, seen)
    except RefusedError as refusal:
        return Verdict(refusal)


def _judged(command: Command, seen: Seen | None) -> Verdict:
    if seen is None:
        raise command.absent
    asked = command.asked.request
    if seen.known is not None:
        refuse_other_input(seen.known, asked)
        return Verdict(Answer(seen.saga, seen.known.request_id == asked.id))
    repeated = None if command.natural is None else command.natural(seen)
    decision = command.rule(seen) if repeated is None else None
    if decision is None:
        return Verdict(repeated or Answer(seen.saga, created=False), uses_key=True)
    decision.change.saga.traceparent = command.traceparent
    return Verdict(Answer(decision.change.saga, created=True), decision, uses_key=True)


class Prompt:
    """A batch of commands, no two on one saga, for one try without locks; give it to `Database.run` as a single statement.

    Where its COMMIT was not answered it does not try again: what it may have written goes with what is left.
    """

    def __init__(self, batch: Sequence[Command]) -> None:
        self._batch = batch
        self._tried = False
        self._settled: dict[SagaId, Verdict] = {}
        self._unsure: dict[SagaId, Verdict] = {}

    @property
    def made(self) -> list[Change]:
        """The changes made."""
        return _changes(self._settled.values())

    @property
    def unsure(self) -> frozenset[SagaId]:
        """The sagas of which something was sent, for whoever was not told that it is through."""
        return frozenset({*self._unsure, *(SagaId(change.saga.id) for change in self.made)})

    @property
    def answers(self) -> list[Answer | RefusedError | Left]:
        """An answer or a refusal for each command that it could settle."""
        return [
            Left(command, self._unsure.get(_saga(command))) if settled is None else settled.answer
            for command in self._batch
            for settled in [self._settled.get(_saga(command))]
        ]

    async def __call__(self, connection: Connection) -> None:
        """Look, decide, and write what nobody else has come between."""
        if self._tried:
            return
        self._tried = True
        seen = await commands.seen(connection, [command.asked for command in self._batch])
        moves: dict[SagaId, tuple[Seen, Command, Verdict, Decision]] = {}
        for command, sight in zip(self._batch, seen, strict=True):
            verdict = judge(command, sight)
            if not verdict.uses_key:
                # Refused, or answered before: nothing is to be written.
                self._settled[_saga(command)] = verdict
            elif verdict.decision is not None and sight is not None and _nobody_at_work(sight, verdict.decision):
                moves[_saga(command)] = (sight, command, verdict, verdict.decision)
        if moves:
            self._unsure = {saga: verdict for saga, (_, _, verdict, _) in moves.items()}
            await self._move(connection, moves)

    async def _move(
        self, connection: Connection, moves: Mapping[SagaId, tuple[Seen, Command, Verdict, Decision]]
    ) -> None:
        try:
            moved = await unchanged.move(
                connection,
                [(sight.saga, decision.change) for sight, _, _, decision in moves.values()],
                given=[decision.given for _, _, _, decision in moves.values() if decision.given is not None],
                keys=[(command.asked.request, saga) for saga, (_, command, _, _) in moves.items()],
            )
        except asyncpg.UniqueViolationError:
            # Somebody was faster with a key; under the locks it comes out with which.
            self._unsure = {}
            return
        self._settled |= {saga: verdict for saga, verdict in self._unsure.items() if saga in moved.sagas}
        self._unsure = {}


class Commanding:
    """A batch of commands on its way into the database under locks; for `Database.run`, as often as it takes."""

    def __init__(self, batch: Sequence[Left]) -> None:
        self._batch = [left.command for left in batch]
        self._unsure = {_saga(left.command): left.unsure for left in batch if left.unsure is not None}
        self._verdicts: dict[SagaId, Verdict] = {}

    @property
    def made(self) -> list[Change]:
        """The changes made."""
        return _changes(self._verdicts.values())

    async def __call__(self, connection: Connection) -> list[Answer | RefusedError]:
        """Decide and write; an answer or a refusal for each command.

        Raises RefusedError(IDEMPOTENCY_CONFLICT) where a key was used at the same moment for another saga.
        """
        await commands.lock(connection, [_saga(command) for command in self._batch])
        earlier = self._unsure
        there = {saga for saga, _ in await journal.standing(connection, _changes(earlier.values()))}
        seen = await commands.seen(connection, [command.asked for command in self._batch])
        self._verdicts, fresh = {}, []
        for command, sight in zip(self._batch, seen, strict=True):
            saga, asked = _saga(command), command.asked.request
            kept = sight is not None and sight.known is not None and sight.known.request_id == asked.id
            if saga in earlier and (saga in there or kept):
                # The COMMIT that was not answered has come about: what was to be told then is told now.
                self._verdicts[saga] = earlier[saga]
                continue
            verdict = self._verdicts[saga] = judge(command, sight)
            if verdict.uses_key:
                fresh.append((command, verdict))
        self._unsure = dict(self._verdicts)
        await _write(connection, fresh)
        return [self._verdicts[_saga(command)].answer for command in self._batch]


async def _write(connection: Connection, fresh: Sequence[tuple[Command, Verdict]]) -> None:
    decisions = [verdict.decision for _, verdict in fresh if verdict.decision is not None]
    given = [decision.given for decision in decisions if decision.given is not None]
    keys = [(command.asked.request, command.asked.saga_id) for command, _ in fresh]
    if not await journal.write(connection, [decision.change for decision in decisions], given=given, keys=keys):
        raise used_at_the_same_moment()


def _nobody_at_work(seen: Seen, decision: Decision) -> bool:
    # Whoever holds the lease renews it without a trace that a decision could be held against.
    return seen.saga.lease_token is None and unchanged.movable(decision.change)


def _changes(verdicts: Iterable[Verdict]) -> list[Change]:
    return [verdict.decision.change for verdict in verdicts if verdict.decision is not None]


def _saga(command: Command) -> SagaId:
    return SagaId(command.asked.saga_id)
