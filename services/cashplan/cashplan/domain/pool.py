"""The receipts-and-payments pool: open future items, one per document, derived from facts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final, Literal, NamedTuple

from contracts.order_decided import LinePayment, OrderPosition

from contracts import OrderDecided

Direction = Literal["in", "out"]

ORDER: Final = "order"
ON_CREDIT: Final = frozenset({"overdraft"})


class ItemKey(NamedTuple):
    """The document that an item stands for: exactly one item per key."""

    document_type: str
    source: str
    document_id: str


def item_of(text: str) -> ItemKey:
    """The key that `"\\t".join(key)` wrote."""
    document_type, source, document_id = text.split("\t")
    return ItemKey(document_type, source, document_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolItem:
    """What one document still brings or takes; amounts are minor units of `currency`.

    `version` is an order's check number or a document's revision. `covered_minor` is what later documents of the
    chain have taken over, or what an order's paid part leaves of its receivables. An item of amount 0 is closed.
    Entity and currency are absent only for an order that nobody has seen, whose amount is 0.
    """

    key: ItemKey
    version: int
    direction: Direction
    entity: str | None
    currency: str | None
    counterparty: str | None
    account: str
    due_date: date
    document_minor: int
    settled_minor: int
    covered_minor: int = 0
    item: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    step: int = 1

    @property
    def gross_minor(self) -> int:
        """What the document brings by itself, before any later one takes it over."""
        return self.document_minor - self.settled_minor

    @property
    def amount_minor(self) -> int:
        return self.gross_minor - self.covered_minor


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemChange:
    """One step of an item's history: the item after it, and the fact that caused it."""

    item: PoolItem
    operation: str
    outcome: str
    event_id: str
    decided_at: datetime


def order_key(decision: OrderDecided) -> ItemKey:
    return ItemKey(ORDER, decision.source, decision.order_id)


def flaw(decision: OrderDecided) -> str | None:
    """Why a position contradicts itself or belongs nowhere, in a sentence; None when it is sound."""
    position = decision.position
    if position is None:
        return None
    if not _adds_up(position):
        return "position: total is not the sum of payments and unpaid in one currency"
    if position.total.minor > 0 and decision.settlement_organisation is None:
        return "settlement_organisation: is missing although the order has a position"
    return None


def _adds_up(position: OrderPosition) -> bool:
    amounts = [position.unpaid, *(part.amount for part in _parts(position))]
    same_currency = all(amount.currency == position.total.currency for amount in amounts)
    return same_currency and position.total.minor == sum(amount.minor for amount in amounts)


def settled_minor(position: OrderPosition) -> int:
    """What is in hand already: every payment and hold but those on credit, which the customer still has to bring.

    From a decided order only the part that was not paid from cash, voucher or card is a receipt to come (seed
    003, receipts-and-payments pool).
    """
    return sum(part.amount.minor for part in _parts(position) if part.account_type not in ON_CREDIT)


def _parts(position: OrderPosition) -> list[LinePayment]:
    return [*position.payments, *(position.holds or ())]


def next_item(current: PoolItem | None, decision: OrderDecided) -> PoolItem | None:
    """The receipt to come after an order decision, or None when an equal or higher check is known already.

    What followed from the known check later, a sequel, is newer than the check itself.

    It follows the position and never the outcome. A decision that leaves out where the order belongs, or when
    it is due, changes neither; a receipt that never had a due date is due when it was decided.
    """
    known = current.version if current is not None else 0
    if decision.check_number < known or (decision.check_number == known and decision.sequel is None):
        return None
    position = decision.position
    return PoolItem(
        key=order_key(decision),
        version=decision.check_number,
        direction="in",
        entity=decision.settlement_organisation or (current.entity if current else None),
        currency=_currency(current, decision),
        counterparty=decision.customer or (current.counterparty if current else None),
        account=decision.paying_account,
        due_date=_due_date(current, decision),
        document_minor=position.total.minor if position else 0,
        settled_minor=settled_minor(position) if position else 0,
        attributes=_attributes(decision),
    )


def _attributes(decision: OrderDecided) -> dict[str, str]:
    """What mappings and filters may speak of."""
    known = {
        "document-type": ORDER,
        "source": decision.source,
        "party": decision.settlement_organisation,
        "reporting-entity": decision.settlement_organisation,
        "settlement-organisation": decision.settlement_organisation,
        "business-organisation": decision.business_organisation,
        "customer": decision.customer,
        "counterparty": decision.customer,
        "settlement-method": decision.payment_method,
        "paying-account": decision.paying_account,
    }
    return {name: value for name, value in known.items() if value}


def _currency(current: PoolItem | None, decision: OrderDecided) -> str | None:
    stated = decision.position.total.currency if decision.position else decision.currency
    return stated or (current.currency if current else None)


def _due_date(current: PoolItem | None, decision: OrderDecided) -> date:
    stated = decision.position.due_date if decision.position else None
    known = current.due_date if current else None
    return stated or known or decision.decided_at.date()
