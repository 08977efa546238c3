"""Compares what came of the day with `expectations.json`, from outside: Kafka's topics and the HTTP of the services.

`python examples/day/compare.py after_orders` (or `after_evening`) takes KAFKA_BOOTSTRAP_SERVERS, COFFER_CREDIT_URL,
COFFER_FUND_POOL_URL, COFFER_CASHPLAN_URL and COFFER_TOKEN, prints every difference, and exits 0 if there is none.
"""

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import httpx
from aiokafka import AIOKafkaConsumer

EXPECTATIONS = Path(__file__).with_name("expectations.json")
FETCH_BYTES_MAX = 16 * 1024 * 1024
SERVICES = ("fund-pool", "credit", "cashplan", "sharing", "notify")

Json = dict[str, Any]  # Any: a parsed JSON document
Phase = Literal["after_orders", "after_evening"]


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the broker and the services are, and the token of somebody who may read everything."""

    kafka: str
    credit: str
    fund_pool: str
    cashplan: str
    token: str

    @classmethod
    def of_environment(cls) -> "Addresses":
        """As `.local/env` names them."""
        env = os.environ
        return cls(
            kafka=env["KAFKA_BOOTSTRAP_SERVERS"],
            credit=env["COFFER_CREDIT_URL"],
            fund_pool=env["COFFER_FUND_POOL_URL"],
            cashplan=env["COFFER_CASHPLAN_URL"],
            token=env["COFFER_TOKEN"],
        )


def expected_orders(expectations: Json, phase: Phase) -> Json:
    """The outcome of each order by `source/order_id`, at the end of a phase."""
    orders: Json = dict(expectations["orders"])
    if phase == "after_evening":
        for judged in expectations["approvals"]:
            orders[f"{judged['source']}/{judged['order_id']}"] = judged["then"]
    return orders


async def differences(
    expectations: Json, phase: Phase, addresses: Addresses, times_played: int = 1
) -> list[str]:
    """Every difference as a sentence; empty when all came out as expected.

    `times_played` is how often orders and broken records were published: each time they are refused again.
    """
    orders = expected_orders(expectations, phase)
    decided = await last_decisions(addresses.kafka)
    found = [*order_differences(orders, decided)]
    refused = await dead_letters(addresses.kafka)
    found += dead_letter_differences(expectations["dead_letters"], refused, times_played)
    if phase == "after_evening":
        found += notice_differences(expectations["quota_low"], await notices(addresses.kafka))
    async with httpx.AsyncClient(
        headers={"authorization": f"Bearer {addresses.token}"}, timeout=30
    ) as client:
        found += [
            each async for each in balance_differences(expectations[phase], client, addresses.fund_pool)
        ]
        found += [each async for each in credit_differences(expectations[phase], client, addresses.credit)]
        found += [
            each async for each in payment_differences(expectations["payments"], client, addresses.fund_pool)
        ]
        found += [each async for each in receipt_differences(orders, client, addresses.cashplan)]
    return found


async def values(servers: str, *topics: str) -> AsyncIterator[Any]:  # Any: aiokafka has no types
    """Every record of the topics that is there now."""
    consumer = AIOKafkaConsumer(
        *topics,
        bootstrap_servers=servers,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_max_bytes=FETCH_BYTES_MAX,
        max_partition_fetch_bytes=FETCH_BYTES_MAX,
    )
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        while [partition for partition, end in ends.items() if await consumer.position(partition) < end]:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    yield record
    finally:
        await consumer.stop()


async def last_decisions(servers: str) -> Json:
    """The order-decided with the highest check number of each order, by `source/order_id`."""
    decided: Json = {}
    async for record in values(servers, "order-decided"):
        value = json.loads(record.value)
        key = f"{value['source']}/{value['order_id']}"
        if key not in decided or decided[key]["check_number"] < value["check_number"]:
            decided[key] = value
    return decided


async def dead_letters(servers: str) -> dict[str, Counter[str]]:
    """How many dead letters each service has, by reason."""
    found: dict[str, Counter[str]] = {}
    async for record in values(servers, *(f"{service}.dead-letter" for service in SERVICES)):
        headers = dict(record.headers)
        service = record.topic.removesuffix(".dead-letter")
        found.setdefault(service, Counter())[headers["dead_letter_reason"].decode()] += 1
    return found


async def notices(servers: str) -> list[tuple[str, str, str]]:
    """Every notice of a low quota that is no reminder: account, currency, kind."""
    seen = {}
    async for record in values(servers, "quota-low"):
        value = json.loads(record.value)
        if value["kind"] != "reminder":
            seen[value["episode_id"], value["kind"]] = (value["account"], value["currency"], value["kind"])
    return sorted(seen.values())


def order_differences(expected: Json, decided: Json) -> Iterator[str]:
    """Outcome and payment of each order."""
    for key in sorted(expected.keys() | decided.keys()):
        if key not in decided:
            yield f"order {key} was not answered, expected {expected[key]['outcome']}"
        elif key in expected:
            yield from _order_differences(key, expected[key], decided[key])


def _order_differences(key: str, expected: Json, decided: Json) -> Iterator[str]:
    outcome, reasons = standing(expected, decided)
    if outcome != expected["outcome"]:
        yield f"order {key} is {outcome} ({', '.join(reasons)}), expected {expected['outcome']}"
    elif outcome == "accepted":
        paid: dict[str, Decimal] = {}
        for payment in decided["position"]["payments"]:
            kind = payment["account_type"]
            paid[kind] = paid.get(kind, Decimal(0)) + Decimal(payment["amount"]["amount"])
        wanted = {kind: Decimal(amount) for kind, amount in expected["paid"].items()}
        if paid != wanted:
            yield f"order {key} was paid {paid}, expected {wanted}"
    elif outcome == "declined":
        wanted_reasons = expected["answers"][str(expected["revision"])][1]
        if not set(wanted_reasons) <= set(reasons):
            yield f"order {key} was declined for {reasons}, expected {wanted_reasons}"


def standing(expected: Json, decided: Json) -> tuple[str, list[str]]:
    """How the order stands by its last decision; a refused further revision leaves it as it was."""
    reasons = [reason["code"] for reason in decided["reasons"]]
    if decided["outcome"] == "declined" and "already-submitted" in reasons:
        return ("accepted" if Decimal(decided["position"]["total"]["amount"]) else "declined"), reasons
    if decided["outcome"] == "declined" and "cancelled" in reasons:
        return "cancelled", reasons
    return decided["outcome"], reasons


def dead_letter_differences(
    expected: Json, found: dict[str, Counter[str]], times_played: int
) -> Iterator[str]:
    """Number of dead letters per service and reason."""
    for service in SERVICES:
        wanted: Counter[str] = Counter(expected.get(service, {}))
        got = found.get(service, Counter())
        for reason in sorted(wanted.keys() | got.keys()):
            if got[reason] != times_played * wanted[reason]:
                expectation = times_played * wanted[reason]
                yield f"{service} has {got[reason]} dead letters {reason}, expected {expectation}"


def notice_differences(expected: list[Json], found: list[tuple[str, str, str]]) -> Iterator[str]:
    """Notices of a low quota."""
    wanted = Counter((notice["account"], notice["currency"], notice["kind"]) for notice in expected)
    got = Counter(found)
    for notice in sorted(wanted.keys() | got.keys()):
        if wanted[notice] != got[notice]:
            yield f"quota-low {' '.join(notice)} came {got[notice]} times, expected {wanted[notice]}"


async def balance_differences(expected: Json, client: httpx.AsyncClient, url: str) -> AsyncIterator[str]:
    """The balance of every purse."""
    wanted = {
        (row["account"], row["account_type"], row["currency"]): Decimal(row["balance"])
        for row in expected["balances"]
    }
    got = {}
    for account in sorted({account for account, _, _ in wanted}):
        answer = (await client.get(f"{url}/accounts/{account}/balances")).raise_for_status().json()
        for purse in answer["fund_accounts"]:
            got[account, purse["account_type"], purse["currency"]] = Decimal(purse["balance"]["amount"])
    for key in sorted(wanted.keys() | got.keys()):
        if wanted.get(key, Decimal(0)) != got.get(key, Decimal(0)):
            yield f"balance of {' '.join(key)} is {got.get(key)}, expected {wanted.get(key)}"


async def credit_differences(expected: Json, client: httpx.AsyncClient, url: str) -> AsyncIterator[str]:
    """What every profile has in use."""
    wanted = {(row["customer"], row["currency"]): Decimal(row["used"]) for row in expected["credit_used"]}
    for customer in sorted({customer for customer, _ in wanted}):
        answer = (await client.get(f"{url}/customers/{customer}/status")).raise_for_status().json()
        for status in answer["items"]:
            currency, used = status["profile"]["currency"], Decimal(status["used"]["amount"])
            if used != wanted.get((customer, currency), Decimal(0)):
                yield f"credit used of {customer} {currency} is {used}, expected {wanted.get((customer, currency))}"


async def payment_differences(expected: Json, client: httpx.AsyncClient, url: str) -> AsyncIterator[str]:
    """Payments that nobody could match, with the reason."""
    wanted = {payment: reason for payment, reason in expected.items() if reason != "posted"}
    got = {row["payment_id"]: row["reason"] for row in await pages(client, f"{url}/unmatched-payments")}
    for payment in sorted(wanted.keys() | got.keys()):
        if wanted.get(payment) != got.get(payment):
            yield f"payment {payment} is {got.get(payment, 'posted')}, expected {wanted.get(payment, 'posted')}"


async def receipt_differences(orders: Json, client: httpx.AsyncClient, url: str) -> AsyncIterator[str]:
    """What the pool expects to receive for each order."""
    got = {
        f"{item['source']}/{item['document_id']}": Decimal(item["amount"]["amount"])
        for item in await pages(client, f"{url}/pool-items")
        if item["amount"] is not None
    }
    for key, order in sorted(orders.items()):
        wanted = Decimal(order.get("expected_receipt", 0))
        if got.get(key, Decimal(0)) != wanted:
            yield f"receipt to come for {key} is {got.get(key)}, expected {wanted}"


async def pages(client: httpx.AsyncClient, url: str) -> list[Json]:
    """All items of a list, page by page."""
    items: list[Json] = []
    cursor: str | None = None
    while True:
        answer = await client.get(url, params={"cursor": cursor} if cursor else {})
        page = answer.raise_for_status().json()
        items += page["items"]
        cursor = page["next"]
        if not cursor:
            return items


def main() -> int:
    """Prints the differences of a phase."""
    phase: Phase = "after_evening" if sys.argv[1:] == ["after_evening"] else "after_orders"
    expectations = json.loads(EXPECTATIONS.read_text(encoding="utf-8"))
    found = asyncio.run(differences(expectations, phase, Addresses.of_environment()))
    print(*found, sep="\n")
    print(f"{len(found)} differences {phase.replace('_', ' ')}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
