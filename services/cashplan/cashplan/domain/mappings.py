"""From business master data to dimension members: one mapping for control, fetching and collecting.

What maps to nothing is named, never dropped. Source: seed 003, section 4, business rules.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from contracts.bounds import at_most, of_length
from contracts.text import Code, Id, Name

Attributes = Mapping[str, str]

STRICT: Final[dict[str, Any]] = {"extra": "forbid"}
ENTITY: Final = "entity"
ITEM: Final = "item"


@dataclass(frozen=True, kw_only=True)
class MappingRule:
    """All of `when` must hold: an attribute of the document is one of these values; `*` is any value."""

    __pydantic_config__ = STRICT
    when: Annotated[dict[Code, Annotated[list[Name], of_length(1, 500)]], at_most(10)]
    member: Id


@dataclass(frozen=True, kw_only=True)
class MemberMapping:
    """How documents name the members of one dimension: by rules in turn, else as the attribute itself says."""

    __pydantic_config__ = STRICT
    dimension: Code
    attribute: Code | None = None
    rules: Annotated[list[MappingRule], at_most(5_000)] = field(default_factory=list)
    default: Id | None = None


@dataclass(frozen=True, slots=True)
class Mapped:
    """The members found, and the dimensions that mapped to nothing with the attributes that were tried."""

    members: Mapping[str, str]
    missing: Mapping[str, str]


def mapped(
    mappings: Sequence[MemberMapping],
    known: Mapping[str, frozenset[str]],
    attributes: Attributes,
    aliases: Mapping[str, Mapping[str, str]] | None = None,
) -> Mapped:
    """Members of every mapped dimension for a document with these attributes.

    `aliases` are other names of members, such as the organisation that an entity stands for.
    """
    members: dict[str, str] = {}
    missing: dict[str, str] = {}
    for mapping in mappings:
        member = member_for(mapping, attributes)
        if aliases and member is not None:
            member = aliases.get(mapping.dimension, {}).get(member, member)
        if member is not None and member in known.get(mapping.dimension, frozenset()):
            members[mapping.dimension] = member
        elif member is not None or mapping.dimension in (ENTITY, ITEM):
            missing[mapping.dimension] = member or _tried(mapping, attributes)
    return Mapped(members, missing)


def member_for(mapping: MemberMapping, attributes: Attributes) -> str | None:
    for rule in mapping.rules:
        if all(_holds(attributes.get(name), values) for name, values in rule.when.items()):
            return rule.member
    if mapping.attribute is not None and attributes.get(mapping.attribute):
        return attributes[mapping.attribute]
    return mapping.default


def _holds(value: str | None, wanted: Sequence[str]) -> bool:
    return value is not None and ("*" in wanted or value in wanted)


def _tried(mapping: MemberMapping, attributes: Attributes) -> str:
    names = sorted({name for rule in mapping.rules for name in rule.when} | {mapping.attribute or ""} - {""})
    return ", ".join(f"{name}={attributes.get(name, '')}" for name in names if name) or "nothing to go by"
