"""The REST route of the service description: `POST /saga/calculate-balance`.

The same use case, identity and idempotency as the mutation; the answer comes when the saga first stops, which in the
description's diagram is the request for the user's input.
"""

import asyncio
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from app.http_limits import over_rate_problem, put_rate
from app.identity import identify, language_of
from app.problems import problem_of
from app.services import Services
from sagas.errors import SagaError
from sagas.ids import SagaId
from sagas.models import Saga, SagaStatus
from sagas.ports import User
from sagas.texts import Language
from sagas.view import SagaView
from schema.subscriptions import patiently

PATIENCE_S = 10.0

router = APIRouter()

STOPPED: dict[SagaStatus, str] = {
    SagaStatus.AWAITING_INPUT: "user_input_required",
    SagaStatus.AWAITING_RESULT: "calculating",
    SagaStatus.COMPLETED: "completed",
    SagaStatus.FAILED: "failed",
}
"""The statuses that answer the request, in the words of the service description."""


class CalculateBalance(BaseModel):
    """The request's body."""

    model_config = ConfigDict(extra="forbid", strict=True)

    project_path: str = Field(alias="projectPath", min_length=1, description="The project's full path in GitLab.")
    issue_iid: int | None = Field(default=None, alias="issueIid", description="The issue's number in the project.")
    branch: str | None = Field(default=None, description="The branch; without it the issue's own.")


class CalculateBalanceAnswer(BaseModel):
    """The answer's body."""

    id: str = Field(description="The saga's UUID.")
    status: str = Field(description="user_input_required, calculating, completed, failed, or accepted.")
    next_step: str | None = Field(description="What comes next, such as CONDENSER_CALCULATION.")
    state: str = Field(description="The state of the saga's chart.")
    version: int = Field(description="The saga's version.")


@router.post(
    "/saga/calculate-balance",
    summary="Start the Balance calculation",
    response_model=CalculateBalanceAnswer,
    responses={202: {"model": CalculateBalanceAnswer, "description": "Started; it has not stopped within 10 s."}},
)
async def calculate_balance(
    request: Request,
    body: CalculateBalance,
    idempotency_key: Annotated[str | None, Header(description="The same key and body never start two sagas.")] = None,
) -> Response:
    """Start the saga, or find the one that is live on the branch, and answer where it first stops."""
    services: Services = request.app.state.services
    language = language_of(request.headers.get("accept-language"))
    user = await identify(services.authenticator, request.headers.get("authorization"))
    if isinstance(user, SagaError):
        return problem_of(user, language)
    # From the same purse as operations: each question here is one to GitLab with the service's token, whose quota is all users'.
    rate = await services.backend.rates.charge(user, 1)
    answer = (
        over_rate_problem(rate, language)
        if rate.exceeded
        else await _started(services, user, body, idempotency_key, language)
    )
    put_rate(rate, answer)
    return answer


async def _started(
    services: Services, user: User, body: CalculateBalance, idempotency_key: str | None, language: Language
) -> Response:
    try:
        answer = await services.sagas.start_balance(
            user,
            project_path=body.project_path,
            issue_iid=body.issue_iid,
            branch=body.branch,
            idempotency_key=idempotency_key,
        )
    except SagaError as refused:
        return problem_of(refused, language)
    saga = await first_stop(services, answer.saga, patience=PATIENCE_S)
    return JSONResponse(await _body(services, saga), HTTPStatus.OK if saga.status in STOPPED else HTTPStatus.ACCEPTED)


async def first_stop(services: Services, saga: Saga, *, patience: float) -> Saga:
    """The saga where it first stops, or as it is when patience (seconds) ends."""
    saga_id = SagaId(saga.id)
    try:
        async with asyncio.timeout(patience), services.hub.watch(saga_id) as watch:
            while True:
                now = await patiently(services.backend.live.saga, saga_id)
                saga = saga if now is None else now
                if saga.status in STOPPED or not saga.status.live:
                    return saga
                await watch.changed()
    except TimeoutError:
        return saga


async def _body(services: Services, saga: Saga) -> dict[str, object]:
    definition = await services.definitions.get(saga.definition_name, saga.definition_version)
    return CalculateBalanceAnswer(
        id=str(saga.id),
        status=STOPPED.get(saga.status, "accepted"),
        next_step=SagaView(saga, definition).next_step,
        state=saga.state,
        version=saga.version,
    ).model_dump()
