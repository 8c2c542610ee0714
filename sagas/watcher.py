"""The watcher: looks after sagas that wait, without leasing them, and hands what it finds to their inbox.

Looks at a result start after 2 s and double to 60 s; a webhook or another process's hint makes one happen now. While a
form waits, its file may change freely on the branch: the draft is read again.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from uuid import UUID, uuid4

from sagas.catalogue import Calculation
from sagas.change import LONGEST_LOOK_S
from sagas.context import SagaContext
from sagas.definition import SagaDefinition
from sagas.errors import RetryableError, TerminalError
from sagas.ids import ProjectId, SagaId
from sagas.models import Saga, SagaStatus, SignalKind
from sagas.ports import Announcer, File, Hint
from sagas.results import NewDraft
from sagas.steps import documents
from sagas.steps.findings import look
from sagas.steps.run import Tools
from sagas.store import commands, inbox, tasks, watching
from sagas.store.definitions import DefinitionStore

logger = logging.getLogger(__name__)

POLL = timedelta(seconds=1)


class Watcher:
    """Looks after the waiting sagas of all processes, sharing the work with the other watchers by the database."""

    def __init__(
        self,
        tools: Tools,
        definitions: DefinitionStore,
        announcer: Announcer,
        *,
        wake: Callable[[], None],
        at_once: int,
    ) -> None:
        self._tools = tools
        self._definitions = definitions
        self._announcer = announcer
        self._wake = wake
        self._at_once = at_once
        self._news = asyncio.Event()

    def kick(self) -> None:
        """Look now instead of at the next poll."""
        self._news.set()

    async def run(self) -> None:
        """Look until cancelled."""
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
        sagas = await self._tools.database.run(
            watching.Looks(limit=self._at_once, longest_s=LONGEST_LOOK_S), point="look"
        )
        await asyncio.gather(*(self._look(saga) for saga in sagas))
        return len(sagas)

    async def _look(self, saga: Saga) -> None:
        try:
            if saga.status is SagaStatus.AWAITING_RESULT:
                await self._look_for_result(saga)
            elif saga.status is SagaStatus.AWAITING_INPUT:
                await self._look_at_form(saga)
        except RetryableError as away:
            logger.info("saga %s: nothing to see now: %s", saga.id, away)
        except TerminalError as gone:
            if saga.status is SagaStatus.AWAITING_RESULT:
                # A key of its own: what is restored and goes again is news.
                await self._tell(saga, f"gone:{uuid4()}", {"gone": gone.message})
        except Exception:
            logger.exception("saga %s: the look broke", saga.id)

    async def _look_for_result(self, saga: Saga) -> None:
        definition = await self._definitions.get(saga.definition_name, saga.definition_version)
        calculation = definition.step(saga.state).calculation or ""
        identity = SagaContext.from_json(saga.context).facts(calculation).task_id
        if identity is None:
            return
        task = await self._tools.database.read(lambda connection: tasks.task(connection, UUID(identity)))
        if task is None:
            return
        seen = await look(self._tools, task)
        for sha in seen.strangers:
            await self._tell(saga, f"noticed:{sha}", {"noticed": sha})
        if seen.finding is not None:
            outcome = seen.finding.commit or ("failed" if seen.finding.error else "identical")
            await self._tell(saga, f"result:{task.id}:{outcome}", seen.finding.to_payload())

    async def _tell(self, saga: Saga, dedupe_key: str, payload: dict[str, object]) -> None:
        told = await self._tools.database.run(
            lambda connection: inbox.send(
                connection, SagaId(saga.id), SignalKind.RESULT, dedupe_key=dedupe_key, payload=payload
            ),
            point="signal",
        )
        if told:
            self._wake()

    async def _look_at_form(self, saga: Saga) -> None:
        definition = await self._definitions.get(saga.definition_name, saga.definition_version)
        calculation = _calculation(definition, saga)
        if calculation is None:
            return
        project = ProjectId(saga.project_id)
        try:
            file = await self._tools.forge.get_file_content(project, calculation.input_file, ref=saga.branch)
        except TerminalError:
            # Committing the form will say that the branch is gone; an idle form need not.
            return
        if file is None:
            return
        draft = _draft(file)
        hint = await self._tools.database.run(
            lambda connection: commands.change_draft(connection, saga, draft, definition), point="draft"
        )
        if hint is not None:
            self._announcer.announce([Hint(SagaId(saga.id), hint)])


def _calculation(definition: SagaDefinition, saga: Saga) -> Calculation | None:
    name = definition.step(saga.state).calculation
    return None if name is None else Calculation.from_json(definition.calculations[name])


def _draft(file: File) -> NewDraft | None:
    try:
        return NewDraft(documents.parse(file), file.blob_id)
    except TerminalError:
        # A file that cannot be read while somebody edits it: the form keeps what it has.
        return None
