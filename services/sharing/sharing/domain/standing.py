"""The settings in force at one moment, by what an account draws its resources from, and what differs between two.

An account draws from its group's resources as long as the group has any, else from the unbound resources of each
type that is shared and that it accepts. Accounts that draw from the same sources may use the same resources, so
that comparing two moments costs as much as there are accounts, resources and differences, and no pair of them is
looked at for nothing.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

from sharing.domain.dated import Span
from sharing.domain.decision import Reason
from sharing.domain.sharing import Sharing

Source = tuple[Literal["group", "type"], str]
Sources = frozenset[Source]
NOTHING: Sources = frozenset()


class Difference(NamedTuple):
    """An account gains or loses the use of a resource."""

    account: str
    resource: str
    gained: bool


@dataclass(slots=True)
class Standing:
    """What each account draws from at a moment, which resources each source holds, and what has been reached."""

    sources: dict[str, Sources]
    resources: dict[Source, frozenset[str]]
    reached: dict[Sources, frozenset[str]] = field(default_factory=dict)

    def reach(self, account: str) -> frozenset[str]:
        """The resources of others that an account may use."""
        return self.reach_of(self.sources.get(account, NOTHING))

    def granting(self, account: str) -> Reason:
        """Why an account may use what it reaches: it draws from its group, or from types, never from both."""
        kind, _ = next(iter(self.sources[account]))
        return "shared-with-group" if kind == "group" else "shared-with-account"

    def reach_of(self, sources: Sources) -> frozenset[str]:
        if sources not in self.reached:
            self.reached[sources] = frozenset().union(
                *(self.resources.get(source, frozenset()) for source in sources)
            )
        return self.reached[sources]

    @property
    def accesses(self) -> set[tuple[str, str]]:
        """Every (account, resource) that is allowed."""
        return {(account, resource) for account in self.sources for resource in self.reach(account)}


def standing_at(sharing: Sharing, at: datetime, before: Standing | None = None) -> Standing:
    """What is in force at a moment; `before` is what was in force up to it, if that is known."""
    same = before is not None and at not in sharing.resource_moments
    return _standing(sharing, _Moment(at, before=False), before if same else None)


def standing_before(sharing: Sharing, at: datetime) -> Standing:
    """What was in force up to this moment."""
    return _standing(sharing, _Moment(at, before=True))


@dataclass(frozen=True, slots=True)
class _Moment:
    at: datetime
    before: bool

    def within(self, span: Span) -> bool:
        return span.held_before(self.at) if self.before else span.holds(self.at)


def _standing(sharing: Sharing, moment: _Moment, same: Standing | None = None) -> Standing:
    """What is in force; the resources of each source are those of `same`, where that is given."""
    resources = _resources(sharing, moment) if same is None else same.resources
    shared = {
        each.resource_type
        for held in sharing.shared_types.values()
        for each in held
        if moment.within(each.span)
    }
    accepted: dict[str, list[str]] = defaultdict(list)
    for (account, resource_type), held in sharing.accepted_types.items():
        if resource_type in shared and any(moment.within(each.span) for each in held):
            accepted[account].append(resource_type)
    sources: dict[str, Sources] = {}
    for account, trusteeships in sharing.trusteeships.items():
        if any(moment.within(each.span) for each in trusteeships):
            group = _group(sharing, account, moment)
            if group is not None and ("group", group) in resources:
                sources[account] = frozenset([("group", group)])
            else:
                sources[account] = frozenset(("type", each) for each in accepted.get(account, ()))
    return Standing(sources, resources, {} if same is None else same.reached)


def _group(sharing: Sharing, account: str, moment: _Moment) -> str | None:
    for membership in sharing.memberships.get(account, ()):
        if moment.within(membership.span):
            return membership.group
    return None


def _resources(sharing: Sharing, moment: _Moment) -> dict[Source, frozenset[str]]:
    held: dict[Source, list[str]] = defaultdict(list)
    within = moment.within
    for resource, versions in sharing.resources.items():
        for version in versions:
            if within(version.span) and within(version.valid):
                for source in _holders(sharing, resource, version.resource_type, moment):
                    held[source].append(resource)
    return {source: frozenset(resources) for source, resources in held.items()}


def _holders(sharing: Sharing, resource: str, resource_type: str, moment: _Moment) -> Iterable[Source]:
    bindings = sharing.bindings.get(resource)
    if bindings is None:
        return (("type", resource_type),)
    groups: list[Source] = [("group", each.group) for each in bindings if moment.within(each.span)]
    return groups or [("type", resource_type)]


def differences(before: Standing, after: Standing) -> Iterator[Difference]:
    """What accounts gain and lose from one moment to the other, by account and resource."""
    seen: dict[tuple[Sources, Sources], list[tuple[str, bool]]] = {}
    for account in sorted(before.sources.keys() | after.sources.keys()):
        drawn = before.sources.get(account, NOTHING), after.sources.get(account, NOTHING)
        if drawn not in seen:
            had, has = before.reach_of(drawn[0]), after.reach_of(drawn[1])
            seen[drawn] = sorted((resource, resource in has) for resource in had ^ has)
        for resource, gained in seen[drawn]:
            yield Difference(account, resource, gained)
