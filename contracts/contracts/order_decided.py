"""order-decided: the one answer an order system gets to each of its order events."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from contracts.event import Event, event
from contracts.money import Amount
from contracts.numbers import Count, Counter, Revision
from contracts.order import Reasons
from contracts.text import Code, CurrencyCode, Id, LongText, Text
from contracts.times import CalendarDate, Moment

ACCOUNTS_MAX = 1000
PAYMENTS_MAX = 10_000

OrderOutcome = Literal["accepted", "declined", "pending-approval", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinePayment:
    """What one fund account has paid of one line, refunds taken off."""

    account: Id
    account_type: Code
    line_id: Id
    amount: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPosition:
    """The whole order as it stands after the decision: `total` = sum of `payments` + `unpaid`.

    A declined, pending or cancelled order has total 0.
    """

    total: Amount
    payments: Annotated[list[LinePayment], Field(max_length=PAYMENTS_MAX)]
    unpaid: Amount
    due_date: CalendarDate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountExplanation:
    """Why one fund account gave what it gave; `available` is what it could have given."""

    account: Id
    account_type: Code
    available: Amount
    gave: Amount
    code: Code
    text: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The decision in words and in data, with the version of the policy it followed."""

    text: LongText
    accounts: Annotated[list[AccountExplanation], Field(max_length=ACCOUNTS_MAX)]
    policy_version: Count


@event("order-decided", 1, key="paying_account", producers=("fund-pool",))
@dataclass(frozen=True, slots=True, kw_only=True)
class OrderDecided(Event):
    """Answers check `check_number` of the order.

    Organisations, customer and position are absent for an order never seen.
    """

    source: Id
    """The order system that asked."""
    order_id: Id
    order_revision: Revision
    check_number: Counter
    """Counts credit's checks of this order without a gap; the highest one is the last word."""
    operation: Literal["submit", "cancel"]
    """Which of the order's events is answered."""
    outcome: OrderOutcome
    paying_account: Id
    currency: CurrencyCode | None = None
    customer: Id | None = None
    business_organisation: Id | None = None
    settlement_organisation: Id | None = None
    payment_method: Code | None = None
    reasons: Reasons
    """Empty when accepted without remark."""
    position: OrderPosition | None = None
    """The whole order after this decision."""
    explanation: Explanation
    decided_at: Moment
