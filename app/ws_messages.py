"""The form of graphql-transport-ws messages: what the protocol does not specify closes the connection with 4400."""

from schema.trusted import names_document

LONGEST_ID = 1_000
"""An id is kept as long as its operation, and sent with each of its results."""


def fault_of(message: object) -> str | None:
    """What is wrong with a message's form; None: nothing."""
    if not isinstance(message, dict):
        return "A message must be a JSON object"
    kind = message.get("type")
    if not isinstance(kind, str):
        return "A message must have a `type`"
    if kind in {"subscribe", "complete"} and not (isinstance(message.get("id"), str) and message["id"]):
        return f"`{kind}` must have an `id`, a text that is not empty"
    if kind in {"subscribe", "complete"} and len(message["id"]) > LONGEST_ID:
        return f"The `id` must have at most {LONGEST_ID} characters"
    payload = message.get("payload")
    if kind == "subscribe":
        return _subscribe_fault(payload)
    if kind in {"connection_init", "ping", "pong"} and not isinstance(payload, dict | None):
        return f"The payload of `{kind}` must be an object"
    return None


def _subscribe_fault(payload: object) -> str | None:
    if not isinstance(payload, dict) or not (isinstance(payload.get("query"), str) or names_document(payload)):
        return "The payload of `subscribe` must be an object with a text `query`"
    for part in ("variables", "extensions"):
        if not isinstance(payload.get(part), dict | None):
            return f"`{part}` must be an object"
    if not isinstance(payload.get("operationName"), str | None):
        return "`operationName` must be text"
    return None
