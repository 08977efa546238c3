"""The day shuffled across keys and topics: every invariant holds, and what shares nothing comes out the same."""

from decimal import Decimal

import pytest

from examples.day import compare, play
from examples.day.world import CUSTOMERS
from ops.demo.playing import Playing
from ops.verify.__main__ import verify
from tests.endtoend.house import House

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(900)]

SEED = 7
CONTENDED = frozenset(customer.id for customer in CUSTOMERS if customer.contended)
CONTENDED_ACCOUNTS = frozenset(customer.account for customer in CUSTOMERS if customer.contended)


async def test_shuffled_every_invariant_holds_and_independent_orders_come_out_alike(house: House) -> None:
    house.empty()
    async with house.playing() as day:
        await day.prepare()
        await day.play(house.day.payments)
        await day.play(play.shuffled(house.day.orders_among_broken, SEED))
        await day.deliveries_ended()
        outcomes = await verify(day.services, house.stack.bootstrap_servers, 60)
        assert {outcome.name: outcome.violations for outcome in outcomes if not outcome.holds} == {}
        assert await independent_differences(day) == []
    house.state = "prepared"


async def independent_differences(day: Playing) -> list[str]:
    """What came out otherwise for orders, purses and limits that no other order competes for."""
    expectations, people = day.day.expectations, day.people
    orders = {key: order for key, order in expectations["orders"].items() if not order["contended"]}
    decided = await compare.last_decisions(day.stack.bootstrap_servers)
    found = list(
        compare.order_differences(orders, {key: decided[key] for key in orders.keys() & decided.keys()})
    )
    figures = expectations["after_orders"]
    for row in figures["balances"]:
        if row["account"] not in CONTENDED_ACCOUNTS:
            answer = await people.read("fund-pool", f"/accounts/{row['account']}/balances")
            purses = {
                (purse["account_type"], purse["currency"]): Decimal(purse["balance"]["amount"])
                for purse in answer["fund_accounts"]
            }
            if purses[row["account_type"], row["currency"]] != Decimal(row["balance"]):
                found.append(f"{row}: {purses}")
    for row in figures["credit_used"]:
        if row["customer"] not in CONTENDED:
            statuses = await people.listed("credit", f"/customers/{row['customer']}/status")
            used = {status["profile"]["currency"]: Decimal(status["used"]["amount"]) for status in statuses}
            if used[row["currency"]] != Decimal(row["used"]):
                found.append(f"{row}: {used}")
    return found
