"""The order as order systems write it and as it travels on inside credit-checked."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from contracts.money import Amount
from contracts.numbers import Revision
from contracts.text import Code, CurrencyCode, Id, PositiveDecimal, Text
from contracts.times import CalendarDate

LINES_MAX = 1000
REASONS_MAX = 1100


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLine:
    """One line; `amount` = round half up(quantity x price) - discount + tax, in the order's currency."""

    line_id: Id
    material: Id
    material_group: Id | None = None
    quantity: PositiveDecimal
    price: PositiveDecimal
    discount: Amount
    tax: Amount
    amount: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A whole order; `total` is the sum of the lines' amounts.

    The due date is `due_date`, else `order_date` + `payment_terms_days`, else `order_date`.
    """

    source: Id
    order_id: Id
    order_revision: Revision
    currency: CurrencyCode
    buyer: Id
    paying_account: Id
    business_organisation: Id
    settlement_organisation: Id
    sales_organisation: Id
    customer: Id
    ordering_user: Id
    payment_method: Code
    audited: Annotated[bool, Field(strict=True)] = True
    payment_terms_days: Annotated[int, Field(ge=0, le=3650, strict=True)] | None = None
    due_date: CalendarDate | None = None
    order_date: CalendarDate
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
    text: Text
    line_id: Id | None = None


Reasons = Annotated[list[Reason], Field(max_length=REASONS_MAX)]
