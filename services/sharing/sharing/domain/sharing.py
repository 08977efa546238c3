"""Everything dated about what one management account shares, ready to be asked about any moment."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Final, TypeVar

from sharing.domain.dated import (
    AcceptedType,
    Binding,
    Fact,
    Membership,
    Resource,
    SharedType,
    Span,
    Trusteeship,
    fact_key,
)

F = TypeVar("F", bound=Fact)
K = TypeVar("K")


@dataclass(frozen=True)
class Sharing:
    """The settings and resources of `owner`, past and to come; no two facts have the same key.

    `over_owner` are the trusteeships under which the owner itself stands.
    """

    owner: str
    facts: Sequence[Fact]
    over_owner: Sequence[Trusteeship] = ()

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

    @cached_property
    def _confined(self) -> dict[str, Sequence[Span]]:
        return {}

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
        """The same with these facts, each in the place of one with its key; what they leave alone stays sorted."""
        told = {fact_key(fact): fact for fact in facts}
        kinds = {type(fact) for fact in told.values()}
        kept = [told.pop(fact_key(fact), fact) if type(fact) in kinds else fact for fact in self.facts]
        after = Sharing(self.owner, [*kept, *told.values()], self.over_owner)
        for name, sources in SORTED_FROM.items():
            if name in self.__dict__ and kinds.isdisjoint(sources):
                after.__dict__[name] = self.__dict__[name]
        return after

    def moments(self) -> set[datetime]:
        """Every moment at which anything begins or ends."""
        kinds = (Trusteeship, SharedType, AcceptedType, Membership)
        return _ends({fact.span for fact in self.facts if isinstance(fact, kinds)}) | self.resource_moments

    @cached_property
    def resource_moments(self) -> set[datetime]:
        """Every moment at which a resource, or its sharing with a group, begins or ends."""
        known = {(fact.span, fact.valid) for fact in self._of(Resource)}
        bound = {fact.span for fact in self._of(Binding)}
        return _ends(bound.union(*((during, during & valid) for during, valid in known)))


SORTED_FROM: Final[Mapping[str, Sequence[type[Fact]]]] = {
    "trusteeships": (Trusteeship,),
    "shared_types": (SharedType,),
    "accepted_types": (AcceptedType,),
    "memberships": (Membership,),
    "bindings": (Binding,),
    "bindings_of_group": (Binding,),
    "resources": (Resource,),
    "resource_moments": (Binding, Resource),
    "_confined": (Binding, Resource),
}
"""What `Sharing` keeps once it has been asked for, and the facts that it comes from."""


def _ends(spans: Iterable[Span]) -> set[datetime]:
    return {moment for span in spans if not span.is_empty for moment in span if moment is not None}


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
