"""Changes of what is shared: each says which facts begin and which end at its moment, or why it may not be.

What a change is decided by is what holds at its moment; nothing before that moment is ever rewritten.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from sharing.domain.bound import require_places
from sharing.domain.dated import (
    AcceptedType,
    Binding,
    Fact,
    Membership,
    Resource,
    SharedType,
    Span,
    Trusteeship,
    WantedBinding,
)
from sharing.domain.errors import (
    EndNotAfterStart,
    InAnotherGroup,
    NotTrustees,
    NotYours,
    Overlapping,
    StartsInThePast,
)
from sharing.domain.sharing import Sharing, all_holding, holding

F = TypeVar("F", bound=Fact)


def share_types(sharing: Sharing, types: Collection[str], at: datetime) -> Sharing:
    """The management account shares exactly these types from now on."""
    held = {name: found for name, facts in sharing.shared_types.items() if (found := holding(facts, at))}
    facts: list[Fact] = [_ended(fact, at) for name, fact in held.items() if name not in types]
    facts += [SharedType(name, Span(at)) for name in sorted(set(types) - held.keys())]
    return _checked(sharing, facts, at)


def accept_types(
    sharing: Sharing, accounts: Collection[str], types: Collection[str], at: datetime
) -> Sharing:
    """These members accept exactly these types from now on.

    Errors: NotTrustees, SharingLimitReached.
    """
    require_trustees(sharing, accounts, at)
    facts: list[Fact] = []
    for (account, name), held in sharing.accepted_types.items():
        if account in accounts and name not in types:
            facts += [_ended(fact, at) for fact in all_holding(held, at)]
    for account in sorted(accounts):
        facts += [
            AcceptedType(account, name, Span(at))
            for name in sorted(types)
            if holding(sharing.accepted_types.get((account, name), ()), at) is None
        ]
    return _checked(sharing, facts, at)


def join_group(sharing: Sharing, group: str, accounts: Collection[str], at: datetime) -> Sharing:
    """These members are in the group from now on; who is in it already stays.

    Errors: NotTrustees, InAnotherGroup, SharingLimitReached.
    """
    require_trustees(sharing, accounts, at)
    facts: list[Fact] = []
    for account in sorted(accounts):
        membership = holding(sharing.memberships.get(account, ()), at)
        if membership is None:
            facts.append(Membership(account, group, Span(at)))
        elif membership.group != group:
            raise InAnotherGroup(account, membership.group)
    return _checked(sharing, facts, at)


def leave_group(sharing: Sharing, group: str, accounts: Collection[str], at: datetime) -> Sharing:
    """These accounts are not in the group any more; who is not in it stays out."""
    facts = [
        _ended(membership, at)
        for account in sorted(accounts)
        if (membership := holding(sharing.memberships.get(account, ()), at)) and membership.group == group
    ]
    return _checked(sharing, facts, at)


def dissolve_group(sharing: Sharing, group: str, at: datetime) -> Sharing:
    """Nobody is in the group any more, and nothing is shared with it, now or later."""
    facts: list[Fact] = [
        _ended(fact, at)
        for held in sharing.memberships.values()
        for fact in held
        if fact.group == group and fact.span.holds(at)
    ]
    facts += [_ended(fact, at) for fact in _to_come(sharing.bindings_of_group.get(group, ()), at)]
    return _checked(sharing, facts, at)


def bind(sharing: Sharing, wanted: Sequence[WantedBinding], at: datetime) -> Sharing:
    """Shares resources with groups, each for a time.

    Errors: NotYours, EndNotAfterStart, StartsInThePast, Overlapping, SharingLimitReached.
    """
    require_owned(sharing, [each.resource for each in wanted], at)
    return _checked(sharing, _bindings(sharing, wanted, at), at)


def _bindings(sharing: Sharing, wanted: Sequence[WantedBinding], at: datetime) -> list[Binding]:
    """The wanted ones as facts, none of which overlaps another or one that stands."""
    taken = defaultdict(list)
    for group in {each.group for each in wanted}:
        for fact in sharing.bindings_of_group.get(group, ()):
            taken[fact.resource, group].append(fact.span)
    facts: list[Binding] = []
    for each in wanted:
        span = _range(each, at)
        for other in taken[each.resource, each.group]:
            if other.overlaps(span):
                raise Overlapping(each, other)
        taken[each.resource, each.group].append(span)
        facts.append(Binding(each.resource, each.group, span))
    return facts


def _range(wanted: WantedBinding, at: datetime) -> Span:
    start = at if wanted.start is None else wanted.start
    if start < at:
        raise StartsInThePast(wanted, start, at)
    if wanted.end is not None and wanted.end <= start:
        raise EndNotAfterStart(wanted, start, wanted.end)
    return Span(start, wanted.end)


def unbind(sharing: Sharing, pairs: Collection[tuple[str, str]], at: datetime) -> Sharing:
    """Shares these (resource, group) no more: what holds ends now, what was to come never begins."""
    facts = [
        _ended(fact, at)
        for resource, group in sorted(pairs)
        for fact in _to_come(sharing.bindings.get(resource, ()), at)
        if fact.group == group
    ]
    return _checked(sharing, facts, at)


def bind_exactly(sharing: Sharing, resource: str, wanted: Sequence[WantedBinding], at: datetime) -> Sharing:
    """From now on the resource is shared with exactly these groups; what stands as wanted stays.

    Errors: as of `bind`.
    """
    require_owned(sharing, [resource], at)
    standing = list(_to_come(sharing.bindings.get(resource, ()), at))
    kept = {
        (fact.group, each.start, each.end): fact
        for fact in standing
        for each in wanted
        if each.group == fact.group and _is_wanted(fact.span, each, at)
    }
    ended = [_ended(fact, at) for fact in standing if fact not in kept.values()]
    missing = [each for each in wanted if (each.group, each.start, each.end) not in kept]
    cleared = sharing.with_facts(ended)
    return _checked_from(sharing, cleared.with_facts(_bindings(cleared, missing, at)), at)


def _is_wanted(span: Span, wanted: WantedBinding, at: datetime) -> bool:
    starts_as_wanted = span.start <= at if wanted.start is None else span.start == wanted.start
    return starts_as_wanted and span.end == wanted.end


def begin_trusteeship(sharing: Sharing, account: str, types: Collection[str], at: datetime) -> Sharing:
    """A new trustee starts by accepting the types that the management account shares at that moment.

    Errors: SharingLimitReached.
    """
    facts: list[Fact] = [Trusteeship(account, Span(at))]
    facts += [AcceptedType(account, name, Span(at)) for name in sorted(types)]
    return _checked(sharing, facts, at)


def end_trusteeship(sharing: Sharing, account: str, at: datetime) -> Sharing:
    """Sharing stops this instant; groups and acceptance do not come back with a later trusteeship."""
    held: list[Fact] = [*sharing.trusteeships.get(account, ()), *sharing.memberships.get(account, ())]
    held += [
        fact for (owner, _), facts in sharing.accepted_types.items() if owner == account for fact in facts
    ]
    return sharing.with_facts(_ended(fact, at) for fact in held if fact.span.holds(at))


def tell_resource(sharing: Sharing, told: Resource, at: datetime) -> Sharing:
    """A new version of a resource is known from now on."""
    held = all_holding(sharing.resources.get(told.resource, ()), at)
    facts: list[Fact] = [_ended(version, at) for version in held if version.span.start != at]
    return sharing.with_facts([*facts, replace(told, span=Span(at))])


def shared_now(sharing: Sharing, at: datetime) -> list[str]:
    """The types shared at a moment."""
    return sorted(name for name, facts in sharing.shared_types.items() if holding(facts, at))


def require_trustees(sharing: Sharing, accounts: Collection[str], at: datetime) -> None:
    """Errors: NotTrustees."""
    missing = [each for each in sorted(accounts) if holding(sharing.trusteeships.get(each, ()), at) is None]
    if missing:
        raise NotTrustees(missing)


def require_owned(sharing: Sharing, resources: Iterable[str], at: datetime) -> None:
    """Errors: NotYours."""
    missing = [
        each for each in dict.fromkeys(resources) if holding(sharing.resources.get(each, ()), at) is None
    ]
    if missing:
        raise NotYours(missing)


def _to_come(bindings: Iterable[Binding], at: datetime) -> Iterable[Binding]:
    return (fact for fact in bindings if fact.span.reaches(at))


def _ended(fact: F, at: datetime) -> F:
    return replace(fact, span=fact.span.cut(at))


def _checked(sharing: Sharing, facts: Iterable[Fact], at: datetime) -> Sharing:
    return _checked_from(sharing, sharing.with_facts(facts), at)


def _checked_from(before: Sharing, after: Sharing, at: datetime) -> Sharing:
    """What a change makes of the settings, unless it gives a type to more accounts than may have it."""
    require_places(before, after, at)
    return after


def written(before: Sharing, after: Sharing) -> list[Fact]:
    """The facts to store: those that are new, and those whose end has moved."""
    standing = {id(fact) for fact in before.facts}
    others = [fact for fact in after.facts if id(fact) not in standing]
    kinds = {type(fact) for fact in others}
    known = {fact for fact in before.facts if type(fact) in kinds}
    return [fact for fact in others if fact not in known]
