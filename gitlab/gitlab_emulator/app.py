"""Putting the emulator together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from starlette.types import Receive, Scope, Send

from gitlab_emulator.api import api_router
from gitlab_emulator.authentication import Authenticator
from gitlab_emulator.call import Services
from gitlab_emulator.connections import Connections
from gitlab_emulator.database import Database
from gitlab_emulator.deliveries import DeliveryQueue
from gitlab_emulator.faults import FaultTable
from gitlab_emulator.gateway import Gateway
from gitlab_emulator.git.repository import RepositoryStore
from gitlab_emulator.lag import Lag
from gitlab_emulator.reconcile import reconcile
from gitlab_emulator.request_log import RequestLog
from gitlab_emulator.settings import DEFAULT_ADMIN_TOKEN
from gitlab_emulator.smart_http import install_hooks
from gitlab_emulator.store.users import add_token, add_user, token_by_text, user_by_name

ADMIN = "root"


class EmulatorApp:
    """The ASGI application: a lifespan around the gateway."""

    def __init__(self, data_dir: Path, *, external_url: str | None, admin_token: str) -> None:
        data_dir = data_dir.resolve()
        scratch = data_dir / "tmp"
        scratch.mkdir(parents=True, exist_ok=True)
        for leftover in scratch.iterdir():
            leftover.unlink()
        install_hooks(data_dir / "hooks")
        database = Database(data_dir / "gitlab.sqlite3")
        lag = Lag()
        self.connections = Connections()
        self.services = Services(
            database=database,
            repositories=RepositoryStore(data_dir / "repositories"),
            deliveries=DeliveryQueue(database, lag),
            lag=lag,
            scratch=scratch,
            hooks_path=data_dir / "hooks",
            external_url=external_url.rstrip("/") if external_url else None,
        )
        _ensure_admin(database, admin_token)
        reconcile(self.services)
        self._gateway = Gateway(
            services=self.services,
            router=api_router(),
            authenticator=Authenticator(database),
            faults=FaultTable(),
            log=RequestLog(),
            connections=self.connections,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._gateway(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        async with self._running():
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        sending = asyncio.create_task(self.services.deliveries.run())
        try:
            yield
        finally:
            sending.cancel()
            with suppress(asyncio.CancelledError):
                await sending
            await asyncio.to_thread(self._gateway.close)
            self.services.repositories.close()
            self.services.database.close()


def create_emulator(
    data_dir: Path, *, external_url: str | None = None, admin_token: str = DEFAULT_ADMIN_TOKEN
) -> EmulatorApp:
    """An emulator over `data_dir`, which is made when missing and gone on with when not.

    `external_url` is the base of all addresses in answers; None takes the scheme and host of each request.
    `admin_token` opens everything as the user `root`.
    """
    return EmulatorApp(data_dir, external_url=external_url, admin_token=admin_token)


def _ensure_admin(database: Database, admin_token: str) -> None:
    with database.writing() as connection:
        root = user_by_name(connection, ADMIN) or add_user(
            connection, username=ADMIN, name="Administrator", email="admin@example.com", is_admin=True
        )
        if token_by_text(connection, admin_token) is None:
            add_token(connection, user_id=root.id, text=admin_token, name="administrator", scopes=("api", "sudo"))
