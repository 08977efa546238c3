"""Whatever happens in whatever order: the books balance, nothing passes its limit, refused means unchanged.

The histories run through the very code that decides batches, on pools in memory.
"""

import os
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, cast

from contracts.codec import decode
from contracts.money import decimal_string
from fund_pool.domain.deduction import DeductionOrder
from fund_pool.domain.opening import OpeningRow, fates, post
from fund_pool.domain.order import OrderState
from fund_pool.domain.payment import Payment
from fund_pool.domain.pool import Pool
from fund_pool.domain.quota import Alert, Watch
from fund_pool.gateways import take_payment
from fund_pool.handlers import OrderDesk
from fund_pool.publishing import publish, publish_notices
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chassis import Batch, Record
from contracts import BalanceChanged, OrderDecided, QuotaLow

NIGHTLY = os.environ.get("COFFER_NIGHTLY") == "1"
STEPS_MIN = 20
STEPS_MAX = 500 if NIGHTLY else 60
EXAMPLES = 500 if NIGHTLY else 50
T0 = datetime(2026, 3, 2, tzinfo=UTC)
ACCOUNTS = ("A-1", "A-2")
CURRENCIES = ("CNY", "JPY")
ORDERS = tuple(f"SO-{number}" for number in range(1, 9))
OUTCOMES = ("approved", "approved", "approved", "warned", "declined", "pending-approval")

account = st.sampled_from(ACCOUNTS)
currency = st.sampled_from(CURRENCIES)
amount = st.integers(0, 300)
sum_in = st.integers(1, 1_000)
step = st.one_of(
    st.tuples(
        st.just("pay"),
        account,
        currency,
        sum_in,
        st.integers(1, 30),
        st.sampled_from(("cash", "cash", "cash", "cash", "deposit", "overdraft")),
    ),
    st.tuples(
        st.just("open"), account, currency, st.sampled_from(("cash", "deposit", "overdraft")), amount, amount
    ),
    st.tuples(
        st.just("submit"),
        account,
        currency,
        st.sampled_from(ORDERS),
        st.lists(st.integers(0, 60), min_size=1, max_size=3),
        st.sampled_from(OUTCOMES),
    ),
    st.tuples(st.just("cancel"), st.sampled_from(ORDERS)),
    st.tuples(st.just("early"), st.sampled_from(ORDERS)),
    st.tuples(st.just("again"), st.integers(0, 30)),
    st.tuples(st.just("alert"), account, currency, amount, st.booleans(), st.integers(0, 50)),
    st.tuples(st.just("policy"), account, st.permutations(("cash", "overdraft"))),
    st.tuples(st.just("wait"), st.integers(0, 30)),
)


@dataclass
class World:
    """The service in memory, and a second set of books kept from its events alone."""

    make: Any
    pools: dict[str, Pool] = field(
        default_factory=lambda: {
            name: Pool(name, "C-1", "ORG-1", users=frozenset({"U-1"})) for name in ACCOUNTS
        }
    )
    orders: dict[tuple[str, str], OrderState] = field(default_factory=dict)
    payments: dict[str, Payment] = field(default_factory=dict)
    opened: set[Any] = field(default_factory=set)
    now: datetime = T0
    played: list[Any] = field(default_factory=list)
    checks: Counter[str] = field(default_factory=Counter)
    told: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    episodes: dict[tuple[str, str], str] = field(default_factory=dict)

    def batch(self, records: list[Record[Any]]) -> Batch[Any]:
        return Batch(service="fund-pool", connection=cast(Any, None), now=self.now, records=records)

    def record(self, event: Any) -> Record[Any]:
        body = event.to_json()
        digest = blake2b(body, digest_size=16).digest()
        return Record(
            event,
            f"id-{len(self.played)}",
            "test",
            event.contract.type,
            T0,
            "c",
            None,
            digest,
            cast(Any, None),
        )

    def key(self, order_id: str) -> tuple[str, str]:
        return ("shop-east", order_id)

    def check(self, record: Record[Any]) -> None:
        event = record.event
        state = self.orders.setdefault(
            self.key(event.order_id), OrderState(event.source, event.order_id, event.paying_account)
        )
        batch = self.batch([record])
        before = deepcopy(self.pools)
        desk = OrderDesk(batch, self.orders, self.pools)
        desk.take(record)
        events = self.published(batch)
        for decided in (event for event in events if isinstance(event, OrderDecided)):
            self.inspect_answer(decided, state)
        if not any(isinstance(event, BalanceChanged) for event in events):
            assert balances(self.pools) == balances(before)

    def inspect_answer(self, decided: OrderDecided, state: OrderState) -> None:
        if decided.position is None:
            return
        paid = sum(part.amount.minor for part in decided.position.payments)
        assert paid + decided.position.unpaid.minor == decided.position.total.minor
        if decided.outcome == "accepted" and decided.payment_method == "account":
            assert decided.position.unpaid.minor == 0
        if decided.outcome == "cancelled":
            assert decided.position.total.minor == 0
        gave = sum(account.gave.minor for account in decided.explanation.accounts)
        assert gave == (paid if decided.outcome == "accepted" else 0)

    def published(self, batch: Batch[Any]) -> list[Any]:
        events = []
        for row in batch.outbox:
            assert row.body is not None
            events.append(decode(f"{row.topic}.v1", row.body))
        for event in events:
            if isinstance(event, BalanceChanged):
                place = (event.account, event.account_type, event.change.currency)
                self.told[place] += event.change.minor
                assert self.told[place] == event.balance.minor
            if isinstance(event, QuotaLow):
                self.follow_episode(event)
        return events

    def follow_episode(self, event: QuotaLow) -> None:
        place = (event.account, event.currency)
        if event.kind == "opened":
            assert place not in self.episodes
            assert event.quota.minor < event.threshold.minor
            self.episodes[place] = event.episode_id
        elif event.kind == "resolved":
            assert self.episodes.pop(place) == event.episode_id
            assert event.quota.minor >= event.threshold.minor
        else:
            assert self.episodes[place] == event.episode_id
            assert 1 <= event.reminder_number <= 5

    def deliver(self, record: Record[Any]) -> None:
        if record.event.contract.name == "credit-checked":
            self.check(record)
        else:
            batch = self.batch([record])
            told = Payment.told_by(record.event)
            if told.amount:
                self.payments.setdefault(told.payment_id, told)
            take_payment(batch, record, told, self.payments, self.pools, {}, ())
            self.published(batch)

    def play(self, event: Any) -> None:
        record = self.record(event)
        self.played.append(record)
        self.deliver(record)


def balances(pools: dict[str, Pool]) -> dict[Any, Any]:
    return {
        (name, *key): (purse.balance, purse.line)
        for name, pool in pools.items()
        for key, purse in pool.fund_accounts.items()
    }


def pay(world: World, name: str, code: str, minor: int, number: int, account_type: str) -> None:
    money = decimal_string(minor, code)
    world.play(world.make.payment(name, money, code, payment_id=f"P-{number}", account_type=account_type))


def open_balance(world: World, name: str, code: str, account_type: str, first: int, second: int) -> None:
    row = (
        OpeningRow(1, name, account_type, code, granted=first, used=second)
        if account_type == "overdraft"
        else OpeningRow(1, name, account_type, code, amount=first)
    )
    (fate,) = fates([row], world.pools, world.opened, world.now)
    if fate.fault is None:
        batch = world.batch([])
        batch.cause = world.record(world.make.account(name))
        publish(batch, post(row, world.pools[name], "I-1", world.now), world.pools[name])
        world.opened.add(row.key)
        world.published(batch)


def submit(world: World, name: str, code: str, order_id: str, amounts: list[int], outcome: str) -> None:
    state = world.orders.get(world.key(order_id))
    owner = state.account if state is not None else name
    order = world.make.order(
        owner, *(decimal_string(minor, code) for minor in amounts), order_id=order_id, currency=code
    )
    world.checks[order_id] += 1
    world.play(world.make.check(order, world.checks[order_id], outcome=outcome))


def cancel(world: World, order_id: str) -> None:
    state = world.orders.get(world.key(order_id))
    world.checks[order_id] += 1
    owner = state.account if state is not None else ACCOUNTS[0]
    world.play(world.make.cancel(owner, world.checks[order_id], order_id=order_id))


def early(world: World, order_id: str) -> None:
    """A cancellation that overtakes the submission before it."""
    state = world.orders.get(world.key(order_id))
    owner = state.account if state is not None else ACCOUNTS[0]
    number = world.checks[order_id]
    world.checks[order_id] += 2
    world.play(world.make.cancel(owner, number + 2, order_id=order_id))
    order = world.make.order(owner, "1", order_id=order_id, currency="JPY")
    world.play(world.make.check(order, number + 1))


def again(world: World, index: int) -> None:
    if world.played:
        before = balances(world.pools)
        world.deliver(world.played[index % len(world.played)])
        assert balances(world.pools) == before


def alert(world: World, name: str, code: str, threshold: int, enabled: bool, margin: int) -> None:
    pool = world.pools[name]
    new = Alert(threshold, enabled, margin)
    watch = pool.watches.setdefault(code, Watch(code, new))
    notice = watch.after_alert_change(new, pool.terms(code), world.now)
    assert notice is None or notice.kind == "resolved"
    batch = world.batch([])
    batch.cause = world.record(world.make.account(name))
    publish_notices(batch, [notice] if notice else [], pool)
    world.published(batch)
    if not enabled:
        world.episodes.pop((name, code), None)


def policy(world: World, name: str, account_types: list[str]) -> None:
    world.pools[name].deduction = DeductionOrder(
        world.pools[name].deduction.version + 1, tuple(account_types)
    )


def wait(world: World, hours: int) -> None:
    world.now += timedelta(hours=hours)
    for pool in world.pools.values():
        for watch in pool.watches.values():
            notice = watch.after_time(pool.terms(watch.currency), world.now)
            batch = world.batch([])
            batch.cause = world.record(world.make.account(pool.account))
            publish_notices(batch, [notice] if notice else [], pool)
            world.published(batch)


STEPS: dict[str, Callable[..., None]] = {
    "pay": pay,
    "open": open_balance,
    "submit": submit,
    "cancel": cancel,
    "early": early,
    "again": again,
    "alert": alert,
    "policy": policy,
    "wait": wait,
}


def inspect(world: World) -> None:
    """The books after a step."""
    for pool in world.pools.values():
        inspect_entries(pool)
        for (code, currency_code), purse in pool.fund_accounts.items():
            assert purse.balance >= -purse.line
            assert purse.line == 0 or code == "overdraft"
            assert world.told[pool.account, code, currency_code] == purse.balance
        for watch in pool.watches.values():
            inspect_watch(pool, watch, world)
    for state in world.orders.values():
        assert 0 <= state.refunded <= state.paid
        assert sum(part.amount for part in state.payments) == state.left_paid
        assert state.left_paid == 0 or state.status == "accepted"


def inspect_entries(pool: Pool) -> None:
    folded: Counter[tuple[str, str, str]] = Counter()
    assert [entry.number for entry in pool.entries] == list(range(1, pool.last_entry_number + 1))
    for before, after in zip(pool.entries, pool.entries[1:], strict=False):
        assert before.posted_at <= after.posted_at
    for entry in pool.entries:
        sums: Counter[str] = Counter()
        for posting in entry.postings:
            sums[posting.currency] += posting.amount
            folded[posting.bucket, posting.account_type, posting.currency] += posting.amount
        assert not any(sums.values())
    for (code, currency_code), purse in pool.fund_accounts.items():
        assert folded["balance", code, currency_code] == purse.balance
        assert folded["line", code, currency_code] == purse.line


def inspect_watch(pool: Pool, watch: Watch, world: World) -> None:
    assert (watch.episode is not None) == ((pool.account, watch.currency) in world.episodes)
    if watch.episode is not None:
        assert watch.alert.enabled
        assert pool.terms(watch.currency).quota < watch.alert.resolved_from


def left_in_orders(world: World, name: str, code: str) -> int:
    return sum(
        state.left_paid for state in world.orders.values() if state.account == name and state.currency == code
    )


def inspect_money(world: World) -> None:
    """All money that came in is in a purse or in an order."""
    for name in ACCOUNTS:
        for code in CURRENCIES:
            held = sum(p.balance for p in world.pools[name].fund_accounts.values() if p.currency == code)
            paid_in = sum(
                payment.amount
                for payment in world.payments.values()
                if payment.status == "posted" and (payment.account, payment.currency) == (name, code)
            )
            opening = sum(
                posting.amount
                for entry in world.pools[name].entries
                for posting in entry.postings
                if entry.document.type == "opening-balance"
                and (posting.bucket, posting.currency) == ("balance", code)
            )
            assert held + left_in_orders(world, name, code) == paid_in + opening


@given(steps=st.lists(step, min_size=STEPS_MIN, max_size=STEPS_MAX))
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
    derandomize=not NIGHTLY,
)
def test_the_books_balance_whatever_happens(make: Any, steps: list[Any]) -> None:
    world = World(make)
    for kind, *arguments in steps:
        STEPS[kind](world, *arguments)
        inspect(world)
    inspect_money(world)


@given(
    totals=st.lists(st.integers(1, 200), min_size=1, max_size=12),
    cash=st.integers(0, 400),
    line=st.integers(0, 400),
)
@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
def test_orders_on_one_purse_never_take_more_than_it_holds(
    make: Any, totals: list[int], cash: int, line: int
) -> None:
    pool = make.pool(cash=f"{cash}.00", overdraft=(f"{line}.00", "0.00"))
    world = World(make, pools={"A-1": pool, "A-2": Pool("A-2")})
    for purse, balance in (("cash", cash), ("overdraft", 0)):
        world.told["A-1", purse, "CNY"] = balance * 100
    for number, total in enumerate(totals):
        submit(world, "A-1", "CNY", f"SO-{number}", [total * 100], "approved")
    accepted = sum(state.left_paid for state in world.orders.values())
    assert accepted <= (cash + line) * 100
    assert (
        pool.fund_accounts["cash", "CNY"].balance + pool.fund_accounts["overdraft", "CNY"].balance
        == cash * 100 - accepted
    )
    refused = [
        total
        for number, total in enumerate(totals)
        if world.orders[world.key(f"SO-{number}")].status == "declined"
    ]
    assert all(total * 100 > (cash + line) * 100 - accepted for total in refused)
