"""The documents that hang together with what one transaction touches, and what they occupy."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import NamedTuple

from contracts.order import Order

from credit.domain.arrivals import OrderKey
from credit.domain.chain import CUSTOMER_CREDIT, Chain, Number, Piece, Takes, left_of
from credit.domain.directory import Directory, rounded
from credit.domain.documents import SALES_ORDER, Document, DocumentKey, Phase, order_document
from credit.domain.order_state import OrderState
from credit.domain.profiles import Profile
from credit.domain.rules import CheckRule, FormulaFault

Place = tuple[DocumentKey, str, str]
"""A document, a profile and a stage."""


@dataclass(slots=True)
class DocumentState:
    """One document under lock.

    `confirmed` is false while only a granted request is known; `previous` is how it stood before that.
    """

    key: DocumentKey
    document: Document | None = None
    operation: str = ""
    confirmed: bool = True
    digest: bytes = b""
    body: bytes = b""
    previous_body: bytes | None = None
    previous: Document | None = None
    checks: int = 0
    is_changed: bool = False
    is_new: bool = True

    @property
    def revision(self) -> int:
        return self.document.revision if self.document is not None else 0


@dataclass(slots=True)
class Exposure:
    """What a set of documents occupies: documents by place, orders by check and profile, in profile currencies."""

    documents: dict[Place, int] = field(default_factory=lambda: defaultdict(int))
    orders: dict[OrderKey, dict[int, dict[str, int]]] = field(default_factory=dict)
    due: dict[DocumentKey, date] = field(default_factory=dict)


class LinePiece(NamedTuple):
    """What one line occupies in one profile, in the profile's currency."""

    key: DocumentKey
    line_id: str
    stage: str
    amount: int
    material: str | None


@dataclass(slots=True)
class Book:
    """Documents, what is stored of their occupancy, and the rates by which they count."""

    states: dict[DocumentKey, DocumentState] = field(default_factory=dict)
    stored: dict[Place, int] = field(default_factory=dict)
    rates: dict[tuple[DocumentKey, str], Fraction] = field(default_factory=dict)
    new_rates: dict[tuple[DocumentKey, str], Fraction] = field(default_factory=dict)
    drawn: dict[tuple[DocumentKey, DocumentKey], dict[str, int]] = field(default_factory=dict)
    """By delivery notice and order: how much of each line was passed on already, so that it is drawn once."""

    def component(self, start: Iterable[DocumentKey]) -> list[DocumentKey]:
        """Every document that hangs together with these, by links in either direction."""
        neighbours: dict[DocumentKey, set[DocumentKey]] = defaultdict(set)
        for key, state in self.states.items():
            for document in (state.document, state.previous):
                for link in document.links if document is not None else ():
                    neighbours[key].add(link.key)
                    neighbours[link.key].add(key)
        found: set[DocumentKey] = set()
        waiting = list(start)
        while waiting:
            key = waiting.pop()
            if key not in found:
                found.add(key)
                waiting.extend(neighbours[key])
        return sorted(found)

    def documents(self, keys: Iterable[DocumentKey]) -> Iterator[Document]:
        """The documents among these as they stand; orders are none of them."""
        for key in keys:
            state = self.states.get(key)
            if state is not None and state.document is not None:
                yield state.document


def phase_of(order: OrderState) -> Phase:
    """How an order stands in its chain."""
    if order.status == "closed":
        return "closed"
    return "audited" if order.occupancy.checks else "reversed"


def is_closed(order: OrderState, check_number: int) -> bool:
    """Whether a check of an order leaves nothing: closed, or about to be reopened by another check."""
    reopening = order.status == "undecided" and order.standing == "closed"
    return order.status == "closed" or (reopening and check_number == order.occupancy.settled_check)


def current_order(order: OrderState) -> Order | None:
    """The order as its chain sees it: as settled, else as last checked."""
    number = order.occupancy.settled_check
    if number is None or number not in order.contents:
        number = max((n for n in order.occupancy.checks if n in order.contents), default=None)
    if number is None and order.order_check in order.contents:
        number = order.order_check
    return order.contents[number] if number is not None else order.order


class Measuring:
    """Measures a set of documents under the rules and profiles of one transaction."""

    def __init__(self, book: Book, directory: Directory, profiles: Mapping[str, Profile]) -> None:
        self.book = book
        self.directory = directory
        self.rules: dict[tuple[str, int], CheckRule] = {}
        for profile in profiles.values():
            rule = profile.check_rule
            self.rules[rule.rule_id, rule.version] = rule

    def exposure(self, documents: list[Document], orders: Iterable[OrderState]) -> Exposure:
        """What they occupy; the documents are those of the orders' chains."""
        known = list(orders)
        whole = [*documents]
        for order in known:
            content = current_order(order)
            if content is not None:
                whole.append(order_document(content, phase_of(order)))
        exposure = Exposure()
        for document in documents:
            if document.document_type == "receivable":
                exposure.due[document.key] = document.due_date or document.document_date
        sums: dict[Place, Number] = defaultdict(int)
        for rule in self.rules.values():
            chain = Chain(whole, rule.occupies)
            for piece in chain.pieces():
                if piece.stage != SALES_ORDER:
                    self._count(piece, rule, sums, chain.documents[piece.key])
            for order in known:
                self._count_order(order, chain, rule, exposure)
        for (key, profile_id, stage), amount in sums.items():
            exposure.documents[key, profile_id, stage] = rounded(amount * self._rate(key, profile_id))
        return exposure

    def lines(
        self, documents: list[Document], orders: Iterable[OrderState], profile: Profile
    ) -> Iterator[LinePiece]:
        """What each line occupies in a profile, by its own rule; every line is rounded by itself."""
        known = [(order, content) for order in orders if (content := current_order(order)) is not None]
        papers = [order_document(content, phase_of(order)) for order, content in known]
        chain = Chain([*documents, *papers], profile.check_rule.occupies)
        for piece in chain.pieces():
            document = chain.documents[piece.key]
            rate = self._rate_of(document, profile)
            if rate is None or profile not in self._hit(piece, document.currency):
                continue
            amount = self._amount(piece, profile.check_rule, document)
            yield LinePiece(piece.key, piece.line_id, piece.stage, rounded(amount * rate), piece.material)

    def _count(self, piece: Piece, rule: CheckRule, sums: dict[Place, Number], document: Document) -> None:
        amount = self._amount(piece, rule, document)
        for profile in self._hit(piece, document.currency):
            if profile.check_rule is rule or profile.check_rule == rule:
                rate = self._rate_of(document, profile)
                if rate is not None:
                    sums[piece.key, profile.profile_id, piece.stage] += amount

    def _amount(self, piece: Piece, rule: CheckRule, document: Document) -> Number:
        """A formula that gives no result for the document leaves its own amount."""
        amount = piece.amount
        said = rule.of(document.document_type, document.sub_type)
        if said.amount is not None and piece.stage != CUSTOMER_CREDIT:
            values: dict[str, int | str | bool] = {
                "amount": rounded(amount),
                "document_type": document.document_type,
                "sub_type": document.sub_type or "",
                "currency": document.currency,
                "customer": document.parties.customer,
            }
            with suppress(FormulaFault):
                amount = int(said.amount.evaluate(values))
        return amount

    def _hit(self, piece: Piece, currency: str) -> list[Profile]:
        customer = self.directory.customers.get(piece.parties.customer)
        if customer is None or not customer.credit_managed:
            return []
        found = self.directory.of_parties(piece.parties, currency)
        if piece.material is not None or piece.material_group is not None:
            found = [
                *found,
                *self.directory.of_line(piece.parties, piece.material, piece.material_group, currency),
            ]
        return found

    def _rate_of(self, document: Document, profile: Profile) -> Fraction | None:
        """The rate that the document was first counted by, else the one of today, which is kept."""
        if document.currency == profile.currency:
            return Fraction(1)
        place = document.key, profile.profile_id
        rate = self.book.rates.get(place) or self.book.new_rates.get(place)
        if rate is None:
            rate = self.directory.rate(document.currency, profile)
            if rate is not None:
                self.book.new_rates[place] = rate
        return rate

    def _rate(self, key: DocumentKey, profile_id: str) -> Fraction:
        place = key, profile_id
        return self.book.rates.get(place) or self.book.new_rates.get(place) or Fraction(1)

    def _count_order(self, order: OrderState, chain: Chain, rule: CheckRule, exposure: Exposure) -> None:
        takes = chain.takes(DocumentKey(SALES_ORDER, *order.key))
        checks = exposure.orders.setdefault(order.key, {})
        for number in order.occupancy.checks:
            content = order.contents.get(number)
            if content is not None:
                amounts = self.order_amounts(content, takes, rule, is_closed=is_closed(order, number))
                checks.setdefault(number, {}).update(amounts)

    def order_amounts(
        self, order: Order, takes: Takes, rule: CheckRule | None, *, is_closed: bool = False
    ) -> dict[str, int]:
        """What one revision of an order leaves in each profile that it hits; nothing of an unmanaged customer."""
        customer = self.directory.customers.get(order.customer)
        if customer is None or not customer.credit_managed:
            return {}
        document = order_document(order, "closed" if is_closed else "audited")
        left = left_of(document, takes)
        sums: dict[str, Number] = defaultdict(int)
        profiles: dict[str, Profile] = {}
        for line in document.lines:
            hit = [
                *self.directory.of_parties(document.parties, order.currency),
                *self.directory.of_line(document.parties, line.material, line.material_group, order.currency),
            ]
            for profile in hit:
                profiles[profile.profile_id] = profile
                sums[profile.profile_id] += left[line.line_id]
        amounts: dict[str, int] = {}
        for profile_id, amount in sums.items():
            profile = profiles[profile_id]
            rate = self._rate_of(document, profile)
            if rate is None or (rule is not None and profile.check_rule != rule):
                continue
            occupies = profile.check_rule.of(SALES_ORDER).occupies
            amounts[profile_id] = rounded(amount * rate) if occupies else 0
        return amounts
