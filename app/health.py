"""Is the process alive, and can it serve? `/healthz` asks nobody; `/readyz` asks every dependency and names the one that is away.

Requests cannot be served without the database, so only that makes it 503. GitLab, the broker or live hints being away
is `degraded`: sagas wait for them and go on by themselves.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy.ext.asyncio import AsyncEngine

from app.cache import AnswerCache
from app.services import Services

TIMEOUT_S = 3.0

router = APIRouter()

Check = Callable[[], Awaitable[str | None]]
"""None: well; text: what is wrong."""


@router.get("/healthz", summary="Whether the process is alive")
async def healthz() -> dict[str, str]:
    """Answers while the event loop turns."""
    return {"status": "ok"}


@router.get("/readyz", summary="Whether requests can be served, and which dependency is away")
async def readyz(request: Request) -> Response:
    """503 without the database, else 200; `status` is `ready` or `degraded`."""
    # However many ask at once, the dependencies are asked once: nobody need show a token here.
    asking: AnswerCache[None, dict[str, Any]] = request.app.state.readiness
    report = await asking.get(None, lambda: readiness(request.app.state.services))
    return JSONResponse(report, 503 if report["status"] == "unavailable" else 200)


async def readiness(services: Services) -> dict[str, Any]:
    """Each dependency: `{"ok": bool, "error"?: text}`."""
    checks: dict[str, Check] = {
        "database": lambda: _migrated(services.database.engine),
        "gitlab": lambda: _quiet(services.forge.version()),
        "broker": lambda: _quiet(services.publisher.ping()),
        "live": lambda: _live(services),
    }
    answers = await asyncio.gather(*(_within(check) for check in checks.values()))
    dependencies = {
        name: {"ok": True} if error is None else {"ok": False, "error": error}
        for name, error in zip(checks, answers, strict=True)
    }
    down = [name for name, answer in dependencies.items() if not answer["ok"]]
    status = "unavailable" if "database" in down else "degraded" if down else "ready"
    return {"status": status, "down": down, "dependencies": dependencies}


async def _within(check: Check) -> str | None:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await check()
    except TimeoutError:
        return f"no answer within {TIMEOUT_S:g} s"
    except Exception as failure:  # noqa: BLE001 - whatever it is, this dependency does not work
        return f"{type(failure).__name__}: {failure}"


async def _migrated(engine: AsyncEngine) -> str | None:
    # Alembic takes a sixth of a second to load, by which every start would be later.
    from app.migrate import current_revision, is_behind, newest_revision  # noqa: PLC0415 - as just said

    found = await current_revision(engine)
    if not is_behind(found):
        return None
    return f"migrations are at {found}, this release needs {newest_revision()}: run `orchestrator migrate`"


async def _quiet(question: Awaitable[object]) -> None:
    await question


async def _live(services: Services) -> str | None:
    return services.hub.health()
