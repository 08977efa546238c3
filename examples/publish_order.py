"""Publishes one order and waits for the answer, as an order system does: it imports nothing of Coffer.

`pip install aiokafka`, then `KAFKA_BOOTSTRAP_SERVERS=localhost:9092 python examples/publish_order.py`. The
defaults are a customer, an account and a user of `examples/day/`; `--help` shows what can be said instead.
"""

import argparse
import asyncio
import json
import os
import sys
import uuid
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

Json = dict[str, Any]  # Any: a JSON document

SOURCE = "my-shop"
CENT = Decimal("0.01")


def order(
    customer: str, account: str, user: str, quantity: Decimal, price: Decimal, payment_method: str
) -> Json:
    """An order of one line: amount = quantity x price, half up, - discount + tax; total = the sum of the lines."""
    gross = (quantity * price).quantize(CENT, ROUND_HALF_UP)
    discount = Decimal("0.00")
    tax = ((gross - discount) * 13 / 100).quantize(CENT, ROUND_HALF_UP)
    owed = {"amount": str(gross - discount + tax), "currency": "CNY"}
    return {
        "source": SOURCE,
        "order_id": f"SO-{uuid.uuid4()}",
        "order_revision": 1,
        "currency": "CNY",
        "buyer": user,
        "paying_account": account,
        "business_organisation": "BUS-SH",
        "settlement_organisation": "LEG-CN",
        "sales_organisation": "BUS-SH",
        "customer": customer,
        "ordering_user": user,
        "payment_method": payment_method,
        "order_date": date.today().isoformat(),
        "lines": [
            {
                "line_id": "1",
                "material": "M-201",
                "quantity": str(quantity),
                "price": str(price),
                "discount": {"amount": str(discount), "currency": "CNY"},
                "tax": {"amount": str(tax), "currency": "CNY"},
                "amount": owed,
            }
        ],
        "total": owed,
    }


def headers() -> list[tuple[str, bytes]]:
    """CloudEvents 1.0 in binary mode; send the same `ce_id` again when you are not sure that it arrived."""
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", str(uuid.uuid4()).encode()),
        ("ce_source", SOURCE.encode()),
        ("ce_type", b"order-submitted.v1"),
        ("ce_time", datetime.now(UTC).isoformat().encode()),
        ("content-type", b"application/json"),
    ]


async def submit(placed: Json, servers: str, timeout_seconds: float) -> Json:
    """Publishes an order and returns the `order-decided` that answers it."""
    answers = AIOKafkaConsumer("order-decided", bootstrap_servers=servers, isolation_level="read_committed")
    producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all", enable_idempotence=True)
    await answers.start()
    await producer.start()
    try:
        await answers.seek_to_end()
        for partition in answers.assignment():
            await answers.position(partition)  # settles where reading begins before the order is out
        key, value = placed["paying_account"].encode(), json.dumps(placed, ensure_ascii=False).encode()
        await producer.send_and_wait("order-submitted", value, key=key, headers=headers())
        return await asyncio.wait_for(_answer(answers, placed), timeout_seconds)
    finally:
        await producer.stop()
        await answers.stop()


async def _answer(answers: AIOKafkaConsumer, placed: Json) -> Json:
    while True:
        decided: Json = json.loads((await answers.getone()).value)
        if (decided["source"], decided["order_id"]) == (placed["source"], placed["order_id"]):
            return decided


def main() -> int:
    """Places the order of the command line; 0 when it was accepted."""
    parser = argparse.ArgumentParser(description="Publishes one order to Coffer and waits for the answer.")
    parser.add_argument("--customer", default="C-1003")
    parser.add_argument("--account", default="A-1003-CN")
    parser.add_argument("--user", default="U-1003")
    parser.add_argument("--quantity", type=Decimal, default=Decimal(2))
    parser.add_argument("--price", type=Decimal, default=Decimal(159))
    parser.add_argument("--payment-method", default="account")
    parser.add_argument("--timeout", type=float, default=30, metavar="SECONDS")
    chosen = parser.parse_args()
    placed = order(
        chosen.customer, chosen.account, chosen.user, chosen.quantity, chosen.price, chosen.payment_method
    )
    servers = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092")
    print(
        f"{placed['order_id']}: {placed['total']['amount']} CNY from {chosen.account} by {chosen.payment_method}"
    )
    try:
        decided = asyncio.run(submit(placed, servers, chosen.timeout))
    except TimeoutError:
        print(f"no answer within {chosen.timeout:g} s; is everything up, and is the order well formed?")
        return 2
    print(f"{decided['outcome']}: {decided['explanation']['text']}")
    for reason in decided["reasons"]:
        print(f"  {reason['code']}: {reason['text']}")
    return 0 if decided["outcome"] == "accepted" else 1


if __name__ == "__main__":
    sys.exit(main())
