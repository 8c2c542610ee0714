"""The Russian of every message, by its English template: who changes one changes both."""

from collections.abc import Mapping
from typing import Final

from sagas.russian.api import API
from sagas.russian.commands import COMMANDS
from sagas.russian.documents import DOCUMENTS
from sagas.russian.limits import LIMITS
from sagas.russian.requests import REQUESTS
from sagas.russian.sagas import SAGAS

RUSSIAN: Final[Mapping[str, str]] = {**API, **COMMANDS, **DOCUMENTS, **LIMITS, **REQUESTS, **SAGAS}
