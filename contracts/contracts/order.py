"""The order as order systems write it and as it travels on inside credit-checked."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from contracts.money import Amount
from contracts.numbers import Revision
from contracts.text import Code, CurrencyCode, Id, PositiveDecimal, Text
from contracts.times import CalendarDate

LINES_MAX = 1000
REASONS_MAX = 1100


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLine:
    """One line; `amount` = round half up (quantity x price) - discount + tax, in the order's currency.

    One minor unit more or less is let pass, because order systems round in different places.
    """

    line_id: Id
    """Names the line within its order."""
    material: Id
    material_group: Id | None = None
    """Lets rules speak of many materials at once."""
    quantity: PositiveDecimal
    """Not negative, at most six decimals."""
    price: PositiveDecimal
    """Per unit, before discount and tax, in the order's currency."""
    discount: Amount
    """Off the whole line."""
    tax: Amount
    """On top of the whole line."""
    amount: Amount
    """Owed for the line, discount off and tax in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A whole order; `total` is the sum of the lines' amounts.

    The due date is `due_date`, else `order_date` + `payment_terms_days`, else `order_date`.
    """

    source: Id
    """The order system; an order is known by (source, order_id)."""
    order_id: Id
    order_revision: Revision
    """1 hands the order in, each later event of the order counts one up, on whichever topic."""
    currency: CurrencyCode
    """Of every amount in the order: an ISO 4217 code."""
    buyer: Id
    """Who placed the order."""
    paying_account: Id
    """Whose fund pool pays; also the Kafka key."""
    business_organisation: Id
    """Whose usage rules and deduction order hold."""
    settlement_organisation: Id
    """Where the paying account is kept."""
    sales_organisation: Id
    """Picks the scopes of the credit check."""
    customer: Id
    """Whose credit is checked."""
    ordering_user: Id
    """Needs the right to use the paying account's balance."""
    payment_method: Code
    """`account` is paid from the fund pool; others, such as `credit-terms`, are decided on credit alone."""
    audited: Annotated[bool, Field(strict=True)] = True
    """True: the order needs no further audit step."""
    payment_terms_days: Annotated[int, Field(ge=0, le=3650, strict=True)] | None = None
    """Days from the order date to the due date."""
    due_date: CalendarDate | None = None
    """Of what the order leaves unpaid."""
    order_date: CalendarDate
    """In the business organisation's time zone."""
    requested_delivery_date: CalendarDate | None = None
    salesperson: Id | None = None
    sales_group: Id | None = None
    sales_department: Id | None = None
    lines: Annotated[list[OrderLine], Field(min_length=1, max_length=LINES_MAX)]
    total: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why something was decided: a stable code and a sentence, with the order line it names if any."""

    code: Code
    """Stable, for programs."""
    text: Text
    """For people."""
    line_id: Id | None = None
    """The order line that it is about."""


Reasons = Annotated[list[Reason], Field(max_length=REASONS_MAX)]


Stance = Literal["request", "fact"]
"""A request asks whether something may happen and is answered; a fact tells that it has happened."""

OrderOperation = Literal[
    "submit",
    "change",
    "cancel",
    "audit",
    "un-audit",
    "recall",
    "close",
    "reopen",
    "terminate",
    "un-terminate",
    "return",
    "deliver",
]
"""What an event does to an order; `deliver` is a delivery notice that draws on its hold or final payment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnedLine:
    """What came back of one order line; `amount` is what it is worth, as it was owed."""

    line_id: Id
    quantity: PositiveDecimal
    amount: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnDocument:
    """A posted return; refunded once per (document, revision).

    A later revision of the same document states the whole return anew.
    """

    document_id: Id
    document_revision: Revision = 1
    posted_on: CalendarDate
    lines: Annotated[list[ReturnedLine], Field(min_length=1, max_length=LINES_MAX)]
    total: Amount
    """The sum of the lines' amounts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveredLine:
    """What a delivery notice delivers of one order line; `amount` is what it is worth, as it was owed."""

    line_id: Id
    quantity: PositiveDecimal
    amount: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryNotice:
    """An admitted delivery notice of an order; drawn once per (document, revision).

    `final`: nothing more will be delivered, so that what is left of a hold is released.
    """

    document_id: Id
    document_revision: Revision = 1
    posted_on: CalendarDate
    lines: Annotated[list[DeliveredLine], Field(min_length=1, max_length=LINES_MAX)]
    final: Annotated[bool, Field(strict=True)] = False
