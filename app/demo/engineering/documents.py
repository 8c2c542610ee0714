"""Reading input documents: held against the catalogue's JSON Schema first, then read value by value."""

import math
from collections.abc import Mapping
from functools import cache

from app.demo.engineering.errors import CalculationError
from sagas.catalogue import Catalogue
from sagas.ports import Json

__all__ = ["Json", "Reader", "read_input", "require_file"]


class Reader:
    """A JSON object and the way to it, so that every complaint names the field."""

    def __init__(self, document: Json, *, file: str, path: tuple[str, ...] = ()) -> None:
        self.file, self.path = file, path
        if not isinstance(document, dict):
            raise CalculationError("must be a JSON object.", path, file=file)
        self._document = document

    def number(self, key: str, default: float | None = None) -> float:
        """A finite number; without a default it must be there."""
        value = self._document.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.error(key, f"must be a number, not {_shown(value)}.")
        return float(value)

    def optional_number(self, key: str) -> float | None:
        """A finite number, or None where the key is missing."""
        return self.number(key) if key in self._document else None

    def text(self, key: str) -> str:
        """A text that is not empty."""
        value = self._document.get(key)
        if not isinstance(value, str) or not value:
            raise self.error(key, f"must be a text, not {_shown(value)}.")
        return value

    def object(self, key: str) -> "Reader":
        """The object under `key`."""
        return Reader(self._document.get(key), file=self.file, path=(*self.path, key))

    def objects(self, key: str) -> list["Reader"]:
        """The objects of the array under `key`, each knowing its place."""
        value = self._document.get(key)
        if not isinstance(value, list):
            raise self.error(key, f"must be an array, not {_shown(value)}.")
        return [Reader(item, file=self.file, path=(*self.path, key, str(index))) for index, item in enumerate(value)]

    def error(self, key: str, message: str) -> CalculationError:
        """The complaint about the value under `key`."""
        return CalculationError(message, (*self.path, key), file=self.file)


def read_input(files: Mapping[str, Json], calculation: str, file: str) -> Reader:
    """The calculation's own input document, valid by the JSON Schema that the catalogue ships for it.

    Raises `CalculationError` naming the first offending field and what would be right.
    """
    document = require_file(files, file)
    for problem in _catalogue().calculation(calculation).validate(document):
        raise CalculationError(problem.message, (problem.field or ())[1:], file=file)
    return Reader(document, file=file)


def require_file(files: Mapping[str, Json], file: str) -> Json:
    """The parsed document of that name, or a `CalculationError` that asks for it."""
    if file not in files:
        raise CalculationError("is missing among the calculation's input files.", file=file)
    return files[file]


def _shown(value: object) -> str:
    text = repr(value)
    return "missing" if value is None else text if len(text) <= 60 else f"{text[:57]}..."


@cache
def _catalogue() -> Catalogue:
    return Catalogue.load()
