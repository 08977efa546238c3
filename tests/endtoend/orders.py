"""Orders like those of the day, under ids that nobody has seen."""

import copy
import uuid
from collections.abc import Iterator

from ops.demo.day import Day, Json


def new_orders(day: Day, account: str, count: int) -> list[Json]:
    """Copies of orders that the account pays, each with an id and an event id of its own."""
    return [_renamed(record) for record, _ in zip(_paid_orders(day, account), range(count), strict=False)]


def _paid_orders(day: Day, account: str) -> Iterator[Json]:
    for record in day.orders:
        value = record["value"]
        if "kind" in record or record["topic"] != "order-submitted" or record["key"] != account:
            continue
        key = f"{value['source']}/{value['order_id']}"
        if day.expectations["orders"][key].get("paid", {}).get("cash") == value["total"]["amount"]:
            yield record


def _renamed(record: Json) -> Json:
    renamed = copy.deepcopy(record)
    renamed["value"]["order_id"] = f"SO-{uuid.uuid4()}"
    renamed["headers"]["ce_id"] = str(uuid.uuid4())
    return renamed
