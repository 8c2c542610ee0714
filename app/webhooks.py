"""`POST /webhooks/gitlab`: hints that a branch was pushed to. What is lost or doubled here harms nobody."""

import logging

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from app.problems import problem_of
from app.services import Services
from gitlab_facade.webhook import WebhookForgedError, WebhookKind, WebhookMalformedError
from sagas.errors import RetryableError

log = logging.getLogger(__name__)

router = APIRouter()


@router.post("/webhooks/gitlab", summary="GitLab's webhook", include_in_schema=False)
async def gitlab_webhook(request: Request) -> Response:
    """Verify, note and answer; looking is the engine's, later."""
    services: Services = request.app.state.services
    body = await request.body()
    if services.webhooks is None:
        log.warning("webhook refused: no secret is set, so anybody could have sent it")
        return JSONResponse({"error": "No webhook secret is set; webhooks are not accepted."}, 401)
    try:
        event = services.webhooks.receive(dict(request.headers), body)
    except WebhookForgedError as forged:
        log.warning("webhook refused: %s (from %s)", forged, request.client.host if request.client else "unknown")
        return JSONResponse({"error": "This delivery does not prove that it is GitLab's."}, 401)
    except WebhookMalformedError as malformed:
        log.warning("webhook not understood: %s", malformed)
        return JSONResponse({"error": f"Not what GitLab sends: {malformed}."}, 400)
    looked_after = 0
    if event.kind is WebhookKind.PUSH and event.branch is not None:
        try:
            looked_after = await services.sagas.webhook(
                delivery_id=event.delivery_id, project_id=event.project_id, branch=event.branch
            )
        except RetryableError as away:
            return problem_of(away)
    return JSONResponse({"kind": event.kind.value, "sagas": looked_after})
