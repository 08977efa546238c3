"""The example of the seed (000, Example of management account resource sharing), whole: who may use what, and why."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta

import pytest
from sharing.domain.changes import (
    accept_types,
    begin_trusteeship,
    bind,
    end_trusteeship,
    join_group,
    leave_group,
    share_types,
    unbind,
)
from sharing.domain.dated import Fact, Resource, Span, Trusteeship, WantedBinding
from sharing.domain.decision import can_use
from sharing.domain.sharing import Sharing

NOW = datetime(2026, 3, 10, 8, tzinfo=UTC)
RI, SCU = "reserved-instance", "storage-capacity-unit"
M, MEMBERS = "M", ["sub1", "sub2", "sub3", "sub4", "sub5"]
ACCOUNTS = [M, *MEMBERS]
OWNERS = {
    "RI1": M,
    "RI2": M,
    "RI3": M,
    "RI4": M,
    "RI5": "sub1",
    "RI6": "sub1",
    "RI7": "sub2",
}

SHORT = {
    "owner": "own",
    "shared-with-group": "group",
    "shared-with-account": "type",
    "owned-by-another-member": "other's",
    "reserved-for-another-group": "reserved",
    "confined-to-its-group": "confined",
    "type-not-shared": "unshared",
    "type-not-accepted": "unaccepted",
}
"""What the tables below say for each reason; `own`, `group` and `type` may use it."""


def resource(name: str, owner: str = M, resource_type: str = RI) -> Resource:
    valid = Span(datetime(2026, 1, 1, tzinfo=UTC))
    return Resource(name, resource_type, owner, Span(valid.start), valid)


def owned(owner: str, *resources: Resource) -> Sharing:
    return Sharing(owner, resources)


def later(minutes: int) -> datetime:
    return NOW + timedelta(minutes=minutes)


@pytest.fixture
def start() -> Sharing:
    """Five trustees; nothing is shared and nothing accepted."""
    sharing = owned(M, *(resource(name) for name, owner in OWNERS.items() if owner == M))
    for member in MEMBERS:
        sharing = begin_trusteeship(sharing, member, (), NOW)
    return sharing


def members_own(sharing: Sharing) -> dict[str, Sharing]:
    """What each member owns, seen by who asks for it: the members share nothing."""
    by_owner: dict[str, Sharing] = {M: sharing}
    for member in MEMBERS:
        own = [resource(name, member) for name, owner in OWNERS.items() if owner == member]
        over = [fact for fact in sharing.facts if isinstance(fact, Trusteeship) and fact.account == member]
        by_owner[member] = Sharing(member, own, over)
    return by_owner


def table(sharing: Sharing, at: datetime) -> list[str]:
    """Every account's answer for every resource."""
    worlds = members_own(sharing)
    lines = [" " * 6 + "".join(f"{name:<11}" for name in OWNERS)]
    for account in ACCOUNTS:
        decisions = (can_use(worlds[owner], account, name, at) for name, owner in OWNERS.items())
        lines.append(f"{account:<6}" + "".join(f"{SHORT[decision.reason]:<11}" for decision in decisions))
    return [line.strip() for line in lines]


def drawn(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines()]


def usable(sharing: Sharing, at: datetime) -> dict[str, list[str]]:
    worlds = members_own(sharing)
    return {
        account: [name for name, owner in OWNERS.items() if can_use(worlds[owner], account, name, at).allowed]
        for account in ACCOUNTS
    }


def divided(sharing: Sharing, at: datetime) -> Sharing:
    """Groups and what is shared with them, as both later configurations of the example have it."""
    sharing = join_group(sharing, "Group1", ["sub1", "sub3"], at)
    sharing = join_group(sharing, "Group2", ["sub2", "sub4"], at)
    return bind(
        sharing,
        [WantedBinding("RI1", "Group1"), WantedBinding("RI1", "Group2"), WantedBinding("RI2", "Group2")],
        at,
    )


def test_by_default_nothing_is_shared_and_nothing_accepted(start: Sharing) -> None:
    assert usable(start, NOW) == {
        "M": ["RI1", "RI2", "RI3", "RI4"],
        "sub1": ["RI5", "RI6"],
        "sub2": ["RI7"],
        "sub3": [],
        "sub4": [],
        "sub5": [],
    }


def test_shared_by_account_only(start: Sharing) -> None:
    at = later(1)
    sharing = accept_types(share_types(start, [RI], at), ["sub1", "sub4"], [RI], at)
    assert table(sharing, at) == drawn(
        """
              RI1        RI2        RI3        RI4        RI5        RI6        RI7
        M     own        own        own        own        other's    other's    other's
        sub1  type       type       type       type       own        own        other's
        sub2  unaccepted unaccepted unaccepted unaccepted other's    other's    own
        sub3  unaccepted unaccepted unaccepted unaccepted other's    other's    other's
        sub4  type       type       type       type       other's    other's    other's
        sub5  unaccepted unaccepted unaccepted unaccepted other's    other's    other's
        """
    )


def test_shared_by_resource_only(start: Sharing) -> None:
    at = later(1)
    assert table(divided(start, at), at) == drawn(
        """
              RI1        RI2        RI3        RI4        RI5        RI6        RI7
        M     own        own        own        own        other's    other's    other's
        sub1  group      reserved   confined   confined   own        own        other's
        sub2  group      group      confined   confined   other's    other's    own
        sub3  group      reserved   confined   confined   other's    other's    other's
        sub4  group      group      confined   confined   other's    other's    other's
        sub5  reserved   reserved   unshared   unshared   other's    other's    other's
        """
    )


def test_shared_by_account_and_resource(start: Sharing) -> None:
    at = later(1)
    sharing = accept_types(share_types(divided(start, at), [RI], at), ["sub1", "sub5"], [RI], at)
    assert table(sharing, at) == drawn(
        """
              RI1        RI2        RI3        RI4        RI5        RI6        RI7
        M     own        own        own        own        other's    other's    other's
        sub1  group      reserved   confined   confined   own        own        other's
        sub2  group      group      confined   confined   other's    other's    own
        sub3  group      reserved   confined   confined   other's    other's    other's
        sub4  group      group      confined   confined   other's    other's    other's
        sub5  reserved   reserved   type       type       other's    other's    other's
        """
    )


def test_a_resource_unbound_is_for_all_and_bound_for_its_group_alone() -> None:
    sharing = owned(M, resource("R1"))
    for member in MEMBERS[:4]:
        sharing = begin_trusteeship(sharing, member, [RI], NOW)
    sharing = share_types(sharing, [RI], NOW)
    sharing = join_group(sharing, "UserGroup1", ["sub1", "sub2"], later(1))
    assert users(sharing, "R1", later(1)) == ["sub1", "sub2", "sub3", "sub4"]
    bound = bind(sharing, [WantedBinding("R1", "UserGroup1")], later(2))
    assert users(bound, "R1", later(1)) == ["sub1", "sub2", "sub3", "sub4"]
    assert users(bound, "R1", later(2)) == ["sub1", "sub2"]
    assert can_use(bound, "sub3", "R1", later(2)).reason == "reserved-for-another-group"
    freed = unbind(bound, [("R1", "UserGroup1")], later(3))
    assert users(freed, "R1", later(3)) == ["sub1", "sub2", "sub3", "sub4"]


def users(sharing: Sharing, resource: str, at: datetime) -> list[str]:
    return [member for member in MEMBERS if can_use(sharing, member, resource, at).allowed]


def test_a_group_is_confined_until_its_last_resource_ends() -> None:
    new_year = datetime.fromisoformat("2027-01-01T00:00:00+08:00")
    february = datetime.fromisoformat("2027-02-01T00:00:00+08:00")
    second = timedelta(seconds=1)
    sharing = owned(M, resource("RI9"), resource("SCU1", resource_type=SCU))
    sharing = share_types(sharing, [RI], NOW)
    for member in ("S1", "S2"):
        sharing = begin_trusteeship(sharing, member, [RI], NOW)
    sharing = join_group(sharing, "G", ["S1"], NOW)
    sharing = bind(sharing, [WantedBinding("SCU1", "G", end=new_year)], NOW)

    def answers(sharing: Sharing, at: datetime) -> list[str]:
        return [can_use(sharing, member, "RI9", at).reason for member in ("S1", "S2")]

    assert answers(sharing, new_year - second) == ["confined-to-its-group", "shared-with-account"]
    assert answers(sharing, new_year) == ["shared-with-account", "shared-with-account"]
    bound = bind(sharing, [WantedBinding("RI9", "G", start=february)], later(1))
    assert answers(bound, february - second) == ["shared-with-account", "shared-with-account"]
    assert answers(bound, february) == ["shared-with-group", "reserved-for-another-group"]


def test_a_group_whose_resources_have_all_ended_counts_as_having_none() -> None:
    ends = later(60)
    ending = Resource("RI1", RI, M, Span(NOW), Span(NOW, ends))
    sharing = share_types(owned(M, ending, resource("RI2")), [RI], NOW)
    sharing = join_group(begin_trusteeship(sharing, "sub1", [RI], NOW), "G", ["sub1"], NOW)
    sharing = bind(sharing, [WantedBinding("RI1", "G")], NOW)
    assert can_use(sharing, "sub1", "RI2", later(59)).reason == "confined-to-its-group"
    assert can_use(sharing, "sub1", "RI2", ends).reason == "shared-with-account"
    assert can_use(sharing, "sub1", "RI1", ends).reason == "resource-ended"


def test_joining_gives_access_from_the_later_of_joining_and_the_start_and_leaving_takes_it(
    start: Sharing,
) -> None:
    sharing = bind(start, [WantedBinding("RI1", "G", start=later(10), end=later(50))], later(1))
    sharing = join_group(sharing, "G", ["sub1"], later(2))
    sharing = join_group(sharing, "G", ["sub2"], later(20))
    sharing = leave_group(sharing, "G", ["sub1"], later(30))

    def times(account: str) -> list[int]:
        return [minute for minute in range(60) if can_use(sharing, account, "RI1", later(minute)).allowed]

    assert times("sub1") == list(range(10, 30))
    assert times("sub2") == list(range(20, 50))


def test_ending_trusteeship_stops_use_at_that_instant_and_a_later_one_starts_afresh(start: Sharing) -> None:
    sharing = share_types(divided(start, later(1)), [RI], later(1))
    sharing = accept_types(sharing, ["sub1", "sub5"], [RI], later(1))
    ended = later(5)
    for member in ("sub1", "sub5"):
        sharing = end_trusteeship(sharing, member, ended)
    just_before = ended - timedelta(microseconds=1)
    assert can_use(sharing, "sub1", "RI1", just_before).reason == "shared-with-group"
    assert can_use(sharing, "sub5", "RI3", just_before).reason == "shared-with-account"
    assert can_use(sharing, "sub1", "RI1", ended).reason == "not-under-trusteeship"
    again = begin_trusteeship(begin_trusteeship(sharing, "sub1", (), later(9)), "sub5", (), later(9))
    assert can_use(again, "sub1", "RI1", later(9)).reason == "reserved-for-another-group"
    assert can_use(again, "sub5", "RI3", later(9)).reason == "type-not-accepted"


def test_new_trustees_accept_what_is_shared_then_and_the_others_keep_what_they_have() -> None:
    sharing = share_types(owned(M, resource("RI1")), [RI], NOW)
    sharing = begin_trusteeship(sharing, "sub1", [RI], NOW)
    sharing = share_types(sharing, [RI, SCU], later(1))
    sharing = begin_trusteeship(sharing, "sub2", [RI, SCU], later(2))
    held = {key for key, facts in sharing.accepted_types.items() if facts}
    assert held == {("sub1", RI), ("sub2", RI), ("sub2", SCU)}


REASONS: Mapping[str, Callable[[Sharing], Iterable[Fact]]] = {
    "type-not-shared": lambda sharing: (),
    "type-not-accepted": lambda sharing: sharing.shared_types[RI],
}


@pytest.mark.parametrize("reason", REASONS)
def test_a_decision_names_the_settings_that_led_to_it(start: Sharing, reason: str) -> None:
    sharing = share_types(start, [RI], NOW) if reason == "type-not-accepted" else start
    decision = can_use(sharing, "sub1", "RI1", NOW)
    assert decision.reason == reason
    assert list(decision.because) == list(REASONS[reason](sharing))


def test_a_shared_resource_names_trusteeship_group_and_binding(start: Sharing) -> None:
    decision = can_use(divided(start, later(1)), "sub3", "RI1", later(1))
    kinds = [type(fact).__name__ for fact in decision.because]
    assert kinds == ["Trusteeship", "Membership", "Binding"]
