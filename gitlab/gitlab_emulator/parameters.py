"""Parameters of a call: path-independent, merged from query, JSON body and form body as GitLab merges them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from email.parser import BytesParser
from email.policy import HTTP
from urllib.parse import parse_qsl

from gitlab_emulator.errors import with_error
from gitlab_emulator.times import timestamp

_TRUE = frozenset({"true", "t", "1", "yes", "on"})
LARGEST_NUMBER = 2**63 - 1
"""Of an id or another whole number, as the database keeps them."""
_FALSE = frozenset({"false", "f", "0", "no", "off", ""})


class Parameters:
    """Typed access to the merged parameters; a value of the wrong kind is a 400 that names it."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = dict(values)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def raw(self, name: str) -> object:
        """The value as it came, None when absent."""
        return self._values.get(name)

    def require(self, *names: str, blank: bool = True) -> None:
        """Refuse the call when one is missing, or empty where `blank` is False; all faults are joined in one text."""
        faults = [f"{name} is missing" for name in names if self._values.get(name) is None]
        if not blank:
            faults += [f"{name} is empty" for name in names if _is_blank(self._values.get(name))]
        if faults:
            raise with_error(", ".join(faults))

    def require_any(self, *names: str) -> None:
        """Refuse an update that changes nothing."""
        if not any(name in self._values for name in names):
            raise with_error(f"{', '.join(names)} are missing, at least one parameter must be provided")

    def text(self, name: str, default: str = "") -> str:
        """One string; numbers are taken as their text."""
        return self.optional_text(name) or default

    def optional_text(self, name: str) -> str | None:
        """One string, None when absent or null; NUL is refused, as GitLab does before anything else."""
        value = self._values.get(name)
        if value is None:
            return None
        if isinstance(value, str) and "\0" not in value:
            return value
        if isinstance(value, bool | int | float):
            return str(value)
        raise with_error(f"{name} is invalid")

    def choice(self, name: str, allowed: Iterable[str], default: str) -> str:
        """One of the declared values."""
        value = self.optional_text(name)
        if value is None:
            return default
        if value not in allowed:
            raise with_error(f"{name} does not have a valid value")
        return value

    def integer(self, name: str) -> int | None:
        """One whole number, None when absent or empty."""
        value = self._values.get(name)
        if value is None or value == "":
            return None
        try:
            if isinstance(value, str | int) and not isinstance(value, bool) and abs(int(value)) <= LARGEST_NUMBER:
                return int(value)
        except ValueError:
            pass
        raise with_error(f"{name} is invalid")

    def integers(self, name: str) -> tuple[int, ...]:
        """A list of whole numbers, in any of the three list forms."""
        try:
            numbers = tuple(int(text) for text in self.texts(name))
        except ValueError:
            raise with_error(f"{name} is invalid") from None
        if any(abs(number) > LARGEST_NUMBER for number in numbers):
            raise with_error(f"{name} is invalid")
        return numbers

    def boolean(self, name: str, *, default: bool = False) -> bool:
        """A truth value; queries carry them as their client prints them, so the case does not matter."""
        value = self._values.get(name)
        if value is None:
            return default
        if isinstance(value, bool):
            return value
        lowered = str(value).lower()
        if lowered in _TRUE:
            return True
        if lowered in _FALSE:
            return False
        raise with_error(f"{name} is invalid")

    def texts(self, name: str) -> tuple[str, ...]:
        """A list given as a JSON array, as `name[]=a&name[]=b`, or separated by commas."""
        value = self._values.get(name)
        if value is None:
            return ()
        if isinstance(value, str):
            return tuple(part for part in (part.strip() for part in value.split(",")) if part)
        if isinstance(value, Sequence):
            return tuple(str(part) for part in value if str(part))
        if isinstance(value, int | float):
            return (str(value),)
        raise with_error(f"{name} is invalid")

    def mapping(self, name: str) -> Mapping[str, object]:
        """A hash: `not[labels]=x`, or a JSON object; empty when absent."""
        value = self._values.get(name)
        if value is None:
            return {}
        if isinstance(value, Mapping):
            return value
        raise with_error(f"{name} is invalid")

    def time(self, name: str) -> str | None:
        """An ISO 8601 time as this emulator's sortable text, None when absent."""
        value = self.optional_text(name)
        if not value:
            return None
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise with_error(f"{name} is invalid") from None
        return timestamp(moment if moment.tzinfo else moment.replace(tzinfo=UTC))

    def day(self, name: str) -> str | None:
        """A calendar date as `YYYY-MM-DD`, None when absent or empty."""
        value = self.optional_text(name)
        if not value:
            return None
        try:
            return date.fromisoformat(value[:10]).isoformat()
        except ValueError:
            raise with_error(f"{name} is invalid") from None


def merge_parameters(query: str, body: bytes, content_type: str) -> Parameters:
    """The parameters of one request; the body wins over the query."""
    values = _nested(parse_qsl(query, keep_blank_values=True))
    kind = content_type.partition(";")[0].strip().lower()
    if body and kind == "application/x-www-form-urlencoded":
        values |= _nested(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    elif body and kind == "multipart/form-data":
        values |= _nested(_multipart(body, content_type))
    elif body:
        values |= _json_object(body)
    return Parameters(values)


def _json_object(body: bytes) -> dict[str, object]:
    try:
        value: object = json.loads(body)
    except ValueError:
        raise with_error("The request body is not valid JSON") from None
    if not isinstance(value, dict):
        raise with_error("The request body must be a JSON object")
    return value


def _multipart(body: bytes, content_type: str) -> list[tuple[str, str]]:
    """The fields of a multipart form (RFC 7578), read as the MIME message it is."""
    message = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode("latin-1") + body)
    pairs = []
    for part in message.iter_parts() if message.is_multipart() else ():
        name = part.get_param("name", header="content-disposition")
        data = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(data, bytes):
            pairs.append((name, data.decode("utf-8", "replace")))
    return pairs


def _nested(pairs: Iterable[tuple[str, str]]) -> dict[str, object]:
    """`a[]=1` gathers a list, `a[b]=1` a hash, and of plain repeats the last one wins."""
    values: dict[str, object] = {}
    for key, text in pairs:
        name, bracket, inner = key.partition("[")
        inner = inner.partition("]")[0]
        if not bracket:
            values[key] = text
        elif not inner:
            gathered = values.get(name)
            values[name] = [*gathered, text] if isinstance(gathered, list) else [text]
        else:
            known = values.get(name)
            values[name] = {**(known if isinstance(known, dict) else {}), inner: text}
    return values


def _is_blank(value: object) -> bool:
    return isinstance(value, str) and not value.strip()
