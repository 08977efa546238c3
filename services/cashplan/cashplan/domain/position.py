"""Cash position by day: today's balances of the enterprise's own accounts plus dated flows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, NamedTuple

from contracts.money import MINOR_UNITS_MAX

DAYS_MAX: Final = 366
DAYS_DEFAULT: Final = 31


class PositionError(ValueError):
    """Base of the reasons why a position cannot be told."""


class RangeTooLong(PositionError):
    """More days are asked for than a position shows."""

    def __init__(self, days: int) -> None:
        self.days = days
        super().__init__(f"the range has {days} days; a position shows at most {DAYS_MAX}")


class RangeReversed(PositionError):
    """The range ends before it begins."""

    def __init__(self, first_day: date, last_day: date) -> None:
        super().__init__(f"the range ends on {last_day}, before it begins on {first_day}")


class SumTooLarge(PositionError):
    """A sum is beyond what an amount can hold."""

    def __init__(self, day: date) -> None:
        self.day = day
        super().__init__(f"the sums of {day} are beyond the largest amount")


class Place(NamedTuple):
    """One cash position is told per entity and currency."""

    entity: str
    currency: str


@dataclass(frozen=True, slots=True)
class Flow:
    """What is due on one day, in minor units; both sides are zero or more."""

    due_date: date
    receipts_minor: int
    payments_minor: int


@dataclass(frozen=True, slots=True)
class AccountBalance:
    """A position account with its newest balance; both are absent when none was entered."""

    account_id: str
    bank: str
    minimum_minor: int
    balance_minor: int | None
    as_of: date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One day: closing = opening + receipts - payments; the overdue parts are included in both."""

    day: date
    opening_minor: int
    receipts_minor: int
    payments_minor: int
    overdue_receipts_minor: int
    overdue_payments_minor: int
    closing_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """The days asked for, the lowest closing balance, and the first days below zero and below the minimum.

    `gap_minor` is how far the lowest balance lies below the minimum, 0 when it does not. The overdue sums hold
    also for a range that begins later than today.
    """

    days: Sequence[Day]
    minimum_minor: int
    lowest_minor: int
    lowest_day: date
    overdue_receipts_minor: int
    overdue_payments_minor: int
    first_day_below_zero: date | None
    first_day_below_minimum: date | None
    gap_minor: int


@dataclass(frozen=True, slots=True)
class Range:
    """The days of a position, both included."""

    first_day: date
    last_day: date


def chosen_range(today: date, first_day: date | None, last_day: date | None) -> Range:
    """The range asked for; a position begins today at the earliest and shows 31 days unless told otherwise.

    Errors: RangeReversed, RangeTooLong.
    """
    begin = max(first_day or today, today)
    end = last_day or begin + timedelta(days=DAYS_DEFAULT - 1)
    days = (end - begin).days + 1
    if days < 1:
        raise RangeReversed(begin, end)
    if days > DAYS_MAX:
        raise RangeTooLong(days)
    return Range(begin, end)


def position_by_day(
    accounts: Sequence[AccountBalance], flows: Sequence[Flow], today: date, shown: Range
) -> Position:
    """Adds the flows to today's balances, day by day.

    What was due before today and is still open falls on today, marked as overdue. A range that begins later
    opens with everything that happens before it.

    Errors: SumTooLarge.
    """
    minimum = sum(account.minimum_minor for account in accounts)
    balance = sum(account.balance_minor or 0 for account in accounts)
    by_day = _by_day(flows, today)
    balance += sum(_net(day) for due, day in by_day.items() if due < shown.first_day)
    days: list[Day] = []
    for offset in range((shown.last_day - shown.first_day).days + 1):
        day = _day(shown.first_day + timedelta(days=offset), balance, by_day)
        balance = day.closing_minor
        days.append(day)
    return _summary(days, minimum, by_day.get(today, _DayFlows()))


@dataclass(slots=True)
class _DayFlows:
    receipts_minor: int = 0
    payments_minor: int = 0
    overdue_receipts_minor: int = 0
    overdue_payments_minor: int = 0


def _net(flows: _DayFlows) -> int:
    return flows.receipts_minor - flows.payments_minor


def _by_day(flows: Sequence[Flow], today: date) -> dict[date, _DayFlows]:
    by_day: dict[date, _DayFlows] = {}
    for flow in flows:
        day = by_day.setdefault(max(flow.due_date, today), _DayFlows())
        day.receipts_minor += flow.receipts_minor
        day.payments_minor += flow.payments_minor
        if flow.due_date < today:
            day.overdue_receipts_minor += flow.receipts_minor
            day.overdue_payments_minor += flow.payments_minor
    return by_day


def _day(day: date, opening_minor: int, by_day: dict[date, _DayFlows]) -> Day:
    flows = by_day.get(day, _DayFlows())
    closing_minor = opening_minor + _net(flows)
    if max(abs(closing_minor), flows.receipts_minor, flows.payments_minor) > MINOR_UNITS_MAX:
        raise SumTooLarge(day)
    return Day(
        day=day,
        opening_minor=opening_minor,
        receipts_minor=flows.receipts_minor,
        payments_minor=flows.payments_minor,
        overdue_receipts_minor=flows.overdue_receipts_minor,
        overdue_payments_minor=flows.overdue_payments_minor,
        closing_minor=closing_minor,
    )


def _summary(days: Sequence[Day], minimum_minor: int, flows_today: _DayFlows) -> Position:
    lowest = min(days, key=lambda day: (day.closing_minor, day.day))
    return Position(
        days=days,
        minimum_minor=minimum_minor,
        lowest_minor=lowest.closing_minor,
        lowest_day=lowest.day,
        overdue_receipts_minor=flows_today.overdue_receipts_minor,
        overdue_payments_minor=flows_today.overdue_payments_minor,
        first_day_below_zero=_first_day_below(days, 0),
        first_day_below_minimum=_first_day_below(days, minimum_minor),
        gap_minor=max(0, minimum_minor - lowest.closing_minor),
    )


def _first_day_below(days: Sequence[Day], floor_minor: int) -> date | None:
    return next((day.day for day in days if day.closing_minor < floor_minor), None)
