"""What order systems, an ERP and a bank publish while things break: made from a seed, without end."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from random import Random
from typing import Final

from contracts.event import Event
from contracts.master_data_changed import Account, Customer, Organisation, UserRight
from contracts.money import Money
from contracts.order import OrderLine

from contracts import MasterDataChanged, OrderCancelled, OrderSubmitted, PaymentReceived

CURRENCY: Final = "CNY"
ORGANISATION: Final = "ORG-FAULTS"
USER: Final = "U-1"
SHOP: Final = "faults/shop"
ERP: Final = "faults/erp"
BANK: Final = "faults/bank"
HOT: Final = ("A-HOT-1", "A-HOT-2")
LOW: Final = ("L-1", "L-2", "L-3", "L-4")
COLD: Final = tuple(f"A-{number:02}" for number in range(1, 11))
ACCOUNTS: Final = HOT + LOW + COLD
OPENING: Final = 500_000
LOW_OPENING: Final = 100_000
LOW_THRESHOLD: Final = 50_000
LOW_ORDER: Final = 60_000
HOT_LIMIT: Final = 900_000
LOW_EVERY: Final = 30
LATE_MAX: Final = 40

Headers = list[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class Message:
    """One Kafka record, ready to be sent; `partition` only where a test chooses it."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers
    partition: int | None = None


def message(event: Event, event_id: str, source: str, partition: int | None = None) -> Message:
    """An event as its producer would send it."""
    headers: Headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", event_id.encode()),
        ("ce_source", source.encode()),
        ("ce_type", event.contract.type.encode()),
        ("ce_time", datetime.now(UTC).isoformat().encode()),
        ("content-type", b"application/json"),
    ]
    return Message(event.contract.topic, event.key().encode(), event.to_json(), headers, partition)


def customer_of(account: str) -> str:
    return f"C-{account}"


def order(
    account: str, order_id: str, amount: int, *, method: str = "account", customer: str = ""
) -> OrderSubmitted:
    """An order of one line; the amount in minor units."""
    zero, total = Money.of(0, CURRENCY), Money.of(amount, CURRENCY)
    line = OrderLine(
        line_id="1", material="M-1", quantity="1", price=total.amount, discount=zero, tax=zero, amount=total
    )
    return OrderSubmitted(
        source=SHOP,
        order_id=order_id,
        order_revision=1,
        currency=CURRENCY,
        buyer="B-1",
        paying_account=account,
        business_organisation=ORGANISATION,
        settlement_organisation=ORGANISATION,
        sales_organisation=ORGANISATION,
        customer=customer or customer_of(account),
        ordering_user=USER,
        payment_method=method,
        order_date=date(2026, 3, 2),
        payment_terms_days=30,
        lines=[line],
        total=total,
    )


def cancellation(account: str, order_id: str) -> OrderCancelled:
    return OrderCancelled(
        source=SHOP,
        order_id=order_id,
        order_revision=2,
        paying_account=account,
        reason="ordered by mistake",
        cancelled_at=datetime.now(UTC),
    )


def payment(account: str, payment_id: str, amount: int) -> PaymentReceived:
    return PaymentReceived(
        payment_id=payment_id,
        payer=account,
        account=account,
        amount=Money.of(amount, CURRENCY),
        received_on=date(2026, 3, 2),
    )


def master_data(account: str, version: int = 1, customer: str = "") -> list[MasterDataChanged]:
    """A customer, its account, and the right of the one user to pay from it."""
    now = datetime.now(UTC)
    customer = customer or customer_of(account)
    records: list[tuple[str, Customer | Account | UserRight]] = [
        (customer, Customer(kind="customer", name=f"Customer {customer}")),
        (
            account,
            Account(
                kind="account",
                name=f"Account {account}",
                customer=customer,
                settlement_organisation=ORGANISATION,
            ),
        ),
        (f"{USER}@{account}", UserRight(kind="user-right", user=USER, account=account, right="use-balance")),
    ]
    return [
        MasterDataChanged(id=key, version=version, changed_at=now, record=record) for key, record in records
    ]


def organisation() -> MasterDataChanged:
    record = Organisation(
        kind="organisation", name="Faults", organisation_type="legal", time_zone="Asia/Shanghai"
    )
    return MasterDataChanged(id=ORGANISATION, version=1, changed_at=datetime.now(UTC), record=record)


@dataclass
class Traffic:
    """The stream of one run: hot accounts, repeats, cancellations, broken records, accounts that run low."""

    seed: int
    numbers: int = 0
    late: list[Message] = field(default_factory=list)
    owed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)

    def opening(self) -> list[Message]:
        """The master data; the opening payments must come after it has been read."""
        events = [organisation(), *(event for account in ACCOUNTS for event in master_data(account))]
        return [message(event, self.next_id("erp"), ERP) for event in events]

    def opening_payments(self) -> list[Message]:
        amounts = {account: LOW_OPENING if account in LOW else OPENING for account in ACCOUNTS}
        return [
            message(payment(account, f"P-opening-{account}", amount), self.next_id("bank"), BANK)
            for account, amount in amounts.items()
        ]

    def next_id(self, kind: str) -> str:
        self.numbers += 1
        return f"{kind}-{self.seed}-{self.numbers:06}"

    def stream(self) -> Iterator[Message]:
        """Messages without end; sent in this order."""
        turn = 0
        while True:
            turn += 1
            yield from self._turn(turn)
            self.random.shuffle(self.late)
            while len(self.late) > LATE_MAX:
                yield self.late.pop()

    def rest(self) -> list[Message]:
        """What was put off, so that nothing stays half done."""
        rest, self.late = self.late, []
        return [*rest, *self._pay_owed()]

    def _turn(self, turn: int) -> Iterator[Message]:
        if turn % LOW_EVERY == 0:
            yield self._run_low(LOW[turn // LOW_EVERY % len(LOW)])
        elif turn % LOW_EVERY == LOW_EVERY // 2:
            yield from self._pay_owed()
        chance = self.random.random()
        if chance < 0.02:
            yield self._broken()
        elif chance < 0.06:
            account = self.random.choice(COLD)
            yield message(
                self._payment(account, self.random.randrange(100, 20_000)), self.next_id("bank"), BANK
            )
        elif chance < 0.08:
            account = self.random.choice(COLD)
            [_, changed, _] = master_data(account, version=turn + 1)
            yield message(changed, self.next_id("erp"), ERP)
        else:
            yield from self._order()

    def _order(self) -> Iterator[Message]:
        account = self.random.choice(HOT if self.random.random() < 0.5 else COLD)
        order_id = self.next_id("SO")
        method = "account" if self.random.random() < 0.8 else "credit-terms"
        submitted = order(account, order_id, self.random.randrange(100, 5_000), method=method)
        first = message(submitted, self.next_id("shop"), SHOP)
        cancelled = message(cancellation(account, order_id), self.next_id("shop"), SHOP)
        chance = self.random.random()
        if chance < 0.02:
            yield cancelled
        yield first
        if 0.02 <= chance < 0.12:
            self.late.append(cancelled)
        elif chance < 0.17:
            yield first
        elif chance < 0.20:
            self.late.append(message(submitted, self.next_id("shop"), SHOP))
        elif chance < 0.21:
            other = order(account, order_id, 99_999, method=method)
            self.late.append(Message(first.topic, first.key, other.to_json(), first.headers))

    def _run_low(self, account: str) -> Message:
        """The order that brings an account below its threshold; the payment follows."""
        self.owed.append(account)
        return message(order(account, self.next_id("SO"), LOW_ORDER), self.next_id("shop"), SHOP)

    def _pay_owed(self) -> list[Message]:
        owed, self.owed = self.owed, []
        return [message(self._payment(account, LOW_ORDER), self.next_id("bank"), BANK) for account in owed]

    def _payment(self, account: str, amount: int) -> PaymentReceived:
        return payment(account, self.next_id("P"), amount)

    def _broken(self) -> Message:
        whole = message(order(COLD[0], self.next_id("SO"), 100), self.next_id("shop"), SHOP)
        value = (
            whole.value[: len(whole.value) // 2] if self.random.random() < 0.5 else json.dumps(None).encode()
        )
        return Message(whole.topic, whole.key, value, whole.headers)
