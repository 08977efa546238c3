"""Everything dated about what one management account shares, ready to be asked about any moment."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TypeVar

from sharing.domain.dated import (
    AcceptedType,
    Binding,
    Fact,
    Membership,
    Resource,
    SharedType,
    Span,
    Trusteeship,
    newest_of,
)

F = TypeVar("F", bound=Fact)
K = TypeVar("K")


@dataclass(frozen=True)
class Sharing:
    """The settings and resources of `owner`, past and to come.

    `over_owner` are the trusteeships under which the owner itself stands.
    """

    owner: str
    facts: Sequence[Fact]
    over_owner: Sequence[Trusteeship] = ()
    _confined: dict[str, tuple[Span, ...]] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def trusteeships(self) -> Mapping[str, Sequence[Trusteeship]]:
        return _grouped(self._of(Trusteeship), lambda fact: fact.account)

    @cached_property
    def shared_types(self) -> Mapping[str, Sequence[SharedType]]:
        return _grouped(self._of(SharedType), lambda fact: fact.resource_type)

    @cached_property
    def accepted_types(self) -> Mapping[tuple[str, str], Sequence[AcceptedType]]:
        return _grouped(self._of(AcceptedType), lambda fact: (fact.account, fact.resource_type))

    @cached_property
    def memberships(self) -> Mapping[str, Sequence[Membership]]:
        """By account."""
        return _grouped(self._of(Membership), lambda fact: fact.account)

    @cached_property
    def bindings(self) -> Mapping[str, Sequence[Binding]]:
        """By resource."""
        return _grouped(self._of(Binding), lambda fact: fact.resource)

    @cached_property
    def bindings_of_group(self) -> Mapping[str, Sequence[Binding]]:
        return _grouped(self._of(Binding), lambda fact: fact.group)

    @cached_property
    def resources(self) -> Mapping[str, Sequence[Resource]]:
        """By resource: each version that was known of it."""
        return _grouped(self._of(Resource), lambda fact: fact.resource)

    def _of(self, kind: type[F]) -> Iterable[F]:
        return (fact for fact in self.facts if isinstance(fact, kind))

    def confined(self, group: str) -> Sequence[Span]:
        """When the group has a resource at all, ascending and apart from one another."""
        if group not in self._confined:
            self._confined[group] = merged(binding.span for binding in self.live_bindings(group))
        return self._confined[group]

    def live_bindings(self, group: str) -> Iterator[Binding]:
        """The group's bindings while their resource can be used."""
        for binding in self.bindings_of_group.get(group, ()):
            for version in self.resources.get(binding.resource, ()):
                span = binding.span & version.usable
                if not span.is_empty:
                    yield Binding(binding.resource, binding.group, span)

    def with_facts(self, facts: Iterable[Fact]) -> "Sharing":
        """The same with these facts, each in the place of one with its key."""
        return Sharing(self.owner, newest_of((*self.facts, *facts)), self.over_owner)

    def moments(self) -> set[datetime]:
        """Every moment at which anything begins or ends."""
        settings = (fact for fact in self.facts if not isinstance(fact, Resource))
        spans = {fact.span for fact in settings if not fact.span.is_empty}
        known = {(fact.span, fact.valid) for fact in self._of(Resource)}
        spans |= {span for during, valid in known for span in (during, during & valid) if not span.is_empty}
        return {moment for span in spans for moment in span if moment is not None}


def _grouped(facts: Iterable[F], key: Callable[[F], K]) -> dict[K, list[F]]:
    groups: dict[K, list[F]] = defaultdict(list)
    for fact in facts:
        groups[key(fact)].append(fact)
    return dict(groups)


def holding(facts: Iterable[F], at: datetime) -> F | None:
    """The one that holds at a moment, of facts of which one holds at a time."""
    for fact in facts:
        if fact.span.holds(at):
            return fact
    return None


def all_holding(facts: Iterable[F], at: datetime) -> list[F]:
    return [fact for fact in facts if fact.span.holds(at)]


def merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same time in as few spans as possible, ascending."""
    result: list[Span] = []
    for span in sorted(spans, key=lambda span: span.start):
        last = result[-1] if result else None
        if last is None or (last.end is not None and last.end < span.start):
            result.append(span)
        elif last.end is not None:
            end = None if span.end is None else max(last.end, span.end)
            result[-1] = Span(last.start, end)
    return tuple(result)
