"""Whatever the schemas allow is either calculated, with closed balances, or refused with the field's name."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.demo.engineering import CalculationError
from sagas.catalogue import Catalogue
from tests.engineering.plant import (
    Document,
    balance_input,
    condenser_input,
    heaters_input,
    run_balance,
    run_condenser,
    run_heaters,
)

SHIPPED = Catalogue.load()


@st.composite
def documents(draw: st.DrawFn, calculation: str, base: Document) -> Document:
    """The sample's document with some of its numbers anywhere in their allowed ranges."""
    share = draw(st.sampled_from([0, 1, 3, 10]))

    def vary(schema: Any, value: Any) -> Any:
        if schema["type"] == "object":
            return {name: vary(schema["properties"][name], inner) for name, inner in value.items()}
        if schema["type"] == "array":
            return [vary(schema["items"], inner) for inner in value]
        if schema["type"] == "number" and draw(st.integers(0, 30)) < share:
            return draw(st.floats(schema["minimum"], schema["maximum"]))
        return value

    changed: Document = vary(SHIPPED.calculation(calculation).input_schema, base)
    return changed


@settings(max_examples=150, deadline=None)
@given(documents("condenser", condenser_input()), documents("feedwater_heaters", heaters_input()))
def test_it_is_calculated_with_closed_balances_or_refused_by_name(condenser: Document, heaters: Document) -> None:
    refused: CalculationError | None = None
    try:
        cold_end, string = run_condenser(condenser), run_heaters(heaters)
        plant = balance_input()
        plant["turbine"], plant["feedwater"]["feed_pump"] = heaters["turbine"], heaters["feed_pump"]
        output = run_balance(plant, cold_end, string)
    except CalculationError as complaint:
        refused = complaint
    if refused is not None:
        assert refused.file
        assert refused.field_path
        assert refused.message
        return
    for closure in (string["closure"], output["closure"]):
        assert closure["mass_residual_kg_s"] == pytest.approx(0, abs=1e-3)
        assert closure["energy_residual_kw"] == pytest.approx(0, abs=5)
    assert output["condenser"]["pressure_kpa"] == cold_end["pressure_kpa"]
