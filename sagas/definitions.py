"""Every definition that this release ships, generated from a catalogue."""

from collections.abc import Mapping

from sagas.balance import balance_definition
from sagas.calculation import calculation_definition
from sagas.catalogue import Catalogue
from sagas.definition import SagaDefinition
from sagas.merge_request import merge_request_definition


def shipped_definitions(catalogue: Catalogue) -> Mapping[str, SagaDefinition]:
    """By name: `balance`, `calculation_<name>` for each calculation, `merge_request`.

    Raises DefinitionError where the catalogue cannot serve the Balance saga.
    """
    definitions = [
        balance_definition(catalogue),
        *(calculation_definition(catalogue, name) for name in catalogue.names),
        merge_request_definition(),
    ]
    return {definition.name: definition for definition in definitions}
