"""What the API says when a limit is exceeded."""

from collections.abc import Mapping
from typing import Final

LIMITS: Final[Mapping[str, str]] = {
    "The operation has {value} levels of fields; at most {allowed} are accepted.": (
        "Глубина запроса — {value} уровней полей; допускается не более {allowed}."
    ),
    "The operation has {value} aliases; at most {allowed} are accepted.": (
        "В запросе {value} псевдонимов; допускается не более {allowed}."
    ),
    "The operation selects {value} fields once its fragments are put in; at most {allowed} are accepted.": (
        "Вместе с фрагментами запрос выбирает {value} полей; допускается не более {allowed}."
    ),
    "The operation selects the same names so often that {value} pairs would have to be compared; at most {allowed} are accepted.": (
        "Одни и те же имена выбраны так часто, что пришлось бы сравнить {value} пар; допускается не более {allowed}."
    ),
    "The document has more than {allowed} tokens, which are all that is accepted.": (
        "В документе больше {allowed} лексем, а больше не допускается."
    ),
    "The document has {value} directives; at most {allowed} are accepted.": (
        "В документе {value} директив; допускается не более {allowed}."
    ),
    "The document has {value} operations; at most {allowed} are accepted.": (
        "В документе {value} операций; допускается не более {allowed}."
    ),
    "The document has {value} fragments; at most {allowed} are accepted.": (
        "В документе {value} фрагментов; допускается не более {allowed}."
    ),
    "The operation may answer {value} fields, each counted as often as its pages can repeat it; at most {allowed} are accepted. Ask for smaller pages.": (
        "Ответ может содержать {value} полей (каждое считается столько раз, сколько его повторяют страницы); допускается "
        "не более {allowed}. Запросите страницы поменьше."
    ),
    "The request has {value} bytes; at most {allowed} are accepted.": (
        "Размер запроса — {value} Б; допускается не более {allowed} Б."
    ),
    "The subscription has {value} characters and values in its document and variables; at most {allowed} are accepted.": (
        "В документе и переменных подписки {value} символов и значений; допускается не более {allowed}."
    ),
    "The connection has {value} operations at once; at most {allowed} are accepted. Complete some first.": (
        "Одновременных операций на соединении — {value}; допускается не более {allowed}. Сначала завершите лишние."
    ),
    "You would have {value} subscriptions at once; at most {allowed} are accepted. Complete some first.": (
        "Одновременных подписок стало бы {value}; допускается не более {allowed}. Сначала завершите лишние."
    ),
    "There would be {value} open connections; at most {allowed} are kept. Try again later.": (
        "Открытых соединений стало бы {value}; допускается не более {allowed}. Повторите позже."
    ),
    "The operation took longer than {allowed} seconds and was ended. What a mutation began may be done all the same: send it again with the same idempotencyKey.": (
        "Операция длилась дольше {allowed} с и была прервана. Начатое мутацией могло всё же выполниться: повторите её с "
        "тем же idempotencyKey."
    ),
    "The operation costs {value} points, and of your {allowed} a minute {remaining} are left. Send it again after {retryAfter} seconds.": (
        "Операция стоит {value} баллов, а из ваших {allowed} в минуту осталось {remaining}. Повторите через {retryAfter} с."
    ),
}
