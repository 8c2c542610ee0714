"""Forgetting what nobody asks for any more, so that tables grow with live sagas and not with time."""

from sagas.store.database import Connection

# A record lives as long as its saga and 30 days more, so that late repeats still get their answer.
_OLD_KEYS = """
DELETE FROM idempotency_record USING saga
WHERE saga.id = saga_id AND saga.finished_at < clock_timestamp() - interval '30 days'
"""
# GitLab repeats a delivery within hours; every push to a branch with a waiting saga leaves a row.
_OLD_WEBHOOKS = "DELETE FROM signal WHERE kind = 'WEBHOOK' AND created_at < clock_timestamp() - interval '7 days'"
_OLD_SIGNALS = """
DELETE FROM signal USING saga
WHERE saga.id = saga_id AND saga.finished_at < clock_timestamp() - interval '30 days'
"""


async def forget_old(connection: Connection) -> None:
    """Remove old webhook deliveries, and the keys and signals of sagas that ended over 30 days ago."""
    for statement in (_OLD_KEYS, _OLD_WEBHOOKS, _OLD_SIGNALS):
        await connection.execute(statement)
