"""The one error that the calculations raise on purpose."""

from typing import Self


class CalculationError(Exception):
    """The documents do not describe a plant that can exist; an engineer can mend them.

    `file` is the document at fault and `field_path` the way to the value in it, such as
    `("cooling_water", "flow_kg_s")`; empty where the document as a whole is meant.
    """

    def __init__(self, message: str, field_path: tuple[str, ...] = (), *, file: str = "") -> None:
        self.message, self.field_path, self.file = message, field_path, file
        where = file + "".join(f"/{part}" for part in field_path)
        super().__init__(f"{where}: {message}" if where else message)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, self.field_path, self.file)

    def in_file(self, file: str) -> Self:
        """The same error, told of this file."""
        return type(self)(self.message, self.field_path, file=file)


def _rebuild(kind: type[CalculationError], message: str, field_path: tuple[str, ...], file: str) -> CalculationError:
    return kind(message, field_path, file=file)
