"""Random histories of settings against a reference that knows nothing but the list of them.

COFFER_SHARING_HISTORIES says how many histories are played (2 without it), COFFER_SHARING_CHANGES how many changes
each has (500).
"""

import os
import random
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sharing.domain.changes import (
    accept_types,
    begin_trusteeship,
    bind,
    bind_exactly,
    dissolve_group,
    end_trusteeship,
    join_group,
    leave_group,
    share_types,
    shared_now,
    tell_resource,
    unbind,
)
from sharing.domain.dated import Resource, Span, WantedBinding
from sharing.domain.decision import can_use
from sharing.domain.errors import SharingError
from sharing.domain.sharing import Sharing
from sharing.domain.standing import standing_at
from sharing.domain.telling import Told, fold, tell
from sharing.domain.views import Details, preview

from contracts import SharingChanged

HISTORIES = int(os.environ.get("COFFER_SHARING_HISTORIES", "2"))
CHANGES = int(os.environ.get("COFFER_SHARING_CHANGES", "500"))
START = datetime(2026, 1, 1, tzinfo=UTC)
TYPES = ["reserved-instance", "storage-capacity-unit", "savings-plan"]
OWNER = "M"
ACCOUNTS = [f"A{number}" for number in range(1, 9)]
GROUPS = [f"G{number}" for number in range(1, 5)]
RESOURCES = {f"R{number}": TYPES[number % 3] for number in range(1, 11)}
ALLOWED = {"owner", "shared-with-group", "shared-with-account"}


@dataclass
class Reference:
    """Every setting as it was made, with its moment; asked by going through all of them."""

    made: list[tuple[datetime, str, Any]] = field(default_factory=list)

    def at(self, moment: datetime) -> "Settings":
        return Settings([(what, value) for made_at, what, value in self.made if made_at <= moment], moment)


class Settings:
    """What a list of settings comes to at a moment, by the words of the rules."""

    def __init__(self, made: list[tuple[str, Any]], moment: datetime) -> None:
        self.moment = moment
        self.trustees: set[str] = set()
        self.shared: set[str] = set()
        self.accepted: set[tuple[str, str]] = set()
        self.group: dict[str, str] = {}
        self.bindings: list[tuple[str, str, datetime, datetime | None]] = []
        self.resources: dict[str, tuple[datetime, datetime | None]] = {}
        for what, value in made:
            getattr(self, f"_{what}")(value)

    def _trustee(self, value: tuple[str, set[str]]) -> None:
        account, types = value
        self.trustees.add(account)
        self.accepted |= {(account, each) for each in types}

    def _no_trustee(self, account: str) -> None:
        self.trustees.discard(account)
        self.accepted = {each for each in self.accepted if each[0] != account}
        self.group.pop(account, None)

    def _share(self, types: set[str]) -> None:
        self.shared = types

    def _accept(self, value: tuple[str, set[str]]) -> None:
        account, types = value
        self.accepted = {each for each in self.accepted if each[0] != account}
        self.accepted |= {(account, each) for each in types}

    def _join(self, value: tuple[str, str]) -> None:
        self.group[value[0]] = value[1]

    def _leave(self, value: tuple[str, str]) -> None:
        if self.group.get(value[0]) == value[1]:
            del self.group[value[0]]

    def _bind(self, value: tuple[str, str, datetime, datetime | None]) -> None:
        self.bindings.append(value)

    def _unbind(self, pair: tuple[str, str]) -> None:
        self.bindings = [each for each in self.bindings if each[:2] != pair]

    def _dissolve(self, group: str) -> None:
        self.bindings = [each for each in self.bindings if each[1] != group]
        self.group = {account: each for account, each in self.group.items() if each != group}

    def _resource(self, value: tuple[str, datetime, datetime | None]) -> None:
        self.resources[value[0]] = value[1:]

    def _now(self, start: datetime, end: datetime | None) -> bool:
        return start <= self.moment and (end is None or self.moment < end)

    def groups_of(self, resource: str) -> list[str]:
        return [
            group for name, group, start, end in self.bindings if name == resource and self._now(start, end)
        ]

    def valid(self, resource: str) -> bool:
        return resource in self.resources and self._now(*self.resources[resource])

    def reason(self, account: str, resource: str) -> str:
        if resource not in self.resources:
            return "unknown-resource"
        if not self.valid(resource):
            started = self.resources[resource][0] <= self.moment
            return "resource-ended" if started else "resource-not-started"
        if account == OWNER:
            return "owner"
        if account not in self.trustees:
            return "not-under-trusteeship"
        group = self.group.get(account)
        groups = self.groups_of(resource)
        if groups:
            return "shared-with-group" if group in groups else "reserved-for-another-group"
        if group and any(group in self.groups_of(each) and self.valid(each) for each in RESOURCES):
            return "confined-to-its-group"
        if RESOURCES[resource] not in self.shared:
            return "type-not-shared"
        accepts = (account, RESOURCES[resource]) in self.accepted
        return "shared-with-account" if accepts else "type-not-accepted"

    def accesses(self) -> set[tuple[str, str]]:
        pairs = ((account, resource) for account in ACCOUNTS for resource in RESOURCES)
        return {pair for pair in pairs if self.reason(*pair) in ALLOWED}


@dataclass
class History:
    """One history played on both sides, told in pieces as it goes on."""

    seed: int
    sharing: Sharing = field(default_factory=lambda: Sharing(OWNER, ()))
    reference: Reference = field(default_factory=Reference)
    told: Told = field(default_factory=lambda: Told(START))
    events: list[SharingChanged] = field(default_factory=list)
    refused: int = 0
    previews: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.now = START
        self.steps: list[Callable[[], tuple[Sharing, list[tuple[str, Any]]]]] = [
            self.trustee,
            self.trustee,
            self.no_trustee,
            self.share,
            self.accept,
            self.accept,
            self.join,
            self.join,
            self.leave,
            self.bind,
            self.bind,
            self.bind_exactly,
            self.unbind,
            self.dissolve,
            self.resource,
            self.resource,
        ]
        self.weights = [3] * len(self.steps)
        self.weights[self.steps.index(self.dissolve)] = 1
        self.weights[self.steps.index(self.no_trustee)] = 1

    def play(self, changes: int) -> None:
        while len({made_at for made_at, _, _ in self.reference.made}) < changes:
            self.now = max(self.now, self.told.until) + timedelta(minutes=self.random.randint(1, 90))
            step = self.random.choices(self.steps, self.weights)[0]
            try:
                sharing, made = step()
            except SharingError:
                self.refused += 1
                continue
            if not made:
                continue
            if self.random.random() < 0.05:
                self.compare_preview(sharing, made)
            self.sharing = sharing
            self.reference.made += [(self.now, *each) for each in made]
            if self.random.random() < 0.6:
                self.tell(self.random.choice([1, 5, 40]))
        self.now += timedelta(days=400)
        while self.told != Told(self.now):
            self.tell(40)

    def tell(self, events_max: int) -> None:
        telling = tell(self.sharing, self.told, self.now, events_max)
        assert len(telling.events) <= events_max
        self.events += telling.events
        self.told = telling.told

    def compare_preview(self, after: Sharing, made: list[tuple[str, Any]]) -> None:
        """What the preview says of this moment is what the reference sees come and go."""
        before = self.reference.at(self.now).accesses()
        settings = Reference([*self.reference.made, *((self.now, *each) for each in made)]).at(self.now)
        seen = preview(self.sharing, after, self.now, 10_000)
        assert (seen.gained, seen.lost) == (
            sum(each.gained for each in seen.listed),
            sum(not each.gained for each in seen.listed),
        )
        now = {(each.account, each.resource, each.gained) for each in seen.listed if each.at == self.now}
        assert now == {
            *((*pair, True) for pair in settings.accesses() - before),
            *((*pair, False) for pair in before - settings.accesses()),
        }
        self.previews += 1

    def account(self) -> str:
        return self.random.choice(ACCOUNTS)

    def types(self) -> set[str]:
        return {each for each in TYPES if self.random.random() < 0.6}

    def span(self) -> tuple[datetime, datetime | None]:
        start = self.now + timedelta(minutes=self.random.choice([0, 0, 7, 500]))
        return start, self.random.choice([None, start + timedelta(minutes=self.random.randint(1, 3000))])

    def trustee(self) -> tuple[Sharing, list[tuple[str, Any]]]:
        account = self.account()
        if account in self.reference.at(self.now).trustees:
            return self.sharing, []
        types = set(shared_now(self.sharing, self.now))
        after = begin_trusteeship(self.sharing, account, types, self.now)
        return after, [("trustee", (account, types))]

    def no_trustee(self) -> tuple[Sharing, list[tuple[str, Any]]]:
        account = self.account()
        return end_trusteeship(self.sharing, account, self.now), [("no_trustee", account)]

    def share(self) -> tuple[Sharing, list[tuple[str, Any]]]:
        types = self.types()
        return share_types(self.sharing, types, self.now), [("share", types)]

    def accept(self) -> tuple[Sharing, list[tuple[str, Any]]]:
        account, types = self.account(), self.types()
        return accept_types(self.sharing, [account], types, self.now), [("accept", (account, types))]

    def join(self) -> tuple[Sharing, list[tuple[str, Any]]]:
        account, group = self.account(), self.random.choice(GROUPS)
        return join_group(self.sharing, group, [account], self.now), [("join", (account, group))]

    def leave(self) -> tuple[Sharing, list[tuple[str, Any]]]:
        account, group = self.account(), self.random.choice(GROUPS)
        return leave_group(self.sharing, group, [account], self.now), [("leave", (account, group))]

    def bind(self) -> tuple[Sharing, list[tuple[str, Any]]]:
        resource, group = self.random.choice(list(RESOURCES)), self.random.choice(GROUPS)
        start, end = self.span()
        after = bind(self.sharing, [WantedBinding(resource, group, start, end)], self.now)
        return after, [("bind", (resource, group, start, end))]

    def bind_exactly(self) -> tuple[Sharing, list[tuple[str, Any]]]:
        resource = self.random.choice(list(RESOURCES))
        groups = [each for each in GROUPS if self.random.random() < 0.4]
        spans = {group: self.span() for group in groups}
        wanted = [WantedBinding(resource, group, *span) for group, span in spans.items()]
        after = bind_exactly(self.sharing, resource, wanted, self.now)
        made: list[tuple[str, Any]] = [("unbind", (resource, group)) for group in GROUPS]
        return after, [*made, *(("bind", (resource, group, *span)) for group, span in spans.items())]

    def unbind(self) -> tuple[Sharing, list[tuple[str, Any]]]:
        pair = self.random.choice(list(RESOURCES)), self.random.choice(GROUPS)
        return unbind(self.sharing, [pair], self.now), [("unbind", pair)]

    def dissolve(self) -> tuple[Sharing, list[tuple[str, Any]]]:
        group = self.random.choice(GROUPS)
        return dissolve_group(self.sharing, group, self.now), [("dissolve", group)]

    def resource(self) -> tuple[Sharing, list[tuple[str, Any]]]:
        name = self.random.choice(list(RESOURCES))
        start, end = self.span()
        start -= timedelta(minutes=self.random.choice([0, 600]))
        told = Resource(name, RESOURCES[name], OWNER, Span(self.now), Span(start, end))
        return tell_resource(self.sharing, told, self.now), [("resource", (name, start, end))]

    def moments(self) -> list[datetime]:
        """Every moment at which anything can differ, from the reference's own list."""
        moments = {made_at for made_at, _, _ in self.reference.made}
        for _, what, value in self.reference.made:
            if what in ("bind", "resource"):
                moments |= {each for each in value[-2:] if each is not None}
        return sorted(moment for moment in moments if START <= moment <= self.now)


@pytest.fixture(scope="module", params=range(HISTORIES))
def history(request: pytest.FixtureRequest) -> History:
    played = History(seed=request.param)
    played.play(CHANGES)
    return played


def test_decisions_views_and_events_agree_with_the_reference_at_every_moment(history: History) -> None:
    """And since and until of the details are where the reference's answer changes."""
    moments = history.moments()
    assert len(moments) > CHANGES
    assert history.previews > 5
    reasons: dict[tuple[str, str], list[str]] = {
        (account, resource): [] for account in [OWNER, *ACCOUNTS] for resource in RESOURCES
    }
    told = _told_by_moment(history.events, moments)
    for moment, in_use in zip(moments, told, strict=True):
        settings = history.reference.at(moment)
        for (account, resource), seen in reasons.items():
            seen.append(settings.reason(account, resource))
            assert can_use(history.sharing, account, resource, moment).reason == seen[-1]
        accesses = settings.accesses()
        assert standing_at(history.sharing, moment).accesses == accesses
        assert in_use == accesses
    for moment in random.Random(history.seed).sample(moments, 40):
        _compare_details(history, moment, moments, reasons)


def _told_by_moment(events: list[SharingChanged], moments: list[datetime]) -> Iterator[set[tuple[str, str]]]:
    """What the events say, folded up to each moment; each fold goes on from the one before."""
    ends = [bisect_right([event.effective_at for event in events], moment) for moment in moments]
    in_use: set[tuple[str, str]] = set()
    for begin, end in zip([0, *ends[:-1]], ends, strict=True):
        for event in events[begin:end]:
            access = (event.member_account, event.resource_id)
            assert (access in in_use) == (event.change == "lost")
            in_use ^= {access}
        yield set(in_use)


def _compare_details(
    history: History, at: datetime, moments: list[datetime], reasons: dict[tuple[str, str], list[str]]
) -> None:
    details = Details(history.sharing, at)
    assert details.accounts == [OWNER, *sorted(history.reference.at(at).trustees)]
    index = moments.index(at)
    for account in details.accounts:
        for row in details.of(account):
            seen = reasons[account, row.resource]
            first = next((i + 1 for i in range(index - 1, -1, -1) if seen[i] != row.reason), 0)
            last = next((i for i in range(index + 1, len(moments)) if seen[i] != row.reason), None)
            assert row.reason == seen[index]
            assert row.since == moments[first]
            assert row.until == (moments[last] if last is not None else None)


def test_the_events_come_in_the_order_of_their_moments_and_fold_to_the_view(history: History) -> None:
    moments = [event.effective_at for event in history.events]
    assert moments == sorted(moments)
    end = history.moments()[-1]
    assert fold(history.events, end) == standing_at(history.sharing, end).accesses
    assert {event.change for event in history.events} == {"gained", "lost"}
    for event in history.events:
        assert (event.reason in ALLOWED) == (event.change == "gained")
        decided = can_use(history.sharing, event.member_account, event.resource_id, event.effective_at)
        assert decided.reason == event.reason


def test_telling_all_at_once_after_downtime_tells_the_same(history: History) -> None:
    telling = tell(history.sharing, Told(START), history.now, 1_000_000)
    assert telling.events == history.events
    assert telling.told == Told(history.now)
