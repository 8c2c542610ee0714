"""The watcher: looks after sagas that wait, without leasing them, and hands what it finds to their inbox.

Looks at a result start after 2 s and double to 60 s, or more where very many sagas wait (`watching.Pace`); a webhook or
another process's hint makes one happen now. While a form waits, its file may change freely on the branch: the draft is
read again. Everything else that the saga builds upon is
held against GitLab (NF-ORCH-3): what others have changed stops it with an error that says so.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sagas.catalogue import Calculation, calculation_of
from sagas.context import SagaContext
from sagas.definition import SagaDefinition
from sagas.errors import RetryableError, TerminalError
from sagas.faults import crash_point
from sagas.ids import CommitSha, ProjectId, SagaId
from sagas.models import CalculationTask, Saga, SagaStatus, SignalKind
from sagas.ports import Announcer, File, Hint
from sagas.results import NewDraft
from sagas.steps import documents
from sagas.steps.findings import look
from sagas.steps.reconciling import ended, reconcile
from sagas.steps.run import Tools
from sagas.store import inbox, noticing, tasks, watching
from sagas.store.definitions import DefinitionStore

logger = logging.getLogger(__name__)

POLL = timedelta(seconds=1)
SURE = timedelta(seconds=1)
"""Between the two looks that it takes to stop a saga."""
_HEADS = 20_000
_PACED = 60.0
"""Seconds after which it is counted again how many sagas wait; first after so many, as a start reads no sagas."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What a look saw: what is amiss, the open merge requests (None: they could not be asked for), the branch's head."""

    error: TerminalError | None
    merge_requests: frozenset[int] | None
    head: CommitSha | None


class Watcher:
    """Looks after the waiting sagas of all processes, sharing the work with the other watchers by the database."""

    def __init__(
        self,
        tools: Tools,
        definitions: DefinitionStore,
        announcer: Announcer,
        *,
        wake: Callable[[Iterable[SagaId]], None],
        at_once: int,
        per_minute: int,
        sure: timedelta = SURE,
    ) -> None:
        self._tools = tools
        self._definitions = definitions
        self._announcer = announcer
        self._wake = wake
        self._at_once = at_once
        self._per_minute = per_minute
        self._pace = watching.Pace()
        self._paced_until = 0.0
        self._sure = sure
        self._news = asyncio.Event()
        self._heads: dict[UUID, tuple[int, CommitSha]] = {}
        """By saga, its version and the head at which all was in order: what has not moved is not read again."""

    def kick(self) -> None:
        """Look now instead of at the next poll."""
        self._news.set()

    async def run(self) -> None:
        """Look until cancelled."""
        self._paced_until = asyncio.get_running_loop().time() + _PACED
        while True:
            self._news.clear()
            try:
                taken = await self._round()
            except RetryableError:
                taken = 0
            except Exception:
                logger.exception("a round of looks broke")
                taken = 0
            if taken < self._at_once:
                # Not wait_for: on Python 3.11 it swallows a cancellation that comes together with the news.
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL.total_seconds()):
                        await self._news.wait()

    async def _round(self) -> int:
        await self._keep_pace()
        sagas = await self._tools.database.run(watching.Looks(limit=self._at_once, pace=self._pace), point="look")
        await asyncio.gather(*(self._look(saga) for saga in sagas))
        return len(sagas)

    async def _keep_pace(self) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._paced_until:
            return
        self._paced_until = now + _PACED
        self._pace = await self._tools.database.read(
            lambda connection: watching.pace_within(connection, self._per_minute)
        )

    async def _look(self, saga: Saga) -> None:
        try:
            definition = await self._definitions.get(saga.definition_name, saga.definition_version)
            if saga.status is SagaStatus.AWAITING_RESULT:
                await self._look_for_result(saga, definition)
            elif saga.status is SagaStatus.AWAITING_INPUT:
                await self._look_at_form(saga, definition)
        except (RetryableError, TerminalError) as away:
            logger.info("saga %s: nothing to see now: %s", saga.id, away)
        except Exception:
            logger.exception("saga %s: the look broke", saga.id)

    async def _look_for_result(self, saga: Saga, definition: SagaDefinition) -> None:
        calculation = definition.step(saga.state).calculation or ""
        identity = SagaContext.from_json(saga.context).facts(calculation).task_id
        if identity is None:
            return
        task = await self._tools.database.read(lambda connection: tasks.task(connection, UUID(identity)))
        if task is None:
            return
        sight = await self._reconciled(saga, definition, task)
        if sight is None:
            return
        try:
            seen = await look(self._tools, task)
        except TerminalError as refusal:
            # What went in this very moment is told with its own words, anything else with GitLab's.
            if await self._reconciled(saga, definition, task) is not None:
                await self._stop(saga, definition, refusal, sight.merge_requests)
            return
        for sha in seen.strangers:
            await self._tell(saga, f"noticed:{sha}", {"noticed": sha})
        if seen.finding is not None:
            outcome = seen.finding.commit or ("failed" if seen.finding.error else "identical")
            await self._tell(saga, f"result:{task.id}:{outcome}", seen.finding.to_payload())
        self._keep_in_mind(saga, sight)

    async def _tell(self, saga: Saga, dedupe_key: str, payload: dict[str, object]) -> None:
        told = await self._tools.database.run(
            lambda connection: inbox.send(
                connection, SagaId(saga.id), SignalKind.RESULT, dedupe_key=dedupe_key, payload=payload
            ),
            point="signal",
        )
        if told:
            self._wake([SagaId(saga.id)])

    async def _look_at_form(self, saga: Saga, definition: SagaDefinition) -> None:
        calculation = _calculation(definition, saga)
        if calculation is None:
            return
        sight = await self._reconciled(saga, definition)
        if sight is None or sight.head == self._known(saga):
            return
        head = str(sight.head)
        file = await self._tools.forge.get_file_content(ProjectId(saga.project_id), calculation.input_file, ref=head)
        draft = None if file is None else _draft(file)
        if draft is not None:
            version = await self._tools.database.run(
                lambda connection: noticing.change_draft(connection, saga, draft, definition), point="draft"
            )
            self._announce(saga, version)
        self._keep_in_mind(saga, sight)

    async def _reconciled(
        self, saga: Saga, definition: SagaDefinition, task: CalculationTask | None = None
    ) -> "Sight | None":
        """What a look saw where all is in order; None where something foreign was found, for which the saga stops."""
        sight = await self._reconcile(saga, definition, task)
        if sight.error is not None:
            # Some tools rewrite a branch by removing it and making it anew: what is gone for an instant stops nobody.
            await asyncio.sleep(self._sure.total_seconds())
            sight = await self._reconcile(saga, definition, task)
        if sight.error is None:
            await self._remember(saga, definition, sight.merge_requests or frozenset())
            return sight
        await self._stop(saga, definition, sight.error, sight.merge_requests)
        return None

    async def _stop(
        self, saga: Saga, definition: SagaDefinition, error: TerminalError, merge_requests: frozenset[int] | None
    ) -> None:
        version = await self._tools.database.run(
            lambda connection: noticing.stop(connection, saga, error, merge_requests, definition), point="stop"
        )
        self._announce(saga, version)

    async def _reconcile(self, saga: Saga, definition: SagaDefinition, task: CalculationTask | None) -> "Sight":
        context, forge = SagaContext.from_json(saga.context), self._tools.forge
        error: TerminalError | None
        opened, head = None, None
        try:
            found = await forge.merge_requests(ProjectId(saga.project_id), source_branch=saga.branch)
            opened = frozenset(one.iid for one in found if one.state == "opened")
            # The branch first: GitLab closes the merge requests of one that is removed.
            branch = await reconcile(forge, saga, definition, context, task, known=self._known(saga))
            error, head = ended(context.merge_requests, found), branch.head
        except TerminalError as amiss:
            error = amiss
        return Sight(error, opened, head)

    async def _remember(self, saga: Saga, definition: SagaDefinition, opened: frozenset[int]) -> None:
        if opened != set(SagaContext.from_json(saga.context).merge_requests):
            await self._tools.database.run(
                lambda connection: noticing.remember_merge_requests(connection, saga, opened, definition),
                point="remember",
            )

    def _keep_in_mind(self, saga: Saga, sight: "Sight") -> None:
        if len(self._heads) >= _HEADS:
            self._heads.clear()
        if sight.head is not None:
            self._heads[saga.id] = (saga.version, sight.head)

    def _known(self, saga: Saga) -> CommitSha | None:
        version, head = self._heads.get(saga.id, (0, None))
        return head if version == saga.version else None

    def _announce(self, saga: Saga, version: int | None) -> None:
        if version is not None:
            crash_point("announce.before")
            self._announcer.announce([Hint(SagaId(saga.id), version)])
            crash_point("announce.after")


def _calculation(definition: SagaDefinition, saga: Saga) -> Calculation | None:
    name = definition.step(saga.state).calculation
    return None if name is None else calculation_of(definition, name)


def _draft(file: File) -> NewDraft | None:
    try:
        return NewDraft(documents.parse(file), file.blob_id)
    except TerminalError:
        # A file that cannot be read while somebody edits it: the form keeps what it has.
        return None
