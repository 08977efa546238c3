"""Records as an order system would write them, made in bulk."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from uuid import uuid4

from contracts.event import Event
from contracts.money import Money
from contracts.order import Order, OrderLine

from contracts import CreditChecked, OrderSubmitted
from tests.bench.kafka import Headers, Prepared

LINES = 4
LINE_PRICE = "2.50"
TOTAL = "10.00"
CURRENCY = "CNY"


def headers(event_type: str, source: str) -> Headers:
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", str(uuid4()).encode()),
        ("ce_source", source.encode()),
        ("ce_type", event_type.encode()),
        ("ce_time", datetime.now(UTC).isoformat().encode()),
        ("content-type", b"application/json"),
    ]


def order_fields(order_id: str, customer: str, account: str) -> dict[str, object]:
    """An order of four lines of 2.50 each."""
    nothing = Money("0.00", CURRENCY)
    line = Money(LINE_PRICE, CURRENCY)
    return {
        "source": "bench",
        "order_id": order_id,
        "order_revision": 1,
        "currency": CURRENCY,
        "buyer": customer,
        "paying_account": account,
        "business_organisation": "ORG-1",
        "settlement_organisation": "ORG-1",
        "sales_organisation": "ORG-1",
        "customer": customer,
        "ordering_user": "user-1",
        "payment_method": "account",
        "order_date": date(2026, 3, 2),
        "payment_terms_days": 30,
        "lines": [
            OrderLine(
                line_id=str(number),
                material=f"M-{number}",
                material_group="G-1",
                quantity="1",
                price=LINE_PRICE,
                discount=nothing,
                tax=nothing,
                amount=line,
            )
            for number in range(1, LINES + 1)
        ],
        "total": Money(TOTAL, CURRENCY),
    }


def submitted(order_id: str, customer: str, account: str) -> Event:
    return OrderSubmitted(**order_fields(order_id, customer, account))  # type: ignore[arg-type]


def checked(order_id: str, customer: str, account: str) -> Event:
    """The order as credit passes it on, approved."""
    return CreditChecked(
        source="bench",
        order_id=order_id,
        order_revision=1,
        check_number=1,
        paying_account=account,
        operation="submit",
        outcome="approved",
        reasons=[],
        metrics=[],
        order=Order(**order_fields(order_id, customer, account)),  # type: ignore[arg-type]
        checked_at=datetime.now(UTC),
    )


def prepared(event: Event) -> Prepared:
    producer = event.contract.producers[0]
    source = "bench/order-system" if producer == "external" else f"coffer/{producer}"
    return Prepared(event.key().encode(), event.to_json(), headers(event.contract.type, source))


def batch(
    make: Callable[[str, str, str], Event], number: int, customers: int, run: str
) -> Iterator[Prepared]:
    """`number` orders over `customers` customers in turn; `run` keeps the ids of one run apart."""
    for index in range(number):
        customer = index % customers
        yield prepared(make(f"{run}-{index}", f"C{customer}", f"A{customer}"))
