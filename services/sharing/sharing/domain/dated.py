"""What a management account shares, as dated facts: each holds from its start until before its end."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

PRESET_TYPES: Final = ("reserved-instance", "storage-capacity-unit", "savings-plan", "voucher")


class Span(NamedTuple):
    """From `start` until before `end`; without an end it is open. One that ends where it starts never held."""

    start: datetime
    end: datetime | None = None

    def holds(self, at: datetime) -> bool:
        return self.start <= at and (self.end is None or at < self.end)

    def held_before(self, at: datetime) -> bool:
        """Whether it held up to this moment."""
        return self.start < at and (self.end is None or at <= self.end)

    def reaches(self, at: datetime) -> bool:
        """Whether it holds at this moment or at a later one."""
        return self.end is None or (at < self.end and self.start < self.end)

    def overlaps(self, other: "Span") -> bool:
        return not (self & other).is_empty

    @property
    def is_empty(self) -> bool:
        return self.end is not None and self.end <= self.start

    def __and__(self, other: "Span") -> "Span":
        ends = [end for end in (self.end, other.end) if end is not None]
        return Span(max(self.start, other.start), min(ends) if ends else None)

    def cut(self, at: datetime) -> "Span":
        """The same until `at` at the latest; one that has not begun by then never holds."""
        return self & Span(self.start, max(at, self.start))


@dataclass(frozen=True, slots=True)
class Trusteeship:
    """An account under finance trusteeship of the management account."""

    account: str
    span: Span


@dataclass(frozen=True, slots=True)
class SharedType:
    """A resource type that the management account shares with accounts that accept it."""

    resource_type: str
    span: Span


@dataclass(frozen=True, slots=True)
class AcceptedType:
    """A resource type that a member account accepts."""

    account: str
    resource_type: str
    span: Span


@dataclass(frozen=True, slots=True)
class Membership:
    """An account in a user group."""

    account: str
    group: str
    span: Span


@dataclass(frozen=True, slots=True)
class Binding:
    """A resource shared with a user group."""

    resource: str
    group: str
    span: Span


@dataclass(frozen=True, slots=True)
class Resource:
    """What was known of a resource during `span`: it may be used while `valid` holds."""

    resource: str
    resource_type: str
    owner: str
    span: Span
    valid: Span

    @property
    def usable(self) -> Span:
        """When it can be used, as far as this version was the one known."""
        return self.span & self.valid


@dataclass(frozen=True, slots=True)
class WantedBinding:
    """A resource to share with a group; without a start: from now on."""

    resource: str
    group: str
    start: datetime | None = None
    end: datetime | None = None


Fact = Trusteeship | SharedType | AcceptedType | Membership | Binding | Resource


def fact_key(fact: Fact) -> tuple[object, ...]:
    """Names a fact: what it is about, and when it begins."""
    match fact:
        case Trusteeship(account):
            return ("trusteeship", account, fact.span.start)
        case SharedType(resource_type):
            return ("shared-type", resource_type, fact.span.start)
        case AcceptedType(account, resource_type):
            return ("accepted-type", account, resource_type, fact.span.start)
        case Membership(account):
            return ("membership", account, fact.span.start)
        case Binding(resource, group):
            return ("binding", resource, group, fact.span.start)
        case Resource(resource):
            return ("resource", resource, fact.span.start)
