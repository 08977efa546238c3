"""A valid record on which a handler raises goes to the dead letter alone, and is read again once that is mended."""

from functools import partial
from typing import Any

import pytest

from contracts import OrderSubmitted
from ops.local.waiting import together, wait_until
from tests.faults.books import settle
from tests.faults.fleet import DRAIN_SECONDS, Fleet
from tests.faults.launch import BUG
from tests.faults.streams import publish_now
from tests.faults.traffic import COLD, SHOP, message, order

pytestmark = [pytest.mark.stack, pytest.mark.slow]

ORDERS = 12
MARKED = {"credit": 3, "fund-pool": 6, "cashplan": 9}
READ_FROM = {"credit": "order-submitted", "fund-pool": "credit-checked", "cashplan": "order-decided"}
LETTERS = """
select id, topic, partition, "offset", key, value, reason, detail, attempts from dead_letter
where reason = 'processing-failed' and redriven_at is null
"""


def test_a_valid_record_on_which_a_handler_raises_is_dead_lettered_alone_and_can_be_redriven(
    fleet: Fleet,
) -> None:
    orders = [order(COLD[1], fleet.traffic.next_id("SO"), 100) for _ in range(ORDERS)]
    marks = {service: orders[place].order_id for service, place in MARKED.items()}
    for service, mark in marks.items():
        fleet.arm(service, BUG, mark)
    places = _publish_as_one_batch(fleet, orders)
    letters = {service: _letter(fleet, service) for service in MARKED}
    fleet.drain()
    for service, letter in letters.items():
        assert letter["topic"] == READ_FROM[service]
        assert marks[service].encode() in letter["value"]
        assert (letter["key"], letter["attempts"]) == (COLD[1].encode(), 2)
        assert letter["detail"] == f"TestOnlyBug: {marks[service]}"
    sent, kept = orders[MARKED["credit"]], letters["credit"]
    place = places[MARKED["credit"]]
    assert bytes(kept["value"]) == sent.to_json()
    assert (kept["partition"], kept["offset"]) == (place.partition, place.offset)
    undecided = {marks["credit"], marks["fund-pool"]}
    assert _accepted(fleet, orders) == {each.order_id for each in orders} - undecided
    fleet.disarm()
    together(*(partial(_redrive, fleet, service, letter) for service, letter in letters.items()))
    wait_until(
        lambda: len(_accepted(fleet, orders)) == len(orders), DRAIN_SECONDS, "The orders that were read again"
    )
    books = settle(fleet).books
    assert {books.decided[SHOP, mark].outcome for mark in marks.values()} == {"accepted"}


def _publish_as_one_batch(fleet: Fleet, orders: list[OrderSubmitted]) -> list[Any]:
    """credit is held at a first order until all others lie in its topic."""
    servers = fleet.stack.bootstrap_servers
    fleet.arm("credit", "after-fetch", "hold")
    first = order(COLD[1], fleet.traffic.next_id("SO"), 100)
    publish_now(servers, [message(first, fleet.traffic.next_id("shop"), SHOP)])
    fleet.victim("credit", "after-fetch")
    places = publish_now(servers, [message(each, fleet.traffic.next_id("shop"), SHOP) for each in orders])
    fleet.release("credit", "after-fetch")
    return places


def _letter(fleet: Fleet, service: str) -> Any:
    wait_until(lambda: fleet.rows(service, LETTERS), DRAIN_SECONDS, f"The dead letter of {service}")
    [letter] = fleet.rows(service, LETTERS)
    return letter


def _accepted(fleet: Fleet, orders: list[OrderSubmitted]) -> set[str]:
    sql = "select order_id from order_state where status = 'accepted' and order_id = any($1::text[])"
    return {row["order_id"] for row in fleet.rows("fund-pool", sql, [each.order_id for each in orders])}


def _redrive(fleet: Fleet, service: str, letter: Any) -> None:
    """By the operator's command."""
    code, output = fleet.command(service, "redrive", str(letter["id"]), "--by", "tester")
    assert code == 0, output
