"""Whether and how a fund pool pays an order; the same for a decision and for a dry run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import Final

from contracts.order import Order, Reason

from fund_pool.domain import explain
from fund_pool.domain.order_state import PAID_FROM_ACCOUNT, Assessment
from fund_pool.domain.pool import Pool
from fund_pool.domain.usage import (
    BASIS_POINTS,
    Purpose,
    Rules,
    UsagePolicy,
    first_payment,
    policy_for,
    split,
)
from fund_pool.domain.walk import LineAmount, Walk, walk

NO_RULES: Final[Rules] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Terms:
    """What of an order is paid at first and what later, and the rules that it is paid by."""

    policy: UsagePolicy
    owed: list[LineAmount]
    final: list[LineAmount]


def assess(pool: Pool | None, order: Order, now: datetime, rules: Rules = NO_RULES) -> Assessment:
    """Whether the pool can pay the order's first payment now."""
    refusal = refused(pool, order) or _leaving(pool, order)
    if refusal is not None:
        return Assessment([refusal], explain.of_nothing(f"nothing taken: {refusal.text}"))
    assert pool is not None
    if order.payment_method != PAID_FROM_ACCOUNT:
        return Assessment([], explain.of_nothing(f"nothing taken: paid by {order.payment_method}"))
    terms = payment_terms(pool, order, now, rules)
    outcome = walk(
        pool, order.currency, terms.owed, pool.today(now), terms.policy, order_total=order.total.minor
    )
    return assessed(pool, order.currency, outcome, terms.policy, terms.final)


def assessed(
    pool: Pool, currency: str, outcome: Walk, policy: UsagePolicy, final: list[LineAmount]
) -> Assessment:
    """A walk with its explanation, and the reason where it does not pay."""
    explanation = explain.of_walk(pool.account, currency, outcome, pool.deduction.version, policy.version)
    reasons = [Reason(code="insufficient-funds", text=explanation.text)] if outcome.shortfall else []
    return Assessment(reasons, explanation, outcome, final)


def payment_terms(pool: Pool, order: Order, now: datetime, rules: Rules, *, whole: bool = False) -> Terms:
    """Splits an order into its first payment and the rest by the lead time; `whole` leaves no rest."""
    policy = policy_for(rules, order.business_organisation, order.currency, pool.today(now))
    points = BASIS_POINTS if whole else first_payment(order, policy, pool.deduction)
    amounts = [line.amount.minor for line in order.lines]
    firsts = split(amounts, points) if points != BASIS_POINTS else amounts
    owed = [
        LineAmount(line.line_id, first, line.material, line.material_group)
        for line, first in zip(order.lines, firsts, strict=True)
    ]
    if points == BASIS_POINTS:
        return Terms(policy, owed, [])
    rest = [
        LineAmount(line.line_id, amount - first, line.material, line.material_group)
        for line, amount, first in zip(order.lines, amounts, firsts, strict=True)
        if amount > first
    ]
    return Terms(policy, owed, rest)


def rewalk(
    pool: Pool,
    currency: str,
    business_organisation: str | None,
    lines: Sequence[LineAmount],
    now: datetime,
    rules: Rules,
    purpose: Purpose,
) -> Assessment:
    """Whether the pool can pay lines of an order that it knows already."""
    policy = policy_for(rules, business_organisation or "", currency, pool.today(now))
    outcome = walk(pool, currency, lines, pool.today(now), policy, purpose)
    return assessed(pool, currency, outcome, policy, [])


def due_date(order: Order) -> date:
    """When what the order leaves unpaid is due."""
    if order.due_date is not None:
        return order.due_date
    return order.order_date + timedelta(days=order.payment_terms_days or 0)


def refused(pool: Pool | None, order: Order) -> Reason | None:
    """Why an order is not even walked: it contradicts itself, or its account may not be used."""
    return _misstated(order) or _unusable(pool, order)


def _misstated(order: Order) -> Reason | None:
    """Amounts that contradict one another; credit declines them too, but the money's keeper looks itself."""
    foreign = next((line for line in order.lines if line.amount.currency != order.currency), None)
    if foreign is not None or order.total.currency != order.currency:
        text = f"the order is in {order.currency} and has amounts in another currency"
        return Reason(code="currency-mismatch", text=text, line_id=foreign.line_id if foreign else None)
    if sum(line.amount.minor for line in order.lines) != order.total.minor:
        return Reason(code="total-mismatch", text="the total is not the sum of the lines' amounts")
    return None


def _unusable(pool: Pool | None, order: Order) -> Reason | None:
    """Why the pool cannot be asked at all."""
    account = order.paying_account
    if pool is None:
        return Reason(code="unknown-account", text=f"there is no account {account}")
    if not pool.active:
        return Reason(code="account-inactive", text=f"account {account} is closed")
    if order.payment_method != PAID_FROM_ACCOUNT:
        return None
    if not pool.account_payment:
        text = f"account payment is switched off for {pool.settlement_organisation}"
        return Reason(code="account-payment-off", text=text)
    if order.ordering_user not in pool.users:
        text = f"user {order.ordering_user} has no right to use the balance of {account}"
        return Reason(code="not-allowed-to-use-balance", text=text)
    return None


def _leaving(pool: Pool | None, order: Order) -> Reason | None:
    """A member whose trusteeship is about to end orders nothing new on its management account."""
    if pool is None or order.customer == pool.customer or order.customer not in pool.leaving_customers:
        return None
    text = f"the trusteeship of {pool.account} over {order.customer} is about to end; nothing new is ordered"
    return Reason(code="relationship-ending", text=text)


def line_totals(amounts: Sequence[LineAmount]) -> Mapping[str, int]:
    """What is owed per line."""
    return {line.line_id: line.amount for line in amounts}
