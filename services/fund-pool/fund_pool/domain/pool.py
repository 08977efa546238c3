"""An account's fund pool in memory: its fund accounts, their balances, and what is posted to them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cache
from typing import Literal
from zoneinfo import ZoneInfo

from contracts.money import decimals

from fund_pool.domain.account_types import PRESETS, AccountType
from fund_pool.domain.books import Book, SpendingOrder
from fund_pool.domain.deduction import BUILT_IN, DeductionOrder
from fund_pool.domain.errors import BalanceOverflow, LimitPassed, VoucherExceeded
from fund_pool.domain.holds import Hold, HoldEvent, HoldKind
from fund_pool.domain.items import OpenItem
from fund_pool.domain.ledger import GENESIS, Bucket, Document, Entry, Posting, chained, derived_id
from fund_pool.domain.quota import Notice, QuotaTerms, Watch
from fund_pool.domain.vouchers import Voucher

WHOLE_DIGITS_MAX = 14
Validity = Literal["valid", "expired", "not-yet-valid"]
LineSource = Literal["documents", "member-limit"]
UTC = ZoneInfo("UTC")


@cache
def largest_amount(currency: str) -> int:
    """The most minor units of a currency that an amount on the wire can say."""
    return int(10 ** (WHOLE_DIGITS_MAX + decimals(currency))) - 1


@dataclass(slots=True)
class FundAccount:
    """One purse of a pool; `balance` and `line` in minor units, an overdraft in use stands below zero.

    `held`: what live holds have set aside, as of the moment for which the pool was loaded.
    """

    type: AccountType
    currency: str
    balance: int = 0
    line: int = 0
    valid_from: date | None = None
    valid_until: date | None = None
    held: int = 0
    line_source: LineSource = "documents"

    @property
    def usable(self) -> int:
        return max(0, self.balance + self.line - self.held)

    @property
    def used(self) -> int:
        """What is drawn of the line."""
        return max(0, -self.balance)

    def validity(self, day: date) -> Validity:
        if self.valid_from is not None and day < self.valid_from:
            return "not-yet-valid"
        if self.valid_until is not None and day > self.valid_until:
            return "expired"
        return "valid"


@dataclass(slots=True)
class Move:
    """What an entry does to one bucket of a fund account, and the internal account on the other side.

    Without a counterpart, internal moves of the same entry balance it.
    """

    fund_account: FundAccount
    amount: int
    counterpart: str | None
    bucket: Literal["balance", "line"] = "balance"


@dataclass(slots=True)
class VoucherMove:
    """What an entry does to a voucher, and the internal account on the other side."""

    voucher: Voucher
    amount: int
    counterpart: str | None


@dataclass(slots=True)
class InternalMove:
    """What an entry does to an internal account by itself."""

    account: str
    currency: str
    amount: int


AnyMove = Move | VoucherMove | InternalMove


@dataclass(slots=True)
class CommonLine:
    """The overdraft of a management account that its members draw on together: entity-level credit.

    Nothing new is drawn while the member's trusteeship is about to end.
    """

    owner: str
    purse: FundAccount
    ending: bool = False


@dataclass(slots=True)
class Posted:
    """An entry with the notices of low quota that follow from it."""

    entry: Entry
    notices: list[Notice]


@dataclass(slots=True)
class Pool:
    """All that an account owns and owes, as locked and loaded; posting changes it in memory.

    A voucher that several accounts share is one object in all their pools. `extras` says that the account has
    more than fund accounts, thresholds and rights, so that the next one who loads it asks for that too; `lends`
    are the currencies in which members draw on its line; `leaving_customers` are those of members whose trusteeship
    by this account is about to end.
    `touched_*` name what is to be written; `lapsed` is what came back to voucher pools after a voucher's end.
    """

    account: str
    customer: str = ""
    settlement_organisation: str = ""
    active: bool = True
    time_zone: ZoneInfo = UTC
    last_entry_number: int = 0
    last_posted_at: datetime | None = None
    deduction: DeductionOrder = BUILT_IN
    fund_accounts: dict[tuple[str, str], FundAccount] = field(default_factory=dict)
    watches: dict[str, Watch] = field(default_factory=dict)
    users: frozenset[str] = frozenset()
    entries: list[Entry] = field(default_factory=list)
    opened: set[tuple[str, str]] = field(default_factory=set)
    moved: set[tuple[str, str]] = field(default_factory=set)
    types: Mapping[str, AccountType] = field(default_factory=lambda: PRESETS)
    closed_through: date | None = None
    chain_head: bytes = GENESIS
    extras: bool = False
    spending_order: SpendingOrder = "transferred-first"
    account_payment: bool = True
    holds: dict[str, Hold] = field(default_factory=dict)
    items: dict[str, OpenItem] = field(default_factory=dict)
    books: dict[tuple[str, str], Book] = field(default_factory=dict)
    vouchers: dict[str, Voucher] = field(default_factory=dict)
    commons: dict[str, CommonLine] = field(default_factory=dict)
    lends: frozenset[str] = frozenset()
    leaving_customers: frozenset[str] = frozenset()
    touched_holds: dict[str, Hold] = field(default_factory=dict)
    hold_events: list[HoldEvent] = field(default_factory=list)
    touched_items: dict[str, OpenItem] = field(default_factory=dict)
    touched_books: dict[tuple[str, str], Book] = field(default_factory=dict)
    touched_vouchers: dict[str, Voucher] = field(default_factory=dict)
    lapsed: dict[str, int] = field(default_factory=dict)

    def today(self, now: datetime) -> date:
        """The date in the settlement organisation's time zone."""
        return now.astimezone(self.time_zone).date()

    def find(self, account_type: str, currency: str) -> FundAccount | None:
        return self.fund_accounts.get((account_type, currency))

    def open(
        self,
        kind: AccountType,
        currency: str,
        valid_from: date | None = None,
        valid_until: date | None = None,
    ) -> FundAccount:
        """Opens a fund account at zero."""
        opened = FundAccount(kind, currency, valid_from=valid_from, valid_until=valid_until)
        self.fund_accounts[kind.code, currency] = opened
        self.opened.add((kind.code, currency))
        return opened

    def has_room(self, currency: str, amount: int) -> bool:
        """Whether the pool's amounts in a currency can still be stored and said after `amount` more."""
        held = sum(
            abs(fund_account.balance) + fund_account.line
            for fund_account in self.fund_accounts.values()
            if fund_account.currency == currency
        )
        owed = sum(item.amount for item in self.items.values() if item.currency == currency)
        return held + owed + amount <= largest_amount(currency)

    def transferred(self, currency: str) -> int:
        """What of the cash was allocated by management accounts and is still there."""
        return sum(book.remaining for book in self.books.values() if book.currency == currency)

    def terms(self, currency: str) -> QuotaTerms:
        """The terms of the available quota in a currency; a deposit is in none of them."""
        cash = line = used = held = 0
        for fund_account in self.fund_accounts.values():
            if fund_account.currency != currency:
                continue
            if fund_account.type.cash_like:
                cash += fund_account.balance
                held += fund_account.held
            elif fund_account.type.has_line:
                line += fund_account.line
                used += fund_account.used
                held += fund_account.held
        common = self.commons.get(currency)
        if common is not None:
            line += common.purse.line
            used += common.purse.used
            held += common.purse.held
        if not self.items:
            return QuotaTerms(cash_balance=cash, credit_limit=line, unsettled=used + held)
        return _with_items(
            [item for item in self.items.values() if item.currency == currency], cash, line, used, held
        )

    def post(
        self,
        document: Document,
        moves: Sequence[AnyMove],
        effective_date: date,
        now: datetime,
        reverses: int | None = None,
        before: Mapping[str, int] | None = None,
    ) -> Posted:
        """Posts one entry, in a time that never runs backwards, and says whether the quota is low by it.

        `before` are the quotas to compare with where more than the entry changes them, such as a hold.
        """
        if before is None:
            before = self.quotas(_currencies(moves))
        postings = [self._moved(move) for move in moves if not isinstance(move, InternalMove)]
        postings += _counterparts(moves)
        assert _balances(postings), f"{document.type} {document.reference} does not balance"
        entry = self._numbered(document, postings, effective_date, now, reverses)
        return Posted(entry, self.reconsidered(before, now, entry.number))

    def quotas(self, currencies: Iterable[str]) -> dict[str, int]:
        """The available quota in those of the currencies that are watched, to be compared with later."""
        watched = (currency for currency in dict.fromkeys(currencies) if currency in self.watches)
        return {currency: self.terms(currency).quota for currency in watched}

    def reconsidered(self, before: Mapping[str, int], now: datetime, cause: object) -> list[Notice]:
        """What follows for the episodes from a change of the quota; `cause` tells one change from another."""
        notices: list[Notice] = []
        for currency, quota in before.items():
            watch = self.watches[currency]
            episode_id = derived_id("episode", self.account, currency, cause)
            notices += watch.after_quota(quota, self.terms(currency), now, episode_id)
        return notices

    def hold(
        self,
        hold_id: str,
        kind: HoldKind,
        purse: FundAccount | Voucher,
        amount: int,
        now: datetime,
        expires_at: datetime | None = None,
    ) -> Hold:
        """Sets money aside; errors: LimitPassed or VoucherExceeded when so much is not usable."""
        voucher_id = purse.voucher_id if isinstance(purse, Voucher) else None
        code = purse.kind if isinstance(purse, Voucher) else purse.type.code
        if amount > purse.usable:
            raise self._beyond(purse)
        hold = Hold(hold_id, kind, code, purse.currency, amount, now, expires_at, voucher_id)
        purse.held += amount
        self.holds[hold_id] = hold
        self._touch_hold(hold, HoldEvent(hold_id, "placed", amount, None))
        return hold

    def capture(self, hold: Hold, amount: int, entry_number: int) -> None:
        """Counts a part of a hold as taken by an entry that is about to be posted."""
        hold.capture(amount)
        self._held_by(hold).held -= amount
        self._touch_hold(
            hold, HoldEvent(hold.hold_id, "captured", amount, entry_number, hold.captured + hold.released)
        )

    def release(self, hold: Hold, amount: int) -> None:
        """Gives a part of a live hold back."""
        hold.release(amount)
        self._held_by(hold).held -= amount
        self._touch_hold(
            hold, HoldEvent(hold.hold_id, "released", amount, None, hold.captured + hold.released)
        )

    def expire(self, hold: Hold) -> None:
        """Writes down that a hold has expired; it counts in no balance since its time, so no balance changes."""
        amount = hold.amount
        hold.release(amount)
        self._touch_hold(
            hold, HoldEvent(hold.hold_id, "expired", amount, None, hold.captured + hold.released)
        )

    def _held_by(self, hold: Hold) -> FundAccount | Voucher:
        if hold.voucher_id is not None:
            return self.vouchers[hold.voucher_id]
        return self.fund_accounts[hold.account_type, hold.currency]

    def _touch_hold(self, hold: Hold, event: HoldEvent) -> None:
        self.extras = True
        self.touched_holds[hold.hold_id] = hold
        self.hold_events.append(event)

    def _numbered(
        self,
        document: Document,
        postings: list[Posting],
        effective_date: date,
        now: datetime,
        reverses: int | None,
    ) -> Entry:
        posted_at = now if self.last_posted_at is None else max(now, self.last_posted_at)
        self.last_posted_at = posted_at
        self.last_entry_number += 1
        counts_from, moved_from = self._in_open_period(effective_date)
        entry = Entry(
            self.account,
            self.last_entry_number,
            posted_at,
            counts_from,
            document,
            postings,
            reverses,
            moved_from,
        )
        entry.hash = self.chain_head = chained(self.chain_head, entry)
        self.entries.append(entry)
        return entry

    def _in_open_period(self, effective_date: date) -> tuple[date, date | None]:
        """The date from which an entry counts: the first open day for one inside a closed period."""
        if self.closed_through is None or effective_date > self.closed_through:
            return effective_date, None
        return self.closed_through + timedelta(days=1), effective_date

    def _moved(self, move: Move | VoucherMove) -> Posting:
        if isinstance(move, VoucherMove):
            return self._moved_voucher(move)
        fund_account = move.fund_account
        if move.bucket == "line":
            fund_account.line += move.amount
            after = fund_account.line
        else:
            fund_account.balance += move.amount
            after = fund_account.balance
        self._require_within_limits(fund_account, move.amount)
        self.moved.add((fund_account.type.code, fund_account.currency))
        return Posting(fund_account.type.code, fund_account.currency, move.bucket, move.amount, after)

    def _moved_voucher(self, move: VoucherMove) -> Posting:
        voucher = move.voucher
        voucher.remaining += move.amount
        if not voucher.held <= voucher.remaining <= voucher.amount:
            raise VoucherExceeded(voucher.voucher_id, voucher.remaining)
        self.extras = True
        self.touched_vouchers[voucher.voucher_id] = voucher
        bucket: Bucket = "voucher"
        return Posting(voucher.voucher_id, voucher.currency, bucket, move.amount, voucher.remaining)

    def _require_within_limits(self, fund_account: FundAccount, change: int) -> None:
        balance, line = fund_account.balance, fund_account.line
        code, currency = fund_account.type.code, fund_account.currency
        if max(abs(balance), line) > largest_amount(currency):
            raise BalanceOverflow(self.account, code, currency)
        if change < 0 and balance + line < fund_account.held:
            raise self._beyond(fund_account)

    def _beyond(self, purse: FundAccount | Voucher) -> LimitPassed | VoucherExceeded:
        if isinstance(purse, Voucher):
            return VoucherExceeded(purse.voucher_id, purse.remaining - purse.held)
        return LimitPassed(
            self.account, purse.type.code, purse.currency, purse.balance - purse.held, purse.line
        )


def _currencies(moves: Sequence[AnyMove]) -> Collection[str]:
    """The currencies in which fund accounts move; vouchers are in no quota."""
    return dict.fromkeys(move.fund_account.currency for move in moves if isinstance(move, Move))


def _with_items(items: Sequence[OpenItem], cash: int, line: int, used: int, held: int) -> QuotaTerms:
    """The terms with what is open: a bill is unsettled until it is past due, and outstanding from then on."""
    open_by_kind = dict.fromkeys(("negative-bill", "credit-refund", "acceptance"), 0)
    billed = not_due = outstanding = 0
    for item in items:
        if item.kind in open_by_kind:
            open_by_kind[item.kind] += item.outstanding
            continue
        billed += item.overdraft_outstanding
        if item.past_due:
            outstanding += item.outstanding
        else:
            not_due += item.outstanding
    return QuotaTerms(
        cash_balance=cash,
        bankers_acceptance=open_by_kind["acceptance"],
        credit_limit=line,
        credit_refund=open_by_kind["credit-refund"],
        unsettled=held + max(0, used - billed) + not_due,
        outstanding_fees=outstanding,
        negative_bill=open_by_kind["negative-bill"],
    )


def _counterparts(moves: Iterable[AnyMove]) -> list[Posting]:
    """The other side of the moves: one posting per internal account and currency, none where nothing is left."""
    sums: dict[tuple[str, str], int] = {}
    for move in moves:
        opposite = _opposite(move)
        if opposite is not None:
            key = (opposite.account, opposite.currency)
            sums[key] = sums.get(key, 0) + opposite.amount
    return [
        Posting(code, currency, "internal", amount, None)
        for (code, currency), amount in sums.items()
        if amount
    ]


def _opposite(move: AnyMove) -> InternalMove | None:
    if isinstance(move, InternalMove):
        return move
    if move.counterpart is None:
        return None
    currency = move.voucher.currency if isinstance(move, VoucherMove) else move.fund_account.currency
    return InternalMove(move.counterpart, currency, -move.amount)


def _balances(postings: Iterable[Posting]) -> bool:
    sums: dict[str, int] = {}
    for posting in postings:
        sums[posting.currency] = sums.get(posting.currency, 0) + posting.amount
    return not any(sums.values())
