"""What users of the API do in these tests: GraphQL over HTTP at any of the API processes."""

from collections.abc import Mapping
from typing import Any

from app.demo.client import Data, GraphQLClient
from tests.chaos.client import document

FIRST_FORM = "AWAIT_USER_CONDENSER_INPUT"
VALUES = {"load": 5}
LOOK = """
query Look($id: ID!) { saga(id: $id) { id status state version error { code message } } }
"""


async def change(client: GraphQLClient, mutation: str, given: Mapping[str, Any]) -> Data:
    """The payload of a mutation; raises ApiError for a refusal."""
    return await client.mutate(document(mutation), mutation, given)


async def look(client: GraphQLClient, saga_id: str) -> Data:
    """The saga as it is now."""
    found: Data = (await client.execute(LOOK, {"id": saga_id}))["saga"]
    return found


async def fill_in(client: GraphQLClient, saga: Data) -> None:
    """Give the form that the saga waits for its values; once, however often it is done."""
    given = {"sagaId": saga["id"], "step": saga["state"], "values": VALUES}
    await change(client, "advanceSaga", {**given, "idempotencyKey": f"{saga['id']} {saga['state']}"})
