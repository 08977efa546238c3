"""The order that the outsider's script writes is one that Coffer reads, and it adds up."""

import json
from decimal import Decimal

import jsonschema
import pytest
from contracts.codec import decode

from contracts import OrderSubmitted
from contracts.schemas import schema
from examples import publish_order
from examples.day.reference import order_faults


@pytest.mark.parametrize(("quantity", "price"), [("2", "159"), ("0.125", "8.04"), ("1", "0.005"), ("3", "0")])
def test_the_order_is_valid_and_adds_up(quantity: str, price: str) -> None:
    order = publish_order.order("C-1003", "A-1003-CN", "U-1003", Decimal(quantity), Decimal(price), "account")
    jsonschema.Draft202012Validator(schema(OrderSubmitted.contract)).validate(order)
    assert order_faults(order) == []
    assert isinstance(decode("order-submitted.v1", json.dumps(order).encode()), OrderSubmitted)


def test_the_headers_are_those_of_the_contract() -> None:
    names = [name for name, _ in publish_order.headers()]
    assert names == ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "content-type"]
