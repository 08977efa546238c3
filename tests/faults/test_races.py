"""What meets in two instances: a cancellation and its submission, and many orders on one limit or one purse."""

from collections import Counter

import httpx
import pytest

from ops.local.waiting import run, wait_until
from ops.verify.log import ends_of
from tests.faults.books import Books, settle
from tests.faults.fleet import Fleet
from tests.faults.streams import publish_now
from tests.faults.traffic import (
    BANK,
    COLD,
    CURRENCY,
    ERP,
    SHOP,
    Message,
    cancellation,
    customer_of,
    master_data,
    message,
    order,
    payment,
)

pytestmark = [pytest.mark.stack, pytest.mark.slow]

AT_ONCE = 32
FIRST_PARTITION = 0
PRICE = 10_000
FITTING = 10
LOCK_SECONDS = 10.0
WAITS_FOR_LOCK = """
select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
"""


@pytest.mark.parametrize("first", ["submission", "cancellation"])
def test_a_cancellation_and_its_submission_in_two_open_transactions_end_cancelled_and_unpaid(
    fleet: Fleet, first: str
) -> None:
    order_id = fleet.traffic.next_id("SO")
    submitted = order(COLD[0], order_id, PRICE)
    last_partition = _partitions(fleet) - 1
    arrivals = [
        message(submitted, fleet.traffic.next_id("shop"), SHOP, FIRST_PARTITION),
        message(cancellation(COLD[0], order_id), fleet.traffic.next_id("shop"), SHOP, last_partition),
    ]
    if first == "cancellation":
        arrivals.reverse()
    fleet.arm("credit", "before-commit", "hold")
    publish_now(fleet.stack.bootstrap_servers, arrivals[:1])
    fleet.victim("credit", "before-commit")
    publish_now(fleet.stack.bootstrap_servers, arrivals[1:])
    wait_until(lambda: fleet.rows("credit", WAITS_FOR_LOCK), LOCK_SECONDS, "The second transaction")
    fleet.release("credit", "before-commit")
    books = settle(fleet).books
    last = books.decided[SHOP, order_id]
    assert (last.operation, last.outcome) in {("cancel", "cancelled"), ("submit", "declined")}
    assert last.position is None or (last.position.payments, last.position.total.minor) == ([], 0)
    assert (
        fleet.rows("credit", "select status from sales_order where order_id = $1", order_id)[0][0]
        == "cancelled"
    )


def test_of_32_orders_at_once_on_one_limit_exactly_those_pass_that_fit(fleet: Fleet) -> None:
    customer = f"C-LIMIT-{fleet.traffic.next_id('n')}"
    accounts = [f"{customer}-{number}" for number in range(AT_ONCE)]
    _introduce(fleet, accounts, customer)
    _limit(fleet, customer, f"{PRICE * FITTING / 100:.2f}")
    orders = [
        order(account, fleet.traffic.next_id("SO"), PRICE, method="credit-terms", customer=customer)
        for account in accounts
    ]
    publish_now(
        fleet.stack.bootstrap_servers, [message(each, fleet.traffic.next_id("shop"), SHOP) for each in orders]
    )
    books = settle(fleet).books
    assert _outcomes(books, [each.order_id for each in orders]) == {
        "accepted": FITTING,
        "declined": AT_ONCE - FITTING,
    }


def test_of_32_orders_at_once_on_one_purse_never_more_pass_than_it_holds(fleet: Fleet) -> None:
    account = f"A-PURSE-{fleet.traffic.next_id('n')}"
    _introduce(fleet, [account], customer_of(account))
    _limit(fleet, customer_of(account), "unlimited")
    opening = payment(account, fleet.traffic.next_id("P"), PRICE * FITTING)
    publish_now(fleet.stack.bootstrap_servers, [message(opening, fleet.traffic.next_id("bank"), BANK)])
    fleet.drain()
    partitions = _partitions(fleet)
    orders = [order(account, fleet.traffic.next_id("SO"), PRICE) for _ in range(AT_ONCE)]
    orders_out = [
        message(each, fleet.traffic.next_id("shop"), SHOP, number % partitions)
        for number, each in enumerate(orders)
    ]
    top_ups = [
        message(
            payment(account, fleet.traffic.next_id("P"), PRICE // 100),
            fleet.traffic.next_id("bank"),
            BANK,
            partition,
        )
        for partition in range(partitions)
    ]
    publish_now(fleet.stack.bootstrap_servers, _mixed(orders_out, top_ups))
    books = settle(fleet).books
    outcomes = _outcomes(books, [each.order_id for each in orders])
    assert outcomes == {"accepted": FITTING, "declined": AT_ONCE - FITTING}
    assert books.cash()[account] == PRICE // 100 * partitions


def _mixed(orders: list[Message], top_ups: list[Message]) -> list[Message]:
    return [each for pair in zip(orders, top_ups, strict=False) for each in pair] + orders[len(top_ups) :]


def _outcomes(books: Books, order_ids: list[str]) -> dict[str, int]:
    return dict(Counter(books.decided[SHOP, order_id].outcome for order_id in order_ids))


def _introduce(fleet: Fleet, accounts: list[str], customer: str) -> None:
    events = [event for account in accounts for event in master_data(account, customer=customer)]
    unique = list({(event.record.kind, event.id): event for event in events}.values())
    publish_now(
        fleet.stack.bootstrap_servers, [message(event, fleet.traffic.next_id("erp"), ERP) for event in unique]
    )
    fleet.drain()


def _limit(fleet: Fleet, customer: str, limit: str) -> None:
    wire: object = limit if limit == "unlimited" else {"amount": limit, "currency": CURRENCY}
    answer = httpx.put(
        f"{fleet.url('credit')}/customers/{customer}/profiles/{CURRENCY}",
        json={"credit_limit": {"limit": wire, "enforcement": "reject"}, "reason": "for the race"},
        headers={"Authorization": f"Bearer {fleet.stack.token('administrator')}"},
        timeout=20,
    )
    assert answer.is_success, answer.text


def _partitions(fleet: Fleet) -> int:
    places = run(ends_of(fleet.stack.bootstrap_servers, ["order-submitted"]))
    return len(places)
