"""credit-checked: credit's answer to one order event, carrying the order on to fund-pool."""

from typing import Annotated, Literal

from pydantic import Field

from contracts.event import Event, event, message
from contracts.money import Amount, SignedAmount
from contracts.numbers import Counter, Revision
from contracts.order import DeliveryNotice, Order, OrderOperation, Reasons, ReturnDocument, Stance
from contracts.text import Code, Id
from contracts.times import Moment

METRICS_MAX = 1000

CreditOutcome = Literal["approved", "warned", "declined", "pending-approval", "not-checked-yet"]
CreditOperation = OrderOperation


@message
class MetricResult:
    """One metric of one profile.

    `limit` None = not controlled; `used` is before this document, `delta` this document's own.
    """

    profile_id: Id
    scope: Code
    scope_id: Id
    object_type: Code
    object_id: Id
    metric: Code
    enforcement: Code
    limit: Amount | Literal["unlimited"] | None = None
    used: SignedAmount
    delta: SignedAmount
    result: Literal["passed", "warned", "waived", "held", "rejected"]


@event("credit-checked", 1, key="paying_account", producers=("credit",))
@message
class CreditChecked(Event):
    """Numbered per order without a gap by `check_number`, whatever the operation.

    `order` is absent for a cancellation of an order never seen, and where nothing about the order has changed.
    A submission that is not audited yet and controlled at audit only passes as `not-checked-yet`.
    """

    source: Id
    order_id: Id
    order_revision: Revision
    check_number: Counter
    paying_account: Id
    operation: CreditOperation
    outcome: CreditOutcome
    reasons: Reasons
    metrics: Annotated[list[MetricResult], Field(max_length=METRICS_MAX)]
    """Every metric of every profile that was evaluated."""
    order: Order | None = None
    """The whole order, so that fund-pool needs nothing else."""
    stance: Stance | None = None
    """Absent for a request; a fact is never declined."""
    returned: ReturnDocument | None = None
    """Of operation `return`."""
    delivered: DeliveryNotice | None = None
    """Of operation `deliver`."""
    checked_at: Moment
