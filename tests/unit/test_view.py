"""What the API shows of a saga at every point of its way; rows are moved by the engine's own rules."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagas import states
from sagas.catalogue import Catalogue
from sagas.change import Change
from sagas.context import SagaContext, StepStatus
from sagas.definition import COMPLETED, Action, SagaDefinition, StepKind, Trigger, back_to
from sagas.definitions import shipped_definitions
from sagas.errors import RetryableError, TerminalError
from sagas.models import Draft, EventType, Saga, SagaStatus, Wanted
from sagas.view import SagaAction, SagaView
from tests.unit.catalogues import catalogues

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
DEFINITIONS = shipped_definitions(Catalogue.load())
ONWARD = {StepKind.INPUT: Trigger.INPUT_RECEIVED, StepKind.RESULT: Trigger.RESULT_FOUND}


def born(definition: SagaDefinition, state: str | None = None) -> Saga:
    """A saga that has just been started, in the first state or a later one."""
    context = SagaContext(repo_url="http://gitlab.test/p.git", default_branch="main", head="c0ffee")
    row = Saga(
        id=UUID(int=1),
        definition_name=definition.name,
        definition_version=1,
        state="",
        visit=0,
        status=SagaStatus.RUNNING,
        version=0,
        context=context.to_json(),
        project_id=7,
        project_path="power/plant",
        branch="issue/42",
        natural_key="k",
        started_by_id=1,
        started_by={"id": 1, "username": "anna", "name": "Anna Petrova"},
        writes=[],
        created_at=NOW,
        updated_at=NOW,
    )
    change = Change(row, definition, NOW)
    change.start(state or definition.initial, actor="Anna Petrova", data={})
    return change.finish()


def moved(row: Saga, definition: SagaDefinition, *triggers: str) -> Saga:
    """The row after these triggers."""
    for trigger in triggers:
        change = Change(row, definition, NOW + timedelta(minutes=row.version))
        change.move(trigger, EventType.ENTERED)
        row = change.finish()
    return row


def brought_to(state: str, definition: SagaDefinition, check: Trigger = Trigger.INPUT_MISSING) -> Saga:
    """The row in `state`, by the path on which every check answers `check`."""
    row = born(definition)
    while row.state != state:
        step = definition.step(row.state)
        row = moved(row, definition, check if step.action is Action.CHECK else ONWARD.get(step.kind, Trigger.DONE))
    return row


def statuses(row: Saga, definition: SagaDefinition) -> dict[str, StepStatus]:
    return {step.name: step.status for step in SagaView(row, definition).steps}


BALANCE = DEFINITIONS["balance"]
FORM = "AWAIT_USER_CONDENSER_INPUT"


class TestSteps:
    def test_they_are_all_states_but_the_last_in_order(self) -> None:
        view = SagaView(born(BALANCE), BALANCE)
        assert [step.name for step in view.steps] == [step.name for step in BALANCE.steps[:-1]]
        assert view.steps[0].status is StepStatus.ACTIVE
        assert {step.status for step in view.steps[1:]} == {StepStatus.PENDING}

    def test_a_branch_that_is_there_is_not_prepared(self) -> None:
        row = born(BALANCE, "CHECK_CONDENSER")
        assert statuses(row, BALANCE)["PREPARE_BRANCH"] is StepStatus.SKIPPED

    def test_what_was_not_needed_is_skipped_once_passed(self) -> None:
        found = statuses(brought_to(FORM, BALANCE, Trigger.INPUT_FOUND), BALANCE)
        assert found["CHECK_CONDENSER"] is StepStatus.DONE
        assert found["HYDRATE_CONDENSER"] is StepStatus.SKIPPED
        assert found[FORM] is StepStatus.WAITING
        assert found["HYDRATE_FEEDWATER_HEATERS"] is StepStatus.PENDING

    def test_a_current_output_skips_the_whole_calculation(self) -> None:
        row = brought_to("CHECK_FEEDWATER_HEATERS", BALANCE, Trigger.OUTPUT_CURRENT)
        found = statuses(row, BALANCE)
        assert found["CHECK_CONDENSER"] is StepStatus.DONE
        assert {found[name] for name in (FORM, "DISPATCH_CONDENSER", "SYNC_CONDENSER_RESULT")} == {StepStatus.SKIPPED}

    def test_a_step_tells_its_times_visits_and_calculation(self) -> None:
        row = brought_to(FORM, BALANCE)
        steps = {step.name: step for step in SagaView(row, BALANCE).steps}
        check = steps["CHECK_CONDENSER"]
        assert (check.kind, check.calculation, check.visit) == (StepKind.ACTION, "condenser", 1)
        assert check.started_at is not None
        assert check.finished_at is not None
        assert NOW <= check.started_at < check.finished_at
        assert steps[FORM].finished_at is None
        assert steps["COMMIT_CONDENSER_INPUT"].visit == 0
        assert steps["PREPARE_BRANCH"].calculation is None

    def test_going_back_makes_what_comes_again_pending_and_counts_the_visit(self) -> None:
        row = brought_to("AWAIT_CONDENSER_RESULT", BALANCE)
        row = moved(row, BALANCE, back_to(FORM))
        steps = {step.name: step for step in SagaView(row, BALANCE).steps}
        assert (steps[FORM].status, steps[FORM].visit) == (StepStatus.WAITING, 2)
        for name in ("COMMIT_CONDENSER_INPUT", "DISPATCH_CONDENSER", "AWAIT_CONDENSER_RESULT"):
            assert (steps[name].status, steps[name].error) == (StepStatus.PENDING, None)
        assert steps["HYDRATE_CONDENSER"].status is StepStatus.DONE

    def test_a_step_that_was_skipped_may_come_after_going_back(self) -> None:
        row = brought_to("DISPATCH_BALANCE", BALANCE, Trigger.OUTPUT_CURRENT)
        row = moved(row, BALANCE, back_to("CHECK_CONDENSER"))
        assert statuses(row, BALANCE)[FORM] is StepStatus.PENDING

    def test_a_failed_step_shows_why(self) -> None:
        change = Change(brought_to("AWAIT_CONDENSER_RESULT", BALANCE), BALANCE, NOW)
        change.fail(TerminalError("CALCULATION_FAILED", "The tubes are dry."))
        row = change.finish()
        failed = next(step for step in SagaView(row, BALANCE).steps if step.name == row.state)
        assert failed.status is StepStatus.FAILED
        assert failed.error is not None
        assert (failed.error["code"], failed.error["retryable"]) == ("CALCULATION_FAILED", False)

    def test_a_step_that_is_tried_again_stays_active_and_counts_its_attempts(self) -> None:
        change = Change(born(BALANCE), BALANCE, NOW)
        change.try_again(RetryableError("GITLAB_UNAVAILABLE", "503"), delay_s=1)
        (active, *_) = SagaView(change.finish(), BALANCE).steps
        assert (active.status, active.attempts) == (StepStatus.ACTIVE, 1)
        assert active.error is not None
        assert active.error["retryable"]

    def test_a_cancelled_saga_leaves_nothing_active_and_shows_what_was_undone(self) -> None:
        row = brought_to("DISPATCH_CONDENSER", BALANCE)
        context = SagaContext.from_json(row.context).with_step("HYDRATE_CONDENSER", status=StepStatus.COMPENSATED)
        row.context, row.status = context.to_json(), SagaStatus.CANCELLED
        found = statuses(row, BALANCE)
        assert found["DISPATCH_CONDENSER"] is StepStatus.PENDING
        assert found["HYDRATE_CONDENSER"] is StepStatus.COMPENSATED

    def test_a_step_whose_effect_was_settled_before_the_undoing_is_done(self) -> None:
        row = brought_to("COMMIT_CONDENSER_INPUT", BALANCE)
        context = SagaContext.from_json(row.context).with_step(row.state, status=StepStatus.DONE)
        row.context, row.status = context.to_json(), SagaStatus.CANCELLING
        assert statuses(row, BALANCE)[row.state] is StepStatus.DONE

    def test_a_commit_is_shown_with_its_step(self) -> None:
        row = brought_to(FORM, BALANCE)
        commit = {"sha": "c0ffee", "webUrl": "http://gitlab.test/c0ffee", "message": "Hydrate"}
        row.context = SagaContext.from_json(row.context).with_step("HYDRATE_CONDENSER", commit=commit).to_json()
        steps = {step.name: step for step in SagaView(row, BALANCE).steps}
        assert steps["HYDRATE_CONDENSER"].commit == commit


def steps_over(view: SagaView) -> int:
    """How many of the steps that the view shows are done or were not needed."""
    return sum(step.status in {StepStatus.DONE, StepStatus.SKIPPED} for step in view.steps)


class TestProgress:
    @given(
        state=st.sampled_from([step.name for step in BALANCE.steps[:-1]]),
        status=st.sampled_from([status for status in SagaStatus if status is not SagaStatus.COMPLETED]),
        stored=st.dictionaries(
            st.sampled_from([step.name for step in BALANCE.steps]),
            st.fixed_dictionaries({"status": st.sampled_from([*StepStatus])}),
        ),
    )
    def test_it_counts_what_the_steps_show(
        self, state: str, status: SagaStatus, stored: dict[str, dict[str, str]]
    ) -> None:
        row = born(BALANCE)
        row.state, row.status, row.context = state, status, {**row.context, "steps": stored}
        view = SagaView(row, BALANCE)
        assert (view.progress.completed_steps, view.progress.total_steps) == (steps_over(view), len(view.steps))

    def test_it_begins_at_nothing_and_ends_at_everything(self) -> None:
        view = SagaView(born(BALANCE), BALANCE)
        assert (view.progress.completed_steps, view.progress.total_steps, view.progress.fraction) == (0, 18, 0.0)
        done = SagaView(brought_to(COMPLETED, BALANCE), BALANCE).progress
        assert (done.completed_steps, done.fraction) == (18, 1.0)

    @given(catalogues(), st.data())
    def test_it_never_falls_on_the_way_and_ends_at_one(self, of: Catalogue, data: st.DataObject) -> None:
        definition = data.draw(st.sampled_from(sorted(shipped_definitions(of).values(), key=lambda each: each.name)))
        row, last = born(definition), 0.0
        while row.state != COMPLETED:
            step = definition.step(row.state)
            checks = st.sampled_from([Trigger.INPUT_MISSING, Trigger.INPUT_FOUND, Trigger.OUTPUT_CURRENT])
            trigger = data.draw(checks) if step.action is Action.CHECK else ONWARD.get(step.kind, Trigger.DONE)
            row = moved(row, definition, trigger)
            view = SagaView(row, definition)
            assert view.progress.completed_steps == steps_over(view)
            fraction = view.progress.fraction
            assert last < fraction <= 1
            last = fraction
        assert last == 1


class TestNextStep:
    @pytest.mark.parametrize(
        ("state", "expected"),
        [
            ("PREPARE_BRANCH", "CONDENSER_CALCULATION"),
            ("CHECK_CONDENSER", "CONDENSER_CALCULATION"),
            (FORM, "CONDENSER_CALCULATION"),
            ("SYNC_CONDENSER_RESULT", "CONDENSER_CALCULATION"),
            ("AWAIT_USER_FEEDWATER_HEATERS_INPUT", "FEEDWATER_HEATERS_CALCULATION"),
            ("AWAIT_BALANCE_RESULT", "BALANCE_CALCULATION"),
            ("COMPLETED", None),
        ],
    )
    def test_it_names_the_calculation_that_the_saga_is_at(self, state: str, expected: str | None) -> None:
        assert SagaView(brought_to(state, BALANCE), BALANCE).next_step == expected

    def test_there_is_none_for_a_cancelled_saga_or_a_merge_request(self) -> None:
        row = brought_to(FORM, BALANCE)
        row.status = SagaStatus.CANCELLED
        assert SagaView(row, BALANCE).next_step is None
        merge = DEFINITIONS["merge_request"]
        assert SagaView(born(merge), merge).next_step is None


class TestWaitingFor:
    def test_a_form_waits_for_its_user_by_name(self) -> None:
        row = brought_to(FORM, BALANCE)
        assert SagaView(row, BALANCE).waiting_for == "Anna Petrova"
        row.started_by = {"id": 1, "username": "anna", "name": None}
        assert SagaView(row, BALANCE).waiting_for == "anna"

    def test_a_result_is_waited_for_at_the_workers_queue(self) -> None:
        assert SagaView(brought_to("AWAIT_BALANCE_RESULT", BALANCE), BALANCE).waiting_for == "balance.calculations"

    @pytest.mark.parametrize(
        ("code", "expected"),
        [
            ("GITLAB_UNAVAILABLE", "GitLab"),
            ("GITLAB_CONFLICT", "GitLab"),
            ("BROKER_UNAVAILABLE", "the broker"),
            ("SOMETHING_NEW", None),
        ],
    )
    def test_a_step_that_is_tried_again_waits_for_whoever_is_away(self, code: str, expected: str | None) -> None:
        change = Change(born(BALANCE), BALANCE, NOW)
        change.try_again(RetryableError(code, "away"), delay_s=1)
        assert SagaView(change.finish(), BALANCE).waiting_for == expected

    def test_a_saga_that_runs_or_has_ended_waits_for_nothing(self) -> None:
        assert SagaView(born(BALANCE), BALANCE).waiting_for is None
        assert SagaView(brought_to(COMPLETED, BALANCE), BALANCE).waiting_for is None


class TestPendingInput:
    def draft(self, document: Any) -> Draft:
        return Draft(saga_id=UUID(int=1), state=FORM, visit=1, document=document, changed_at_version=3)

    def test_a_form_has_its_calculation_draft_file_and_version(self) -> None:
        row = brought_to(FORM, BALANCE)
        pending = SagaView(row, BALANCE).pending_input(self.draft({"heat_duty_mw": 380}))
        assert pending is not None
        assert pending.step == FORM
        assert pending.calculation.name == "condenser"
        assert pending.file == "condenser_input.json"
        assert pending.draft == {"heat_duty_mw": 380}
        assert pending.expected_version == row.version

    @pytest.mark.parametrize("status", [status for status in SagaStatus if status is not SagaStatus.AWAITING_INPUT])
    def test_there_is_none_in_any_other_status(self, status: SagaStatus) -> None:
        row = brought_to(FORM, BALANCE)
        row.status = status
        assert SagaView(row, BALANCE).pending_input(self.draft({})) is None

    def test_there_is_none_without_a_draft(self) -> None:
        assert SagaView(brought_to(FORM, BALANCE), BALANCE).pending_input(None) is None


class TestActions:
    @pytest.mark.parametrize(
        ("status", "expected"),
        [
            (SagaStatus.RUNNING, {SagaAction.PAUSE, SagaAction.CANCEL}),
            (SagaStatus.AWAITING_INPUT, {SagaAction.ADVANCE, SagaAction.PAUSE, SagaAction.CANCEL}),
            (SagaStatus.AWAITING_RESULT, {SagaAction.PAUSE, SagaAction.CANCEL}),
            (SagaStatus.PAUSED, {SagaAction.RESUME, SagaAction.CANCEL}),
            (SagaStatus.FAILED, {SagaAction.RETRY, SagaAction.CANCEL}),
            (SagaStatus.CANCELLING, set()),
            (SagaStatus.CANCELLED, set()),
            (SagaStatus.COMPLETED, {SagaAction.CREATE_MERGE_REQUEST}),
        ],
    )
    def test_they_follow_from_the_status(self, status: SagaStatus, expected: set[SagaAction]) -> None:
        row = brought_to(FORM, BALANCE)
        row.status = status
        assert set(SagaView(row, BALANCE).available_actions) == expected

    def test_a_pause_that_was_asked_for_can_be_taken_back(self) -> None:
        row = born(BALANCE)
        row.wanted = Wanted.PAUSE
        assert set(SagaView(row, BALANCE).available_actions) == {SagaAction.RESUME, SagaAction.CANCEL}

    def test_a_merge_request_is_not_asked_for_twice(self) -> None:
        merge = DEFINITIONS["merge_request"]
        assert SagaView(brought_to(COMPLETED, merge), merge).available_actions == ()


def test_states_are_named_as_the_service_description_names_them() -> None:
    assert states.check("condenser") == "CHECK_CONDENSER"
    assert states.await_input("condenser") == FORM
