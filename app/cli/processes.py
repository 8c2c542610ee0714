"""The long-running commands: each is one process of the service."""

import asyncio
import faulthandler
import logging
import os
import signal
import threading
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import typer

from app.cli.words import fail
from app.demo.lifeline import tell_ready
from app.garbage import collect_less_often, load_without_collecting
from app.logs import configure_logging
from app.settings import Settings, load_database_settings, load_settings

log = logging.getLogger(__name__)

LONGEST_STOP_S = 20.0
"""From being asked to end: longer than an engine's own grace and its services' patience."""


def serve_api(given: Mapping[str, Any]) -> None:
    """`serve`, with these settings over the environment's, until a signal ends it."""
    load_without_collecting()
    from app.main import create_app  # noqa: PLC0415 - other commands do without
    from app.server import Server, server_config  # noqa: PLC0415 - as above

    settings = load_settings(**given)
    configure_logging(settings.log_level, settings.log_format)
    app = create_app(settings)
    config = server_config(app, host=settings.host, port=settings.port, ws_max_size=settings.limit_body)
    server = Server(config, _ready)
    logging.getLogger("uvicorn.error").addFilter(_no_trace)
    try:
        server.run()
    except SystemExit:
        not_started: Exception | None = getattr(app.state, "not_started", None)
        if not_started is not None:
            raise not_started from None
        raise
    _end_for_sure()


def _ready() -> None:
    collect_less_often()
    tell_ready()


def _no_trace(record: logging.LogRecord) -> bool:
    """Of a start that failed the command tells the words."""
    return "NotStartedError" not in record.getMessage()


def run_engine() -> None:
    """`engine`, until a signal ends it: steps under way finish or are handed over."""
    load_without_collecting()
    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format)
    from uvicorn.loops.auto import auto_loop_factory  # noqa: PLC0415 - other commands do without

    # The same event loop as under `serve`: uvloop, where there is one for this system.
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        runner.run(_engine(settings))


async def _engine(settings: Settings) -> None:
    from app.at_work import running  # noqa: PLC0415 - other commands do without
    from app.telemetry import open_telemetry  # noqa: PLC0415 - as above
    from app.wiring import engine_settings, open_services  # noqa: PLC0415 - as above

    asked_to_end = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, asked_to_end.set)
    telemetry = open_telemetry(settings)
    async with (
        open_services(settings, telemetry) as services,
        running(services.engine(engine_settings(settings))),
    ):
        _ready()
        log.info("the engine is at work")
        await asked_to_end.wait()
        log.info("the engine hands over what is under way")
        _end_for_sure()


def _end_for_sure() -> None:
    """Whoever was asked to end does: a driver's thread that waits for an answer must not keep the process for ever.

    Nothing is lost with it: what a process holds comes back to others by itself.
    """
    timer = threading.Timer(LONGEST_STOP_S, _give_up)
    timer.daemon = True
    timer.start()


def _give_up() -> None:
    log.critical("the process did not end within %g s of being asked to; this is what it waits for", LONGEST_STOP_S)
    faulthandler.dump_traceback(all_threads=True)
    os._exit(1)


def run_migrations() -> str:
    """`migrate`; what was done, in words."""
    from app.adapters.celery_config import install_pgmq  # noqa: PLC0415 - other commands do without
    from app.migrate import migrate, newest_revision  # noqa: PLC0415 - as above
    from app.startup import database_in_words  # noqa: PLC0415 - as above

    settings = load_database_settings()
    with database_in_words():
        asyncio.run(migrate(settings.database_url))
    install_pgmq(settings.database_url)
    return f"The database is at revision {newest_revision()}."


def run_stuck(database_url: str, *, after_s: float, limit: int) -> int:
    """`sagas stuck`; 1 where there is one, else 0. Ends with 2 and words where the database cannot tell."""
    from app.stuck import look  # noqa: PLC0415 - other commands do without
    from sagas.errors import RetryableError  # noqa: PLC0415 - as above

    try:
        found = asyncio.run(look(database_url, after_s=after_s, limit=limit))
    except RetryableError as away:
        fail(away.message, 2)
    for line in found:
        typer.echo(line)
    return 1 if found else 0


def run_archive(database_url: str, *, older_than_days: int | None, dry_run: bool) -> None:
    """`sagas archive`. Ends with 2 and words where the database does not answer or the settings cannot be worked with."""
    from app.archive import archive, retention_of  # noqa: PLC0415 - other commands do without
    from app.settings import load_database_settings  # noqa: PLC0415 - as above
    from sagas.errors import RetryableError  # noqa: PLC0415 - as above
    from sagas.retention import Retention  # noqa: PLC0415 - as above

    retention = retention_of(load_database_settings(database_url=database_url))
    if older_than_days is not None:
        retention = Retention(timedelta(days=older_than_days))
    try:
        lines = asyncio.run(archive(database_url, retention, dry_run=dry_run))
    except RetryableError as away:
        fail(away.message, 2)
    for line in lines:
        typer.echo(line)


def run_unarchive(database_url: str) -> None:
    """`sagas unarchive`. Ends with 2 and words where the database does not answer."""
    from app.archive import unarchive  # noqa: PLC0415 - other commands do without
    from sagas.errors import RetryableError  # noqa: PLC0415 - as above

    try:
        typer.echo(asyncio.run(unarchive(database_url)))
    except RetryableError as away:
        fail(away.message, 2)


def run_doctor(projects: tuple[str, ...], *, fix_hooks: bool) -> int:
    """`doctor`; the number of things that are missing, at most 1 as an exit status."""
    from app.doctor import examine  # noqa: PLC0415 - other commands do without

    # What is away is told as a finding; the libraries' own complaints about it are not wanted beside.
    configure_logging("ERROR")
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
    findings = asyncio.run(examine(load_settings(), projects, fix_hooks=fix_hooks))
    for finding in findings:
        colour = typer.colors.GREEN if finding.fine else typer.colors.RED
        typer.secho(f"{'ok     ' if finding.fine else 'MISSING'}  {finding.what}: {finding.text}", fg=colour)
    return 0 if all(finding.fine for finding in findings) else 1


def run_emulator(data_dir: Path, host: str, port: int, external_url: str | None, admin_token: str | None) -> None:
    """`gitlab-emulator`, until a signal ends it."""
    from gitlab_emulator import EmulatorSettings, serve  # noqa: PLC0415 - other commands do without

    configure_logging()
    told = {} if admin_token is None else {"admin_token": admin_token}
    settings = EmulatorSettings(data_dir=data_dir.resolve(), host=host, port=port, external_url=external_url, **told)
    if port:
        address = f"http://{host}:{port}/emulator/health"
        threading.Thread(target=_tell_when_it_answers, args=(address,), daemon=True).start()
    serve(settings)


def _tell_when_it_answers(address: str) -> None:
    while True:
        try:
            with urlopen(address, timeout=2):  # noqa: S310 - our own http address
                tell_ready()
                return
        except OSError:
            time.sleep(0.05)


def run_demo_worker(work_dir: Path) -> int:
    """`demo-worker`, until a signal ends it; its exit status."""
    from celery.signals import worker_ready  # noqa: PLC0415 - other commands do without

    from app.demo.worker.app import run_worker  # noqa: PLC0415 - as above
    from app.demo.worker.settings import WorkerSettings  # noqa: PLC0415 - as above

    def ready(**_: object) -> None:
        tell_ready()

    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format)
    worker_ready.connect(ready, weak=False)
    return run_worker(
        WorkerSettings(
            broker_url=settings.broker,
            result_backend=settings.results,
            gitlab_token=settings.gitlab_token.get_secret_value(),
            gitlab_url=settings.gitlab_url,
            work_dir=work_dir.resolve(),
        )
    )


def run_demo_seed() -> str:
    """`demo-seed`, as the administrator whose token the settings hold; what to do with it, in words."""
    from app.demo.seed import ENGINEER, PROJECT_PATH, Secrets, engineers_token, seed  # noqa: PLC0415 - as above
    from app.settings import SettingsError  # noqa: PLC0415 - as above

    settings = load_settings()
    if settings.gitlab_webhook_secret is None:
        raise SettingsError("ORCHESTRATOR_GITLAB_WEBHOOK_SECRET is not set.")
    known = Secrets(settings.gitlab_token.get_secret_value(), settings.gitlab_webhook_secret.get_secret_value())
    seed(settings.gitlab_url, known, f"{settings.own_url}/webhooks/gitlab")
    token = engineers_token(settings.gitlab_url, known)
    return f"{PROJECT_PATH} is there. Sign in as {ENGINEER}:\nAuthorization: Bearer {token}"


def run_postgres(data_dir: Path, port: int) -> int:
    """`postgres`, until a signal ends it; its exit status."""
    from app.adapters.embedded import EmbeddedPostgresError, PostgresServer  # noqa: PLC0415 - other commands do without

    def ready(url: str) -> None:
        typer.echo(url)
        tell_ready()

    try:
        return PostgresServer(data_dir, port=port).run(ready)
    except EmbeddedPostgresError as error:
        fail(str(error))
