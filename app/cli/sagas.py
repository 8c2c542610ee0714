"""`orchestrator sagas …`: look at sagas and command them, through the API of a running server.

`stuck`, `archive` and `unarchive` go to the database itself.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from app.cli.words import fail, told_in_words

T = TypeVar("T")

sagas = typer.Typer(
    name="sagas",
    help="Look at sagas, and command them, through a running server.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Url = Annotated[
    str | None,
    typer.Option(
        help="The API's /graphql. Unset: that of the demo running in --data-dir, or http://127.0.0.1:8000/graphql.",
        envvar="ORCHESTRATOR_API_URL",
    ),
]
Token = Annotated[
    str | None, typer.Option(help="Sent as a bearer token.", envvar="ORCHESTRATOR_API_TOKEN", show_default=False)
]
DataDir = Annotated[Path, typer.Option(help="Where a demo keeps its endpoints.json.", envvar="ORCHESTRATOR_DATA_DIR")]
SagaArgument = Annotated[str, typer.Argument(metavar="SAGA", help="A saga's UUID, or its id in the API.")]
DEFAULT_DATA_DIR = Path(".orchestrator")


@sagas.command("list")
def list_(
    project: Annotated[str | None, typer.Option(help="Only of this project, by its full path.")] = None,
    status: Annotated[list[str] | None, typer.Option(help="Only with this status; may be given several times.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="At most so many, the newest first.")] = 20,
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """List sagas, the newest first."""
    from app.demo import documents  # noqa: PLC0415 - `--help` does without

    conditions: dict[str, object] = {}
    if project:
        conditions["projectPath"] = project
    if status:
        conditions["statuses"] = [one.upper() for one in status]
    data = _ask(url, token, data_dir, documents.SAGAS, {"filter": conditions or None, "first": limit})
    from app.cli.tables import saga_table  # noqa: PLC0415 - rich is slow to load

    saga_table(data["sagas"])


@sagas.command()
def show(saga: SagaArgument, url: Url = None, token: Token = None, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Show one saga: where it stands, its steps, what it waits for."""
    found = _saga(saga, url, token, data_dir)
    from app.cli.tables import saga_details  # noqa: PLC0415 - rich is slow to load

    saga_details(found)


@sagas.command()
def watch(
    saga: SagaArgument,
    after: Annotated[int, typer.Option(min=0, help="Only events after this version.")] = 0,
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Print a saga's events, from the first or a version on, until it ends."""

    async def print_all(client: Any) -> None:
        from app.demo import documents  # noqa: PLC0415 - `--help` does without
        from app.demo.client import saga_global_id  # noqa: PLC0415 - as above

        given = {"sagaId": saga_global_id(saga)}
        async for event in client.follow(documents.EVENTS, given, patience=60, after_version=after):
            text, detail = documents.in_words(event)
            line = f"{event['version']:>4}  {event['occurredAt']}  {event['status']:<16}  {text}  {detail}"
            typer.echo(line.rstrip())

    _run(url, token, data_dir, print_all)


@sagas.command()
def retry(
    saga: SagaArgument,
    from_step: Annotated[
        str | None, typer.Option(help="Go back to this step, such as AWAIT_USER_CONDENSER_INPUT.")
    ] = None,
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Go on with a failed saga."""
    from app.demo import documents  # noqa: PLC0415 - `--help` does without

    _command(saga, url, token, data_dir, documents.RETRY, "retrySaga", {"fromStep": from_step})


@sagas.command()
def cancel(
    saga: SagaArgument,
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Leave what it did in GitLab as it is.")] = False,
    reason: Annotated[str | None, typer.Option(help="Why; goes into the journal.")] = None,
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """End a saga, and undo in GitLab what it did."""
    from app.demo import documents  # noqa: PLC0415 - `--help` does without

    _command(saga, url, token, data_dir, documents.CANCEL, "cancelSaga", {"compensate": not keep, "reason": reason})


@sagas.command()
def stuck(
    after: Annotated[float, typer.Option(min=0, help="Seconds that a step may go on without moving its saga.")] = 900,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, the oldest first.")] = 100,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """List every saga that nobody will wake or that is past its expectation; exit status 1 where there is one.

    Asks the database itself, as the settings or a running demo name it, so that it tells also while no server answers.
    """
    from app.cli.processes import run_stuck  # noqa: PLC0415 - heavy

    with told_in_words():
        raise typer.Exit(run_stuck(_database(data_dir), after_s=after, limit=limit))


@sagas.command()
def archive(
    older_than: Annotated[
        int | None,
        typer.Option(min=0, metavar="DAYS", help="Days since their end. Unset: as ORCHESTRATOR_RETENTION_DAYS says."),
    ] = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many there are.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Move finished sagas to the archive now; engines do so by themselves once an hour.

    An archived saga that is asked for by its id comes back. One whose idempotency key is still kept (30 days) stays.
    """
    from app.cli.processes import run_archive  # noqa: PLC0415 - heavy

    with told_in_words():
        run_archive(_database(data_dir), older_than_days=older_than, dry_run=dry_run)


@sagas.command()
def unarchive(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Bring every archived saga back among the others: only a downgrade of the schema needs that."""
    from app.cli.processes import run_unarchive  # noqa: PLC0415 - heavy

    with told_in_words():
        run_unarchive(_database(data_dir))


def _database(data_dir: Path) -> str:
    from app.settings import SettingsError, load_database_settings  # noqa: PLC0415 - pydantic is slow to load

    try:
        return load_database_settings().database_url
    except SettingsError:
        try:
            return str(json.loads((data_dir / "endpoints.json").read_text(encoding="utf-8"))["database_url"])
        except FileNotFoundError:
            pass
        raise


def _command(
    saga: str, url: str | None, token: str | None, data_dir: Path, query: str, name: str, given: Mapping[str, object]
) -> None:
    from app.demo.client import saga_global_id  # noqa: PLC0415 - `--help` does without
    from app.demo.documents import new_key  # noqa: PLC0415 - as above

    full = {"sagaId": saga_global_id(saga), "idempotencyKey": new_key(), **given}
    payload = _run(url, token, data_dir, lambda client: client.mutate(query, name, full))
    typer.echo(f"{payload['saga']['status']} in {payload['saga']['state']}, version {payload['saga']['version']}")


def _saga(saga: str, url: str | None, token: str | None, data_dir: Path) -> Mapping[str, Any]:
    from app.demo import documents  # noqa: PLC0415 - `--help` does without
    from app.demo.client import saga_global_id  # noqa: PLC0415 - as above

    found: Mapping[str, Any] | None = _ask(url, token, data_dir, documents.SAGA, {"id": saga_global_id(saga)})["saga"]
    if found is None:
        fail(f"There is no saga {saga}, or you may not see it.")
    return found


def _ask(
    url: str | None, token: str | None, data_dir: Path, query: str, variables: Mapping[str, object]
) -> Mapping[str, Any]:
    return _run(url, token, data_dir, lambda client: client.execute(query, variables))


def _run(url: str | None, token: str | None, data_dir: Path, act: Callable[[Any], Awaitable[T]]) -> T:
    from app.demo.client import ApiError, GraphQLClient, UnavailableError  # noqa: PLC0415 - `--help` does without

    async def run() -> T:
        async with GraphQLClient(url or _endpoint(data_dir), token) as client:
            return await act(client)

    try:
        return asyncio.run(run())
    except (ApiError, UnavailableError) as error:
        fail(str(error))


def _endpoint(data_dir: Path) -> str:
    try:
        return str(json.loads((data_dir / "endpoints.json").read_text(encoding="utf-8"))["graphql"])
    except FileNotFoundError:
        return "http://127.0.0.1:8000/graphql"
