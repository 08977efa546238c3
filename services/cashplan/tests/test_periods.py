"""Periods: every day belongs to exactly one leaf, for all nine kinds, over 30 years."""

import itertools
from datetime import date, timedelta

import pytest
from cashplan.domain.periods import (
    KINDS,
    ONE_DAY,
    HorizonTooLong,
    NotAPeriod,
    PeriodKind,
    PeriodScheme,
    Rolling,
    RollingBy,
    WeekRule,
    horizon,
    references,
)
from hypothesis import given, settings
from hypothesis import strategies as st

FIRST, LAST = date(2010, 1, 1), date(2039, 12, 31)
WEEK_RULES: tuple[WeekRule, ...] = ("cut", "first-day", "majority")
SCHEMES = [PeriodScheme(kind, "cut") for kind in KINDS] + [
    PeriodScheme("month-with-weeks", rule) for rule in WEEK_RULES[1:]
]
named = pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: f"{scheme.kind}/{scheme.week_rule}")


@named
def test_every_day_of_thirty_years_lies_in_one_leaf_and_one_head(scheme: PeriodScheme) -> None:
    day = FIRST
    head = scheme.head(day)
    codes: set[str] = set()
    while day <= LAST:
        leaves = scheme.leaves(head)
        assert leaves[0].first_day == head.first_day
        assert leaves[-1].last_day == head.last_day
        for before, after in itertools.pairwise(leaves):
            assert before.last_day + ONE_DAY == after.first_day
        for leaf in leaves:
            assert leaf.code not in codes
            codes.add(leaf.code)
            for offset in range(leaf.days):
                each = leaf.first_day + timedelta(days=offset)
                assert scheme.leaf(each) == leaf
                assert scheme.head(each) == head
        following = scheme.following(head)
        assert following.first_day == head.last_day + ONE_DAY
        assert scheme.preceding(following) == head
        day, head = following.first_day, following


def codes(scheme: PeriodScheme, day: date) -> list[str]:
    return [leaf.code for leaf in scheme.leaves(scheme.head(day))]


@pytest.mark.parametrize(
    ("kind", "day", "expected"),
    [
        ("month", date(2026, 2, 10), ["2026-02"]),
        ("ten-day", date(2026, 2, 10), ["2026-02-T1"]),
        ("ten-day", date(2026, 2, 11), ["2026-02-T2"]),
        ("month-with-ten-days", date(2028, 2, 29), ["2028-02-T1", "2028-02-T2", "2028-02-T3"]),
        ("week", date(2027, 1, 1), ["2026-W53"]),
        ("day", date(2026, 3, 10), ["2026-03-10"]),
    ],
)
def test_codes(kind: PeriodKind, day: date, expected: list[str]) -> None:
    assert codes(PeriodScheme(kind), day) == expected


@pytest.mark.parametrize(("year", "days"), [(2026, 8), (2028, 9)])
def test_the_last_ten_days_of_february_have_eight_or_nine(year: int, days: int) -> None:
    assert PeriodScheme("ten-day").leaf(date(year, 2, 25)).days == days


@pytest.mark.parametrize(
    ("rule", "first_day", "last_day", "weeks"),
    [
        ("cut", date(2026, 4, 1), date(2026, 4, 30), 5),
        ("first-day", date(2026, 4, 6), date(2026, 5, 3), 4),
        ("majority", date(2026, 3, 30), date(2026, 5, 3), 5),
    ],
)
def test_a_week_that_crosses_the_end_of_a_month(
    rule: WeekRule, first_day: date, last_day: date, weeks: int
) -> None:
    """April 2026 begins on a Wednesday: its first week has 5 of 7 days in April."""
    april = PeriodScheme("month-with-weeks", rule).head(date(2026, 4, 15))
    assert (april.code, april.first_day, april.last_day) == ("2026-04", first_day, last_day)
    assert len(PeriodScheme("month-with-weeks", rule).leaves(april)) == weeks


def rolled(kind: PeriodKind, first: date, by: RollingBy, length: int, fine: int = 1) -> list[str]:
    scheme = PeriodScheme(kind)
    columns = horizon(scheme, Rolling(by, length, fine), scheme.head_beginning(first))
    return [column.period.code for column in columns]


def test_rolling_by_month_crosses_the_year_end() -> None:
    assert rolled("month", date(2026, 11, 1), "month", 3) == ["2026-11", "2026-12", "2027-01"]


def test_rolling_by_month_from_a_week_shows_the_rest_of_the_month_first() -> None:
    assert rolled("week", date(2026, 3, 9), "month", 2) == ["2026-W11", "2026-03-16..2026-03-31", "2026-04"]


def test_rolling_by_quarter_shows_the_rest_of_the_quarter_first() -> None:
    assert rolled("month", date(2026, 2, 1), "quarter", 2) == ["2026-02", "2026-03-01..2026-03-31", "2026-Q2"]


def test_mixed_rolling_is_fine_near_and_coarse_far() -> None:
    assert rolled("month", date(2026, 10, 1), "mixed", 3, fine=2) == [
        "2026-10",
        "2026-11",
        "2026-12",
        "2027-Q1",
        "2027-Q2",
    ]


def test_a_year_ahead_is_the_most() -> None:
    assert len(rolled("month", date(2026, 3, 1), "month", 12)) == 12
    with pytest.raises(HorizonTooLong):
        rolled("month", date(2026, 3, 1), "month", 14)


def test_a_round_begins_where_a_period_begins() -> None:
    with pytest.raises(NotAPeriod, match="begins on 2026-03-09"):
        PeriodScheme("week").head_beginning(date(2026, 3, 10))


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(SCHEMES),
    st.dates(FIRST, LAST),
    st.sampled_from(["none", "period", "month", "quarter", "mixed"]),
    st.integers(1, 4),
    st.integers(1, 4),
)
def test_columns_follow_one_another_without_gap_or_overlap(
    scheme: PeriodScheme, day: date, by: RollingBy, length: int, fine: int
) -> None:
    binding = scheme.head(day)
    columns = horizon(scheme, Rolling(by, length, fine), binding)
    assert columns[0].period.first_day == binding.first_day
    for before, after in itertools.pairwise(columns):
        assert before.period.last_day + ONE_DAY == after.period.first_day
    assert {column.head for column in columns if column.is_binding} == {binding.code}
    assert len({column.period.code for column in columns}) == len(columns)


def test_references_are_the_same_period_and_the_newest_shows_the_one_before() -> None:
    scheme = PeriodScheme("month")
    earlier = horizon(scheme, Rolling("month", 3), scheme.head(date(2026, 1, 1)))
    columns = horizon(scheme, Rolling("month", 3), scheme.head(date(2026, 2, 1)))
    assert references(columns, earlier) == {"2026-02": "2026-02", "2026-03": "2026-03", "2026-04": "2026-03"}
    plain = horizon(scheme, Rolling(), scheme.head(date(2026, 2, 1)))
    assert references(plain, earlier[:1]) == {"2026-02": "2026-01"}
    assert references(plain, ()) == {"2026-02": None}
