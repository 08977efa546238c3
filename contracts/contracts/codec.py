"""Bytes to events and back: the one door through which every Kafka value enters.

A body is read once by jiter, which refuses duplicate keys, NaN, Infinity and deep nesting, and is then
validated by the model of its version. Whatever is wrong is a `Malformed` with a reason of a closed set.
"""

import json
import re
from collections.abc import Callable
from itertools import accumulate
from typing import Any, Literal, NoReturn, cast

from jiter import from_json
from pydantic import ValidationError

from contracts.event import TYPES, Event, latest

NESTING_MAX = 200
DETAIL_CHARACTERS_MAX = 500

MalformedReason = Literal[
    "empty",
    "not-utf8",
    "not-json",
    "not-an-object",
    "too-deep",
    "duplicate-key",
    "not-a-finite-number",
    "nul-character",
    "lone-surrogate",
    "unknown-type",
    "newer-major-version",
    "invalid-field",
]


class Malformed(ValueError):
    """A record that is no event of a known contract: stable `reason`, a sentence and, if known, the field."""

    def __init__(self, reason: MalformedReason, detail: str, field: str | None = None) -> None:
        self.reason = reason
        self.detail = detail[:DETAIL_CHARACTERS_MAX]
        self.field = field
        super().__init__(f"{reason}: {self.detail}")


def decode(type_name: str, body: bytes) -> Event:
    """The event of a `ce_type` and a Kafka value, in its newest version; unknown fields are ignored.

    Raises Malformed, and nothing else, whatever the bytes are.
    """
    contract = TYPES.get(type_name)
    if contract is None:
        _refuse_type(type_name)
    document = read_object(body)
    try:
        event = contract.adapter.validate_python(document)
    except ValidationError as error:
        raise _invalid_field(error, document) from None
    while contract.upcast is not None:
        event = contract.upcast(event)
        contract = event.contract
    return cast(Event, event)


def encode(event: Event) -> bytes:
    """The Kafka value of an event: one JSON object in UTF-8, absent optional fields left out."""
    return event.to_json()


def _refuse_type(type_name: str) -> NoReturn:
    name, _, version = type_name.rpartition(".v")
    try:
        newest = latest(name).version
    except LookupError:
        raise Malformed("unknown-type", f"no event is called {type_name!r}") from None
    if re.fullmatch(r"[1-9][0-9]{0,8}", version) and int(version) > newest:
        raise Malformed("newer-major-version", f"{name} is known up to version {newest}, not {version}")
    raise Malformed("unknown-type", f"{name} has no version {version!r}")


def read_object(body: bytes) -> dict[str, Any]:  # Any: a parsed JSON document
    """A value as one JSON object, before any model looks at it; raises Malformed."""
    try:
        document = from_json(body, catch_duplicate_keys=True, allow_inf_nan=False)
    except ValueError as error:
        raise _diagnosis(body, str(error)) from None
    if type(document) is not dict:
        raise Malformed("not-an-object", "the value must be one JSON object")
    if b"\\u0000" in body and _any_text(document, lambda text: "\0" in text):
        raise Malformed("nul-character", "a string holds the character U+0000")
    return document


def _diagnosis(body: bytes, message: str) -> Malformed:
    """Why jiter refused a body; read again by slower means, because jiter tells its reasons in words only."""
    if not body.strip(b" \t\r\n"):
        return Malformed("empty", "the value is empty")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        return Malformed("not-utf8", f"byte {error.start} is not UTF-8")
    if _nesting(text) > NESTING_MAX:
        return Malformed("too-deep", f"nested deeper than {NESTING_MAX} levels")
    try:
        document = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except Malformed as refusal:
        return refusal
    except ValueError:
        return Malformed("not-json", message)
    if _any_text(document, _has_surrogate):
        return Malformed("lone-surrogate", "a string holds half of a surrogate pair")
    return Malformed("not-json", message)


def _nesting(text: str) -> int:
    brackets = re.sub(r'"(?:[^"\\]|\\.)*"?|[^][{}"]+', "", text, flags=re.DOTALL)
    return max(accumulate((1 if bracket in "[{" else -1 for bracket in brackets), initial=0))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Malformed("duplicate-key", f"the key {twice!r} is given twice")
    return members


def _refuse_constant(literal: str) -> NoReturn:
    raise Malformed("not-a-finite-number", f"{literal} is not a JSON number")


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _any_text(document: Any, matches: Callable[[str], bool]) -> bool:  # Any: a parsed JSON document
    if isinstance(document, str):
        return matches(document)
    if isinstance(document, dict):
        return any(matches(key) or _any_text(value, matches) for key, value in document.items())
    return isinstance(document, list) and any(_any_text(value, matches) for value in document)


def _invalid_field(error: ValidationError, document: dict[str, Any]) -> Malformed:
    problems = error.errors(include_url=False, include_context=False)
    first = problems[0]
    field = _path(first["loc"], document)
    if isinstance(first["input"], float) and first["input"] in (float("inf"), float("-inf")):
        return Malformed("not-a-finite-number", f"{field} is beyond every finite number", field)
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return Malformed("invalid-field", f"{field}: {first['msg'].removeprefix('Value error, ')}{more}", field)


def _path(location: tuple[int | str, ...], document: Any) -> str:  # Any: a parsed JSON document
    """`lines[2].amount.currency`; pydantic's names of union branches, which no document holds, drop out."""
    path = ""
    last = len(location) - 1
    for position, step in enumerate(location):
        if isinstance(step, int):
            path += f"[{step}]"
            document = document[step] if isinstance(document, list) and step < len(document) else None
        elif isinstance(document, dict) and (step in document or position == last):
            path += f".{step}" if path else step
            document = document.get(step)
    return path or "the value"
