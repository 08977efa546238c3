"""document-posted: an ERP asks whether a document may be posted, or tells what has happened to it."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from contracts.event import EXTERNAL, Event, event
from contracts.money import Amount
from contracts.numbers import Revision
from contracts.order import LINES_MAX, Stance
from contracts.text import Code, CurrencyCode, Id, PositiveDecimal, Text
from contracts.times import CalendarDate, Moment

UPSTREAM_MAX = 100
ATTRIBUTES_MAX = 50

DocumentType = Literal[
    "delivery-notice",
    "outbound",
    "receivable",
    "receipt",
    "refund",
    "return-notice",
    "return",
    "payment-request",
    "payment",
    "custom",
]
UpstreamType = Literal[
    "sales-order",
    "delivery-notice",
    "outbound",
    "receivable",
    "receipt",
    "return-notice",
    "return",
    "payment-request",
    "payment",
    "custom",
]
DocumentOperation = Literal[
    "submit",
    "recall",
    "audit",
    "un-audit",
    "close",
    "reopen",
    "terminate",
    "un-terminate",
    "cancel",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """A value of the ERP's own that rules and plans may speak of, such as a project."""

    name: Code
    value: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """The line, or the whole document, that a line comes from, and how much of it.

    Goods are counted by `quantity`, money that settles something by `amount`. What is taken from a sales order
    names the order system as its source.
    """

    document_type: UpstreamType
    source: Id | None = None
    """The system that keeps it; absent: the same as of this document."""
    document_id: Id
    line_id: Id | None = None
    """Absent: the document as a whole, as where a receipt settles a receivable."""
    quantity: PositiveDecimal | None = None
    """Absent: the whole quantity of this line."""
    amount: Amount | None = None
    """Absent: the whole amount of this line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentLine:
    """One line; `amount` is what it is worth, discount off and tax in, in the document's currency."""

    line_id: Id
    material: Id | None = None
    material_group: Id | None = None
    quantity: PositiveDecimal | None = None
    """Of goods; absent for money."""
    amount: Amount
    upstream: Annotated[list[Upstream], Field(max_length=UPSTREAM_MAX)] | None = None
    plan_item: Id | None = None
    """The cash plan's item, where the line says it itself."""
    attributes: Annotated[list[Attribute], Field(max_length=ATTRIBUTES_MAX)] | None = None


@event("document-posted", 1, key="party", producers=(EXTERNAL,))
@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentPosted(Event):
    """The whole document after one operation.

    `document_revision` counts up by one with each operation; a request and the fact that follows it share it, and
    so may a submit and the audit of the same content. A fact is never refused. `total` is the sum of the lines.
    """

    source: Id
    """The system that keeps the document; a document is known by (source, document_type, document_id)."""
    document_type: DocumentType
    sub_type: Code | None = None
    """A finer type that rules may tell apart; names the kind of a custom document."""
    document_id: Id
    document_revision: Revision
    operation: DocumentOperation
    stance: Stance = "fact"
    """A request asks (may it?) and is answered; a fact tells that it has happened."""
    party: Id
    """The customer account, or the reporting entity of payment requests and payments; also the Kafka key."""
    customer: Id | None = None
    """Whose credit it moves; every document but payment requests and payments names one."""
    business_organisation: Id | None = None
    settlement_organisation: Id | None = None
    sales_organisation: Id | None = None
    """Picks the scopes of a document that comes from no order."""
    salesperson: Id | None = None
    sales_group: Id | None = None
    sales_department: Id | None = None
    counterparty: Id | None = None
    """Who is paid or pays, where it is not the customer."""
    contract_number: Id | None = None
    settlement_method: Code | None = None
    bank_account: Id | None = None
    plan_item: Id | None = None
    direction: Literal["in", "out"] | None = None
    """Of a custom document's money."""
    currency: CurrencyCode
    """Of every amount in the document."""
    document_date: CalendarDate
    """The business date, local to the organisation."""
    due_date: CalendarDate | None = None
    """When it is to be paid; absent: on the document date."""
    final: Annotated[bool, Field(strict=True)] = False
    """Of a delivery notice: nothing more of its orders will be delivered."""
    lines: Annotated[list[DocumentLine], Field(min_length=1, max_length=LINES_MAX)]
    total: Amount
    attributes: Annotated[list[Attribute], Field(max_length=ATTRIBUTES_MAX)] | None = None
    reason: Text | None = None
    changed_by: Id | None = None
    posted_at: Moment
