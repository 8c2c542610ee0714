"""`orchestrator doctor`: asks everything the service needs how it is, and says in words what is missing."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial

from sqlalchemy.ext.asyncio import AsyncEngine

from app.adapters.celery_publisher import CeleryPublisher
from app.migrate import current_revision, is_behind, newest_revision
from app.settings import Settings
from app.startup import NotStartedError, database_in_words
from gitlab_facade import GitLabFacade
from sagas.catalogue import Catalogue
from sagas.errors import SagaError
from sagas.ids import ProjectId
from sagas.store.database import Database
from sagas.store.queries import Queries

HOOK_PATH = "/webhooks/gitlab"
HOOK_EVENTS = ("push_events", "issues_events", "merge_requests_events")
SOON = timedelta(days=14)
_PATIENCE = 15.0


@dataclass(frozen=True, slots=True)
class Finding:
    """How one thing is; `text` says what is wrong and what to do, or what was found."""

    what: str
    fine: bool
    text: str


def fine(what: str, text: str) -> Finding:
    """Nothing to do."""
    return Finding(what, True, text)


def missing(what: str, text: str) -> Finding:
    """Somebody has to do something."""
    return Finding(what, False, text)


async def examine(settings: Settings, projects: tuple[str, ...], *, fix_hooks: bool) -> list[Finding]:
    """Every finding, in the order in which to mend them.

    `projects`: whose webhooks are looked after, beside those that have sagas; `fix_hooks` makes the missing ones.
    """
    async with AsyncExitStack() as stack:
        forge = GitLabFacade(
            settings.gitlab_url,
            settings.gitlab_token.get_secret_value(),
            timeout=(3.05, settings.gitlab_timeout.total_seconds()),
            concurrency=2,
        )
        stack.push_async_callback(forge.aclose)
        findings, database = await _database(settings, stack)
        findings.append(await _asked("catalogue", lambda: _catalogue(settings)))
        findings.append(await _asked("broker", lambda: _broker(settings)))
        gitlab = await _asked("GitLab", lambda: _gitlab(settings, forge))
        findings.append(gitlab)
        if gitlab.fine:
            token = await _asked("GitLab's token", lambda: _token(forge))
            findings.append(token)
            if token.fine:
                findings += await _hooks(settings, forge, await _paths(projects, forge, database), fix=fix_hooks)
        return findings


def judge_token(*, active: bool, scopes: tuple[str, ...], expires_at: date | None, today: date) -> Finding:
    """What is to be said of the service's token."""
    what = "GitLab's token"
    if not active:
        return missing(what, "is revoked or has expired; make a new one and set ORCHESTRATOR_GITLAB_TOKEN.")
    if "api" not in scopes:
        have = ", ".join(scopes) or "none"
        return missing(what, f"needs the scope api and has {have}; make a new one and set ORCHESTRATOR_GITLAB_TOKEN.")
    if expires_at is not None and expires_at - today <= SOON:
        return missing(what, f"expires on {expires_at}; make a new one in time and set ORCHESTRATOR_GITLAB_TOKEN.")
    until = "does not expire" if expires_at is None else f"is good until {expires_at}"
    return fine(what, f"has the scope api and {until}.")


async def _asked(what: str, ask: Callable[[], Awaitable[Finding]]) -> Finding:
    try:
        async with asyncio.timeout(_PATIENCE):
            return await ask()
    except TimeoutError:
        return missing(what, f"does not answer within {_PATIENCE:g} s.")
    except SagaError as error:
        return missing(what, _sentence(error.message))
    except NotStartedError as error:
        return missing(what, str(error))
    except Exception as error:  # noqa: BLE001 - whatever it is, this thing does not work
        return missing(what, _sentence(f"{type(error).__name__}: {error}"))


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


async def _database(settings: Settings, stack: AsyncExitStack) -> tuple[list[Finding], Database | None]:
    opened: list[Database] = []

    async def ask() -> Finding:
        with database_in_words():
            database = await Database.open(settings.database_url, size=2)
        stack.push_async_callback(database.close)
        opened.append(database)
        return fine("database", "answers.")

    answered = await _asked("database", ask)
    if not opened:
        return [answered], None
    migrated = await _asked("migrations", lambda: _migrated(opened[0].engine))
    return [answered, migrated], opened[0] if migrated.fine else None


async def _migrated(engine: AsyncEngine) -> Finding:
    found, wanted = await current_revision(engine), newest_revision()
    if found == wanted:
        return fine("migrations", f"the database is at {found}, as this release needs.")
    if not is_behind(found):
        return fine("migrations", f"the database is at {found}, for a newer release than this one.")
    at = "was never migrated" if found is None else f"is at {found}"
    return missing("migrations", f"the database {at}, and this release needs {wanted}: run `orchestrator migrate`.")


async def _catalogue(settings: Settings) -> Finding:
    catalogue = Catalogue.load(settings.catalogue)
    return fine("catalogue", f"knows {', '.join(catalogue.names)}.")


async def _broker(settings: Settings) -> Finding:
    publisher = CeleryPublisher(settings.broker, settings.results, ())
    try:
        await publisher.ping()
    except SagaError as error:
        return missing("broker", f"{_sentence(error.message)} Start it or mend ORCHESTRATOR_BROKER_URL.")
    finally:
        await publisher.aclose()
    return fine("broker", "answers.")


async def _gitlab(settings: Settings, forge: GitLabFacade) -> Finding:
    try:
        version = await forge.version()
    except SagaError as error:
        look = f"Look at ORCHESTRATOR_GITLAB_URL ({settings.gitlab_url}) and ORCHESTRATOR_GITLAB_TOKEN."
        wrong = f"{_sentence(error.message)} {look}"
        return missing("GitLab", wrong)
    return fine("GitLab", f"answers at {settings.gitlab_url}, version {version}.")


async def _token(forge: GitLabFacade) -> Finding:
    token = await forge.token_info()
    today = datetime.now(UTC).date()
    return judge_token(active=token.active, scopes=token.scopes, expires_at=token.expires_at, today=today)


async def _paths(asked: tuple[str, ...], forge: GitLabFacade, database: Database | None) -> tuple[ProjectId | str, ...]:
    if database is None:
        return asked
    return (*asked, *sorted(await Queries(database.engine).project_ids()))


async def _hooks(
    settings: Settings, forge: GitLabFacade, projects: tuple[ProjectId | str, ...], *, fix: bool
) -> list[Finding]:
    what = "webhook secret"
    if settings.gitlab_webhook_secret is None and settings.gitlab_webhook_signing_token is None:
        text = "set ORCHESTRATOR_GITLAB_WEBHOOK_SECRET; until then webhooks are refused and results wait for a poll."
        return [missing(what, text)]
    looks = (_asked(f"webhook of {ref}", partial(_hook, settings, forge, ref, fix=fix)) for ref in projects)
    # A project may be among them by its path and by its number.
    return list({finding.what: finding for finding in await asyncio.gather(*looks)}.values())


async def _hook(settings: Settings, forge: GitLabFacade, ref: ProjectId | str, *, fix: bool) -> Finding:
    project = await forge.project(ref)
    if project is None:
        text = "GitLab has no such project, or the service's user may not see it: make him a Maintainer."
        return missing(f"project {ref}", text)
    what = f"webhook of {project.path}"
    wanted = settings.own_url + HOOK_PATH
    hooks = [hook for hook in await forge.hooks(project.id) if hook.url == wanted]
    working = [hook for hook in hooks if hook.push_events and hook.alert_status == "executable"]
    if working:
        return fine(what, f"tells {wanted} about pushes.")
    problem = "is disabled by GitLab after failures" if hooks else f"to {wanted} is missing"
    if not fix:
        return missing(what, f"{problem}; `orchestrator doctor --fix-hooks` mends it.")
    for hook in hooks:
        await forge.delete_hook(project.id, hook.id)
    secret = settings.gitlab_webhook_secret
    if secret is None:
        return missing(what, f"{problem}; with a signing token, make it in GitLab by hand.")
    await forge.create_hook(project.id, wanted, secret=secret.get_secret_value(), events=HOOK_EVENTS)
    return fine(what, f"{problem}, and was made.")
