"""Heat-balance engineering of a steam power unit: pure functions from documents to documents.

Inside SI, at the edge the units that the key names say. Methods and their sources: docs/engineering.md.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from app.demo.engineering.balance import balance
from app.demo.engineering.condenser import condenser
from app.demo.engineering.documents import Json
from app.demo.engineering.errors import CalculationError
from app.demo.engineering.feedwater_heaters import feedwater_heaters

__all__ = ["CALCULATIONS", "CalculationError", "Json", "balance", "condenser", "feedwater_heaters"]

CALCULATIONS: Mapping[str, Callable[[Mapping[str, Json]], Json]] = MappingProxyType(
    {"condenser": condenser, "feedwater_heaters": feedwater_heaters, "balance": balance}
)
"""By the catalogue's name: a function from {file name: parsed document} to the output document.

Each raises `CalculationError`, and on purpose nothing else."""
