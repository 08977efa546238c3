"""Chains to test with, and a slow reference that counts every single piece of goods by hand."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from credit.domain.chain import LIVE, Chain, by_stage
from credit.domain.documents import (
    QUANTITY_UNIT,
    Document,
    DocumentKey,
    Line,
    Link,
    Parties,
    Phase,
)

DAY = date(2026, 3, 2)


def key(name: str) -> DocumentKey:
    """`outbound D1` names a document of the one system that the tests know."""
    document_type, document_id = name.split()
    return DocumentKey(document_type, "erp", document_id)


def document(
    name: str,
    quantity: int | None = None,
    price: int = 1,
    *upstream: str | tuple[Any, ...],
    phase: Phase = "audited",
    day: int = 2,
    amount: int | None = None,
    customer: str = "C-1",
    currency: str = "CNY",
) -> Document:
    """A document of one line; `upstream` are names, or (name, quantity or amount)."""
    links = []
    for item in upstream:
        upstream_name, count = item if isinstance(item, tuple) else (item, None)
        is_goods = quantity is not None
        links.append(
            Link(
                key(upstream_name),
                "1",
                count * QUANTITY_UNIT if is_goods and count is not None else None,
                None if is_goods else count,
            )
        )
    line = Line(
        "1",
        amount if amount is not None else (quantity or 0) * price,
        None if quantity is None else quantity * QUANTITY_UNIT,
        "M-1",
        None,
        tuple(links),
    )
    return Document(key(name), 1, phase, Parties(customer), currency, date(2026, 3, day), (line,))


def occupies_when_audited(document: Document) -> bool:
    return document.phase in LIVE["audit"]


def stages(documents: Iterable[Document]) -> dict[str, int]:
    """What each stage uses, without those that use nothing."""
    return {
        stage: int(amount)
        for stage, amount in by_stage(Chain(documents, occupies_when_audited).pieces()).items()
        if amount
    }


def used(documents: Iterable[Document]) -> int:
    return sum(stages(documents).values())


@dataclass(slots=True)
class Pile:
    """Pieces of goods that lie at one document at its price; `paid` is the money that settled some of it."""

    document: Document
    pieces: int
    price: int
    paid: int = 0
    from_outbound: dict[DocumentKey, int] = field(default_factory=lambda: defaultdict(int))


class Reference:
    """Moves every piece of goods by hand, document by document, in the order of the chain.

    Documents have one line each, whole quantities and links that say how much.
    """

    def __init__(self, documents: Iterable[Document]) -> None:
        self.known = sorted(documents, key=lambda document: document.place)
        self.all = {document.key: document for document in self.known}
        self.piles: dict[DocumentKey, Pile] = {}
        self.credit = 0
        self.refunds = 0
        for document in self.known:
            if document.phase in LIVE["audit"]:
                self._take(document)
        for document in self.known:
            if document.phase == "closed" and document.key in self.piles:
                self.piles[document.key].pieces = 0
                self.piles[document.key].paid = 0

    def used(self) -> int:
        total = sum(pile.pieces * pile.price - pile.paid for pile in self.piles.values())
        return total + self.refunds - self.credit

    def _take(self, document: Document) -> None:
        kind = document.document_type
        if kind == "refund":
            self.refunds += 0 if document.phase == "closed" else document.amount
        elif kind == "receipt":
            self._pay(document)
        elif kind in ("return", "return-notice"):
            self._come_back(document)
        else:
            self._goods(document)

    def _goods(self, document: Document) -> None:
        [line] = document.lines
        pieces = (line.quantity or 0) // QUANTITY_UNIT
        pile = Pile(document, pieces, line.amount // pieces if pieces else 0)
        for link in line.links:
            wanted = (link.quantity or line.quantity or 0) // QUANTITY_UNIT
            if document.document_type == "receivable" and link.key.document_type == "outbound":
                pile.from_outbound[link.key] += wanted
            source = self._nearest_pile(link.key)
            if source is not None:
                source.pieces -= min(source.pieces, wanted)
        self.piles[document.key] = pile

    def _nearest_pile(self, key: DocumentKey) -> Pile | None:
        while key in self.all:
            if key in self.piles:
                return self.piles[key]
            links = self.all[key].lines[0].links
            if not links:
                return None
            key = links[0].key
        return None

    def _come_back(self, document: Document) -> None:
        [line] = document.lines
        pieces = (line.quantity or 0) // QUANTITY_UNIT
        price = line.amount // pieces if pieces else 0
        if document.document_type == "return-notice":
            arrived = sum(
                (link.quantity or other.lines[0].quantity or 0) // QUANTITY_UNIT
                for other in self.known
                if other.document_type == "return" and other.phase in LIVE["audit"]
                for link in other.lines[0].links
                if link.key == document.key
            )
            pieces = 0 if document.phase == "closed" else max(0, pieces - arrived)
        outbound = self._outbound(document)
        if outbound is None:
            self.credit += pieces * price
            return
        for _ in range(pieces):
            if not self._one_back(outbound):
                self.credit += price

    def _outbound(self, document: Document) -> DocumentKey | None:
        for link in document.lines[0].links:
            upstream = self.all.get(link.key)
            if upstream is None:
                return None
            if upstream.document_type == "outbound":
                return upstream.key if upstream.phase != "reversed" else None
            return self._outbound(upstream)
        return None

    def _one_back(self, outbound: DocumentKey) -> bool:
        pile = self.piles.get(outbound)
        if pile is not None and pile.pieces:
            pile.pieces -= 1
            return True
        for other in self.piles.values():
            if other.document.document_type == "receivable" and other.from_outbound[outbound]:
                other.from_outbound[outbound] -= 1
                other.pieces -= min(other.pieces, 1)
                return True
        return False

    def _pay(self, document: Document) -> None:
        rest = document.amount
        for link in document.lines[0].links:
            money = min(rest, link.amount if link.amount is not None else rest)
            rest -= money
            pile = self._nearest_pile(link.key)
            if pile is not None and not (
                pile.document.phase == "closed" and pile.document.document_type != "receivable"
            ):
                paid = min(money, pile.pieces * pile.price - pile.paid)
                pile.paid += paid
                money -= paid
            self.credit += money
        self.credit += rest
