"""What is said of requests that are none."""

from collections.abc import Mapping
from typing import Final

REQUESTS: Final[Mapping[str, str]] = {
    "Send the request as {type}.": "Пришлите запрос как {type}.",
    "Ask for a stream by POST: what a foreign page may send unasked opens none.": (
        "Запрашивайте поток методом POST: то, что чужая страница может послать без спроса, потока не открывает."
    ),
    "Send operations by POST, or queries by GET; each stream has its own request.": (
        "Отправляйте операции методом POST, а запросы на чтение — и методом GET; у каждого потока свой запрос."
    ),
    "The GraphQL operation's `{part}` must be a string or null, if provided.": (
        "`{part}` операции GraphQL, если указано, должно быть строкой или null."
    ),
    "The GraphQL operation's `{part}` must be an object or null, if provided.": (
        "`{part}` операции GraphQL, если указано, должно быть объектом или null."
    ),
    "The request body must be a JSON object with the member `query`.": (
        "Тело запроса должно быть объектом JSON с полем `query`."
    ),
    "A subscription is a stream: use a websocket with the subprotocol `graphql-transport-ws`, or POST it with `Accept: text/event-stream` or Apollo's `Accept: multipart/mixed;boundary=graphql;subscriptionSpec=1.0`.": (
        "Подписка — это поток: откройте веб-сокет с подпротоколом `graphql-transport-ws` или отправьте её методом POST с "
        "`Accept: text/event-stream` либо, как Apollo, с `Accept: multipart/mixed;boundary=graphql;subscriptionSpec=1.0`."
    ),
    "Unable to parse request body as JSON": "Тело запроса не читается как JSON",
    "No GraphQL query found in the request": "В запросе нет документа GraphQL",
    "Can't get GraphQL operation type": "В документе не одна операция: назовите нужную в operationName",
    'Unknown operation named "{name}".': 'В документе нет операции "{name}".',
    "Batching is not enabled": "Пакеты операций не принимаются",
    "mutations are not allowed when using GET": "Мутации методом GET не выполняются",
    "The body is not JSON: {reason}, at character {place}.": "Тело запроса — не JSON: {reason}, символ {place}.",
    "The body must be a JSON object.": "Тело запроса должно быть объектом JSON.",
    "{field}: {problem}": "{field}: {problem}",
    "Not Found": "Здесь ничего нет",
    "Method Not Allowed": "Этот метод здесь не принимается",
    "Field required": "Обязательное поле",
    "Input should be a valid string": "Должно быть строкой",
    "Input should be a valid integer": "Должно быть целым числом",
    "String should have at least 1 character": "Строка не должна быть пустой",
    "Extra inputs are not permitted": "Неизвестное поле",
}
