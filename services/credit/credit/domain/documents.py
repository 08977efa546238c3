"""Documents of the sales chain: what they say, how they stand, and what their lines come from."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import Final, Literal, NamedTuple

from contracts.document_posted import DocumentLine, DocumentOperation, DocumentPosted, Upstream
from contracts.order import Order

from credit.domain.orders import FACTOR_DECIMALS, scaled

QUANTITY_UNIT: Final = 10**FACTOR_DECIMALS
"""Quantities are whole numbers of millionths."""

DocumentType = Literal[
    "sales-order",
    "delivery-notice",
    "outbound",
    "receivable",
    "return-notice",
    "return",
    "receipt",
    "refund",
    "custom",
]
RANK: Final[dict[str, int]] = {
    "sales-order": 0,
    "delivery-notice": 1,
    "outbound": 2,
    "receivable": 3,
    "return-notice": 4,
    "return": 5,
    "receipt": 6,
    "refund": 7,
    "custom": 8,
}
"""A document comes from documents of a lower rank only."""

SALES_ORDER: Final = "sales-order"

Phase = Literal["submitted", "audited", "closed", "reversed"]
"""`reversed` is out of the set: recalled, un-audited or cancelled."""

PHASE_AFTER: Final[dict[DocumentOperation, Phase]] = {
    "submit": "submitted",
    "audit": "audited",
    "un-audit": "reversed",
    "recall": "reversed",
    "cancel": "reversed",
    "close": "closed",
    "terminate": "closed",
    "reopen": "audited",
    "un-terminate": "audited",
}
OPERATION_RANK: Final[dict[str, int]] = {
    operation: place
    for place, operation in enumerate(
        ("submit", "audit", "close", "terminate", "reopen", "un-terminate", "un-audit", "recall", "cancel")
    )
}
"""Which of two operations of the same revision is the later one."""


class DocumentKey(NamedTuple):
    """What a document is known by; an order is one too."""

    document_type: str
    source: str
    document_id: str


class Parties(NamedTuple):
    """Whom a document concerns; every later document of its chain concerns the same."""

    customer: str
    sales_organisation: str | None = None
    salesperson: str | None = None
    sales_group: str | None = None
    sales_department: str | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """What a line takes over from the document before it; no line = the document as a whole."""

    key: DocumentKey
    line_id: str | None
    quantity: int | None
    amount: int | None


@dataclass(frozen=True, slots=True)
class Line:
    """One line, its amount in minor units of the document's currency, its quantity in millionths."""

    line_id: str
    amount: int
    quantity: int | None = None
    material: str | None = None
    material_group: str | None = None
    links: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """A document as it stands after the last operation that is known of it."""

    key: DocumentKey
    revision: int
    phase: Phase
    parties: Parties
    currency: str
    document_date: date
    lines: tuple[Line, ...]
    sub_type: str | None = None
    due_date: date | None = None
    final: bool = False
    """Of a delivery notice: nothing more of its orders will be delivered."""

    @property
    def document_type(self) -> str:
        return self.key.document_type

    @property
    def amount(self) -> int:
        return sum(line.amount for line in self.lines)

    @property
    def links(self) -> Iterator[Link]:
        return (link for line in self.lines for link in line.links)

    @property
    def place(self) -> tuple[int, date, DocumentKey]:
        """Where it stands in the fold, whenever it came."""
        return RANK[self.document_type], self.document_date, self.key

    def in_phase(self, phase: Phase) -> "Document":
        """The same document after an operation that changes how it stands."""
        return replace(self, phase=phase)


class NotOfCredit(ValueError):
    """A document that does not concern credit: a payment request or a payment."""


class DocumentFault(ValueError):
    """What is wrong with a document: a stable code and a sentence."""

    def __init__(self, code: str, text: str) -> None:
        self.code = code
        self.text = text
        super().__init__(text)


def document_of(event: DocumentPosted) -> Document:
    """The document of an event; raises NotOfCredit, or DocumentFault when it does not add up."""
    if event.document_type in ("payment-request", "payment"):
        raise NotOfCredit(event.document_type)
    if event.customer is None:
        raise DocumentFault("customer-missing", f"A {event.document_type} must name its customer.")
    if event.document_type == "custom" and event.sub_type is None:
        raise DocumentFault("sub-type-missing", "A custom document must name its kind as its sub-type.")
    _check_amounts(event)
    return Document(
        key=DocumentKey(event.document_type, event.source, event.document_id),
        revision=event.document_revision,
        phase=PHASE_AFTER[event.operation],
        parties=Parties(
            event.customer,
            event.sales_organisation,
            event.salesperson,
            event.sales_group,
            event.sales_department,
        ),
        currency=event.currency,
        document_date=event.document_date,
        lines=tuple(_line(line, event) for line in event.lines),
        sub_type=event.sub_type,
        due_date=event.due_date,
        final=event.final,
    )


def _check_amounts(event: DocumentPosted) -> None:
    ids = {line.line_id for line in event.lines}
    if len(ids) < len(event.lines):
        raise DocumentFault("duplicate-line-id", "Every line must have an id of its own.")
    currencies = {line.amount.currency for line in event.lines} | {event.total.currency}
    if currencies != {event.currency}:
        named = ", ".join(sorted(currencies - {event.currency}))
        raise DocumentFault(
            "currency-mismatch",
            f"Amounts are in {named}; all must be in {event.currency}, as the document is.",
        )
    total = sum(line.amount.minor for line in event.lines)
    if total != event.total.minor:
        raise DocumentFault(
            "total-mismatch",
            f"The total is {event.total.amount}, which is not the sum of the lines' amounts.",
        )


def _line(line: DocumentLine, event: DocumentPosted) -> Line:
    links = tuple(_link(upstream, event) for upstream in line.upstream or ())
    return Line(
        line_id=line.line_id,
        amount=line.amount.minor,
        quantity=None if line.quantity is None else scaled(line.quantity, FACTOR_DECIMALS),
        material=line.material,
        material_group=line.material_group,
        links=links,
    )


def _link(upstream: Upstream, event: DocumentPosted) -> Link:
    if upstream.amount is not None and upstream.amount.currency != event.currency:
        raise DocumentFault(
            "currency-mismatch",
            f"What is taken from {upstream.document_type} {upstream.document_id} is in {upstream.amount.currency}; "
            f"it must be in {event.currency}, as the document is.",
        )
    return Link(
        key=DocumentKey(upstream.document_type, upstream.source or event.source, upstream.document_id),
        line_id=upstream.line_id,
        quantity=None if upstream.quantity is None else scaled(upstream.quantity, FACTOR_DECIMALS),
        amount=None if upstream.amount is None else upstream.amount.minor,
    )


def order_document(order: Order, phase: Phase) -> Document:
    """A sales order as the first document of its chain."""
    return Document(
        key=DocumentKey(SALES_ORDER, order.source, order.order_id),
        revision=order.order_revision,
        phase=phase,
        parties=order_parties(order),
        currency=order.currency,
        document_date=order.order_date,
        lines=tuple(
            Line(
                line.line_id,
                line.amount.minor,
                scaled(line.quantity, FACTOR_DECIMALS),
                line.material,
                line.material_group,
            )
            for line in order.lines
        ),
        due_date=order.due_date,
    )


def plain_quantity(millionths: int) -> str:
    """A quantity as it is written."""
    whole, fraction = divmod(millionths, QUANTITY_UNIT)
    return f"{whole}.{fraction:06d}".rstrip("0").rstrip(".")


def order_parties(order: Order) -> Parties:
    """Whom an order concerns."""
    return Parties(
        order.customer,
        order.sales_organisation,
        order.salesperson,
        order.sales_group,
        order.sales_department,
    )
