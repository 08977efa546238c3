"""Cash position forecast: balances plus dated flows, each counted once by the ladder actual > pre-occupied > rest.

Actuals up to today are in the balance already. What is left of a plan without a date falls on its period's end,
its first day, or evenly; it is never below zero. Open pool items count on their due day and are marked where no
plan holds them. Source: seed 003, 3.5.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal, NamedTuple

Rung = Literal["actual", "pre-occupied", "pool", "unplanned-pool", "plan"]
RUNGS: Final[tuple[Rung, ...]] = ("actual", "pre-occupied", "pool", "unplanned-pool", "plan")
RestOfPlan = Literal["end", "first-day", "evenly"]
Direction = Literal["in", "out"]


class Flow(NamedTuple):
    """Money to come or to go on a day; minor units, above zero."""

    day: date
    direction: Direction
    rung: Rung
    minor: int


class HeldFlow(NamedTuple):
    """What a document holds of a plan: pre-occupied until its due day, or actual on its day."""

    document: tuple[str, str, str]
    cell: str
    day: date
    direction: Direction
    pre_occupied: int
    actual: int


class PoolFlow(NamedTuple):
    """An open item of the pool; `cell` is the plan cell that holds it, None where none does."""

    document: tuple[str, str, str]
    cell: str | None
    day: date
    direction: Direction
    minor: int


class PlanFlow(NamedTuple):
    """The effective figure of a cell, with what documents hold of it."""

    cell: str
    first_day: date
    last_day: date
    direction: Direction
    effective: int
    pre_occupied: int
    actual: int


class ForecastDay(NamedTuple):
    """One day: closing = opening + receipts - payments."""

    day: date
    opening: int
    receipts: int
    payments: int
    closing: int
    unplanned_receipts: int
    unplanned_payments: int


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """The days, the lowest of them, and the gap to what must be kept."""

    days: Sequence[ForecastDay]
    kept: int
    lowest: ForecastDay
    first_day_below: date | None
    gap: int
    by_rung: Mapping[Rung, int]


def flows_of(
    held: Iterable[HeldFlow],
    pool: Iterable[PoolFlow],
    plan: Iterable[PlanFlow],
    today: date,
    rest: RestOfPlan = "end",
) -> list[Flow]:
    """Every flow once: a document's hold stands before its pool item, both before what is left of the plan."""
    flows: list[Flow] = []
    held_by: set[tuple[str, str, str]] = set()
    for each in held:
        if each.pre_occupied:
            held_by.add(each.document)
            flows.append(Flow(max(each.day, today), each.direction, "pre-occupied", each.pre_occupied))
        if each.actual and each.day > today:
            flows.append(Flow(each.day, each.direction, "actual", each.actual))
    pooled: dict[str, int] = defaultdict(int)
    for item in pool:
        if item.document in held_by:
            continue
        rung: Rung = "unplanned-pool" if item.cell is None else "pool"
        flows.append(Flow(max(item.day, today), item.direction, rung, item.minor))
        if item.cell is not None:
            pooled[item.cell] += item.minor
    for cell in plan:
        flows += _rest(cell, pooled[cell.cell], today, rest)
    return flows


def _rest(cell: PlanFlow, pooled: int, today: date, rest: RestOfPlan) -> list[Flow]:
    left = max(0, cell.effective - cell.pre_occupied - cell.actual - pooled)
    if not left or cell.last_day < today:
        return []
    first_day = max(cell.first_day, today)
    if rest == "evenly":
        return _spread(cell, left, first_day)
    return [Flow(first_day if rest == "first-day" else cell.last_day, cell.direction, "plan", left)]


def _spread(cell: PlanFlow, left: int, first_day: date) -> list[Flow]:
    days = (cell.last_day - first_day).days + 1
    share, more = divmod(left, days)
    amounts = [share + (number < more) for number in range(days)]
    return [
        Flow(first_day + timedelta(days=number), cell.direction, "plan", minor)
        for number, minor in enumerate(amounts)
        if minor
    ]


def forecast(balance: int, kept: int, flows: Iterable[Flow], today: date, days: int) -> Forecast:
    """Adds the flows to today's balance day by day; what lies before today falls on today."""
    sums: dict[date, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    by_rung: dict[Rung, int] = dict.fromkeys(RUNGS, 0)
    for day, direction, rung, minor in flows:
        is_out = direction == "out"
        place = sums[max(day, today)]
        place[is_out] += minor
        if rung == "unplanned-pool":
            place[2 + is_out] += minor
        by_rung[rung] += -minor if is_out else minor
    shown: list[ForecastDay] = []
    for number in range(days):
        day = today + timedelta(days=number)
        receipts, payments, unplanned_in, unplanned_out = sums.get(day, (0, 0, 0, 0))
        closing = balance + receipts - payments
        shown.append(ForecastDay(day, balance, receipts, payments, closing, unplanned_in, unplanned_out))
        balance = closing
    lowest = min(shown, key=lambda each: (each.closing, each.day))
    return Forecast(
        days=shown,
        kept=kept,
        lowest=lowest,
        first_day_below=next((each.day for each in shown if each.closing < kept), None),
        gap=max(0, kept - lowest.closing),
        by_rung=by_rung,
    )


Notice = Literal["appeared", "worsened", "closed"]


def notice(former_gap: int, gap: int) -> Notice | None:
    """What there is to tell about a gap: it appears, grows, or closes; one that shrinks is not told."""
    if former_gap == 0:
        return "appeared" if gap else None
    if gap == 0:
        return "closed"
    return "worsened" if gap > former_gap else None
