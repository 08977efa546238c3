"""Payments, master data and relationships on a real PostgreSQL."""

import asyncio
from typing import Any

import pytest
from chassis.testing import Harness, only

from contracts import BalanceChanged, OrderDecided

pytestmark = pytest.mark.stack


async def test_a_payment_tops_up_once_whatever_comes_again(harness: Harness, make: Any, broken: Any) -> None:
    await harness.play(*make.master_data("A-1"))
    payment = make.payment("A-1", "80.00", payment_id="P-7")
    await harness.play(payment, payment)
    await harness.spoil("delete from inbox")
    assert await harness.play(payment) == []
    assert (await harness.rows("select balance from fund_account"))[0]["balance"] == 80_00
    assert await broken() == []


async def test_the_same_payment_with_other_content_is_a_conflict_that_names_the_difference(
    harness: Harness, make: Any, broken: Any
) -> None:
    await harness.play(*make.master_data("A-1", "A-2"))
    await harness.play(make.payment("A-1", "80.00", payment_id="P-7"))
    await harness.play(
        make.payment("A-1", "90.00", payment_id="P-7"),
        make.payment("A-2", "80.00", payment_id="P-7"),
        make.payment("A-2", "5.00"),
    )
    letters = await harness.rows("select reason, detail from dead_letter order by recorded_at, detail")
    assert {letter["reason"] for letter in letters} == {"payment-conflict"}
    assert letters[0]["detail"] == "payment P-7 came before: amount was 80.00 CNY, now 90.00 CNY"
    balances = await harness.rows("select account, balance from fund_account order by account")
    assert [(row["account"], row["balance"]) for row in balances] == [("A-1", 80_00), ("A-2", 5_00)]
    assert await broken() == []


async def test_two_instances_post_the_same_payment_once(harness: Harness, make: Any, broken: Any) -> None:
    """The same payment told by another payer's key lands in another partition."""
    await harness.play(*make.master_data("A-1"))
    second = harness.instance()
    payment = make.payment("A-1", "80.00", payment_id="P-7")
    await asyncio.gather(
        harness.context.consumer.consume([harness.raw(payment)]),
        second.consumer.consume([harness.raw(payment, partition=1)]),
    )
    await second.database.close()
    assert len(only(await harness.drain(), BalanceChanged)) == 1
    assert await broken() == []


async def test_unplaced_payments_are_listed_with_their_reasons_page_by_page(
    harness: Harness, make: Any, broken: Any
) -> None:
    await harness.play(*make.master_data("A-1"))
    await harness.play(
        make.payment(None, "1.00", payment_id="P-1"),
        make.payment("A-9", "2.00", payment_id="P-2", reference="order 4711"),
        make.payment("A-1", "3.00", payment_id="P-3", account_type="overdraft"),
        make.payment("A-1", "4.00", payment_id="P-4", instrument="bankers-acceptance"),
        make.payment("A-1", "0.00", payment_id="P-5"),
    )
    async with harness.client(roles={"finance-maker"}) as client:
        first = (await client.get("/unmatched-payments", params={"limit": 3})).json()
        rest = (await client.get("/unmatched-payments", params={"limit": 3, "cursor": first["next"]})).json()
        found = [(item["payment_id"], item["reason"]) for item in first["items"] + rest["items"]]
        assert found == [
            ("P-1", "no-account-named"),
            ("P-2", "unknown-account"),
            ("P-3", "no-online-top-up"),
            ("P-4", "bankers-acceptance-not-cashed"),
        ]
        assert rest["next"] is None
        one = (await client.get("/unmatched-payments", params={"reason": "unknown-account"})).json()["items"]
        assert [(item["amount"]["amount"], item["reference"]) for item in one] == [("2.00", "order 4711")]
    assert [row["reason"] for row in await harness.rows("select reason from dead_letter")] == ["zero-amount"]
    assert await broken() == []


async def test_master_data_follows_the_highest_version(harness: Harness, make: Any) -> None:
    await harness.play(make.account("A-1", version=2), make.account("A-1", version=1, active=False))
    await harness.play(make.account("A-1", version=1, active=False))
    assert (await harness.rows("select version, active from account")) == [{"version": 2, "active": True}]
    await harness.play(make.account("A-1", version=3, active=False))
    assert (await harness.rows("select version, active from account")) == [{"version": 3, "active": False}]


async def test_a_right_taken_back_declines_the_next_order(harness: Harness, make: Any) -> None:
    await harness.play(*make.master_data("A-1"), make.payment("A-1", "10.00"))
    first = only(await harness.play(make.check(make.order("A-1", "1.00"))), OrderDecided)
    await harness.play(make.right("A-1", version=2, active=False))
    second = only(await harness.play(make.check(make.order("A-1", "1.00", order_id="SO-2"))), OrderDecided)
    assert [event.outcome for event in first + second] == ["accepted", "declined"]
    assert second[0].reasons[0].code == "not-allowed-to-use-balance"


async def test_relationships_follow_the_highest_version(harness: Harness, make: Any) -> None:
    await harness.play(
        make.relationship("M", "A", version=2, state="ended"), make.relationship("M", "A", version=1)
    )
    await harness.play(make.relationship("M", "A", version=1))
    rows = await harness.rows("select version, state, permissions from relationship")
    assert rows == [{"version": 2, "state": "ended", "permissions": ["view-financial-information"]}]
