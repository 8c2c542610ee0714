"""How commands end when something is wrong: with words and a non-zero status."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer


def fail(message: str, status: int = 1) -> NoReturn:
    """Say what is wrong on standard error, and end."""
    typer.secho(message, fg=typer.colors.RED, err=True)
    raise typer.Exit(status)


@contextmanager
def told_in_words() -> Iterator[None]:
    """Turns the errors that a user can mend into words; anything else keeps its trace."""
    from app.settings import SettingsError  # noqa: PLC0415 - pydantic is slow to load
    from app.startup import NotStartedError  # noqa: PLC0415 - as above

    try:
        yield
    except NotStartedError as error:
        fail(str(error))
    except SettingsError as error:
        fail(f"{error}\n`orchestrator demo` needs no settings; docs/settings.md lists them all.", 2)
