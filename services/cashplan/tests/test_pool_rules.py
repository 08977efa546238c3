"""What a decided order leaves to be received, with worked numbers."""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from cashplan.domain.pool import PoolItem, flaw, next_item
from contracts.money import Money
from contracts.order_decided import Explanation, LinePayment, OrderPosition
from hypothesis import given
from hypothesis import strategies as st

from contracts import OrderDecided

DECIDED_AT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
DUE = date(2026, 4, 1)


def position(total: str, due: date | None = DUE, currency: str = "CNY", **paid: str) -> OrderPosition:
    """A position of one line; `paid` names what each account type paid, the rest is unpaid."""
    payments = [
        LinePayment(account="A-1", account_type=account_type, line_id="1", amount=Money(amount, currency))
        for account_type, amount in paid.items()
    ]
    unpaid = Money(total, currency).minor - sum(payment.amount.minor for payment in payments)
    return OrderPosition(
        total=Money(total, currency), payments=payments, unpaid=Money.of(unpaid, currency), due_date=due
    )


def decided(check_number: int, stands: OrderPosition | None, **others: Any) -> OrderDecided:
    decision = OrderDecided(
        source="shop",
        order_id="SO-1",
        order_revision=1,
        check_number=check_number,
        operation="submit",
        outcome="accepted",
        paying_account="A-1",
        currency="CNY",
        customer="C-1",
        settlement_organisation="ORG-1",
        reasons=[],
        position=stands,
        explanation=Explanation(text="", accounts=[], policy_version=0),
        decided_at=DECIDED_AT,
    )
    return replace(decision, **others)


def item_after(*decisions: OrderDecided) -> PoolItem:
    item: PoolItem | None = None
    for decision in decisions:
        item = next_item(item, decision) or item
    assert item is not None
    return item


@pytest.mark.parametrize(
    ("stands", "receipt_minor"),
    [
        (position("100.00"), 100_00),
        (position("100.00", cash="100.00"), 0),
        (position("100.00", cash="60.00", overdraft="40.00"), 40_00),
        (position("100.00", overdraft="100.00"), 100_00),
        (position("100.00", rebate="30.00", cash="20.00"), 50_00),
        (position("0.00"), 0),
    ],
    ids=[
        "goods on credit terms",
        "paid from cash",
        "cash and overdraft",
        "overdraft alone",
        "own type",
        "nothing",
    ],
)
def test_only_what_is_not_in_hand_is_a_receipt_to_come(stands: OrderPosition, receipt_minor: int) -> None:
    item = item_after(decided(1, stands))
    assert item.amount_minor == receipt_minor
    assert (item.entity, item.currency, item.counterparty, item.due_date) == ("ORG-1", "CNY", "C-1", DUE)


def test_currencies_keep_their_decimals() -> None:
    assert item_after(decided(1, position("1200", currency="JPY"))).amount_minor == 1200
    assert item_after(decided(1, position("1.250", currency="KWD", cash="0.250"))).amount_minor == 1000


def test_a_cancellation_brings_the_receipt_to_zero() -> None:
    item = item_after(decided(1, position("100.00")), decided(2, position("0.00"), operation="cancel"))
    assert (item.version, item.amount_minor) == (2, 0)


def test_a_decision_without_a_position_leaves_nothing_and_keeps_the_place() -> None:
    cancel = decided(2, None, settlement_organisation=None, customer=None, currency=None, operation="cancel")
    item = item_after(decided(1, position("100.00")), cancel)
    assert item.amount_minor == 0
    assert (item.entity, item.currency, item.counterparty, item.due_date) == ("ORG-1", "CNY", "C-1", DUE)


def test_the_position_counts_and_not_the_outcome() -> None:
    again = decided(2, position("100.00", cash="40.00"), outcome="declined")
    assert item_after(decided(1, position("100.00")), again).amount_minor == 60_00


@pytest.mark.parametrize("check_number", [1, 2])
def test_an_older_or_repeated_check_changes_nothing(check_number: int) -> None:
    item = item_after(decided(2, position("0.00")))
    assert next_item(item, decided(check_number, position("100.00"))) is None


def test_an_order_nobody_has_seen_has_no_place() -> None:
    item = item_after(decided(1, None, settlement_organisation=None, customer=None, currency=None))
    assert (item.entity, item.currency, item.amount_minor) == (None, None, 0)


def test_a_receipt_without_due_date_is_due_when_it_was_decided() -> None:
    assert item_after(decided(1, position("5.00", due=None))).due_date == DECIDED_AT.date()


def test_a_position_that_does_not_add_up_is_refused() -> None:
    stands = replace(position("100.00", cash="60.00"), unpaid=Money("41.00", "CNY"))
    assert flaw(decided(1, stands)) == "position: total is not the sum of payments and unpaid in one currency"


def test_a_position_in_two_currencies_is_refused() -> None:
    stands = replace(position("100.00", cash="60.00"), unpaid=Money("40.00", "USD"))
    assert flaw(decided(1, stands)) is not None


def test_a_position_that_belongs_nowhere_is_refused() -> None:
    assert flaw(decided(1, position("100.00"), settlement_organisation=None)) is not None
    assert flaw(decided(1, position("0.00"), settlement_organisation=None)) is None


def positions() -> st.SearchStrategy[OrderPosition]:
    cents = st.integers(0, 10**9)
    amounts = st.lists(st.tuples(st.sampled_from(["cash", "overdraft", "rebate"]), cents), max_size=5)
    return st.builds(_position, amounts, cents, st.dates(date(2026, 1, 1), date(2026, 12, 31)))


def _position(paid: list[tuple[str, int]], unpaid: int, due: date) -> OrderPosition:
    payments = [
        LinePayment(account="A-1", account_type=kind, line_id="1", amount=Money.of(amount, "CNY"))
        for kind, amount in paid
    ]
    total = unpaid + sum(amount for _, amount in paid)
    return OrderPosition(
        total=Money.of(total, "CNY"), payments=payments, unpaid=Money.of(unpaid, "CNY"), due_date=due
    )


@given(st.lists(positions(), min_size=1, max_size=6), st.data())
def test_any_order_and_any_repetition_of_decisions_give_the_same_item(
    stands: list[OrderPosition], data: st.DataObject
) -> None:
    decisions = [decided(number, each) for number, each in enumerate(stands, 1)]
    repeated = data.draw(st.lists(st.sampled_from(decisions), max_size=10))
    arrived = data.draw(st.permutations([*decisions, *repeated]))
    assert item_after(*arrived) == item_after(*decisions)


@given(positions())
def test_the_receipt_is_what_is_unpaid_and_what_was_paid_on_credit(stands: OrderPosition) -> None:
    on_credit = sum(paid.amount.minor for paid in stands.payments if paid.account_type == "overdraft")
    item = item_after(decided(1, stands))
    assert flaw(decided(1, stands)) is None
    assert 0 <= item.amount_minor == stands.unpaid.minor + on_credit <= stands.total.minor


def test_what_is_held_in_cash_is_in_hand_until_its_hold_expires() -> None:
    """60 held: nothing is to come; the expiry, a sequel of the same check, makes 60 come."""
    whole = position("60.00", cash="60.00")
    held = replace(whole, payments=[], holds=whole.payments)
    assert flaw(decided(1, held)) is None
    assert item_after(decided(1, held)).gross_minor == 0
    expired = decided(1, position("60.00"), sequel=1, outcome="hold-expired", operation="deliver")
    assert item_after(decided(1, held), expired).gross_minor == 60_00
    assert item_after(decided(2, held), expired).gross_minor == 0
