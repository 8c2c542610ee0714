"""What people read, in each language that the API speaks.

A message is written where it is raised, in English, with named places: `say("The branch {branch} is gone.", branch=b)`.
What it makes is a `str`, so logs and tests need to know nothing else; it also remembers its template and values, so
that whoever shows it can say it in the reader's language (`in_language`), even after it was stored. The Russian of
every template stands in `sagas.russian`; a test holds that none is missing.
"""

import string
from collections.abc import Mapping
from typing import Any, Final, Literal, Self, TypeAlias

from sagas.russian import RUSSIAN

Language: TypeAlias = Literal["en", "ru"]
ENGLISH: Final[Language] = "en"
LANGUAGES: Final[tuple[Language, ...]] = ("en", "ru")
Value: TypeAlias = "str | int | float"

_FORMATTER = string.Formatter()


class Text(str):
    """A message in English that can be said in other languages."""

    __slots__ = ("template", "values")
    template: str
    values: Mapping[str, Value]

    def __new__(cls, template: str, values: Mapping[str, Value]) -> Self:
        """Fill the template in."""
        made = super().__new__(cls, _filled(template, values, ENGLISH))
        made.template = template
        made.values = values
        return made

    def __reduce__(self) -> tuple[type[Self], tuple[str, Mapping[str, Value]]]:
        """Made anew from its parts, when copied or pickled."""
        return type(self), (self.template, self.values)

    def said_in(self, language: Language) -> str:
        """The message in a language; in English where that has no words for it."""
        if language == ENGLISH:
            return str(self)
        return _filled(RUSSIAN.get(self.template, self.template), self.values, language)


def say(template: str, /, **values: Value) -> Text:
    """A message; `template` must be a literal, for its Russian is looked up by it. Values may be texts themselves."""
    return Text(template, values)


def template(words: str) -> str:
    """A template that is not filled in where it stands: `Text` takes it later. A literal too, for the same reason."""
    return words


def in_language(message: str, language: Language) -> str:
    """The message as a reader of the language gets it; what is not a `Text` is somebody else's words, and stays."""
    return message.said_in(language) if isinstance(message, Text) else message


def stored(message: str) -> Any:
    """The message as JSON that `restored` reads: plain words as they are, a text as its parts."""
    if not isinstance(message, Text):
        return message
    values = {name: stored(value) if isinstance(value, str) else value for name, value in message.values.items()}
    return {"template": message.template, "values": values}


def restored(kept: Any) -> str:
    """The message from what `stored` made."""
    if isinstance(kept, str):
        return str(kept)
    values = {
        name: restored(value) if isinstance(value, str | dict) else value for name, value in kept["values"].items()
    }
    return Text(kept["template"], values)


def places(template: str) -> set[str]:
    """The names of the template's places."""
    return {name for _, name, _, _ in _FORMATTER.parse(template) if name is not None}


def _filled(template: str, values: Mapping[str, Value], language: Language) -> str:
    said = {name: value.said_in(language) if isinstance(value, Text) else value for name, value in values.items()}
    return template.format_map(said)
