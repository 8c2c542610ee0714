"""The commands and their options; what they do stands in the modules that they call."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.sagas import sagas
from app.cli.words import fail, told_in_words

DATA_DIR = Path(".orchestrator")

app = typer.Typer(
    name="orchestrator",
    help="Balance+ Orchestrator: durable sagas over GitLab and Celery, with a GraphQL API.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # In plain text: drawing frames around the help takes longer than all the rest of it.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(sagas)

DataDir = Annotated[
    Path, typer.Option(help="Where the embedded servers keep their data.", envvar="ORCHESTRATOR_DATA_DIR")
]
Host = Annotated[str | None, typer.Option(help="Address to listen on; over ORCHESTRATOR_HOST.")]
Port = Annotated[
    int | None, typer.Option(min=0, max=65535, help="Port to listen on; over ORCHESTRATOR_PORT. 0: a free one.")
]


@app.command()
def demo(
    *,
    once: Annotated[
        bool, typer.Option("--once", help="End after the scenario: 0, or non-zero with the reason.")
    ] = False,
    no_scenario: Annotated[bool, typer.Option("--no-scenario", help="Only run everything, until Ctrl-C.")] = False,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="The API's port. 0: a free one. Unset: the last run's, or 8000."),
    ] = None,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Run everything on this machine, and a Balance calculation from start to merge request, live."""
    if once and no_scenario:
        fail("--once ends after the scenario, and --no-scenario leaves it out: give one of them.", 2)
    from app.demo.command import DemoOptions, run_demo  # noqa: PLC0415 - heavy

    raise typer.Exit(run_demo(DemoOptions(data_dir, once=once, scenario=not no_scenario, port=port)))


@app.command()
def serve(
    *,
    no_engine: Annotated[bool, typer.Option("--no-engine", help="Only the API; engines run elsewhere.")] = False,
    host: Host = None,
    port: Port = None,
) -> None:
    """Serve the API; with an engine in the same process unless told otherwise."""
    from app.cli.processes import serve_api  # noqa: PLC0415 - heavy

    given: dict[str, object] = {"host": host, "port": port, "engine_in_process": False if no_engine else None}
    with told_in_words():
        serve_api({name: value for name, value in given.items() if value is not None})


@app.command()
def engine() -> None:
    """Run an engine: it moves sagas on. Any number of them may work on one database."""
    from app.cli.processes import run_engine  # noqa: PLC0415 - heavy

    with told_in_words():
        run_engine()


@app.command()
def trust(
    files: Annotated[
        list[Path], typer.Argument(help="Files with one GraphQL document each.", exists=True, dir_okay=False)
    ],
) -> None:
    """Print the manifest of trusted documents, for ORCHESTRATOR_TRUSTED_DOCUMENTS; the schema must take each of them."""
    from app.cli.trusted import manifest_of  # noqa: PLC0415 - heavy

    typer.echo(manifest_of(files))


@app.command()
def migrate() -> None:
    """Bring the database's schema up to date, and with it the queues that live in it."""
    from app.cli.processes import run_migrations  # noqa: PLC0415 - heavy

    with told_in_words():
        typer.echo(run_migrations())


@app.command()
def schema() -> None:
    """Print the GraphQL schema."""
    from schema.root import schema as graphql_schema  # noqa: PLC0415 - heavy

    typer.echo(graphql_schema.as_str())


@app.command()
def doctor(
    *,
    fix_hooks: Annotated[
        bool, typer.Option("--fix-hooks", help="Make or renew GitLab's webhooks where they are missing.")
    ] = False,
    project: Annotated[
        list[str] | None, typer.Option(help="Look after this project's webhook too; may be given several times.")
    ] = None,
) -> None:
    """Look after everything the service needs, and say in words what is missing."""
    from app.cli.processes import run_doctor  # noqa: PLC0415 - heavy

    with told_in_words():
        raise typer.Exit(run_doctor(tuple(project or ()), fix_hooks=fix_hooks))


@app.command("gitlab-emulator")
def gitlab_emulator(
    *,
    data_dir: Annotated[Path, typer.Option(help="Repositories and metadata; made when missing.")] = DATA_DIR / "gitlab",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on. 0: a free one.")] = 8929,
    external_url: Annotated[str | None, typer.Option(help="Base of the addresses in its answers.")] = None,
    admin_token: Annotated[
        str | None,
        typer.Option(
            help="The token of its user root.", envvar="ORCHESTRATOR_EMULATOR_ADMIN_TOKEN", show_default=False
        ),
    ] = None,
) -> None:
    """Run the GitLab emulator: a subset of GitLab's REST API and git over HTTP, on real repositories."""
    from app.cli.processes import run_emulator  # noqa: PLC0415 - heavy

    run_emulator(data_dir, host, port, external_url, admin_token)


@app.command("demo-worker")
def demo_worker(
    *,
    work_dir: Annotated[Path, typer.Option(help="Clones live here while a task runs.")] = DATA_DIR / "worker",
) -> None:
    """Run the demo's Celery worker: it calculates, and pushes results to GitLab."""
    from app.cli.processes import run_demo_worker  # noqa: PLC0415 - heavy

    with told_in_words():
        raise typer.Exit(run_demo_worker(work_dir))


@app.command("demo-seed")
def demo_seed() -> None:
    """Set an emulator up for a demo with containers: the sample plant, its users, the webhook."""
    from app.cli.processes import run_demo_seed  # noqa: PLC0415 - heavy

    with told_in_words():
        typer.echo(run_demo_seed())


@app.command()
def postgres(
    *,
    data_dir: Annotated[Path, typer.Option(help="The cluster; made when missing.")] = DATA_DIR / "postgres",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on. 0: the last one, or a free one.")] = 0,
) -> None:
    """Run the embedded PostgreSQL in the foreground."""
    from app.cli.processes import run_postgres  # noqa: PLC0415 - heavy

    raise typer.Exit(run_postgres(data_dir, port))


@app.command()
def version() -> None:
    """Print the version."""
    from importlib.metadata import version as installed  # noqa: PLC0415 - rarely asked

    typer.echo(installed("balance-orchestrator"))
