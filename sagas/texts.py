"""What people read, in each language that the API speaks.

A message is written where it is raised, in English, with named places: `say("The branch {branch} is gone.", branch=b)`.
What it makes is a `str`, so logs and tests need to know nothing else; it also remembers its template and values, so
that whoever shows it can say it in the reader's language (`in_language`), even after it was stored (`told`,
`retold`). The Russian of every template stands in `sagas.russian`; a test holds that none is missing.
"""

import string
from collections.abc import Mapping, Sequence
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


def by_words(*texts: Text) -> Mapping[str, Text]:
    """Messages by their English: for what libraries say, who know no other language."""
    return {str(words): words for words in texts}


def joined(parts: Sequence[str], between: str) -> str:
    """Parts in a row, each in the reader's language; no parts, no words."""
    if not parts:
        return ""
    values: dict[str, Value] = {f"part{place}": part for place, part in enumerate(parts)}
    return Text("{between}".join(f"{{{name}}}" for name in values), {**values, "between": between})


def in_language(message: str, language: Language) -> str:
    """The message as a reader of the language gets it; what is not a `Text` is somebody else's words, and stays."""
    return message.said_in(language) if isinstance(message, Text) else message


SAID = "said"
"""Where a stored object keeps what its texts were made of, beside the texts."""


def told(facts: Mapping[str, Any]) -> dict[str, Any]:
    """An object as it is stored: its texts in English, and beside them what `retold` makes other languages of."""
    said = {name: _parts(value) for name, value in facts.items() if isinstance(value, Text)}
    return {**facts, SAID: said} if said else dict(facts)


def retold(kept: Mapping[str, Any], language: Language) -> dict[str, Any]:
    """A stored object with its texts in the language."""
    said = {name: _whole(parts).said_in(language) for name, parts in kept.get(SAID, {}).items()}
    return {**{name: value for name, value in kept.items() if name != SAID}, **said}


def remembered(kept: Mapping[str, Any], name: str) -> str:
    """A text of a stored object, as it was when it was stored."""
    parts = kept.get(SAID, {}).get(name)
    return str(kept[name]) if parts is None else _whole(parts)


def _parts(said: Text) -> dict[str, Any]:
    values = {name: _parts(value) if isinstance(value, Text) else value for name, value in said.values.items()}
    return {"template": said.template, "values": values}


def _whole(parts: Mapping[str, Any]) -> Text:
    values = {name: _whole(value) if isinstance(value, dict) else value for name, value in parts["values"].items()}
    return Text(parts["template"], values)


def places(template: str) -> set[str]:
    """The names of the template's places."""
    return {name for _, name, _, _ in _FORMATTER.parse(template) if name is not None}


def _filled(template: str, values: Mapping[str, Value], language: Language) -> str:
    said = {name: value.said_in(language) if isinstance(value, Text) else value for name, value in values.items()}
    return template.format_map(said)
