"""Plan periods of nine kinds, and the columns of a rolling plan.

Every day belongs to exactly one leaf period of a kind, and every leaf to exactly one head period. Ten-days are
1-10, 11-20 and 21-end; weeks start on Monday. Source: seed 003, 1.3 (1) and the word list (rolling plan).
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Final, Literal, NamedTuple

PeriodKind = Literal[
    "month",
    "month-with-weeks",
    "month-with-ten-days",
    "month-with-days",
    "ten-day",
    "ten-day-with-days",
    "week",
    "week-with-days",
    "day",
]
Unit = Literal["quarter", "month", "ten-day", "week", "day", "rest"]
WeekRule = Literal["cut", "first-day", "majority"]
RollingBy = Literal["none", "period", "month", "quarter", "mixed"]

KINDS: Final[tuple[PeriodKind, ...]] = (
    "month",
    "month-with-weeks",
    "month-with-ten-days",
    "month-with-days",
    "ten-day",
    "ten-day-with-days",
    "week",
    "week-with-days",
    "day",
)
ONE_DAY: Final = timedelta(days=1)
FIRST_YEAR: Final = 1990
LAST_YEAR: Final = 2200
COLUMNS_MAX: Final = 400


class PeriodError(ValueError):
    """Base of the reasons why a period cannot be named."""


class DateOutOfRange(PeriodError):
    """A day outside the years that plans cover."""

    def __init__(self, day: date) -> None:
        super().__init__(f"{day} is outside the years {FIRST_YEAR} to {LAST_YEAR} that plans cover")


class HorizonTooLong(PeriodError):
    """A rolling plan that looks further than a year ahead."""

    def __init__(self, last_day: date, limit: date) -> None:
        super().__init__(f"the plan would reach to {last_day}; a rolling plan ends by {limit}, a year ahead")


class NotAPeriod(PeriodError):
    """A day that begins no head period of its kind."""

    def __init__(self, kind: PeriodKind, day: date, right: date) -> None:
        super().__init__(f"{day} begins no period of the kind {kind}; the one it lies in begins on {right}")


class Period(NamedTuple):
    """A run of days, both ends included; `code` names it among the periods of its kind."""

    code: str
    unit: Unit
    first_day: date
    last_day: date

    def __contains__(self, day: object) -> bool:
        return isinstance(day, date) and self.first_day <= day <= self.last_day

    @property
    def days(self) -> int:
        return (self.last_day - self.first_day).days + 1


@dataclass(frozen=True, slots=True)
class PeriodScheme:
    """How a filing type cuts time: its kind, and to which month a week belongs that crosses its end."""

    kind: PeriodKind
    week_rule: WeekRule = "cut"

    def leaf(self, day: date) -> Period:
        """The one leaf period that a day belongs to."""
        _admit(day)
        return _leaf(self.kind, self.week_rule, day)

    def head(self, day: date) -> Period:
        """The one head period that a day belongs to: what a round is opened for."""
        _admit(day)
        return _head(self.kind, self.week_rule, day)

    def leaves(self, head: Period) -> tuple[Period, ...]:
        """The leaf periods of a head period, in order; the head itself where the kind has no finer ones."""
        return _leaves(self.kind, self.week_rule, head)

    def head_of(self, leaf: Period) -> Period:
        return self.head(leaf.first_day)

    def following(self, head: Period) -> Period:
        return self.head(head.last_day + ONE_DAY)

    def preceding(self, head: Period) -> Period:
        return self.head(head.first_day - ONE_DAY)

    def head_beginning(self, day: date) -> Period:
        """The head period that begins on a day. Errors: NotAPeriod."""
        head = self.head(day)
        if head.first_day != day:
            raise NotAPeriod(self.kind, day, head.first_day)
        return head


def _admit(day: date) -> None:
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise DateOutOfRange(day)


def month_of(day: date) -> Period:
    first = day.replace(day=1)
    return Period(f"{first:%Y-%m}", "month", first, _month_end(first))


def _month_end(day: date) -> date:
    following = date(day.year + day.month // 12, day.month % 12 + 1, 1)
    return following - ONE_DAY


def quarter_of(day: date) -> Period:
    number = (day.month - 1) // 3
    first = date(day.year, 3 * number + 1, 1)
    last = _month_end(date(day.year, 3 * number + 3, 1))
    return Period(f"{day.year}-Q{number + 1}", "quarter", first, last)


def ten_day_of(day: date) -> Period:
    number = min((day.day - 1) // 10, 2)
    first = day.replace(day=10 * number + 1)
    last = _month_end(day) if number == 2 else day.replace(day=10 * number + 10)
    return Period(f"{day:%Y-%m}-T{number + 1}", "ten-day", first, last)


def week_of(day: date) -> Period:
    """The whole week, Monday to Sunday, by its ISO number."""
    monday = day - timedelta(days=day.weekday())
    year, number, _ = monday.isocalendar()
    return Period(f"{year}-W{number:02}", "week", monday, monday + timedelta(days=6))


def day_of(day: date) -> Period:
    return Period(day.isoformat(), "day", day, day)


def rest_of(first_day: date, last_day: date) -> Period:
    """What is left of a month or quarter behind the periods before it."""
    return Period(f"{first_day}..{last_day}", "rest", first_day, last_day)


def _month_of_week(week: Period, rule: WeekRule) -> Period:
    """The month that a whole week belongs to, by its first day or by the majority of its days (Thursday)."""
    return month_of(week.first_day if rule == "first-day" else week.first_day + timedelta(days=3))


def _cut_week(day: date) -> Period:
    week, month = week_of(day), month_of(day)
    number = week.code.rpartition("-")[2]
    first, last = max(week.first_day, month.first_day), min(week.last_day, month.last_day)
    return Period(f"{month.code}-{number}", "week", first, last)


@lru_cache(maxsize=16_384)
def _leaf(kind: PeriodKind, rule: WeekRule, day: date) -> Period:
    if kind == "month-with-weeks":
        return _cut_week(day) if rule == "cut" else week_of(day)
    return _LEAF_OF[kind](day)


@lru_cache(maxsize=16_384)
def _head(kind: PeriodKind, rule: WeekRule, day: date) -> Period:
    if kind != "month-with-weeks" or rule == "cut":
        return _HEAD_OF[kind](day)
    month = _month_of_week(week_of(day), rule)
    weeks = [week for week in _whole_weeks(month) if _month_of_week(week, rule) == month]
    return Period(month.code, "month", weeks[0].first_day, weeks[-1].last_day)


def _whole_weeks(month: Period) -> list[Period]:
    weeks = []
    day = month.first_day
    while day <= month.last_day + timedelta(days=6):
        weeks.append(week_of(day))
        day = weeks[-1].last_day + ONE_DAY
    return weeks


_LEAF_OF: Final = {
    "month": month_of,
    "month-with-weeks": week_of,
    "month-with-ten-days": ten_day_of,
    "month-with-days": day_of,
    "ten-day": ten_day_of,
    "ten-day-with-days": day_of,
    "week": week_of,
    "week-with-days": day_of,
    "day": day_of,
}
_HEAD_OF: Final = {
    "month": month_of,
    "month-with-weeks": month_of,
    "month-with-ten-days": month_of,
    "month-with-days": month_of,
    "ten-day": ten_day_of,
    "ten-day-with-days": ten_day_of,
    "week": week_of,
    "week-with-days": week_of,
    "day": day_of,
}


@lru_cache(maxsize=4096)
def _leaves(kind: PeriodKind, rule: WeekRule, head: Period) -> tuple[Period, ...]:
    leaves = []
    day = head.first_day
    while day <= head.last_day:
        leaves.append(_leaf(kind, rule, day))
        day = leaves[-1].last_day + ONE_DAY
    return tuple(leaves)


@dataclass(frozen=True, slots=True)
class Rolling:
    """How far a plan looks ahead and how fine.

    `length` counts head periods (by `period`), months (by `month`) or quarters (by `quarter` and `mixed`), the
    one that the binding period lies in included. `fine` counts the head periods that are shown with their
    leaves when `mixed`; behind them come months to the quarter's end, then quarters.
    """

    by: RollingBy = "none"
    length: int = 1
    fine: int = 1


class Column(NamedTuple):
    """One period column of a filing; the binding ones lie in the round's own head period."""

    period: Period
    head: str
    is_binding: bool


def horizon(scheme: PeriodScheme, rolling: Rolling, binding: Period) -> tuple[Column, ...]:
    """The columns of a round: without gap or overlap from the binding period's first day on.

    Errors: HorizonTooLong when the last one ends later than a year ahead.
    """
    columns = [Column(leaf, binding.code, True) for leaf in scheme.leaves(binding)]
    for head, is_fine in _later_heads(scheme, rolling, binding):
        leaves = scheme.leaves(head) if is_fine else (head,)
        columns.extend(Column(leaf, head.code, False) for leaf in leaves)
    limit = _year_ahead(binding)
    if len(columns) > COLUMNS_MAX or columns[-1].period.last_day > limit:
        raise HorizonTooLong(columns[-1].period.last_day, limit)
    return tuple(columns)


def _year_ahead(binding: Period) -> date:
    """The end of the month, or of the week for weeks, that lies a year after the binding period's begin."""
    year_later = _month_end(date(binding.first_day.year + 1, binding.first_day.month, 1))
    return max(year_later, quarter_of(year_later).last_day if binding.unit == "quarter" else year_later)


def _later_heads(scheme: PeriodScheme, rolling: Rolling, binding: Period) -> Iterator[tuple[Period, bool]]:
    if rolling.by == "period" or (rolling.by == "month" and binding.unit == "month"):
        yield from ((head, True) for head in _heads_after(scheme, binding, rolling.length - 1))
    elif rolling.by == "month":
        yield from ((head, False) for head in _months_after(binding.last_day, _last_month(rolling, binding)))
    elif rolling.by == "quarter":
        yield from (
            (head, False) for head in _quarters_after(binding.last_day, _last_quarter(rolling, binding))
        )
    elif rolling.by == "mixed":
        yield from _mixed_heads(scheme, rolling, binding)


def _heads_after(scheme: PeriodScheme, head: Period, number: int) -> list[Period]:
    heads = []
    for _ in range(number):
        head = scheme.following(head)
        heads.append(head)
    return heads


def _mixed_heads(scheme: PeriodScheme, rolling: Rolling, binding: Period) -> Iterator[tuple[Period, bool]]:
    end = _last_quarter(rolling, binding)
    near = [head for head in _heads_after(scheme, binding, rolling.fine - 1) if head.last_day <= end]
    yield from ((head, True) for head in near)
    reached = near[-1].last_day if near else binding.last_day
    quarter_end = quarter_of(reached).last_day
    yield from ((month, False) for month in _months_after(reached, min(quarter_end, end)))
    yield from ((quarter, False) for quarter in _quarters_after(max(quarter_end, reached), end))


def _last_month(rolling: Rolling, binding: Period) -> date:
    months = binding.first_day.year * 12 + binding.first_day.month - 1 + rolling.length - 1
    return _month_end(date(months // 12, months % 12 + 1, 1))


def _last_quarter(rolling: Rolling, binding: Period) -> date:
    first = quarter_of(binding.first_day).first_day
    months = first.year * 12 + first.month - 1 + 3 * (rolling.length - 1)
    return quarter_of(date(months // 12, months % 12 + 1, 1)).last_day


def _months_after(day: date, last_day: date) -> Iterator[Period]:
    return _cut_by(month_of, day, last_day)


def _quarters_after(day: date, last_day: date) -> Iterator[Period]:
    return _cut_by(quarter_of, day, last_day)


def _cut_by(unit_of: Callable[[date], Period], day: date, last_day: date) -> Iterator[Period]:
    first = day + ONE_DAY
    while first <= last_day:
        whole = unit_of(first)
        yield whole if whole.first_day == first else rest_of(first, whole.last_day)
        first = whole.last_day + ONE_DAY


def references(columns: Sequence[Column], earlier: Sequence[Column]) -> dict[str, str | None]:
    """For each column, the column of the earlier round whose figure is shown beside it.

    The same period where the earlier round had it; a newer period shows the one before it.
    """
    known = {column.period.code for column in earlier}
    shown: dict[str, str | None] = {}
    last: str | None = None
    for column in columns:
        code = column.period.code
        last = code if code in known else last
        shown[code] = last
    if earlier and shown and all(reference is None for reference in shown.values()):
        return dict.fromkeys(shown, earlier[-1].period.code)
    return shown


@dataclass(frozen=True, slots=True)
class PeriodIndex:
    """Finds the period of a day among periods that do not overlap, sorted by their first day."""

    periods: Sequence[Period]

    def at(self, day: date) -> Period | None:
        index = bisect_right(self.periods, day, key=lambda period: period.first_day) - 1
        found = self.periods[index] if index >= 0 else None
        return found if found is not None and day in found else None
