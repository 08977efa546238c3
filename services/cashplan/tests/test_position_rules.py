"""The cash position by day, with worked numbers and against a brute-force reference."""

from datetime import UTC, date, datetime, timedelta

import pytest
from cashplan.domain.organisations import Organisation, local_date, newest
from cashplan.domain.position import (
    AccountBalance,
    Day,
    Flow,
    Position,
    Range,
    RangeReversed,
    RangeTooLong,
    SumTooLarge,
    chosen_range,
    position_by_day,
)
from hypothesis import given
from hypothesis import strategies as st

TODAY = date(2026, 3, 10)


def account(balance_minor: int | None, minimum_minor: int = 0) -> AccountBalance:
    return AccountBalance(
        "BANK-1", "ICBC", minimum_minor, balance_minor, None if balance_minor is None else TODAY
    )


def march(day: int) -> date:
    return date(2026, 3, day)


def test_balances_and_flows_make_the_position() -> None:
    """Balance 100, 30 to stay; 40 overdue, 10 due on the 12th, 130 to pay on the 13th, 50 due on the 14th."""
    flows = [
        Flow(march(1), 40_00, 0),
        Flow(march(12), 10_00, 0),
        Flow(march(13), 0, 130_00),
        Flow(march(14), 50_00, 0),
    ]
    position = position_by_day([account(100_00, 30_00)], flows, TODAY, Range(TODAY, march(14)))
    assert [day.closing_minor for day in position.days] == [140_00, 140_00, 150_00, 20_00, 70_00]
    assert position.days[0].overdue_receipts_minor == 40_00
    assert (position.lowest_minor, position.lowest_day) == (20_00, march(13))
    assert position.first_day_below_zero is None
    assert position.first_day_below_minimum == march(13)
    assert position.gap_minor == 10_00


def test_the_first_day_below_zero_and_the_whole_gap_are_told() -> None:
    flows = [Flow(march(11), 0, 20_00), Flow(march(12), 0, 50_00), Flow(march(13), 100_00, 0)]
    position = position_by_day([account(10_00)], flows, TODAY, Range(TODAY, march(13)))
    assert position.first_day_below_zero == position.first_day_below_minimum == march(11)
    assert (position.lowest_minor, position.lowest_day, position.gap_minor) == (-60_00, march(12), 60_00)


def test_an_account_without_a_balance_counts_as_nothing() -> None:
    position = position_by_day([account(None), account(5)], [], TODAY, Range(TODAY, TODAY))
    assert position.days[0].closing_minor == 5


def test_a_later_range_opens_with_what_happens_before_it() -> None:
    flows = [Flow(march(1), 1, 0), Flow(march(11), 20, 0), Flow(march(12), 300, 0)]
    position = position_by_day([account(4_000)], flows, TODAY, Range(march(12), march(12)))
    assert position.days == [
        Day(
            day=march(12),
            opening_minor=4_021,
            receipts_minor=300,
            payments_minor=0,
            overdue_receipts_minor=0,
            overdue_payments_minor=0,
            closing_minor=4_321,
        )
    ]


def test_sums_beyond_the_largest_amount_are_refused() -> None:
    flows = [Flow(TODAY, 2**62, 0), Flow(march(1), 2**62, 0)]
    with pytest.raises(SumTooLarge):
        position_by_day([], flows, TODAY, Range(TODAY, TODAY))


@pytest.mark.parametrize(
    ("first_day", "last_day", "expected"),
    [
        (None, None, Range(TODAY, march(10) + timedelta(days=30))),
        (None, march(10), Range(TODAY, march(10))),
        (march(1), march(12), Range(TODAY, march(12))),
        (march(12), march(12), Range(march(12), march(12))),
        (TODAY, TODAY + timedelta(days=365), Range(TODAY, TODAY + timedelta(days=365))),
    ],
)
def test_a_range_begins_today_at_the_earliest(
    first_day: date | None, last_day: date | None, expected: Range
) -> None:
    assert chosen_range(TODAY, first_day, last_day) == expected


def test_a_range_of_more_than_366_days_is_refused() -> None:
    with pytest.raises(RangeTooLong) as refused:
        chosen_range(TODAY, None, TODAY + timedelta(days=366))
    assert refused.value.days == 367


@pytest.mark.parametrize(("first_day", "last_day"), [(march(12), march(11)), (None, march(9))])
def test_a_range_that_ends_before_it_begins_is_refused(first_day: date | None, last_day: date) -> None:
    with pytest.raises(RangeReversed):
        chosen_range(TODAY, first_day, last_day)


def days_near_today() -> st.SearchStrategy[date]:
    return st.integers(-40, 60).map(lambda days: TODAY + timedelta(days=days))


FLOWS = st.lists(
    st.builds(Flow, days_near_today(), st.integers(0, 10**6), st.integers(0, 10**6)), max_size=30
)
ACCOUNTS = st.lists(
    st.builds(account, st.none() | st.integers(-(10**6), 10**6), st.integers(0, 10**5)), max_size=4
)


@given(ACCOUNTS, FLOWS, st.integers(0, 20), st.integers(0, 40))
def test_the_position_equals_a_sum_over_everything_due_by_each_day(
    accounts: list[AccountBalance], flows: list[Flow], begins_in: int, length: int
) -> None:
    first_day = TODAY + timedelta(days=begins_in)
    shown = Range(first_day, first_day + timedelta(days=length))
    position = position_by_day(accounts, flows, TODAY, shown)
    balance = sum(each.balance_minor or 0 for each in accounts)
    expected = [
        balance + sum(flow.receipts_minor - flow.payments_minor for flow in flows if flow.due_date <= day.day)
        for day in position.days
    ]
    assert [day.closing_minor for day in position.days] == expected
    assert len(position.days) == length + 1
    _assert_summary(position, sum(each.minimum_minor for each in accounts), expected)


def _assert_summary(position: Position, minimum: int, closings: list[int]) -> None:
    first_day = position.days[0].day
    assert position.lowest_minor == min(closings)
    assert position.lowest_day == first_day + timedelta(days=closings.index(min(closings)))
    assert position.gap_minor == max(0, minimum - min(closings))
    below = [first_day + timedelta(days=at) for at, closing in enumerate(closings) if closing < minimum]
    assert position.first_day_below_minimum == (below[0] if below else None)


def test_today_is_local_to_the_entity() -> None:
    moment = datetime(2026, 3, 10, 17, 0, tzinfo=UTC)
    assert local_date(moment, "Asia/Shanghai") == march(11)
    assert local_date(moment, "America/New_York") == march(10)


def test_the_newest_organisation_counts() -> None:
    def told(organisation_id: str, version: int, name: str) -> Organisation:
        return Organisation(
            organisation_id=organisation_id, version=version, name=name, time_zone="UTC", active=True
        )

    found = newest(
        [told("B", 1, "first"), told("A", 3, "third"), told("A", 2, "second"), told("B", 1, "again")]
    )
    assert [(each.organisation_id, each.name) for each in found] == [("A", "third"), ("B", "first")]
