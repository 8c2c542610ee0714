from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagas.catalogue import Catalogue
from sagas.definition import (
    COMPLETED,
    Action,
    DefinitionError,
    SagaDefinition,
    StepKind,
    Transition,
    Trigger,
    TriggerRefusedError,
    back_to,
)
from sagas.definitions import shipped_definitions
from sagas.states import next_step_name
from tests.unit.catalogues import catalogue, catalogues, entry


@pytest.fixture(scope="module")
def shipped() -> dict[str, SagaDefinition]:
    return dict(shipped_definitions(Catalogue.load()))


def path(definition: SagaDefinition, **choices: Trigger) -> list[str]:
    """The states from the first to the last, taking the named choice at each check, DONE and the like elsewhere."""
    onward = {StepKind.INPUT: Trigger.INPUT_RECEIVED, StepKind.RESULT: Trigger.RESULT_FOUND}
    states = [definition.initial]
    while definition.step(states[-1]).kind is not StepKind.FINAL:
        step = definition.step(states[-1])
        trigger = onward.get(step.kind, Trigger.DONE)
        if step.action is Action.CHECK:
            trigger = choices.get(step.calculation or "", Trigger.INPUT_MISSING)
        states.append(definition.target(step.name, trigger))
    return states


class TestBalance:
    def test_it_goes_through_each_dependency_and_ends_with_the_balance(
        self, shipped: dict[str, SagaDefinition]
    ) -> None:
        assert path(shipped["balance"]) == [
            "PREPARE_BRANCH",
            "CHECK_CONDENSER",
            "HYDRATE_CONDENSER",
            "AWAIT_USER_CONDENSER_INPUT",
            "COMMIT_CONDENSER_INPUT",
            "DISPATCH_CONDENSER",
            "AWAIT_CONDENSER_RESULT",
            "SYNC_CONDENSER_RESULT",
            "CHECK_FEEDWATER_HEATERS",
            "HYDRATE_FEEDWATER_HEATERS",
            "AWAIT_USER_FEEDWATER_HEATERS_INPUT",
            "COMMIT_FEEDWATER_HEATERS_INPUT",
            "DISPATCH_FEEDWATER_HEATERS",
            "AWAIT_FEEDWATER_HEATERS_RESULT",
            "SYNC_FEEDWATER_HEATERS_RESULT",
            "DISPATCH_BALANCE",
            "AWAIT_BALANCE_RESULT",
            "SYNC_BALANCE_RESULT",
            "COMPLETED",
        ]

    def test_current_outputs_and_inputs_that_are_there_shorten_the_way(
        self, shipped: dict[str, SagaDefinition]
    ) -> None:
        short = path(shipped["balance"], condenser=Trigger.OUTPUT_CURRENT, feedwater_heaters=Trigger.INPUT_FOUND)
        assert short[:4] == [
            "PREPARE_BRANCH",
            "CHECK_CONDENSER",
            "CHECK_FEEDWATER_HEATERS",
            "AWAIT_USER_FEEDWATER_HEATERS_INPUT",
        ]

    def test_a_failed_calculation_is_dispatched_again(self, shipped: dict[str, SagaDefinition]) -> None:
        assert shipped["balance"].target("AWAIT_BALANCE_RESULT", Trigger.REDISPATCH) == "DISPATCH_BALANCE"

    def test_a_retry_may_go_back_to_every_form_and_check_that_was_passed(
        self, shipped: dict[str, SagaDefinition]
    ) -> None:
        assert shipped["balance"].retry_targets("AWAIT_BALANCE_RESULT") == (
            "CHECK_CONDENSER",
            "AWAIT_USER_CONDENSER_INPUT",
            "CHECK_FEEDWATER_HEATERS",
            "AWAIT_USER_FEEDWATER_HEATERS_INPUT",
        )
        assert shipped["balance"].retry_targets("COMMIT_CONDENSER_INPUT") == (
            "CHECK_CONDENSER",
            "AWAIT_USER_CONDENSER_INPUT",
        )
        assert shipped["balance"].retry_targets("CHECK_CONDENSER") == ()
        assert shipped["balance"].retry_targets("COMPLETED") == ()

    def test_it_carries_the_slice_of_the_catalogue_that_it_needs(self) -> None:
        definition = shipped_definitions(catalogue(entry("balance", "a"), entry("a"), entry("b", "a")))["balance"]
        assert set(definition.calculations) == {"a", "balance"}

    def test_a_catalogue_without_a_balance_is_refused(self) -> None:
        with pytest.raises(DefinitionError, match="no calculation 'balance'"):
            shipped_definitions(catalogue(entry("condenser")))

    def test_a_new_dependency_is_a_catalogue_entry(self) -> None:
        more = catalogue(entry("balance", "condenser"), entry("condenser", "cooling_tower"), entry("cooling_tower"))
        checks = [step.name for step in shipped_definitions(more)["balance"].steps if step.action is Action.CHECK]
        assert checks == ["CHECK_COOLING_TOWER", "CHECK_CONDENSER"]


class TestCalculation:
    def test_it_is_one_commit_and_one_task(self, shipped: dict[str, SagaDefinition]) -> None:
        assert path(shipped["calculation_condenser"]) == [
            "PREPARE_BRANCH",
            "COMMIT_CONDENSER_INPUT",
            "DISPATCH_CONDENSER",
            "AWAIT_CONDENSER_RESULT",
            "SYNC_CONDENSER_RESULT",
            "COMPLETED",
        ]

    def test_only_a_retry_leads_to_the_form(self, shipped: dict[str, SagaDefinition]) -> None:
        definition = shipped["calculation_condenser"]
        form = "AWAIT_USER_CONDENSER_INPUT"
        assert {edge.trigger for edge in definition.transitions if edge.target == form} == {back_to(form)}
        assert definition.retry_targets("AWAIT_CONDENSER_RESULT") == (form,)
        assert definition.target(form, Trigger.INPUT_RECEIVED) == "COMMIT_CONDENSER_INPUT"

    def test_each_calculation_has_one(self, shipped: dict[str, SagaDefinition]) -> None:
        assert set(shipped) == {
            "balance",
            "calculation_condenser",
            "calculation_feedwater_heaters",
            "calculation_balance",
            "merge_request",
        }
        assert set(shipped["calculation_balance"].calculations) == {"condenser", "feedwater_heaters", "balance"}


def test_a_merge_request_is_one_step(shipped: dict[str, SagaDefinition]) -> None:
    assert path(shipped["merge_request"]) == ["OPEN_MERGE_REQUEST", "COMPLETED"]


def test_the_next_step_has_the_service_descriptions_name() -> None:
    assert next_step_name("condenser") == "CONDENSER_CALCULATION"


class TestDiagram:
    def test_states_stand_under_their_own_names_and_the_active_one_is_marked(
        self, shipped: dict[str, SagaDefinition]
    ) -> None:
        drawn = shipped["balance"].mermaid("AWAIT_USER_CONDENSER_INPUT")
        assert drawn.startswith("stateDiagram-v2")
        assert "HYDRATE_CONDENSER --> AWAIT_USER_CONDENSER_INPUT" in drawn
        assert drawn.count(":::active") == 1
        assert "AWAIT_USER_CONDENSER_INPUT:::active" in drawn
        assert ":::active" not in shipped["balance"].mermaid()

    def test_every_state_can_be_marked(self, shipped: dict[str, SagaDefinition]) -> None:
        for definition in shipped.values():
            for step in definition.steps:
                assert f"{step.name}:::active" in definition.mermaid(step.name)


def all_of(of: Catalogue) -> list[SagaDefinition]:
    return list(shipped_definitions(of).values())


class TestForEveryCatalogue:
    @given(catalogues())
    def test_order_on_the_path_respects_dependencies(self, of: Catalogue) -> None:
        definition = shipped_definitions(of)["balance"]
        for step in definition.steps:
            if step.action is Action.DISPATCH and step.calculation is not None:
                for needed in of.calculation(step.calculation).depends_on:
                    sync = next(
                        s for s in definition.steps if s.action is Action.SYNC_RESULT and s.calculation == needed
                    )
                    assert definition.order(sync.name) < definition.order(step.name)

    @given(catalogues())
    def test_every_state_can_reach_the_end_and_be_reached_from_the_beginning(self, of: Catalogue) -> None:
        for definition in all_of(of):
            assert reachable(definition.transitions, definition.initial) == set(definition.by_name)
            backwards = [Transition(edge.target, edge.trigger, edge.source) for edge in definition.transitions]
            assert reachable(backwards, COMPLETED) == set(definition.by_name)

    @given(catalogues(), st.data())
    def test_the_machine_goes_where_the_table_says_and_nowhere_else(self, of: Catalogue, data: st.DataObject) -> None:
        definition = data.draw(st.sampled_from(all_of(of)))
        table = {(edge.source, edge.trigger): edge.target for edge in definition.transitions}
        assert len(table) == len(definition.transitions), "a state and a trigger lead to one target"
        triggers = sorted({*Trigger, *(edge.trigger for edge in definition.transitions)})
        state = data.draw(st.sampled_from(sorted(definition.by_name)))
        for trigger in triggers:
            if (state, trigger) in table:
                assert definition.target(state, trigger) == table[state, trigger]
            else:
                with pytest.raises(TriggerRefusedError):
                    definition.target(state, trigger)

    @given(catalogues())
    def test_a_retry_never_goes_forward(self, of: Catalogue) -> None:
        for definition in all_of(of):
            for step in definition.steps:
                for target in definition.retry_targets(step.name):
                    assert definition.order(target) < definition.order(step.name)

    @given(catalogues())
    def test_a_definition_survives_being_stored(self, of: Catalogue) -> None:
        for definition in all_of(of):
            stored = SagaDefinition.from_document(definition.document, version=3)
            assert stored.hash == definition.hash
            assert stored.transitions == definition.transitions
            assert stored.version == 3

    @given(catalogues())
    def test_the_same_catalogue_gives_the_same_hash(self, of: Catalogue) -> None:
        again = Catalogue.from_json({"calculations": [calculation.to_json() for calculation in of.calculations]})
        assert {d.name: d.hash for d in all_of(of)} == {d.name: d.hash for d in all_of(again)}


def test_the_shipped_machines_go_where_their_tables_say_for_every_state_and_trigger(
    shipped: dict[str, SagaDefinition],
) -> None:
    for definition in shipped.values():
        table = {(edge.source, edge.trigger): edge.target for edge in definition.transitions}
        triggers = {*map(str, Trigger), *(edge.trigger for edge in definition.transitions), "unheard_of"}
        for state in definition.by_name:
            for trigger in triggers:
                expected = table.get((state, trigger))
                try:
                    assert definition.target(state, trigger) == expected
                except TriggerRefusedError:
                    assert expected is None


def reachable(transitions: Iterable[Transition], start: str) -> set[str]:
    edges = list(transitions)
    seen, waiting = {start}, [start]
    while waiting:
        here = waiting.pop()
        found = {edge.target for edge in edges if edge.source == here} - seen
        seen |= found
        waiting.extend(found)
    return seen
