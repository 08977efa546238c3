"""Allocate and reclaim: a management account's cash into a member's transfer book, and back."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from contracts.money import decimal_string

from fund_pool.domain.access import VIEW_FINANCIAL_INFORMATION, Relationship
from fund_pool.domain.account_types import CASH
from fund_pool.domain.available import reclaimable, transferable
from fund_pool.domain.books import Book
from fund_pool.domain.documents import Refusal
from fund_pool.domain.ledger import ALLOCATION, ALLOCATION_CLEARING, RECLAIM, Document
from fund_pool.domain.pool import FundAccount, Move, Pool, Posted

Operation = Literal["allocate", "reclaim"]
SYNC_CREDIT_IDENTITY: Final = "sync-credit-identity"
NEEDED: Final = frozenset({SYNC_CREDIT_IDENTITY, VIEW_FINANCIAL_INFORMATION})


@dataclass(frozen=True, slots=True)
class Row:
    """One operation of a batch; amounts in minor units."""

    number: int
    member: str
    currency: str
    amount: int


@dataclass(frozen=True, slots=True)
class RowResult:
    """What would become, or became, of a row; the entries once it is posted."""

    row: Row
    refusal: Refusal | None
    left: int | None = None
    disbursed: Posted | None = None
    received: Posted | None = None


@dataclass(slots=True)
class Desk:
    """The pools and relationships of one batch of a management account, under lock."""

    operation: Operation
    management: Pool | None
    members: Mapping[str, Pool]
    relationships: Mapping[str, Sequence[Relationship]]
    now: datetime

    def judge(self, rows: Iterable[Row]) -> list[RowResult]:
        """What each row would do if all were posted in turn; changes nothing.

        A member that stands in a batch twice is refused the second time, and so is what the management
        account cannot give any more after the rows before.
        """
        seen: set[tuple[str, str]] = set()
        given: dict[str, int] = {}
        results = []
        for row in rows:
            refusal = self._refusal(row, seen, given)
            seen.add((row.member, row.currency))
            if refusal is None:
                given[row.currency] = given.get(row.currency, 0) + row.amount
            results.append(RowResult(row, refusal))
        return results

    def post(self, row: Row, document_id: str) -> RowResult:
        """Posts a row that was judged under the same lock: one entry in each party's books."""
        assert self.management is not None
        member = self.members[row.member]
        given = _cash(self.management, row.currency)
        taken = _cash(member, row.currency)
        change = row.amount if self.operation == "allocate" else -row.amount
        kind = ALLOCATION if self.operation == "allocate" else RECLAIM
        document = Document(kind, "", document_id, row.number)
        book = self._booked(member, row)
        disbursed = _moved(self.management, document, given, -change, self.now)
        received = _moved(member, document, taken, change, self.now)
        if self.operation == "reclaim":
            disbursed, received = received, disbursed
        return RowResult(row, None, book.remaining, disbursed, received)

    def _booked(self, member: Pool, row: Row) -> Book:
        assert self.management is not None
        giver = self.management.account
        key = (giver, row.currency)
        book = member.books.get(key) or Book(giver, row.currency, self.now)
        if self.operation == "allocate":
            book.given += row.amount
        else:
            book.taken_back += row.amount
        member.books[key] = member.touched_books[key] = book
        member.extras = True
        return book

    def _refusal(self, row: Row, seen: set[tuple[str, str]], given: Mapping[str, int]) -> Refusal | None:
        if row.amount <= 0:
            return Refusal("zero-amount", "amount", "the amount is more than 0")
        if (row.member, row.currency) in seen:
            return Refusal("repeated", "member_account", "an earlier row is for the same member and currency")
        if self.management is None or not self.management.active:
            return Refusal("unknown-account", "management_account", "the management account is not active")
        member = self.members.get(row.member)
        if member is None or not member.active or row.member == self.management.account:
            return Refusal("unknown-account", "member_account", f"{row.member} is no active member account")
        known = self.relationships.get(row.member, ())
        refusal = relationship_refusal(known, self.management.account)
        if refusal is None and self.operation == "allocate" and any(one.frozen_by for one in known):
            refusal = Refusal("relationship-ending", "member_account", "the relationship is about to end")
        return refusal or self._beyond(row, member, given)

    def _beyond(self, row: Row, member: Pool, given: Mapping[str, int]) -> Refusal | None:
        assert self.management is not None
        if self.operation == "reclaim":
            most = reclaimable(member, self.management.account, row.currency)
            return _beyond("beyond-reclaimable", row, most, "can be reclaimed")
        refusal = _closed(member, row, self.now)
        most = transferable(self.management, row.currency) - given.get(row.currency, 0)
        return refusal or _beyond("beyond-transferable", row, max(0, most), "can be allocated")


def relationship_refusal(relationships: Iterable[Relationship], management: str) -> Refusal | None:
    """Funds need an active financial relationship with both permissions, and none that is about to end."""
    active = [
        one
        for one in relationships
        if one.management_account == management and one.state == "active" and one.kind == "financial"
    ]
    if not active:
        return Refusal("no-relationship", "member_account", "there is no active financial relationship")
    if not any(one.permissions >= NEEDED for one in active):
        return Refusal(
            "permission-missing",
            "member_account",
            "the member has not accepted both syncing its credit identity and showing its finances",
        )
    return None


def _closed(member: Pool, row: Row, now: datetime) -> Refusal | None:
    cash = member.find(CASH.code, row.currency)
    if cash is not None and cash.validity(member.today(now)) != "valid":
        return Refusal("fund-account-expired", "member_account", f"cash of {row.member} takes no money today")
    if not member.has_room(row.currency, row.amount):
        return Refusal("too-large", "amount", "the member would hold more than can be stored")
    return None


def _beyond(code: str, row: Row, most: int, what: str) -> Refusal | None:
    if row.amount <= most:
        return None
    text = f"at most {decimal_string(most, row.currency)} {row.currency} {what}"
    return Refusal(code, "amount", text, most)


def _cash(pool: Pool, currency: str) -> FundAccount:
    return pool.find(CASH.code, currency) or pool.open(CASH, currency)


def _moved(pool: Pool, document: Document, cash: FundAccount, amount: int, now: datetime) -> Posted:
    return pool.post(document, [Move(cash, amount, ALLOCATION_CLEARING)], pool.today(now), now)
