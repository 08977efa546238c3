"""An account's fund pool in memory: its fund accounts, their balances, and what is posted to them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache
from typing import Literal
from zoneinfo import ZoneInfo

from contracts.money import decimals

from fund_pool.domain.account_types import AccountType
from fund_pool.domain.deduction import BUILT_IN, DeductionOrder
from fund_pool.domain.errors import BalanceOverflow, LimitPassed
from fund_pool.domain.ledger import Document, Entry, Posting, derived_id
from fund_pool.domain.quota import Notice, QuotaTerms, Watch

WHOLE_DIGITS_MAX = 14
Validity = Literal["valid", "expired", "not-yet-valid"]
UTC = ZoneInfo("UTC")


@cache
def largest_amount(currency: str) -> int:
    """The most minor units of a currency that an amount on the wire can say."""
    return int(10 ** (WHOLE_DIGITS_MAX + decimals(currency))) - 1


@dataclass(slots=True)
class FundAccount:
    """One purse of a pool; `balance` and `line` in minor units, an overdraft in use stands below zero."""

    type: AccountType
    currency: str
    balance: int = 0
    line: int = 0
    valid_from: date | None = None
    valid_until: date | None = None

    @property
    def usable(self) -> int:
        return max(0, self.balance + self.line)

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
    """What an entry does to one bucket of a fund account, and the internal account on the other side."""

    fund_account: FundAccount
    amount: int
    counterpart: str
    bucket: Literal["balance", "line"] = "balance"


@dataclass(slots=True)
class Posted:
    """An entry with the notices of low quota that follow from it."""

    entry: Entry
    notices: list[Notice]


@dataclass(slots=True)
class Pool:
    """All fund accounts of one account, as locked and loaded; posting changes them in memory."""

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
        return held + amount <= largest_amount(currency)

    def terms(self, currency: str) -> QuotaTerms:
        """The terms of the available quota in a currency; a deposit is in none of them."""
        cash = line = used = 0
        for fund_account in self.fund_accounts.values():
            if fund_account.currency != currency:
                continue
            if fund_account.type.cash_like:
                cash += fund_account.balance
            elif fund_account.type.has_line:
                line += fund_account.line
                used += fund_account.used
        return QuotaTerms(cash_balance=cash, credit_limit=line, unsettled=used)

    def post(self, document: Document, moves: Sequence[Move], effective_date: date, now: datetime) -> Posted:
        """Posts one entry, in a time that never runs backwards, and says whether the quota is low by it."""
        currencies = dict.fromkeys(move.fund_account.currency for move in moves)
        watched = [self.watches[currency] for currency in currencies if currency in self.watches]
        before = [self.terms(watch.currency).quota for watch in watched]
        postings = [self._moved(move) for move in moves]
        postings += _counterparts(moves)
        entry = self._numbered(document, postings, effective_date, now)
        notices = []
        for watch, quota in zip(watched, before, strict=True):
            episode_id = derived_id("episode", self.account, watch.currency, entry.number)
            notice = watch.after_change(quota, self.terms(watch.currency), now, episode_id)
            if notice is not None:
                notices.append(notice)
        return Posted(entry, notices)

    def _numbered(
        self, document: Document, postings: list[Posting], effective_date: date, now: datetime
    ) -> Entry:
        posted_at = now if self.last_posted_at is None else max(now, self.last_posted_at)
        self.last_posted_at = posted_at
        self.last_entry_number += 1
        entry = Entry(self.account, self.last_entry_number, posted_at, effective_date, document, postings)
        self.entries.append(entry)
        return entry

    def _moved(self, move: Move) -> Posting:
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

    def _require_within_limits(self, fund_account: FundAccount, change: int) -> None:
        balance, line = fund_account.balance, fund_account.line
        code, currency = fund_account.type.code, fund_account.currency
        if max(abs(balance), line) > largest_amount(currency):
            raise BalanceOverflow(self.account, code, currency)
        if change < 0 and balance + line < 0:
            raise LimitPassed(self.account, code, currency, balance, line)


def _counterparts(moves: Iterable[Move]) -> list[Posting]:
    """The other side of the moves: one posting per internal account and currency."""
    sums: dict[tuple[str, str], int] = {}
    for move in moves:
        key = (move.counterpart, move.fund_account.currency)
        sums[key] = sums.get(key, 0) - move.amount
    return [Posting(code, currency, "internal", amount, None) for (code, currency), amount in sums.items()]
