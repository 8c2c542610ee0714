"""NF-ORCH-1, NF-ORCH-2, NF-ORCH-3: whatever users, workers, colleagues, faults and time do, in whatever order.

The engine is taken apart into claim, act and record, so that commands, news and other owners come between them. The
model is small: which commands a status allows. The invariants are the promises. Every story ends with everybody
doing his part: then the saga ends, or it was stuck.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, TypeAlias, TypeVar
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from sagas.errors import RefusalCode, RefusedError, RetryableError, SagaError, TerminalError, UnknownOutcomeError
from sagas.ids import CommitSha, SagaId, TaskId
from sagas.models import Saga, SagaStatus, Wanted
from sagas.ports import Json, TaskReport, TaskState
from sagas.retention import Retention, sweep
from sagas.use_cases.answers import Answer
from tests.properties import invariants
from tests.properties.stepping import Stepper, Worker
from tests.world import COLLEAGUE, ENGINEER, World, new_world

T = TypeVar("T")
Ask: TypeAlias = Callable[[str], Awaitable[Answer]]
"""A command, sent under this idempotency key."""
CALCULATIONS = ("condenser", "feedwater_heaters", "balance")
FILES = [f"{name}_{part}.json" for name in CALCULATIONS for part in ("input", "output")]
MOMENTS = st.sampled_from(["at any time", "leased", "acted, not recorded"])
RUNS = {SagaStatus.RUNNING, SagaStatus.AWAITING_INPUT, SagaStatus.AWAITING_RESULT}
OVER = {SagaStatus.COMPLETED, SagaStatus.CANCELLED}
FILES_OUT_OF_REACH = frozenset({RefusalCode.GITLAB_UNAVAILABLE, RefusalCode.GITLAB_REJECTED, RefusalCode.INVALID_INPUT})
"""What going back to a form may be refused for besides its status: the form starts from its file."""
RETRYABLE = RetryableError("GITLAB_UNAVAILABLE", "503")
LOST = UnknownOutcomeError("GITLAB_UNAVAILABLE", "connection reset")
REFUSED = TerminalError("GITLAB_REJECTED", "pre-receive hook declined")
MENDED_BY_A_RETRY = {REFUSED.code, "MERGE_REQUEST_MERGED", "MERGE_REQUEST_CLOSED"}
AWAY = RetryableError("BROKER_UNAVAILABLE", "away")
BROKER = ("publish", "report", "revoke")
FAULTS: list[tuple[str, SagaError, bool]] = [
    *[(write, LOST, True) for write in ("create_commit", "create_branch", "delete_branch", "create_commit")],
    *[
        (write, error, False)
        for write in ("create_commit", "create_branch", "delete_branch")
        for error in (LOST, REFUSED)
    ],
    *[(read, RETRYABLE, False) for read in ("blob_ids", "get_file_content", "branch", "find_own_commit", "commits")],
    *[(method, AWAY, False) for method in BROKER],
    ("publish", AWAY, True),
]


class Story(RuleBasedStateMachine):
    """One saga, and everything that can happen to it."""

    database_url: ClassVar[str]
    runner: ClassVar[asyncio.Runner]

    def __init__(self) -> None:
        super().__init__()
        self._stack = AsyncExitStack()
        self.world: World = self.do(self._stack.enter_async_context(new_world(self.database_url)))
        self.stepper = Stepper(self.world)
        self._stack.enter_context(self.stepper.losing_answers())
        self.answered: list[tuple[Ask, str]] = []
        """Commands that were done, with the keys under which they were."""
        self.removed: CommitSha | None = None
        """Where the branch stood when a colleague removed it."""
        self.saga: Saga

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @property
    def saga_id(self) -> SagaId:
        return SagaId(self.saga.id)

    def teardown(self) -> None:
        try:
            if hasattr(self, "saga"):
                self.do(self._to_its_end())
                self.do(self._is_archived_and_comes_back())
        finally:
            self.do(self.stepper.execute("TRUNCATE saga CASCADE"))
            self.do(self._stack.aclose())

    # -- the beginning

    @initialize(from_issue=st.booleans(), turns=st.integers(0, 4), waits=st.booleans())
    def start(self, from_issue: bool, turns: int, waits: bool) -> None:
        """Some stories begin late: so many forms and results went well before, and the saga waits or has work to do."""
        self.world.forge.add_issue(self.world.project, "another")
        issue = self.world.forge.add_issue(self.world.project, "the one")
        place: dict[str, Any] = {"issue_iid": issue.iid} if from_issue else {"branch": "issue/1-test"}
        started = self.world.service.start_balance(ENGINEER, project_path="plant/unit", **place)
        self.saga = self.do(started).saga
        for _ in range(turns):
            self.do(self._turn())
        if waits:
            self.do(self.stepper.work_off())

    # -- the engine, piece by piece

    @precondition(lambda self: self.saga.due_at is not None and self.saga.due_at <= datetime.now(UTC))
    @rule()
    def claim(self) -> None:
        self.do(self.stepper.claim())

    @precondition(lambda self: self.stepper.workers)
    @rule(data=st.data())
    def an_owner_goes_on(self, data: st.DataObject) -> None:
        """One of them acts, or records what it has done; under a lease that it lost it must change nothing."""
        worker = data.draw(st.sampled_from(self.stepper.workers))
        if worker.result is not None:
            self._record(worker)
            return
        self.do(self.stepper.act(worker))
        if worker.stale:
            self.stepper.workers.remove(worker)

    def _record(self, worker: Worker) -> None:
        before = self.do(self.world.saga(self.saga.id))
        holds = before.lease_token == worker.held.token
        assert self.do(self.stepper.record(worker)) == holds
        if not holds:
            assert self.do(self.world.saga(self.saga.id)).version == before.version

    @rule()
    def work_off(self) -> None:
        self.do(self.stepper.work_off())

    @rule()
    def go_on(self) -> None:
        """The engine works, and then whoever the saga waits for does his part."""
        self.do(self._turn())

    # -- time

    @precondition(lambda self: self.saga.next_attempt_at is not None or self.saga.lease_token is not None)
    @rule(what=st.sampled_from(["a back-off is over", "a lease runs out", "an owner dies"]))
    def time_passes(self, what: str) -> None:
        """Leases: the owner stalls, and whoever claims next takes over; the stalled one may still wake, a dead one not."""
        if what == "a back-off is over":
            self.do(self.stepper.let_time_pass())
            return
        if what == "an owner dies":
            self.stepper.workers.clear()
        self.do(self.stepper.execute("UPDATE saga SET due_at = clock_timestamp() WHERE lease_token IS NOT NULL"))

    @precondition(lambda self: self.saga.status is SagaStatus.AWAITING_RESULT)
    @rule(passed=st.booleans())
    def wait_is_woken(self, passed: bool) -> None:
        """By its deadline or by a false alarm; and leased at once, so that stories meet what comes in that instant."""
        self._wake("deadline_at = clock_timestamp()," if passed else "")
        self.do(self.stepper.claim())

    def _wake(self, also: str = "") -> None:
        self.do(
            self.stepper.execute(
                f"UPDATE saga SET {also} due_at = clock_timestamp()"
                " WHERE status = 'AWAITING_RESULT' AND lease_token IS NULL"
            )
        )

    @precondition(lambda self: self.saga.look_at is not None)
    @rule()
    def look(self) -> None:
        self.do(self.stepper.look())

    # -- users

    def _comes_while(self, moment: str) -> None:
        """Bring an engine to the moment in which a command is to come: most of them are shorter than an instant."""
        if moment != "at any time" and not self.stepper.workers:
            self.do(self.stepper.let_time_pass())
            if self.saga.status is SagaStatus.AWAITING_RESULT:
                self._wake()
            self.do(self.stepper.claim())
            if moment == "acted, not recorded":
                for worker in self.stepper.workers:
                    self.do(self.stepper.act(worker))
            self.saga = self.do(self.world.saga(self.saga.id))

    @rule(load=st.integers(1, 3), moment=MOMENTS)
    def advance(self, load: int, moment: str) -> None:
        self._comes_while(moment)
        step, waits = self.saga.state, self.saga.status is SagaStatus.AWAITING_INPUT

        def ask(key: str) -> Awaitable[Answer]:
            values: Json = {"load": load}
            return self.world.service.advance(ENGINEER, self.saga_id, step=step, values=values, idempotency_key=key)

        self._command(ask, allowed=waits)

    @rule(moment=MOMENTS)
    def pause(self, moment: str) -> None:
        self._comes_while(moment)
        allowed = self.saga.status in RUNS | {SagaStatus.PAUSED}
        self._command(
            lambda key: self.world.service.pause(ENGINEER, self.saga_id, idempotency_key=key), allowed=allowed
        )

    @precondition(lambda self: self.saga.status is SagaStatus.PAUSED or self.saga.version % 3 == 0 or self.saga.wanted)
    @rule(moment=MOMENTS)
    def resume(self, moment: str) -> None:
        self._comes_while(moment)
        allowed = self.saga.status is SagaStatus.PAUSED or self.saga.wanted is Wanted.PAUSE
        self._command(
            lambda key: self.world.service.resume(ENGINEER, self.saga_id, idempotency_key=key), allowed=allowed
        )

    @precondition(lambda self: self.saga.status is SagaStatus.FAILED or self.saga.version % 3 == 0)
    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        definition = self.do(self.world.definitions.get(self.saga.definition_name, self.saga.definition_version))
        targets = definition.retry_targets(self.saga.state)
        step = data.draw(st.sampled_from([None, *targets]))

        def ask(key: str) -> Awaitable[Answer]:
            return self.world.service.retry(ENGINEER, self.saga_id, from_step=step, idempotency_key=key)

        self._command(ask, allowed=self.saga.status is SagaStatus.FAILED, also=FILES_OUT_OF_REACH)

    @precondition(lambda self: self.saga.version > 8)
    @rule(compensate=st.booleans(), moment=MOMENTS)
    def cancel(self, compensate: bool, moment: str) -> None:
        self._comes_while(moment)

        def ask(key: str) -> Awaitable[Answer]:
            return self.world.service.cancel(ENGINEER, self.saga_id, compensate=compensate, idempotency_key=key)

        self._command(ask, allowed=self.saga.status is not SagaStatus.COMPLETED)

    @precondition(lambda self: self.answered)
    @rule(data=st.data())
    def a_client_repeats_what_was_done(self, data: st.DataObject) -> None:
        """However long ago it was, and whatever has happened since: the same answer, and nothing is done again."""
        ask, key = data.draw(st.sampled_from(self.answered))
        before = self.do(self.world.saga(self.saga.id))
        answer = self.do(_awaited(ask(key)))
        assert (answer.saga.id, answer.created) == (self.saga.id, False)
        assert self.do(self.world.saga(self.saga.id)).version == before.version

    def _command(self, command: Ask, *, allowed: bool, also: frozenset[RefusalCode] = frozenset()) -> None:
        """Hold a command to the model: done where its status allows it, else refused, and nothing changed."""
        before = self.do(self.world.saga(self.saga.id))
        key = f"key {uuid4()}"
        call = command(key)

        async def ask() -> Answer | SagaError:
            try:
                return await call
            except RefusedError as refusal:
                return refusal

        answer = self.do(ask())
        after = self.do(self.world.saga(self.saga.id))
        if isinstance(answer, RefusedError):
            assert not allowed or answer.problems[0].code in also, answer
            assert after.version == before.version
        elif isinstance(answer, Answer):
            assert allowed or not answer.created
            assert answer.created == (after.version > before.version)
            self.answered.append((command, key))

    # -- workers and colleagues

    @precondition(lambda self: self.world.publisher.published)
    @rule(data=st.data(), how=st.sampled_from(["result", "result", "identical", "failure", "silent result"]))
    def worker_answers(self, data: st.DataObject, how: str) -> None:
        """Any published task, the superseded ones too, is answered; a late worker knows of nothing."""
        message = data.draw(st.sampled_from(self.world.publisher.published))
        if how == "failure":
            self.world.publisher.finish(message.id, TaskReport(TaskState.FAILED, error="too hot"))
        elif how == "identical":
            self.world.publisher.finish(message.id, TaskReport(TaskState.SUCCEEDED))
        else:
            self._push_result(message.id, message.output_file)
            if how == "result":
                self.do(self.world.pushed(self.saga.branch))

    def _push_result(self, task: TaskId, path: str) -> None:
        if self.saga.branch in self.world.forge.branch_names(self.world.project):
            text = json.dumps({"task": str(task)})
            trailers = {"Correlation-Id": str(task)}
            self.world.forge.write(self.world.project, self.saga.branch, path, text, trailers=trailers)

    @precondition(lambda self: self.saga.version > 3)
    @rule(path=st.sampled_from(FILES), text=st.sampled_from(['{"load": 9}', '{"load": 8}', "{broken", None]))
    def colleague_edits(self, path: str, text: str | None) -> None:
        forge, branch = self.world.forge, self.saga.branch
        if branch not in forge.branch_names(self.world.project):
            return
        if text is None and forge.read(self.world.project, branch, path) is None:
            return
        forge.write(self.world.project, branch, path, text, author=COLLEAGUE)

    @precondition(lambda self: self.saga.version > 3 and self._branch_is_there())
    @rule(data=st.data(), how=st.sampled_from(["sets it back", "squashes it", "removes it"]))
    def colleague_rewrites(self, data: st.DataObject, how: str) -> None:
        """By force: to an older commit, or to the same files without their history; or the branch goes."""
        forge, branch = self.world.forge, self.saga.branch
        log = forge.commit_log(self.world.project, branch)
        if how == "sets it back":
            forge.force_push(self.world.project, branch, data.draw(st.sampled_from(log)).sha)
        elif how == "squashes it":
            repository = forge._repository(self.world.project)
            tree = repository.tree(log[0].sha)
            forge.force_push(self.world.project, branch, log[-1].sha)
            repository.commit(branch, tree, "Squashed", author=COLLEAGUE, committer=COLLEAGUE)
        else:
            self.removed = log[0].sha
            forge.remove_branch(self.world.project, branch)

    @precondition(lambda self: self.removed is not None and not self._branch_is_there())
    @rule()
    def colleague_restores_the_branch(self) -> None:
        self.world.forge.add_branch(self.world.project, self.saga.branch, ref=self.removed)

    def _branch_is_there(self) -> bool:
        return self.saga.branch in self.world.forge.branch_names(self.world.project)

    @precondition(lambda self: self.saga.version > 3 and self._branch_is_there())
    @rule(state=st.sampled_from(["merged", "closed"]))
    def colleague_opens_or_ends_a_merge_request(self, state: str) -> None:
        forge, project, branch = self.world.forge, self.world.project, self.saga.branch
        opened = [mr for mr in forge._merge_requests if (mr.source_branch, mr.state) == (branch, "opened")]
        if opened:
            forge.set_merge_request_state(project, opened[0].iid, state)
        else:
            self.do(
                forge.create_merge_request(
                    project.id, source_branch=branch, target_branch="main", title="By hand", description=""
                )
            )
        self.do(self.stepper.look())

    # -- faults

    @rule(fault=st.sampled_from(FAULTS))
    def something_fails(self, fault: tuple[str, SagaError, bool]) -> None:
        """The next call of this method fails; `after`: it does its work, and only the answer is lost."""
        method, error, after = fault
        port = self.world.publisher if method in BROKER else self.world.forge
        port.fail_next(method, error, after=after)

    @rule()
    def an_answer_of_the_database_is_lost(self) -> None:
        """The next decision that is written without a lock is there, and nobody is told."""
        self.stepper.loses_answer = True

    # -- what must hold

    @invariant()
    def promises_hold(self) -> None:
        if hasattr(self, "saga"):
            self.saga = self.do(invariants.check(self.world, self.saga.id))

    async def _to_its_end(self) -> None:
        """No new faults, and everybody does his part: the saga must end, through the faults that are planned yet."""
        await self.stepper.execute("UPDATE saga SET due_at = clock_timestamp() WHERE lease_token IS NOT NULL")
        self.stepper.workers.clear()
        for _ in range(40):
            if await self._turn():
                return
        raise AssertionError(f"the saga does not end: {self.saga.status} in {self.saga.state}: {self.saga.error}")

    async def _is_archived_and_comes_back(self) -> None:
        """Whoever asks for it, if only by a command that comes too late, finds it as it was."""
        before, journal = self.saga, await self.world.journal(self.saga.id)
        await self.stepper.execute("DELETE FROM idempotency_record")
        assert sum((await sweep(self.world.database, Retention(timedelta(0)))).values()) == 1
        assert await self.world.journal(self.saga.id) == []
        with suppress(RefusedError):
            await self.world.service.cancel(ENGINEER, self.saga_id)
        assert await invariants.check(self.world, self.saga.id) == before
        assert await self.world.journal(self.saga.id) == journal

    async def _turn(self) -> bool:
        """Let the engine work, then do what the saga waits for; True where it is over."""
        await self.stepper.work_off()
        self.saga = saga = await invariants.check(self.world, self.saga.id)
        parts: dict[SagaStatus, Callable[[Saga], Awaitable[object]]] = {
            SagaStatus.AWAITING_INPUT: self._fill_in,
            SagaStatus.AWAITING_RESULT: self._be_the_worker,
            SagaStatus.PAUSED: lambda saga: self.world.service.resume(ENGINEER, SagaId(saga.id)),
            SagaStatus.FAILED: self._mend,
        }
        if saga.status in OVER:
            return True
        await parts[saga.status](saga)
        return False

    async def _mend(self, saga: Saga) -> None:
        """Retry what a fault or the end of a merge request has stopped; what files cause is not worth another try here."""
        if saga.error is not None and saga.error["code"] in MENDED_BY_A_RETRY:
            await self.world.service.retry(ENGINEER, SagaId(saga.id))
        else:
            await self.world.service.cancel(ENGINEER, SagaId(saga.id))

    async def _fill_in(self, saga: Saga) -> None:
        await self.stepper.look()
        if (await self.world.saga(saga.id)).status is SagaStatus.AWAITING_INPUT:
            await self.world.service.advance(ENGINEER, SagaId(saga.id), step=saga.state, values={"load": 5})

    async def _be_the_worker(self, saga: Saga) -> None:
        name = saga.state.removeprefix("AWAIT_").removesuffix("_RESULT").lower()
        self._push_result(TaskId(saga.context["calculations"][name]["taskId"]), f"{name}_output.json")
        await self.stepper.look()


async def _awaited(answer: Awaitable[Answer]) -> Answer:
    return await answer


@pytest.mark.timeout(600)
def test_whatever_happens_the_promises_hold_and_the_saga_can_end(database_url: str) -> None:
    with asyncio.Runner() as runner:
        bound = type("BoundStory", (Story,), {"database_url": database_url, "runner": runner})
        run_state_machine_as_test(
            bound,
            settings=settings(
                max_examples=60,
                stateful_step_count=50,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                print_blob=True,
            ),
        )
