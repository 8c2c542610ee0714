"""Commands of many users share a transaction: one lock, one look, then each by its own rule, then one write.

Whatever a rule needs to know is read under the rows' locks before it is asked, so that rules are pure, and a refused
command changes nothing and keeps nobody else's from being done.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from sagas.change import Change
from sagas.errors import RefusedError
from sagas.store import commands, drafts, journal
from sagas.store.commands import Asked, Facts, Locked
from sagas.store.database import Connection
from sagas.store.drafts import Submission
from sagas.store.idempotency import Request
from sagas.use_cases.answers import Answer, keep_keys, refuse_other_input


@dataclass(frozen=True, slots=True)
class Decision:
    """What a command does to the locked saga, and the document that its user gave with it."""

    change: Change
    given: Submission | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """One command on one saga."""

    asked: Asked
    absent: RefusedError
    """The refusal where there is no such saga."""
    rule: Callable[[Locked, Facts], Decision | None]
    """What it does; None: the saga is as the command wants it already. Raises RefusedError."""
    natural: Callable[[Locked, Facts], Answer | None] | None = None
    """The answer to a command that was told before without a key."""
    traceparent: str | None = None
    """The trace that it belongs to."""


class Commanding:
    """A batch of commands on its way into the database, no two on one saga; for `Database.run`, as often as it takes."""

    def __init__(self, batch: Sequence[Command]) -> None:
        self._batch = batch
        self._answers: list[Answer | RefusedError] = []
        self._decisions: list[Decision] = []
        self._used: list[tuple[Request, UUID]] = []

    @property
    def made(self) -> list[Change]:
        """The changes made."""
        return [decision.change for decision in self._decisions]

    async def __call__(self, connection: Connection) -> list[Answer | RefusedError]:
        """Decide and write; an answer or a refusal for each command.

        Raises RefusedError(IDEMPOTENCY_CONFLICT) where a key was used at the same moment for another saga.
        """
        locked = await commands.lock(connection, [command.asked.saga_id for command in self._batch])
        if await journal.stand(connection, self.made):
            return self._answers
        found = await commands.facts(connection, [command.asked for command in self._batch])
        earlier = self._answers
        self._answers, self._decisions, self._used = [], [], []
        for place, (command, facts) in enumerate(zip(self._batch, found, strict=True)):
            try:
                answer: Answer | RefusedError = self._decide(command, locked.get(command.asked.saga_id), facts)
            except RefusedError as refusal:
                answer = refusal
            if earlier and facts.known is not None and facts.known.request_id == command.asked.request.id:
                # Its key was kept by the COMMIT that was not answered: what was to be told then is told now.
                answer = earlier[place]
            self._answers.append(answer)
        await self._write(connection)
        return self._answers

    def _decide(self, command: Command, locked: Locked | None, facts: Facts) -> Answer:
        if locked is None:
            raise command.absent
        asked = command.asked
        if facts.known is not None:
            refuse_other_input(facts.known, asked.request)
            return Answer(locked.saga, facts.known.request_id == asked.request.id)
        repeated = None if command.natural is None else command.natural(locked, facts)
        decision = command.rule(locked, facts) if repeated is None else None
        self._used.append((asked.request, asked.saga_id))
        if decision is None:
            return repeated or Answer(locked.saga, created=False)
        decision.change.saga.traceparent = command.traceparent
        self._decisions.append(decision)
        return Answer(decision.change.saga, created=True)

    async def _write(self, connection: Connection) -> None:
        given = [decision.given for decision in self._decisions if decision.given is not None]
        if given:
            await drafts.submit(connection, given)
        if self._decisions:
            await journal.write(connection, self.made)
        await keep_keys(connection, self._used)
