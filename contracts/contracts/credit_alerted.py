"""credit-alerted: something about a credit object that people must hear of, once per episode."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from contracts.addressee import Addressees
from contracts.event import Event, event
from contracts.money import Amount, SignedAmount
from contracts.numbers import Count, Counter, Revision
from contracts.order import Reasons
from contracts.text import Code, CurrencyCode, DocumentId, Id, Name, PositiveDecimal
from contracts.times import CalendarDate, Moment

ACTIONS_MAX = 20

AlertKind = Literal[
    "usage-high",
    "overdue-amount",
    "overdue-days",
    "temporary-credit-ending",
    "profile-ending",
    "limit-expiring",
    "check-failed",
    "order-held",
    "object-frozen",
    "fact-beyond-limit",
    "grant-unconfirmed",
    "adjustment-ending",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertedDocument:
    """The document that an alert is about, as the system that made it names it."""

    type: Code
    source: Id | None = None
    id: DocumentId
    revision: Revision | None = None
    check_number: Counter | None = None
    """Of an order's check."""
    amount: Amount | None = None


@event("credit-alerted", 1, key="object_id", producers=("credit",))
@dataclass(frozen=True, slots=True, kw_only=True)
class CreditAlerted(Event):
    """An alert plan's finding, or what a check calls for; figures that the kind does not speak of are absent.

    `order-held` names its approvers in `addressees`; every other kind the people of its alert plan.
    """

    kind: AlertKind
    state: Literal["opened", "resolved"]
    """`resolved` when the finding no longer holds, or the held order is decided."""
    episode_id: Id
    """The same from opened to resolved."""
    object_type: Code
    """Such as `customer`, `customer-group`, `salesperson`."""
    object_id: Id
    object_name: Name | None = None
    scope: Code | None = None
    scope_id: Id | None = None
    profile_id: Id | None = None
    plan_id: Id | None = None
    """The alert plan that asked for it."""
    account: Id | None = None
    """The customer's account, when its own people are to hear of it too."""
    addressees: Addressees
    currency: CurrencyCode | None = None
    limit: Amount | None = None
    used: SignedAmount | None = None
    usage_percent: PositiveDecimal | None = None
    threshold_percent: PositiveDecimal | None = None
    overdue: Amount | None = None
    overdue_limit: Amount | None = None
    overdue_days: Count | None = None
    overdue_days_limit: Count | None = None
    valid_until: CalendarDate | None = None
    """The last day of what is ending."""
    document: AlertedDocument | None = None
    reasons: Reasons
    """Why a check failed or an order is held."""
    actions: Annotated[list[Code], Field(max_length=ACTIONS_MAX)]
    """What the plan has done besides, such as `freeze`, `dunning-task`, `new-score`."""
    decide_until: Moment | None = None
    """When a held order lapses."""
    occurred_at: Moment
