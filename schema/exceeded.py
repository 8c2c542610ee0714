"""The error that says which limit was exceeded, what is allowed and what was found."""

from graphql import GraphQLError, Node

from sagas.texts import Text, template
from schema.errors import LIMIT_EXCEEDED

_WORDS = {
    "tokens": template("The document has more than {allowed} tokens, which are all that is accepted."),
    "operations": template("The document has {value} operations; at most {allowed} are accepted."),
    "fragments": template("The document has {value} fragments; at most {allowed} are accepted."),
    "directives": template("The document has {value} directives; at most {allowed} are accepted."),
    "depth": template("The operation has {value} levels of fields; at most {allowed} are accepted."),
    "aliases": template("The operation has {value} aliases; at most {allowed} are accepted."),
    "fields": template(
        "The operation selects {value} fields once its fragments are put in; at most {allowed} are accepted."
    ),
    "overlaps": template(
        "The operation selects the same names so often that {value} pairs would have to be compared; at most {allowed} "
        "are accepted."
    ),
    "cost": template(
        "The operation may answer {value} fields, each counted as often as its pages can repeat it; at most {allowed} are "
        "accepted. Ask for smaller pages."
    ),
    "body": template("The request has {value} bytes; at most {allowed} are accepted."),
    "deadline": template(
        "The operation took longer than {allowed} seconds and was ended. What a mutation began may be done all the same: "
        "send it again with the same idempotencyKey."
    ),
    "rate": template(
        "The operation costs {value} points, and of your {allowed} a minute {remaining} are left. Send it again after "
        "{retryAfter} seconds."
    ),
    "subscription": template(
        "The subscription has {value} characters and values in its document and variables; at most {allowed} are accepted."
    ),
    "subscriptionsPerConnection": template(
        "The connection has {value} operations at once; at most {allowed} are accepted. Complete some first."
    ),
    "subscriptionsPerUser": template(
        "You would have {value} subscriptions at once; at most {allowed} are accepted. Complete some first."
    ),
    "connections": template("There would be {value} open connections; at most {allowed} are kept. Try again later."),
}


def limit_exceeded(
    limit: str, *, allowed: float, value: float, node: Node | None = None, **more: float
) -> GraphQLError:
    """The one form of this error: `limit` names what was exceeded, `allowed` is the limit and `value` what was found.

    Counting may stop where a limit is passed, or at a thousand million, so `value` is at least that.
    """
    numbers = {"allowed": allowed, "value": value, **more}
    said = {name: f"{number:g}" if isinstance(number, float) else number for name, number in numbers.items()}
    message = Text(_WORDS[limit], said)
    return GraphQLError(message, node and [node], extensions={"code": LIMIT_EXCEEDED, "limit": limit, **numbers})
