"""What may change in a released event version: it may gain optional fields, and nothing else.

Old consumers read what new producers write, and new consumers read what old producers wrote, so a change must
hold in both directions: narrowing breaks the one, widening the other. What is left is small enough to compare
structure with structure and to name whatever differs.

The libraries found do less. `jsoncompat` 0.3 answers yes or no without saying what changed, and does not see
a changed pattern, format or default; `jsonsubschema` knows old drafts only and one direction at a time.
"""

from collections.abc import Iterator, Set
from dataclasses import dataclass
from typing import Any

from contracts.schemas import Schema

ANNOTATIONS = frozenset({"title", "description", "examples", "$comment", "deprecated"})
STRUCTURE = frozenset({"properties", "required", "items", "$defs", "$ref"})
UNIONS = frozenset({"anyOf", "oneOf"})
WIDER_WHEN_SMALLER = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems"})
WIDER_WHEN_LARGER = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems"})
NOTHING = object()


@dataclass(frozen=True, slots=True)
class Difference:
    """One change that breaks somebody: event, field and what changed, readable as a sentence."""

    event: str
    field: str
    change: str

    def __str__(self) -> str:
        return f"{self.event}: {self.field or 'the event'} {self.change}; make a new version beside it"


@dataclass(frozen=True, slots=True)
class _Node:
    """A schema with the document that its references point into."""

    schema: Any  # Any: a part of a JSON Schema document
    document: Schema

    def resolved(self) -> Schema:
        """The schema with its references followed and a constant written as the enum of one that it is."""
        schema: Schema = self.schema
        while "$ref" in schema:
            referred = self.document["$defs"][schema["$ref"].removeprefix("#/$defs/")]
            schema = {**referred, **{key: value for key, value in schema.items() if key != "$ref"}}
        if "const" in schema:
            schema = {**schema, "enum": [schema["const"]]}
            del schema["const"]
        return schema

    def branches(self) -> "dict[str, _Node]":
        """What the value may be, by name; one branch where there is no union."""
        schema = self.resolved()
        unions = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
        alone = {key: value for key, value in schema.items() if key != "default"}
        nodes = [self.at(branch) for branch in unions or [alone]]
        return {node.name(): node for node in nodes}

    def name(self) -> str:
        """What tells a branch of a union from its siblings."""
        schema = self.resolved()
        kind = schema.get("properties", {}).get("kind", {}).get("const")
        return str(kind or schema.get("title") or schema.get("type"))

    def at(self, schema: Any) -> "_Node":  # Any: a part of a JSON Schema document
        return _Node(schema, self.document)


def differences(released: Schema, proposed: Schema) -> list[Difference]:
    """Every breaking change from a released schema to a proposed one; empty = compatible both ways."""
    event = released["title"]
    found = _compare(_Node(released, released), _Node(proposed, proposed), "")
    return [Difference(event, field, change) for field, change in found]


def _compare(old: _Node, new: _Node, field: str) -> Iterator[tuple[str, str]]:
    before, after = old.resolved(), new.resolved()
    if UNIONS & (before.keys() | after.keys()):
        yield from _compare_keywords(before, after, field, only={"default"})
        yield from _compare_branches(old.branches(), new.branches(), field)
        return
    yield from _compare_keywords(before, after, field)
    if "items" in before and "items" in after:
        yield from _compare(old.at(before["items"]), new.at(after["items"]), f"{field}[]")
    yield from _compare_properties(old, new, field)


def _compare_keywords(
    before: Schema, after: Schema, field: str, only: Set[str] | None = None
) -> Iterator[tuple[str, str]]:
    for keyword in sorted(only or (before.keys() | after.keys()) - ANNOTATIONS - STRUCTURE):
        was, now = before.get(keyword, NOTHING), after.get(keyword, NOTHING)
        if was != now:
            yield field, _change(keyword, was, now)


def _compare_properties(old: _Node, new: _Node, field: str) -> Iterator[tuple[str, str]]:
    before, after = old.resolved(), new.resolved()
    had, has = before.get("properties", {}), after.get("properties", {})
    needed, needs = set(before.get("required", ())), set(after.get("required", ()))
    for name in sorted(had.keys() | has.keys()):
        path = f"{field}.{name}".lstrip(".")
        if name not in has:
            yield path, "was removed, and older consumers and producers know it"
        elif name not in had:
            if name in needs:
                yield path, "was added as required, and older producers do not send it"
        else:
            if name in needs - needed:
                yield path, "was made required, and older producers may leave it out"
            if name in needed - needs:
                yield path, "was made optional, and older consumers need it"
            yield from _compare(old.at(had[name]), new.at(has[name]), path)


def _compare_branches(had: dict[str, _Node], has: dict[str, _Node], field: str) -> Iterator[tuple[str, str]]:
    for name in sorted(had.keys() - has.keys()):
        yield field, f"has its type narrowed: it may no longer be {name}"
    for name in sorted(has.keys() - had.keys()):
        yield field, f"has its type widened: it may now be {name}, which older consumers cannot read"
    for name in sorted(had.keys() & has.keys()):
        yield from _compare(had[name], has[name], field)


def _change(keyword: str, was: Any, now: Any) -> str:  # Any: a value of a JSON Schema keyword
    if keyword == "enum" and NOTHING not in (was, now):
        return _enum_change(set(was), set(now))
    if keyword == "default":
        return (
            f"has its default changed from {_shown(was)} to {_shown(now)}: left out, it means another thing"
        )
    if keyword == "type":
        return f"changed its type from {_shown(was)} to {_shown(now)}"
    return f"has its {keyword} {_direction(keyword, was, now)} from {_shown(was)} to {_shown(now)}"


def _enum_change(was: set[str], now: set[str]) -> str:
    if was - now:
        return f"has its values narrowed: {', '.join(sorted(was - now))} gone"
    return f"has its values widened: older consumers cannot read {', '.join(sorted(now - was))}"


def _direction(keyword: str, was: Any, now: Any) -> str:  # Any: a value of a JSON Schema keyword
    if keyword not in WIDER_WHEN_SMALLER | WIDER_WHEN_LARGER:
        return "changed"
    if NOTHING in (was, now):
        return "widened" if now is NOTHING else "narrowed"
    return "widened" if (now > was) == (keyword in WIDER_WHEN_LARGER) else "narrowed"


def _shown(value: Any) -> str:  # Any: a value of a JSON Schema keyword
    return "nothing" if value is NOTHING else repr(value)
