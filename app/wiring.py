"""Opens what a process of the service works with: adapters behind the ports, use cases over them.

`serve`, `engine` and the command line open the same services; whoever needs an engine asks for one.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from app import throttle_news
from app.access import GitLabAccess
from app.adapters.broadcast import BroadcastAnnouncer, open_broadcast
from app.adapters.celery_publisher import CeleryPublisher
from app.archive import retention_of
from app.auth import Authenticator, GitLabAuthenticator, JwtAuthenticator
from app.demo_user import DemoUserByName
from app.live import Hub
from app.services import Services, assemble
from app.settings import PREFIX, AuthMode, Settings, SettingsError
from app.startup import database_in_words
from app.telemetry import Telemetry
from gitlab_facade import GitLabFacade
from gitlab_facade.webhook import WebhookVerifier
from sagas.catalogue import Catalogue
from sagas.definitions import shipped_definitions
from sagas.engine import EngineSettings
from sagas.store.database import Database
from sagas.store.definitions import DefinitionStore
from schema.trusted import ManifestError, TrustedDocuments

CONNECT_TIMEOUT_S = 3.05


@asynccontextmanager
async def open_services(settings: Settings, telemetry: Telemetry | None = None) -> AsyncIterator[Services]:
    """Everything opened in order, and closed in the opposite one.

    Raises DefinitionError for a catalogue that cannot be used or a live saga that this release cannot run, and what the
    driver raises where the database does not answer; GitLab and the broker may be away.
    """
    catalogue = Catalogue.load(settings.catalogue)
    async with AsyncExitStack() as stack:
        with database_in_words():
            database = await Database.open(settings.database_url, size=settings.database_pool_size)
        stack.push_async_callback(database.close)
        definitions = DefinitionStore(database)
        with database_in_words():
            await definitions.register(shipped_definitions(catalogue).values())
        forge = _forge(settings, telemetry)
        stack.push_async_callback(forge.aclose)
        publisher = CeleryPublisher(
            settings.broker, settings.results, sorted({c.queue for c in catalogue.calculations})
        )
        stack.push_async_callback(publisher.aclose)
        preparing = asyncio.create_task(publisher.prepare(), name="prepare the publisher")
        stack.callback(preparing.cancel)
        broadcast = await stack.enter_async_context(open_broadcast(settings.broadcast))
        await stack.enter_async_context(throttle_news.shared(forge.throttle, broadcast))
        hub = Hub(broadcast, database)
        await hub.start()
        stack.push_async_callback(hub.aclose)
        if telemetry is not None:
            from app.telemetry.starting import telling  # noqa: PLC0415 - not even loaded while nobody asks

            await stack.enter_async_context(telling(telemetry, database, hub))
        announcer = BroadcastAnnouncer(broadcast, local=hub.hint, name=hub.name)
        stack.push_async_callback(announcer.aclose)
        yield assemble(
            database=database,
            forge=forge,
            publisher=publisher,
            hub=hub,
            announcer=announcer,
            access=GitLabAccess(forge),
            authenticator=_authenticator(settings, forge),
            definitions=definitions,
            catalogue=catalogue,
            webhooks=_webhooks(settings),
            telemetry=telemetry,
            limits=settings.limits,
            trusted=trusted_documents(settings),
        )


def engine_settings(settings: Settings) -> EngineSettings:
    """The engine's pace as the settings say."""
    return EngineSettings(
        lease=settings.lease,
        renew_every=settings.lease / 3,
        concurrency=settings.engine_concurrency,
        looks_per_minute=settings.looks_per_minute,
        retention=retention_of(settings),
    )


def trusted_documents(settings: Settings) -> TrustedDocuments:
    """The manifest that the settings name; raises SettingsError where it cannot be used."""
    if settings.trusted_documents is None:
        return TrustedDocuments()
    try:
        return TrustedDocuments.load(settings.trusted_documents, strict=settings.trusted_documents_only)
    except ManifestError as fault:
        raise SettingsError(f"{PREFIX}TRUSTED_DOCUMENTS: {fault}.") from fault


def _forge(settings: Settings, telemetry: Telemetry | None) -> GitLabFacade:
    watch = None
    if telemetry is not None:
        from app.telemetry.gitlab_calls import ObservedGitLab  # noqa: PLC0415 - as above

        watch = ObservedGitLab(telemetry)
    return GitLabFacade(
        settings.gitlab_url,
        settings.gitlab_token.get_secret_value(),
        timeout=(CONNECT_TIMEOUT_S, settings.gitlab_timeout.total_seconds()),
        concurrency=settings.gitlab_concurrency,
        watch=watch,
    )


def _authenticator(settings: Settings, forge: GitLabFacade) -> Authenticator:
    match settings.auth:
        case AuthMode.GITLAB:
            # The other half of the threads stays with those who are known, and with the engine.
            return GitLabAuthenticator(forge, at_once=max(1, settings.gitlab_concurrency // 2))
        case AuthMode.DEMO:
            return DemoUserByName(forge, settings.demo_user)
        case AuthMode.JWT:
            # The settings refuse `jwt` without these three.
            return JwtAuthenticator(
                settings.jwt_issuer or "",
                settings.jwt_audience or "",
                settings.jwt_jwks_url or "",
                settings.jwt_user_claim,
                users=forge,
            )


def _webhooks(settings: Settings) -> WebhookVerifier | None:
    secret, signing = settings.gitlab_webhook_secret, settings.gitlab_webhook_signing_token
    if secret is None and signing is None:
        return None
    return WebhookVerifier(
        secret=None if secret is None else secret.get_secret_value(),
        signing_token=None if signing is None else signing.get_secret_value(),
    )
