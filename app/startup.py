"""What keeps a process from starting, in words."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from sagas.definition import DefinitionError
from sagas.store.database import CONNECTION_FAILURES


class NotStartedError(Exception):
    """The process cannot start; the message says why, and what to do."""


@contextmanager
def database_in_words() -> Iterator[None]:
    """Turns what the database says at start-up into words."""
    try:
        yield
    except CONNECTION_FAILURES as away:
        raise NotStartedError(
            f"The database does not answer: {str(away) or type(away).__name__}. Start PostgreSQL or mend "
            "ORCHESTRATOR_DATABASE_URL."
        ) from away
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError) as older:
        raise NotStartedError(
            f"The database lacks what this release needs ({older}): run `orchestrator migrate`."
        ) from older
    except asyncpg.PostgresError as refusal:
        raise NotStartedError(f"The database refuses: {refusal}. Look at ORCHESTRATOR_DATABASE_URL.") from refusal
    except DefinitionError as unusable:
        raise NotStartedError(str(unusable)) from unusable
