"""Who may use what, listed: by account, by user group, and every pair in detail."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sharing.domain.dated import Binding, Resource, Span
from sharing.domain.decision import Reason, can_use
from sharing.domain.sharing import Sharing, all_holding, holding
from sharing.domain.standing import differences, standing_at

MOMENTS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class AccountLine:
    """A member account: its group, what it accepts, and how many shared resources of each type it may use."""

    account: str
    group: str | None
    accepted_types: tuple[str, ...]
    usable: Mapping[str, int]
    since: datetime


@dataclass(frozen=True, slots=True)
class Detail:
    """One account and one resource: the decision, since when it has been so, and until when it is settled."""

    account: str
    resource: str
    resource_type: str
    reason: Reason
    allowed: bool
    since: datetime | None
    until: datetime | None


@dataclass(frozen=True, slots=True)
class TypeDetail:
    """One account and one resource type: how many resources stand for each reason."""

    account: str
    resource_type: str
    reason: Reason
    allowed: bool
    resources: int


@dataclass(frozen=True, slots=True)
class Gain:
    """Who gains or loses the use of what by a change, and at which moment."""

    account: str
    resource: str
    gained: bool
    at: datetime
    reason: Reason


def trustees(sharing: Sharing, at: datetime) -> list[str]:
    """The accounts under trusteeship at a moment, by id."""
    return sorted(account for account, facts in sharing.trusteeships.items() if holding(facts, at))


def by_account(sharing: Sharing, accounts: Iterable[str], at: datetime) -> Iterator[AccountLine]:
    """One line per trustee among these accounts."""
    standing = standing_at(sharing, at)
    accepted = defaultdict(list)
    for (account, name), facts in sharing.accepted_types.items():
        if holding(facts, at):
            accepted[account].append(name)
    counts: dict[frozenset[str], dict[str, int]] = {}
    for account in accounts:
        trusteeship = holding(sharing.trusteeships.get(account, ()), at)
        if trusteeship is None:
            continue
        membership = holding(sharing.memberships.get(account, ()), at)
        reach = standing.reach(account)
        if reach not in counts:
            counts[reach] = _count_types(sharing, reach)
        yield AccountLine(
            account=account,
            group=membership.group if membership else None,
            accepted_types=tuple(sorted(accepted.get(account, ()))),
            usable=counts[reach],
            since=trusteeship.span.start,
        )


def _count_types(sharing: Sharing, resources: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for resource in resources:
        counts[sharing.resources[resource][-1].resource_type] += 1
    return dict(sorted(counts.items()))


def members_of(sharing: Sharing, group: str, at: datetime) -> list[str]:
    return sorted(
        account
        for account, facts in sharing.memberships.items()
        for fact in all_holding(facts, at)
        if fact.group == group
    )


def bindings_from(bindings: Iterable[Binding], at: datetime) -> list[Binding]:
    """Those that hold at a moment or begin later, by start."""
    found = (each for each in bindings if each.span.reaches(at))
    return sorted(found, key=lambda each: (each.span.start, each.resource, each.group))


class Details:
    """Every pair of an account and a resource of the management account, at one moment."""

    def __init__(self, sharing: Sharing, at: datetime) -> None:
        self.sharing = sharing
        self.at = at
        self.known: dict[str, Resource] = {
            resource: version
            for resource, versions in sorted(sharing.resources.items())
            if (version := holding(versions, at))
        }
        self._classes = {resource: self._class(resource) for resource in self.known}

    @property
    def accounts(self) -> list[str]:
        """The management account first, then its trustees."""
        return [self.sharing.owner, *trustees(self.sharing, self.at)]

    def of(self, account: str, resources: Iterable[str] | None = None) -> Iterator[Detail]:
        """One account's rows, by resource."""
        runs: dict[object, tuple[Reason, bool, datetime | None, datetime | None]] = {}
        for resource in self.known if resources is None else resources:
            version = self.known[resource]
            kind = self._classes[resource]
            if kind not in runs:
                runs[kind] = self._run(account, resource)
            yield Detail(account, resource, version.resource_type, *runs[kind])

    def _class(self, resource: str) -> object:
        """Resources that nothing tells apart have the same rows."""
        versions = tuple(
            (each.resource_type, each.span, each.valid) for each in self.sharing.resources[resource]
        )
        bindings = tuple((each.group, each.span) for each in self.sharing.bindings.get(resource, ()))
        return versions, bindings

    def _run(self, account: str, resource: str) -> tuple[Reason, bool, datetime | None, datetime | None]:
        """The decision of the moment, and the time around it during which it is the same."""
        decided = can_use(self.sharing, account, resource, self.at)
        moments = sorted(self._moments(account, resource))
        passed = [moment for moment in moments if moment <= self.at]
        since = None
        for moment in reversed(passed):
            if can_use(self.sharing, account, resource, moment).reason != decided.reason:
                break
            since = moment
        until = next(
            (
                moment
                for moment in moments[len(passed) :]
                if can_use(self.sharing, account, resource, moment).reason != decided.reason
            ),
            None,
        )
        return decided.reason, decided.allowed, since, until

    def _moments(self, account: str, resource: str) -> set[datetime]:
        """Every moment at which the decision about this pair can change."""
        sharing = self.sharing
        resource_type = self.known[resource].resource_type
        memberships = sharing.memberships.get(account, ())
        spans: list[Span] = [
            *(each.span for each in sharing.trusteeships.get(account, ())),
            *(each.span for each in sharing.accepted_types.get((account, resource_type), ())),
            *(each.span for each in sharing.shared_types.get(resource_type, ())),
            *(each.span for each in memberships),
            *(each.span for each in sharing.over_owner),
            *(span for group in {each.group for each in memberships} for span in sharing.confined(group)),
            *(each.span for each in sharing.bindings.get(resource, ())),
            *(span for each in sharing.resources[resource] for span in (each.span, each.valid)),
        ]
        return {moment for span in spans if not span.is_empty for moment in span if moment is not None}


def counted(account: str, rows: Iterable[Detail]) -> Iterator[TypeDetail]:
    """Rows of one account counted by type and reason."""
    counts: dict[tuple[str, Reason, bool], int] = defaultdict(int)
    for row in rows:
        counts[row.resource_type, row.reason, row.allowed] += 1
    for (resource_type, reason, allowed), resources in sorted(counts.items()):
        yield TypeDetail(account, resource_type, reason, allowed, resources)


@dataclass(frozen=True, slots=True)
class Preview:
    """Who would gain and lose what: all are counted, the first are listed."""

    listed: Sequence[Gain]
    gained: int
    lost: int
    is_complete: bool


def preview(before: Sharing, after: Sharing, at: datetime, listed_max: int) -> Preview:
    """What would come of a change at its moment and at those scheduled after it, at most `MOMENTS_MAX` of them."""
    listed: list[Gain] = []
    counts = {True: 0, False: 0}
    scheduled = sorted(moment for moment in before.moments() | after.moments() if moment > at)
    moments = [at, *scheduled[: MOMENTS_MAX - 1]]
    told: set[tuple[str, str, bool]] = set()
    for moment in moments:
        seen: set[tuple[str, str, bool]] = set()
        for account, resource, gained in differences(standing_at(before, moment), standing_at(after, moment)):
            seen.add((account, resource, gained))
            if (account, resource, gained) in told:
                continue
            counts[gained] += 1
            if len(listed) < listed_max:
                reason = can_use(after, account, resource, moment).reason
                listed.append(Gain(account, resource, gained, moment, reason))
        told = seen
    is_complete = sum(counts.values()) == len(listed) and len(scheduled) < MOMENTS_MAX
    return Preview(listed, counts[True], counts[False], is_complete)
