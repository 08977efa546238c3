"""Temporary credit and members' limits, as pure rules with worked numbers."""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from credit.domain import members
from credit.domain.members import Enterprise, Member, MemberKey, Wish
from credit.domain.temporary import Temporary, TemporaryCredit, temporary_in_force
from hypothesis import given
from hypothesis import strategies as some

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
KEY = MemberKey("A-2", "CNY")
SUMMER = TemporaryCredit(2_000, date(2026, 6, 1), date(2026, 8, 31), "add")
FAIR = TemporaryCredit(15_000, date(2026, 7, 1), date(2026, 7, 10), "replace")


@pytest.mark.parametrize(
    ("today", "limit"),
    [
        (date(2026, 5, 31), 10_000),
        (date(2026, 6, 1), 12_000),
        (date(2026, 7, 1), 17_000),
        (date(2026, 7, 10), 17_000),
        (date(2026, 7, 11), 12_000),
        (date(2026, 8, 31), 12_000),
        (date(2026, 9, 1), 10_000),
    ],
)
def test_temporary_credit_adds_or_replaces_from_its_first_day_to_its_last(today: date, limit: int) -> None:
    assert temporary_in_force([SUMMER, FAIR], today).limit(10_000) == limit


def test_of_several_that_replace_the_one_that_began_last_holds() -> None:
    later = replace(FAIR, amount=5_000, valid_from=date(2026, 7, 5))
    assert temporary_in_force([later, FAIR], date(2026, 7, 6)) == Temporary(0, 5_000)
    assert temporary_in_force([later, FAIR], date(2026, 7, 4)) == Temporary(0, 15_000)


def enterprise(limit: int = 1_000, committed: int = 0, mode: Any = "member-limits") -> Enterprise:
    return Enterprise("M-1", "CNY", mode, limit, committed)


def planned(enterprise: Enterprise, member: Member, operation: Any, amount: int) -> members.Change | None:
    wish = Wish(operation, amount, None, "P-1")
    return members.planned(enterprise, member, wish, "R-1", NOW)


def test_the_rise_is_compared_with_what_is_free() -> None:
    member = Member(KEY, "M-1", own=300, allocated=100)
    passes = planned(enterprise(1_000, 900), member, "set", 400)
    assert passes is not None
    assert (passes.result, passes.limit, passes.limit_version) == ("succeeded", 500, 1)
    with pytest.raises(
        members.BeyondFreeCredit, match=r"1\.00 CNY of the enterprise's credit are free"
    ) as error:
        planned(enterprise(1_000, 900), member, "allocate", 101)
    assert error.value.free == 100


def test_at_most_what_was_allocated_is_reclaimed() -> None:
    member = Member(KEY, "M-1", own=300, allocated=100)
    with pytest.raises(members.BeyondAllocated, match="CNY were allocated"):
        planned(enterprise(), member, "reclaim", 101)
    lowering = planned(enterprise(), member, "reclaim", 100)
    assert lowering is not None
    assert (lowering.result, lowering.own, lowering.allocated) == ("pending", 300, 0)


def test_a_lowering_waits_frees_nothing_and_is_taken_over_from_the_answer() -> None:
    member = Member(KEY, "M-1", own=300, limit_version=4)
    change = planned(enterprise(), member, "set", 200)
    assert change is not None
    waiting = members.changed(member, change)
    assert (waiting.limit, waiting.pending, waiting.limit_version) == (300, 5, 5)
    with pytest.raises(members.ChangePending, match="Change 5"):
        planned(enterprise(), waiting, "set", 250)
    lowered, done = members.answered(waiting, change, accepted=True)
    assert (lowered.limit, lowered.pending, done.result) == (200, None, "succeeded")
    kept, refused = members.answered(waiting, change, accepted=False)
    assert (kept.limit, kept.pending, refused.result) == (300, None, "refused")


def test_the_same_limit_again_changes_nothing() -> None:
    assert planned(enterprise(), Member(KEY, "M-1", own=300), "set", 300) is None


@pytest.mark.parametrize(("mode", "account"), [("entity", "A-2"), ("member-limits", "M-1")])
def test_credit_is_given_by_members_or_by_one_line_never_both(mode: Any, account: str) -> None:
    with pytest.raises(members.WrongMode):
        planned(enterprise(mode=mode), Member(MemberKey(account, "CNY"), "M-1"), "set", 1)


@given(some.lists(some.tuples(some.sampled_from("sari"), some.integers(0, 3), some.integers(0, 700))))
def test_members_never_have_more_than_the_enterprise_whatever_is_asked(steps: list[Any]) -> None:
    """Random wishes and answers on four members: the sum stays within 1,000, versions have no gap."""
    found = [Member(MemberKey(f"A-{place}", "CNY"), "M-1") for place in range(4)]
    under_way: dict[int, members.Change] = {}
    names = {"s": "set", "a": "allocate", "r": "reclaim"}
    for step, place, amount in steps:
        committed = sum(member.limit for member in found)
        before = found[place]
        if step == "i":
            if place in under_way:
                found[place], _ = members.answered(before, under_way.pop(place), amount % 2 == 0)
            continue
        try:
            change = planned(enterprise(1_000, committed), before, names[step], amount)
        except members.MembersError:
            continue
        if change is not None:
            found[place] = members.changed(before, change)
            assert found[place].limit_version == before.limit_version + 1
            if change.result == "pending":
                under_way[place] = change
        assert sum(member.limit for member in found) <= 1_000
        assert all(member.own >= 0 and member.allocated >= 0 for member in found)
