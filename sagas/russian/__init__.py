"""The Russian of every message, by its English template: who changes one changes both."""

from collections.abc import Mapping
from typing import Final

from sagas.russian.limits import LIMITS

RUSSIAN: Final[Mapping[str, str]] = {**LIMITS}
