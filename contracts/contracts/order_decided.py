"""order-decided: the one answer an order system gets to each of its order events."""

from typing import Annotated, Literal

from pydantic import Field

from contracts.event import Event, event, message
from contracts.money import Amount
from contracts.numbers import Count, Counter, Revision
from contracts.order import OrderOperation, Reasons
from contracts.text import Code, CurrencyCode, Id, LongText, Text
from contracts.times import CalendarDate, Moment

ACCOUNTS_MAX = 1000
PAYMENTS_MAX = 10_000

OrderOutcome = Literal[
    "accepted",
    "declined",
    "pending-approval",
    "cancelled",
    "changed",
    "change-declined",
    "audited",
    "audit-declined",
    "un-audited",
    "recalled",
    "closed",
    "reopened",
    "reopen-declined",
    "refunded",
    "captured",
    "final-paid",
    "final-unpaid",
    "hold-expired",
]


@message
class LinePayment:
    """What one fund account has paid of one line, refunds taken off."""

    account: Id
    account_type: Code
    line_id: Id
    amount: Amount
    voucher_id: Id | None = None
    """The voucher, coupon or card that paid, where the account type keeps them apart."""


@message
class OrderPosition:
    """The whole order as it stands after the decision: `total` = sum of `payments` + sum of `holds` + `unpaid`.

    A declined, pending or cancelled order has total 0; a closed one the part that stays.
    """

    total: Amount
    payments: Annotated[list[LinePayment], Field(max_length=PAYMENTS_MAX)]
    unpaid: Amount
    due_date: CalendarDate | None = None
    holds: Annotated[list[LinePayment], Field(max_length=PAYMENTS_MAX)] | None = None
    """What is held and not yet taken; absent when nothing is."""
    hold_expires_at: Moment | None = None
    final_payment: Amount | None = None
    """The part of `unpaid` that is walked at the first delivery notice or on request."""


@message
class AccountExplanation:
    """Why one fund account gave what it gave; `available` is what it could have given."""

    account: Id
    account_type: Code
    available: Amount
    gave: Amount
    code: Code
    text: Text
    voucher_id: Id | None = None
    expires_on: CalendarDate | None = None


@message
class Explanation:
    """The decision in words and in data, with the version of the policy it followed."""

    text: LongText
    accounts: Annotated[list[AccountExplanation], Field(max_length=ACCOUNTS_MAX)]
    policy_version: Count
    usage_version: Count | None = None
    """The newest version among the usage rules of the organisation."""


@event("order-decided", 1, key="paying_account", producers=("fund-pool",))
@message
class OrderDecided(Event):
    """Answers check `check_number` of the order, or tells what followed from it later.

    Organisations, customer and position are absent for an order never seen.
    """

    source: Id
    """The order system that asked."""
    order_id: Id
    order_revision: Revision
    check_number: Counter
    """Counts credit's checks of this order without a gap; the highest (check, sequel) is the last word."""
    sequel: Counter | None = None
    """Absent in the answer itself; 1, 2 ... tell what came of it later: a hold expired, a final payment."""
    operation: OrderOperation
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
