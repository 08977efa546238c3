"""Each kind of change to a released event, made to a model, and what the gate says of it."""

from collections.abc import Callable
from dataclasses import dataclass
from types import GenericAlias
from typing import Annotated, Any, Literal

import pytest
from contracts.compatibility import differences
from contracts.event import Contract
from contracts.money import Amount, SignedAmount
from contracts.text import Code, Id
from contracts.times import CalendarDate
from pydantic import Field, TypeAdapter

from contracts.schemas import Schema, schema

Changed = Callable[[], type[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line."""

    line_id: Id
    weight: Annotated[int, Field(ge=1, le=100, strict=True)]
    note: Id | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The released event."""

    id: Id
    channel: Literal["web", "phone"]
    amount: Amount
    limit: Amount | Literal["unlimited"] | None = None
    on: CalendarDate
    express: Annotated[bool, Field(strict=True)] = True
    remark: Id | None = None
    lines: Annotated[list[Line], Field(min_length=1, max_length=10)]


def released(model: type[Any], key: str = "id") -> Schema:
    model.adapter = TypeAdapter(model)
    return schema(Contract("sample", 1, key, ("external",), model))


def changed(
    replaced: dict[str, Any], defaults: dict[str, Any] | None = None, base: type[Any] = Sample
) -> type[Any]:
    """A copy of a model with fields replaced, added, or (None) taken out; named like the model."""
    annotations = {name: hint for name, hint in (base.__annotations__ | replaced).items() if hint is not None}
    kept = {
        field.name: field.default for field in base.__dataclass_fields__.values() if field.name in annotations
    }
    given = {name: value for name, value in kept.items() if repr(value) != repr(NO_DEFAULT)} | (
        defaults or {}
    )
    namespace = {"__annotations__": annotations, "__doc__": base.__doc__, "__module__": __name__}
    values = {name: value for name, value in given.items() if value is not REQUIRED}
    return dataclass(frozen=True, kw_only=True)(type(base.__name__, (), namespace | values))


REQUIRED = object()
NO_DEFAULT = Sample.__dataclass_fields__["id"].default


def with_line(replaced: dict[str, Any], defaults: dict[str, Any] | None = None) -> type[Any]:
    lines = GenericAlias(list, changed(replaced, defaults, Line))
    return changed({"lines": Annotated[lines, Field(min_length=1, max_length=10)]})


def documented() -> type[Any]:
    model = changed({})
    model.__doc__ = "Says the same in other words."
    return model


def reordered() -> type[Any]:
    hints = dict(reversed(Sample.__annotations__.items()))
    model = changed({})
    defaults = {name: getattr(model, name) for name in hints if hasattr(model, name)}
    namespace = {"__annotations__": hints, "__doc__": "", "__module__": __name__}
    return dataclass(frozen=True, kw_only=True)(type("Sample", (), namespace | defaults))


BREAKING: list[tuple[str, Changed, str]] = [
    ("an optional field removed", lambda: changed({"remark": None}), "remark was removed"),
    ("a required field removed", lambda: changed({"on": None}), "on was removed"),
    ("a field renamed", lambda: changed({"on": None, "day": CalendarDate}), "on was removed"),
    ("a required field added", lambda: changed({"colour": Id}), "colour was added as required"),
    (
        "made required",
        lambda: changed({"remark": Id | None}, {"remark": REQUIRED}),
        "remark was made required",
    ),
    ("made optional", lambda: changed({"on": CalendarDate}, {"on": "2026-11-02"}), "on was made optional"),
    ("null no longer taken", lambda: changed({"remark": Id}, {"remark": ""}), "it may no longer be null"),
    ("null taken", lambda: changed({"on": CalendarDate | None}), "it may now be null"),
    (
        "a type changed",
        lambda: changed({"express": Id}),
        "express changed its type from 'boolean' to 'string'",
    ),
    ("a type narrowed", lambda: changed({"id": Code}), "id has its pattern changed"),
    (
        "a date made free text",
        lambda: changed({"on": Id}),
        "on has its format changed from 'date' to nothing",
    ),
    ("an enum narrowed", lambda: changed({"channel": Literal["web"]}), "values narrowed: phone gone"),
    (
        "an enum widened",
        lambda: changed({"channel": Literal["web", "phone", "fax"]}),
        "channel has its values widened: older consumers cannot read fax",
    ),
    ("a branch gone", lambda: changed({"limit": Amount | None}), "limit has its type narrowed"),
    ("a branch added", lambda: changed({"remark": Id | int | None}), "it may now be integer"),
    ("the sign freed", lambda: changed({"amount": SignedAmount}), "amount.amount has its pattern changed"),
    ("a default changed", lambda: changed({}, {"express": False}), "its default changed from True to False"),
    (
        "fewer lines",
        lambda: changed({"lines": Annotated[list[Line], Field(min_length=1, max_length=9)]}),
        "narrowed",
    ),
    (
        "more lines",
        lambda: changed({"lines": Annotated[list[Line], Field(min_length=1, max_length=11)]}),
        "widened",
    ),
    ("no lines", lambda: changed({"lines": Annotated[list[Line], Field(max_length=10)]}), "minItems widened"),
    ("an inner field removed", lambda: with_line({"note": None}), "lines[].note was removed"),
    ("an inner required field", lambda: with_line({"colour": Id}), "lines[].colour was added as required"),
    (
        "an inner bound narrowed",
        lambda: with_line({"weight": Annotated[int, Field(ge=2, le=100, strict=True)]}),
        "lines[].weight has its minimum narrowed from 1 to 2",
    ),
    (
        "an inner bound widened",
        lambda: with_line({"weight": Annotated[int, Field(ge=1, le=101, strict=True)]}),
        "lines[].weight has its maximum widened from 100 to 101",
    ),
    (
        "a bound dropped",
        lambda: with_line({"weight": Annotated[int, Field(ge=1, strict=True)]}),
        "maximum widened",
    ),
]

ALLOWED: list[tuple[str, Changed]] = [
    ("nothing", lambda: changed({})),
    ("an optional field added", lambda: changed({"colour": Id | None}, {"colour": None})),
    ("a field with a default added", lambda: changed({"gift": bool}, {"gift": False})),
    ("an optional field added to a line", lambda: with_line({"colour": Id | None}, {"colour": None})),
    ("another text about it", documented),
    ("another order of fields", reordered),
]


@pytest.mark.parametrize(
    ("change", "sentence"), [case[1:] for case in BREAKING], ids=[case[0] for case in BREAKING]
)
def test_a_breaking_change_is_refused_with_its_name(change: Changed, sentence: str) -> None:
    found = [str(difference) for difference in differences(released(Sample), released(change()))]
    assert any(sentence in each for each in found), found
    assert all(each.startswith("sample.v1: ") for each in found)


@pytest.mark.parametrize("change", [case[1] for case in ALLOWED], ids=[case[0] for case in ALLOWED])
def test_an_allowed_change_passes(change: Changed) -> None:
    assert differences(released(Sample), released(change())) == []


def test_another_kafka_key_breaks_the_order_of_events() -> None:
    found = differences(released(Sample), released(Sample, key="remark"))
    assert [difference.change for difference in found] == [
        "has its x-kafka-key changed from 'id' to 'remark'"
    ]


def test_a_difference_names_event_field_and_change() -> None:
    (found,) = differences(released(Sample), released(changed({"remark": None})))
    assert (found.event, found.field) == ("sample.v1", "remark")
    assert str(found) == (
        "sample.v1: remark was removed, and older consumers and producers know it; make a new version beside it"
    )
