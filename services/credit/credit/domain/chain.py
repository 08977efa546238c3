"""What a chain of documents occupies: a pure function of the set of its documents, whatever came when.

Each line takes from the nearest line before it that occupies, at that line's own price and at most what is
left there, and then occupies itself. Goods that come back are taken from where they are: from what was
delivered and not invoiced, else from what was invoiced. Money is taken from what it settles. What finds
nothing to take from is the customer's credit.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final, Literal, NamedTuple

from credit.domain.documents import RANK, Document, DocumentKey, Line, Link, Parties, Phase

Number = int | Fraction
Stage = str
"""The type of the document that occupies, or `customer-credit`."""

CUSTOMER_CREDIT: Final = "customer-credit"
OUTBOUND: Final = "outbound"
RECEIVABLE: Final = "receivable"
RETURN_NOTICE: Final = "return-notice"
RETURN: Final = "return"
RECEIPT: Final = "receipt"
GOODS: Final = ("delivery-notice", OUTBOUND, RECEIVABLE)
TAKING: Final = (RETURN_NOTICE, RETURN, RECEIPT)
"""What takes and never occupies itself."""

ControlPoint = Literal["submit", "audit"]
LIVE: Final[dict[ControlPoint, frozenset[Phase]]] = {
    "submit": frozenset({"submitted", "audited", "closed"}),
    "audit": frozenset({"audited", "closed"}),
}


class Invoiced(NamedTuple):
    """A receivable line after an outbound line: how much of the outbound, and of itself, that is."""

    node: "Node"
    delivered: Number
    own: Number


class Returned(NamedTuple):
    """Goods that came back to a line they had left by: how many, and what their document says they are worth."""

    source: "Node"
    measure: Number
    worth: Number


@dataclass(slots=True, eq=False)
class Node:
    """A line in its chain, what others take from it, and what is left of it.

    A line is measured by its quantity, and by its amount where it has none.
    """

    document: Document
    line: Line
    occupies: bool
    taken: Number = 0
    """By the documents after it, and by goods that came back out of it."""
    settled: Number = 0
    """Of what it leaves, by receipts."""
    arrived: Number = 0
    """Of a return notice: which part has come back."""
    invoiced: list[Invoiced] = field(default_factory=list)
    returned: list[Returned] = field(default_factory=list)

    @property
    def measure(self) -> int:
        return self.line.quantity or self.line.amount

    @property
    def place(self) -> tuple[object, ...]:
        return *self.document.place, self.line.line_id

    def unsettled(self) -> Number:
        """What goods leave of the line, before any money."""
        if not self.taken:
            return self.line.amount
        if self.taken >= self.measure:
            return 0
        return self.line.amount * Fraction(self.measure - self.taken) / self.measure

    def left(self) -> Number:
        """What the line occupies."""
        return 0 if self.document.phase == "closed" else self.unsettled() - self.settled


@dataclass(slots=True)
class Piece:
    """What one line occupies in its document's currency; below zero where it is the customer's credit."""

    key: DocumentKey
    stage: Stage
    line_id: str
    amount: Number
    parties: Parties
    material: str | None
    material_group: str | None


@dataclass(slots=True)
class Takes:
    """What is taken from each line of a document, so that its other revisions can be measured too."""

    taken: dict[str, Number] = field(default_factory=dict)
    settled: dict[str, Number] = field(default_factory=dict)


Occupies = Callable[[Document], bool]
"""Whether a document is live and occupies, by the rule that one looks with."""


class Chain:
    """The documents that hang together by their lines, seen by one rule."""

    def __init__(self, documents: Iterable[Document], occupies: Occupies) -> None:
        ordered = sorted(documents, key=lambda document: document.place)
        self.documents = {document.key: document for document in ordered}
        self.nodes: dict[DocumentKey, dict[str, Node]] = {}
        self._of_type: dict[str, list[Node]] = defaultdict(list)
        for document in ordered:
            is_occupying = occupies(document)
            nodes = {line.line_id: Node(document, line, is_occupying) for line in document.lines}
            self.nodes[document.key] = nodes
            self._of_type[document.document_type] += nodes.values()
        self.credit: list[tuple[Node, Node, Number]] = []
        """Whose document gives the customer credit, where it would have been taken, and how much."""
        self._fold()

    def pieces(self) -> Iterator[Piece]:
        """Everything that occupies, in the order of the fold."""
        for key, nodes in self.nodes.items():
            if key.document_type in TAKING:
                continue
            for node in nodes.values():
                left = node.left() if node.occupies else 0
                if left:
                    yield self._piece(node, node, key.document_type, left)
        for source, target, amount in self.credit:
            yield self._piece(source, target, CUSTOMER_CREDIT, -amount)

    def takes(self, key: DocumentKey) -> Takes:
        """What is taken from each line of a document."""
        nodes = self.nodes.get(key, {})
        return Takes(
            {line_id: node.taken for line_id, node in nodes.items() if node.taken},
            {line_id: node.settled for line_id, node in nodes.items() if node.settled},
        )

    def _piece(self, source: Node, target: Node, stage: Stage, amount: Number) -> Piece:
        head, material, group = self._origin(target)
        key, line_id = source.document.key, source.line.line_id
        return Piece(key, stage, line_id, amount, head.parties, material, group)

    def _origin(self, node: Node) -> tuple[Document, str | None, str | None]:
        """The document that the line's chain begins with, and the material of the line."""
        material, group = node.line.material, node.line.material_group
        while (before := self._before(node)) is not None:
            node = before
            material = material or node.line.material
            group = group or node.line.material_group
        return node.document, material, group

    def _before(self, node: Node) -> Node | None:
        for link in node.line.links:
            for before in self._linked(node, link):
                return before
        return None

    def _linked(self, node: Node, link: Link) -> list[Node]:
        """The lines that a link names, as far as they are known; a whole document stands for all of its lines."""
        if RANK[link.key.document_type] >= RANK[node.document.document_type]:
            return []
        nodes = self.nodes.get(link.key)
        if nodes is None:
            return []
        if link.line_id is None:
            return list(nodes.values())
        found = nodes.get(link.line_id)
        return [] if found is None else [found]

    def _parts(self, node: Node, link: Link) -> Iterator[tuple[Node, Number, Number]]:
        """Per line that a link names: which part of it is taken over, and its weight among the lines."""
        nodes = self._linked(node, link)
        whole = sum(before.line.amount for before in nodes)
        for before in nodes:
            weight: Number = 1
            if len(nodes) > 1:
                weight = Fraction(before.line.amount, whole) if whole else Fraction(1, len(nodes))
            yield before, _part(node, link, before) * weight, weight

    def _nearest(self, node: Node, part: Number) -> Iterator[tuple[Node, Number]]:
        """The nearest lines that occupy, from a line on upwards, and which part of each is meant."""
        if node.occupies:
            yield node, part
            return
        for link in node.line.links:
            for before, before_part, _ in self._parts(node, link):
                yield from self._nearest(before, part * before_part)

    def _fold(self) -> None:
        for document_type in GOODS:
            self._each(document_type, self._take_goods)
        self._each(RETURN, self._note_arrival)
        self._each(RETURN_NOTICE, self._bring_back)
        self._each(RETURN, self._bring_back)
        for node in self._of_type[OUTBOUND]:
            self._place_at_outbound(node)
        for node in self._of_type[RECEIVABLE]:
            self._place_at_receivable(node)
        self._each(RECEIPT, self._settle)

    def _each(self, document_type: str, take: Callable[[Node], None]) -> None:
        for node in self._of_type[document_type]:
            if node.occupies:
                take(node)

    def _take_goods(self, node: Node) -> None:
        for link in node.line.links:
            for before, part, weight in self._parts(node, link):
                if node.document.document_type == RECEIVABLE and before.document.document_type == OUTBOUND:
                    own = _own_part(node, link) * weight * node.measure
                    before.invoiced.append(Invoiced(node, part * before.measure, own))
                for target, share in self._nearest(before, part):
                    target.taken += share * target.measure

    def _note_arrival(self, node: Node) -> None:
        for link in node.line.links:
            for before, part, _ in self._parts(node, link):
                if before.document.document_type == RETURN_NOTICE:
                    before.arrived += part

    def _bring_back(self, node: Node) -> None:
        """Notes goods that came back, or are announced to, at the lines that they once left by."""
        share = max(0, 1 - node.arrived) if node.document.phase != "closed" else 0
        if node.document.document_type == RETURN:
            share = 1
        rest: Number = 1
        for link in node.line.links:
            own = min(_own_part(node, link), rest)
            for target, part, weight in self._left_by(node, link):
                worth = node.line.amount * own * weight * share
                target.returned.append(Returned(node, part * share * target.measure, worth))
                rest -= own * weight
        self._credit(node, node, node.line.amount * max(rest, 0) * share)

    def _left_by(self, node: Node, link: Link) -> Iterator[tuple[Node, Number, Number]]:
        """The outbound or receivable lines that goods left by, with the part of each and its weight."""
        for before, part, weight in self._parts(node, link):
            if before.document.document_type in (OUTBOUND, RECEIVABLE):
                if before.document.phase != "reversed":
                    yield before, part, weight
            elif before.document.document_type == RETURN_NOTICE:
                for further in before.line.links:
                    for target, further_part, further_weight in self._left_by(before, further):
                        own = _own_part(before, further)
                        yield target, part * further_part, weight * further_weight * own

    def _place_at_outbound(self, node: Node) -> None:
        """First what was not invoiced, then the receivables in their order, then the customer's credit."""
        rooms = [invoice.delivered for invoice in node.invoiced]
        uninvoiced = max(0, node.measure - sum(rooms))
        for source, measure, worth in sorted(node.returned, key=lambda item: item.source.place):
            here = min(measure, uninvoiced)
            uninvoiced -= here
            if here:
                for target, part in self._nearest(node, Fraction(here) / node.measure):
                    target.taken += part * target.measure
            rest = measure - here
            for number, invoice in enumerate(node.invoiced):
                there = min(rest, rooms[number])
                rooms[number] -= there
                rest -= there
                if there:
                    invoice.node.taken += there * invoice.own / Fraction(invoice.delivered)
            if rest:
                self._credit(source, node, worth * Fraction(rest) / measure)

    def _place_at_receivable(self, node: Node) -> None:
        for source, measure, worth in sorted(node.returned, key=lambda item: item.source.place):
            room = max(0, node.measure - node.taken) if node.occupies else 0
            here = min(measure, room)
            node.taken += here
            if measure > here:
                self._credit(source, node, worth * Fraction(measure - here) / measure)

    def _settle(self, node: Node) -> None:
        """Money settles what it names, as far as something is left there; the rest is the customer's credit."""
        rest: Number = node.line.amount
        for link in node.line.links:
            amount = min(rest, rest if link.amount is None else link.amount)
            rest -= amount
            self._settle_link(node, link, amount)
        self._credit(node, node, rest)

    def _settle_link(self, node: Node, link: Link, amount: Number) -> None:
        last = node
        for before in self._linked(node, link):
            if before.document.currency != node.document.currency:
                continue
            for target, _ in self._nearest(before, 1):
                last = target
                paid = min(amount, _open(target))
                target.settled += paid
                amount -= paid
        self._credit(node, last, amount)

    def _credit(self, source: Node, target: Node, amount: Number) -> None:
        if amount:
            self.credit.append((source, target, amount))


def _own_part(node: Node, link: Link) -> Number:
    """Which part of the line itself a link covers; the whole where the link does not say."""
    if link.quantity is not None and node.line.quantity:
        return _ratio(link.quantity, node.line.quantity)
    if link.amount is not None and node.line.amount:
        return _ratio(link.amount, node.line.amount)
    return 1


def _part(node: Node, link: Link, before: Node) -> Number:
    """Which part of the line before is taken over; may be more than the whole."""
    if node.line.quantity and before.line.quantity:
        if link.quantity is None and link.amount is not None:
            return _own_part(node, link) * _ratio(node.line.quantity, before.line.quantity)
        taken = node.line.quantity if link.quantity is None else link.quantity
        return _ratio(taken, before.line.quantity)
    if not before.line.amount:
        return 0
    return _own_part(node, link) * _ratio(node.line.amount, before.line.amount)


def _ratio(part: int, whole: int) -> Number:
    """Whole numbers as long as they are whole, which they mostly are: fractions cost ten times as much."""
    return 1 if part == whole else Fraction(part, whole)


def _open(node: Node) -> Number:
    """What money can settle; what was closed before it was invoiced settles nothing."""
    if node.document.phase == "closed" and node.document.document_type != RECEIVABLE:
        return 0
    return node.unsettled() - node.settled


def left_of(document: Document, takes: Takes) -> dict[str, Number]:
    """What another revision of a document leaves of each line, with the same taken from it."""
    left: dict[str, Number] = {}
    for line in document.lines:
        node = Node(document, line, occupies=True, taken=takes.taken.get(line.line_id, 0))
        node.settled = min(takes.settled.get(line.line_id, 0), node.unsettled())
        left[line.line_id] = node.left()
    return left


def by_stage(pieces: Iterable[Piece]) -> dict[Stage, Number]:
    """What is used per stage, as it is shown."""
    sums: dict[Stage, Number] = defaultdict(int)
    for piece in pieces:
        sums[piece.stage] += piece.amount
    return net_of_refunds(sums)


def net_of_refunds(sums: Mapping[Stage, Number]) -> dict[Stage, Number]:
    """A refund first empties the customer's credit; no other stage is ever below zero."""
    shown = dict(sums)
    rest = shown.get("refund", 0) + shown.get(CUSTOMER_CREDIT, 0)
    if CUSTOMER_CREDIT in shown:
        shown[CUSTOMER_CREDIT] = min(rest, 0)
    if "refund" in shown:
        shown["refund"] = max(rest, 0)
    return shown
