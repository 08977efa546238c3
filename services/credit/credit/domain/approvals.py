"""Special approval: how much one approver may let pass in a period, and what a judgement takes of it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

from contracts.credit_checked import MetricResult
from contracts.money import decimal_string
from contracts.order import Reason

Period = Literal["day", "month", "quarter", "year"]

MONTHS_OF: Final[dict[Period, int]] = {"month": 1, "quarter": 3, "year": 12}


def period_start(day: date, period: Period) -> date:
    """The first day of the period that a day lies in."""
    if period == "day":
        return day
    months = MONTHS_OF[period]
    return date(day.year, (day.month - 1) // months * months + 1, 1)


@dataclass(frozen=True, slots=True)
class Right:
    """What one approver may let pass per period in a currency; both days of its validity are included."""

    approver: str
    currency: str
    ceiling: int
    period: Period
    metrics: frozenset[str]
    valid_from: date
    valid_to: date
    active: bool = True

    def holds_on(self, day: date) -> bool:
        return self.active and self.valid_from <= day <= self.valid_to


@dataclass(frozen=True, slots=True)
class Need:
    """What a judgement takes of a right: one document counts once per currency, by its largest excess."""

    currency: str
    amount: int
    metrics: tuple[str, ...]


def needs(metrics: Iterable[MetricResult], own_amount: Callable[[str], int]) -> list[Need]:
    """Per currency what was waived: the excess over a credit limit, for other metrics the document's amount.

    `own_amount` is what the document amounts to in a profile.
    """
    amounts: dict[str, int] = {}
    names: dict[str, set[str]] = {}
    for metric in metrics:
        if metric.result != "waived":
            continue
        currency = metric.used.currency
        amounts[currency] = max(amounts.get(currency, 0), _excess(metric, own_amount))
        names.setdefault(currency, set()).add(metric.metric)
    return [Need(currency, amounts[currency], tuple(sorted(names[currency]))) for currency in sorted(amounts)]


def _excess(metric: MetricResult, own_amount: Callable[[str], int]) -> int:
    if metric.metric == "credit-limit" and metric.limit is not None and metric.limit != "unlimited":
        return metric.used.minor + metric.delta.minor - metric.limit.minor
    return own_amount(metric.profile_id)


def objection(need: Need, approver: str, right: Right | None, consumed: int, day: date) -> Reason | None:
    """Why an approver cannot let this pass; None when the right covers it. Exactly what is left passes."""
    if right is None or not right.holds_on(day):
        text = f"{approver} has no right to special approval in {need.currency} on {day}."
        return Reason(code="no-approval-right", text=text)
    beyond = [metric for metric in need.metrics if metric not in right.metrics]
    if beyond:
        text = f"The right of {approver} covers {', '.join(sorted(right.metrics))}, not {', '.join(beyond)}."
        return Reason(code="metric-not-covered", text=text)
    left = max(right.ceiling - consumed, 0)
    if need.amount > left:
        text = (
            f"This takes {_money(need.amount, right)} of the right of {approver}: the ceiling is "
            f"{_money(right.ceiling, right)} per {right.period}, of which {_money(left, right)} is left."
        )
        return Reason(code="beyond-ceiling", text=text)
    return None


def _money(minor: int, right: Right) -> str:
    return f"{decimal_string(minor, right.currency)} {right.currency}"
