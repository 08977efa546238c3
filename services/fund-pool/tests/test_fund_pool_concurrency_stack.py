"""Events and commands at once on the accounts that they share."""

import asyncio
from typing import Any

import pytest
from chassis.testing import Harness, only

from chassis import ServiceContext
from contracts import OrderDecided

pytestmark = pytest.mark.stack

ACCOUNTS = ("A-1", "A-2", "A-3", "A-4")
ROUNDS = 6


async def consume(harness: Harness, make: Any, instance: ServiceContext, side: int) -> None:
    """Orders and cancellations over all accounts, in one direction or the other."""
    accounts = ACCOUNTS if side else ACCOUNTS[::-1]
    for number in range(ROUNDS):
        checks = [
            make.check(make.order(account, "7.00", order_id=f"SO-{side}-{number}-{account}"))
            for account in accounts
        ]
        cancels = [
            make.cancel(account, 2, order_id=f"SO-{side}-{number - 1}-{account}")
            for account in accounts[: 2 if number else 0]
        ]
        payments = [make.payment(account, "3.00") for account in reversed(accounts)]
        await instance.consumer.consume([harness.raw(event, partition=side) for event in (*checks, *cancels)])
        await instance.consumer.consume([harness.raw(event, partition=side) for event in payments])


async def set_alerts(harness: Harness) -> list[int]:
    statuses = []
    async with harness.client(roles={"finance-maker"}) as client:
        for number in range(ROUNDS):
            accounts = list(ACCOUNTS if number % 2 else ACCOUNTS[::-1])
            body = {"accounts": accounts, "threshold": {"amount": f"{40 + number}.00", "currency": "CNY"}}
            answer = await client.post("/quota-alerts", json=body, headers={"Idempotency-Key": f"q-{number}"})
            statuses.append(answer.status_code)
    return statuses


async def import_balances(harness: Harness) -> list[int]:
    statuses = []
    async with (
        harness.client(roles={"finance-maker"}, subject="ming") as maker,
        harness.client(roles={"finance-approver"}, subject="anna") as approver,
    ):
        for currency in ("USD", "EUR", "GBP"):
            amount = {"amount": "10.00", "currency": currency}
            rows = [
                {"account": name, "account_type": "cash", "currency": currency, "amount": amount}
                for name in ACCOUNTS[::-1]
            ]
            headers = {"Idempotency-Key": currency}
            draft = await maker.post("/opening-balance-imports", json={"rows": rows}, headers=headers)
            path = f"/opening-balance-imports/{draft.json()['import_id']}/approve"
            statuses += [draft.status_code, (await approver.post(path, json={}, headers=headers)).status_code]
    return statuses


async def test_orders_payments_alerts_and_imports_at_once_lose_nothing(
    harness: Harness, make: Any, broken: Any
) -> None:
    await harness.play(*make.master_data(*ACCOUNTS), *(make.payment(name, "60.00") for name in ACCOUNTS))
    second = harness.instance()
    *_, alerts, imports = await asyncio.wait_for(
        asyncio.gather(
            consume(harness, make, harness.context, 0),
            consume(harness, make, second, 1),
            set_alerts(harness),
            import_balances(harness),
        ),
        90,
    )
    await second.database.close()
    assert alerts == [200] * ROUNDS
    assert imports == [201, 200] * 3
    decided = only(await harness.drain(), OrderDecided)
    accepted = [event.position for event in decided if event.outcome == "accepted"]
    paid = 0
    for position in accepted:
        assert position is not None
        paid += position.total.minor
    assert len(decided) == 2 * (ROUNDS * 4 + (ROUNDS - 1) * 2)
    (held,) = await harness.rows("select sum(balance) as held from fund_account where currency = 'CNY'")
    (left,) = await harness.rows(
        "select sum(paid) as paid, sum(paid - refunded) as left_paid from order_state"
    )
    assert left["paid"] == paid
    assert held["held"] + left["left_paid"] == 4 * 60_00 + 2 * ROUNDS * 4 * 3_00
    assert await harness.rows("select reason, detail from dead_letter") == []
    assert await broken() == []


async def test_thirty_two_writers_on_four_accounts_end_without_a_deadlock_and_lose_nothing(
    harness: Harness, make: Any, client_of: Any, broken: Any
) -> None:
    """Transfers in opposite directions, allocations both ways round, top-ups and orders over HTTP and Kafka."""
    await harness.play(
        *make.master_data(*ACCOUNTS),
        *(make.related(giver, taker) for giver in ACCOUNTS[:2] for taker in ACCOUNTS if giver != taker),
        *(make.payment(account, "500.00") for account in ACCOUNTS),
    )
    maker = client_of({"finance-maker"}, "maker")
    approver = client_of({"finance-approver"}, "approver")
    deposit = {"account_type": "deposit", "currency": "CNY"}
    for account in ACCOUNTS:
        assert (await maker.post(f"/accounts/{account}/fund-accounts", json=deposit)).status_code == 201

    async def transfer(number: int) -> list[int]:
        account = ACCOUNTS[number % 4]
        there = number % 2 == 0
        body = {
            "document_type": "transfer",
            "document_id": f"T-{number}",
            "account": account,
            "account_type": "cash" if there else "deposit",
            "to_account_type": "deposit" if there else "cash",
            "amount": {"amount": "20.00", "currency": "CNY"},
            "submit": True,
        }
        made = await maker.post("/documents", json=body)
        if made.status_code != 201:
            return [made.status_code]
        return [(await approver.post(f"/documents/transfer/T-{number}/approve")).status_code]

    async def allocate(number: int) -> list[int]:
        giver, other = ACCOUNTS[number % 2], ACCOUNTS[1 - number % 2]
        takers = [other, *ACCOUNTS[2:]]
        rows = [(taker, "5.00") for taker in (takers if number % 4 < 2 else takers[::-1])]
        operation = "reclaim" if number % 8 > 5 else "allocate"
        body = make.allocation(operation, *rows, management=giver)
        return [(await maker.post("/allocations", json=body)).status_code]

    second = harness.instance()
    writers = [transfer(number) for number in range(15)] + [allocate(number) for number in range(15)]
    events = [
        consume(harness, make, harness.context, 0),
        consume(harness, make, second, 1),
    ]
    found = await asyncio.gather(*writers, *events)
    await second.database.close()
    statuses = {status for one in found[: len(writers)] for status in one}  # type: ignore[union-attr]
    assert statuses <= {200, 201, 409}
    assert await harness.rows("select reason from dead_letter") == []
    rows = await harness.rows(
        "select sum(amount) as left from posting where bucket = 'balance' and currency = 'CNY'"
    )
    balances = await harness.rows("select sum(balance) as left, min(balance) as least from fund_account")
    assert (rows[0]["left"], balances[0]["least"] >= 0) == (balances[0]["left"], True)
    assert await broken() == []
