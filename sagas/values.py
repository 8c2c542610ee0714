"""Documents that users give: hygiene that no schema can express, and a calculation's JSON Schema in engineers' words."""

import difflib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker, ValidationError
from referencing import Registry

from sagas.errors import Problem, RefusalCode
from sagas.ports import Json
from sagas.texts import joined, say

MAX_DEPTH = 64
MAX_BYTES = 256 * 1024
MAX_PROBLEMS = 100
"""More than anybody mends at once; a hostile document must not make an answer larger than itself."""

_LONGEST_QUOTE = 60
_WORDED = frozenset(
    {"type", "const", "enum", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
    | {"minLength", "maxLength", "minItems", "maxItems", "uniqueItems", "pattern", "format"}
)
"""The rules that `expectation` puts into words; others are told in the library's."""
_TYPES = {
    "number": say("a number"),
    "integer": say("a whole number"),
    "string": say("text"),
    "boolean": say("true or false"),
    "object": say("an object"),
    "array": say("a list"),
    "null": "null",
}


def check_document(values: object, *, root: str = "values", largest: int = MAX_BYTES) -> list[Problem]:
    """What makes a document unfit to be stored and committed, whatever its schema says.

    NaN, infinities and numbers beyond a double, NUL and lone surrogates, nesting deeper than 64 levels, more than
    `largest` bytes as compact UTF-8 JSON.
    """
    problems: list[Problem] = []
    for problem in _unfit(values, root):
        problems.append(problem)
        if len(problems) == MAX_PROBLEMS:
            return problems
    if not problems:
        size = len(json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode())
        if size > largest:
            said = say(
                "The document has {size} bytes as compact JSON; at most {largest} are accepted.",
                size=size,
                largest=largest,
            )
            problems.append(_problem(said, (root,)))
    return problems


def _unfit(values: object, root: str) -> Iterator[Problem]:
    # A stack of its own: a document nested ten thousand levels deep must get an answer, not a RecursionError.
    stack: list[tuple[object, tuple[str, ...]]] = [(values, (root,))]
    while stack:
        value, path = stack.pop()
        if len(path) > MAX_DEPTH + 1:
            yield _problem(say("The document is nested deeper than {depth} levels.", depth=MAX_DEPTH), path[:4])
            return
        if isinstance(value, dict):
            yield from _unfit_keys(value, path)
            stack.extend((member, (*path, str(key))) for key, member in reversed(value.items()))
        elif isinstance(value, list):
            stack.extend((item, (*path, str(place))) for place, item in reversed(list(enumerate(value))))
        else:
            complaint = _unfit_scalar(value)
            if complaint:
                yield _problem(complaint, path)


def _unfit_keys(value: Mapping[object, object], path: tuple[str, ...]) -> Iterator[Problem]:
    for key in value:
        complaint = say("Names must be text.") if not isinstance(key, str) else _unfit_text(key)
        if complaint:
            yield _problem(say("A name here cannot be stored. {complaint}", complaint=complaint), path)


def _unfit_scalar(value: object) -> str | None:
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, str):
        return _unfit_text(value)
    if isinstance(value, int | float):
        try:
            finite = math.isfinite(value)
        except OverflowError:
            finite = False
        return None if finite else say("NaN, infinity and numbers beyond 1.8e308 are not JSON; give a finite number.")
    return say("{kind} is not a JSON value.", kind=type(value).__name__)


def _unfit_text(text: str) -> str | None:
    if "\0" in text:
        return say("The text contains the character NUL (U+0000), which cannot be stored; remove it.")
    try:
        text.encode()
    except UnicodeEncodeError:
        return say("The text contains half of a surrogate pair, which is not a character; remove it.")
    return None


def validator_of(schema: Mapping[str, Any]) -> Draft202012Validator:
    """What checks documents against a JSON Schema (2020-12, formats included)."""
    # An empty registry: references stay inside the schema, nothing is ever fetched.
    return Draft202012Validator(schema, registry=Registry(), format_checker=FormatChecker())


def violations(validator: Draft202012Validator, values: Json, *, root: str = "values") -> list[Problem]:
    """Every violation of a JSON Schema, sorted by path.

    `field` is the path from the root; for a missing or unknown property it ends with that property's name.
    """
    problems = {problem for error in validator.iter_errors(values) for problem in _told(error, root)}
    return sorted(problems, key=lambda problem: (problem.field or (), problem.message))[:MAX_PROBLEMS]


def _told(error: ValidationError, root: str) -> Iterator[Problem]:
    path = (root, *(str(part) for part in error.absolute_path))
    schema = error.schema if isinstance(error.schema, Mapping) else {}
    expected = expectation(schema) if error.validator in _WORDED else ""
    found: list[Problem] = []
    if isinstance(error.instance, dict):
        if error.validator == "required":
            found = list(_missing(error.instance, schema, path))
        elif error.validator == "additionalProperties":
            found = list(_unknown(error.instance, schema, path))
    if found:
        yield from found
    elif expected:
        yield _problem(
            say(
                "{label} must be {expected}; it is {value}.",
                label=_label(schema, path),
                expected=expected,
                value=_quote(error.instance),
            ),
            path,
        )
    else:
        yield _problem(say("{label}: {what}.", label=_label(schema, path), what=_plain(error)), path)


def _label(schema: Mapping[str, Any], path: Sequence[str]) -> str:
    if schema.get("title"):
        return str(schema["title"])
    named = next((place for place in range(len(path) - 1, -1, -1) if not path[place].isdigit()), 0)
    return path[named] + "".join(f"[{index}]" for index in path[named + 1 :])


def _missing(instance: Mapping[str, Any], schema: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[Problem]:
    # The library reports each missing property by itself but names it in its message only: all are told each time.
    for name in schema.get("required", ()):
        if name in instance:
            continue
        wanted = schema.get("properties", {}).get(name, {})
        expected = expectation(wanted)
        label = wanted.get("title") or name
        if expected:
            said = say("{label} is missing: give {expected}.", label=label, expected=expected)
        else:
            said = say("{label} is missing.", label=label)
        yield _problem(said, (*path, name))


def _unknown(instance: Mapping[str, Any], schema: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[Problem]:
    known = sorted(schema.get("properties", {}))
    patterns = list(schema.get("patternProperties", {}))
    for name in sorted(set(instance) - set(known)):
        if any(re.search(pattern, name) for pattern in patterns):
            continue
        close = difflib.get_close_matches(name[:_LONGEST_QUOTE], known, n=1)
        if close:
            hint = say("Did you mean {name}?", name=close[0])
        else:
            hint = say("Known here: {names}.", names=", ".join(known)) if known else say("Nothing is known here.")
        said = say("{name} is not a known property. {hint}", name=_quote(name), hint=hint)
        yield _problem(said, (*path, name))


def expectation(schema: object) -> str:
    """What a schema asks for, in words and with its unit: "a number from 500 to 60000 kg/s"; empty where it has no words."""
    if not isinstance(schema, Mapping):
        return ""
    if "const" in schema:
        return _quote(schema["const"])
    if "enum" in schema:
        return say("one of {choices}", choices=joined([_quote(choice) for choice in schema["enum"]], ", "))
    types = schema.get("type")
    names = [types] if isinstance(types, str) else list(types or ())
    if not names:
        return ""
    said = joined([_TYPES.get(name, name) for name in names], say(" or "))
    details = [_range(schema), _length(schema), _unit(schema)]
    if "multipleOf" in schema:
        details.append(say("in steps of {step}", step=_number(schema["multipleOf"])))
    if "pattern" in schema:
        details.append(say("matching {pattern}", pattern=str(schema["pattern"])))
    if "format" in schema:
        details.append(say("in the format {format}", format=str(schema["format"])))
    if schema.get("uniqueItems"):
        details.append(say("without repetitions"))
    return joined([said, *(detail for detail in details if detail)], " ")


def _range(schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if low is not None and high is not None:
        return say("from {low} to {high}", low=_number(low), high=_number(high))
    bounds = [
        say("of at least {bound}", bound=_number(low)) if low is not None else "",
        say("above {bound}", bound=_number(above)) if above is not None else "",
        say("of at most {bound}", bound=_number(high)) if high is not None else "",
        say("below {bound}", bound=_number(below)) if below is not None else "",
    ]
    return joined([bound for bound in bounds if bound], say(" and "))


def _length(schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minLength"), schema.get("maxLength")
    if low is not None and high is not None:
        return say("of {low} to {high} characters", low=low, high=high)
    if low is not None:
        return say("of at least {low} characters", low=low)
    if high is not None:
        return say("of at most {high} characters", high=high)
    low, high = schema.get("minItems"), schema.get("maxItems")
    if low is not None and high is not None:
        return say("of {low} to {high} entries", low=low, high=high)
    if low is not None:
        return say("of at least {low} entries", low=low)
    return "" if high is None else say("of at most {high} entries", high=high)


def _unit(schema: Mapping[str, Any]) -> str:
    unit = schema.get("x-unit", "1")
    if unit == "1":
        return ""
    return str(unit) if _range(schema) else say("in {unit}", unit=str(unit))


def _number(value: float) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _quote(value: object) -> str:
    if isinstance(value, dict):
        return say("an object")
    if isinstance(value, list):
        return say("a list of {size} entries", size=len(value))
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}…"


def _plain(error: ValidationError) -> str:
    message = error.message
    return message if len(message) <= 4 * _LONGEST_QUOTE else f"{message[: 4 * _LONGEST_QUOTE]}…"


def _problem(message: str, path: Sequence[str]) -> Problem:
    return Problem(RefusalCode.INVALID_INPUT, message, tuple(path))
