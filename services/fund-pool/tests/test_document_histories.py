"""Random sequences of all documents by hand, allocations, bills, payments and reversals on shared accounts."""

import os
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

from fund_pool.domain.access import Relationship
from fund_pool.domain.account_types import CASH, DEPOSIT, OVERDRAFT
from fund_pool.domain.allocation import NEEDED, Row
from fund_pool.domain.allocation import Desk as AllocationDesk
from fund_pool.domain.available import own_cash, reclaimable, transferable
from fund_pool.domain.bills import issue, settle
from fund_pool.domain.documents import Content, Plan, Refusal, plan, post
from fund_pool.domain.items import OpenItem, Settlement
from fund_pool.domain.payment import Payment, Reversal, receive, reverse
from fund_pool.domain.pool import Pool
from hypothesis import given, settings
from hypothesis import strategies as st

NIGHTLY = os.environ.get("COFFER_NIGHTLY") == "1"
NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
ACCOUNTS = ("M-1", "A-1", "A-2")
CURRENCIES = ("CNY", "JPY")
HAND = (
    "top-up-offline",
    "line-increase",
    "line-decrease",
    "other-credit",
    "other-debit",
    "transfer",
    "credit-repayment",
)

account = st.sampled_from(ACCOUNTS)
currency = st.sampled_from(CURRENCIES)
amount = st.integers(1, 200)
step = st.one_of(
    st.tuples(
        st.just("document"),
        account,
        currency,
        amount,
        st.sampled_from(HAND),
        st.sampled_from(("cash", "deposit", "overdraft")),
        st.sampled_from(("cash", "deposit", "overdraft")),
    ),
    st.tuples(st.just("allocate"), st.sampled_from(("A-1", "A-2")), currency, amount, st.booleans()),
    st.tuples(st.just("pay"), account, currency, amount),
    st.tuples(st.just("reverse"), st.integers(0, 20), amount),
    st.tuples(st.just("bill"), account, currency, amount, st.integers(0, 200), st.integers(-2, 5)),
    st.tuples(st.just("settle"), st.integers(0, 20), amount, st.sampled_from(("account", "outside"))),
    st.tuples(st.just("hold"), account, currency, amount),
    st.tuples(st.just("release"), account, st.integers(0, 20), st.booleans()),
)


def a_pool(name: str) -> Pool:
    pool = Pool(name, "C-1", "ORG-1")
    for code in CURRENCIES:
        for kind in (CASH, DEPOSIT, OVERDRAFT):
            pool.open(kind, code)
    return pool


@dataclass
class World:
    """Three pools under one management account, and what has been told about them."""

    pools: dict[str, Pool] = field(default_factory=lambda: {name: a_pool(name) for name in ACCOUNTS})
    payments: list[Payment] = field(default_factory=list)
    bills: list[tuple[str, str]] = field(default_factory=list)
    number: int = 0

    def play(self, kind: str, *details: Any) -> None:
        self.number += 1
        before = deepcopy(self.pools)
        if getattr(self, kind)(*details) is False:
            assert state(self.pools) == state(before), (kind, details)

    def document(self, name: str, code: str, much: int, kind: str, source: str, target: str) -> bool:
        content = Content(
            cast(Any, kind),
            f"D-{self.number}",
            name,
            code,
            much,
            source if kind != "credit-repayment" else "cash",
            target if kind == "transfer" else None,
            reason="because",
        )
        pool = self.pools[name]
        planned = plan(content, pool, NOW)
        if isinstance(planned, Refusal):
            assert planned.most is None or planned.most < much
            if planned.most:
                smaller = Content(**{**fields(content), "amount": planned.most})
                assert isinstance(plan(smaller, deepcopy(pool), NOW), Plan), (planned, smaller)
            return False
        posted = post(content, pool, planned, NOW)
        assert not isinstance(posted, Refusal)
        return True

    def allocate(self, member: str, code: str, much: int, back: bool) -> bool:
        relationship = Relationship("R", 1, "financial", "M-1", member, "active", NEEDED, member)
        desk = AllocationDesk(
            "reclaim" if back else "allocate", self.pools["M-1"], self.pools, {member: [relationship]}, NOW
        )
        row = Row(1, member, code, much)
        if desk.judge([row])[0].refusal is not None:
            return False
        desk.post(row, f"B-{self.number}")
        return True

    def pay(self, name: str, code: str, much: int) -> None:
        payment = Payment(f"P-{self.number}", name, name, "cash", code, much, "card", NOW.date(), None)
        receive(payment, self.pools, NOW)
        self.payments.append(payment)

    def reverse(self, which: int, much: int) -> None:
        if not self.payments:
            return
        payment = self.payments[which % len(self.payments)]
        reversal = Reversal(f"R-{self.number}", payment.payment_id, payment.currency, much, NOW.date())
        reverse(reversal, payment, self.pools, NOW)
        assert payment.reversed <= payment.amount

    def bill(self, name: str, code: str, much: int, billed: int, days: int) -> None:
        pool = self.pools[name]
        unbilled = pool.fund_accounts["overdraft", code].used - sum(
            item.overdraft_outstanding for item in pool.items.values() if item.currency == code
        )
        due = NOW.date() + timedelta(days=days)
        part = max(0, min(much, billed, unbilled))
        item = OpenItem(f"B-{self.number}", "bill", code, much, date(2026, 3, 1), due, overdraft_billed=part)
        issue(item, pool, NOW)
        self.bills.append((name, item.item_id))

    def settle(self, which: int, much: int, source: str) -> None:
        if not self.bills:
            return
        name, item_id = self.bills[which % len(self.bills)]
        pool = self.pools[name]
        item = pool.items[item_id]
        quota = pool.terms(item.currency).quota
        settlement = Settlement(
            f"S-{self.number}", name, item_id, item.currency, much, cast(Any, source), NOW.date()
        )
        settle(settlement, item, pool, NOW)
        rise = settlement.settled if source == "outside" else 0
        assert pool.terms(item.currency).quota == quota + rise

    def hold(self, name: str, code: str, much: int) -> bool:
        pool = self.pools[name]
        purse = pool.fund_accounts["cash", code]
        if much > purse.usable:
            return False
        quota = pool.terms(code).quota
        pool.hold(f"H-{self.number}", "withdrawal", purse, much, NOW)
        assert pool.terms(code).quota == quota - much
        return True

    def release(self, name: str, which: int, _: bool) -> None:
        pool = self.pools[name]
        live = [hold for hold in pool.holds.values() if hold.amount]
        if live:
            pool.release(live[which % len(live)], live[which % len(live)].amount)


def fields(content: Content) -> dict[str, Any]:
    return {name: getattr(content, name) for name in Content.__slots__}


def state(pools: dict[str, Pool]) -> Any:
    return {
        name: (
            {key: (purse.balance, purse.line, purse.held) for key, purse in pool.fund_accounts.items()},
            {key: (book.given, book.taken_back, book.spent) for key, book in pool.books.items()},
            {key: item.settled for key, item in pool.items.items()},
            pool.last_entry_number,
        )
        for name, pool in pools.items()
    }


def inspect(world: World) -> None:
    """The books as they must stand after every step."""
    between: Counter[str] = Counter()
    for pool in world.pools.values():
        folded: Counter[tuple[str, str, str]] = Counter()
        for entry in pool.entries:
            sums: Counter[str] = Counter()
            for posting in entry.postings:
                sums[posting.currency] += posting.amount
                folded[posting.bucket, posting.account_type, posting.currency] += posting.amount
            assert not any(sums.values())
        for (code, money), purse in pool.fund_accounts.items():
            assert purse.balance == folded["balance", code, money]
            assert purse.line == folded["line", code, money] >= 0
            assert purse.balance + purse.line >= purse.held >= 0
        for money in CURRENCIES:
            between[money] += folded["internal", "allocation-clearing", money]
            assert 0 <= pool.transferred(money) <= pool.fund_accounts["cash", money].balance
            assert transferable(pool, money) <= own_cash(pool, money)
        for book in pool.books.values():
            assert book.taken_back + book.spent <= book.given
            assert reclaimable(pool, book.giver, book.currency) <= book.remaining
        for item in pool.items.values():
            assert 0 <= item.overdraft_settled <= item.settled <= item.amount
    assert not any(between.values())


@settings(max_examples=500 if NIGHTLY else 80, deadline=None, print_blob=True)
@given(st.lists(step, min_size=50 if NIGHTLY else 1, max_size=500 if NIGHTLY else 40))
def test_the_books_stand_after_every_document(steps: list[Any]) -> None:
    """Balanced per currency, equal to the fold, within limits, books covered, refused means unchanged."""
    world = World()
    for one in steps:
        world.play(*one)
        inspect(world)
