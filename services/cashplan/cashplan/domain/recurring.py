"""Recurring items: fixed amounts on fixed days, such as the rent on the 5th, shifted off holidays."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Annotated, Final, Literal

from contracts.bounds import at_most, between
from contracts.money import Amount
from contracts.text import Code, Id, Name
from contracts.times import CalendarDate

from cashplan.domain.mappings import STRICT
from cashplan.domain.periods import ONE_DAY

SHIFT_DAYS_MAX: Final = 31
OCCURRENCES_MAX: Final = 1_500

IsWorkingDay = Callable[[date], bool]


class NoWorkingDay(ValueError):
    """A calendar without a working day within a month."""

    def __init__(self, day: date) -> None:
        super().__init__(f"the calendar has no working day within {SHIFT_DAYS_MAX} days of {day}")


@dataclass(frozen=True, kw_only=True)
class Calendar:
    """Own working days over a base: extra holidays and extra working days, such as make-up Saturdays."""

    __pydantic_config__ = STRICT
    id: Code
    name: Name
    base: Literal["china", "weekdays", "every-day"] = "china"
    holidays: Annotated[list[CalendarDate], at_most(2_000)] = field(default_factory=list)
    working_days: Annotated[list[CalendarDate], at_most(2_000)] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class RecurringItem:
    """Pays or receives `amount` every month, quarter, year or week on `day` until the end date.

    `day` is a day of the month (31 is the last one of a shorter month), or 1 to 7 from Monday for `week`.
    """

    __pydantic_config__ = STRICT
    entity: Id
    direction: Literal["in", "out"]
    item: Id | None = None
    counterparty: Id | None = None
    purpose: Name
    amount: Amount
    every: Literal["week", "month", "quarter", "year"] = "month"
    day: Annotated[int, between(1, 31)]
    starts_on: CalendarDate
    ends_on: CalendarDate | None = None
    shift: Literal["none", "before", "after"] = "after"
    calendar: Code = "china"
    active: bool = True


def working_day_of(calendar: Calendar, is_chinese_working_day: IsWorkingDay) -> IsWorkingDay:
    """Whether a day is a working one of a calendar."""
    holidays, working = frozenset(calendar.holidays), frozenset(calendar.working_days)
    bases: Mapping[str, IsWorkingDay] = {
        "china": is_chinese_working_day,
        "weekdays": lambda day: day.weekday() < 5,
        "every-day": lambda day: True,
    }
    base = bases[calendar.base]
    return lambda day: day in working or (day not in holidays and base(day))


def occurrences(
    item: RecurringItem, first_day: date, last_day: date, works: IsWorkingDay
) -> dict[date, date]:
    """The days on which an item falls in a range, by the day that its rule names. Errors: NoWorkingDay."""
    last = min(last_day, item.ends_on) if item.ends_on else last_day
    nominal = _nominal_days(item, max(first_day, item.starts_on), last)
    return {day: shifted(day, item.shift, works) for day in nominal}


def _nominal_days(item: RecurringItem, first_day: date, last_day: date) -> Iterator[date]:
    for number, day in enumerate(_all_days(item)):
        if day > last_day or number >= OCCURRENCES_MAX:
            return
        if day >= first_day:
            yield day


def _all_days(item: RecurringItem) -> Iterator[date]:
    if item.every == "week":
        day = item.starts_on + timedelta(days=(min(item.day, 7) - 1 - item.starts_on.weekday()) % 7)
        while True:
            yield day
            day += timedelta(days=7)
    step = {"month": 1, "quarter": 3, "year": 12}[item.every]
    month = item.starts_on.year * 12 + item.starts_on.month - 1
    while True:
        yield _day_in(month, item.day)
        month += step


def _day_in(month: int, day: int) -> date:
    first = date(month // 12, month % 12 + 1, 1)
    following = date((month + 1) // 12, (month + 1) % 12 + 1, 1)
    return first + timedelta(days=min(day, (following - first).days) - 1)


def shifted(day: date, shift: str, works: IsWorkingDay) -> date:
    """The day itself, or the next or last working day. Errors: NoWorkingDay."""
    if shift == "none":
        return day
    step = ONE_DAY if shift == "after" else -ONE_DAY
    for number in range(SHIFT_DAYS_MAX + 1):
        if works(day + number * step):
            return day + number * step
    raise NoWorkingDay(day)
