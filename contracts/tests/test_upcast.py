"""A made-up version 2 of an event, through the codec to a handler that knows the newest only."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import pytest
from contracts.codec import Malformed, decode
from contracts.event import TYPES, Contract
from contracts.gate import FOLDER, findings
from contracts.text import Id, Text
from contracts.times import Moment

from contracts import REGISTRY, Event, OrderCancelled, event

Initiator = Literal["customer", "seller", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelledV2(Event):
    """Says who wanted it, which version 1 left in the reason's words."""

    source: Id
    order_id: Id
    order_revision: int
    paying_account: Id
    initiator: Initiator
    reason: Text
    cancelled_at: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelledV3(Event):
    """Drops the reason."""

    source: Id
    order_id: Id
    paying_account: Id
    initiator: Initiator


def to_v2(old: OrderCancelled) -> CancelledV2:
    return CancelledV2(
        source=old.source,
        order_id=old.order_id,
        order_revision=old.order_revision,
        paying_account=old.paying_account,
        initiator="customer" if "mistake" in old.reason else "unknown",
        reason=old.reason,
        cancelled_at=old.cancelled_at,
    )


def to_v3(old: CancelledV2) -> CancelledV3:
    return CancelledV3(
        source=old.source, order_id=old.order_id, paying_account=old.paying_account, initiator=old.initiator
    )


@pytest.fixture
def three_versions() -> Iterator[None]:
    registry, types, first = dict(REGISTRY), dict(TYPES), OrderCancelled.contract
    superseded = Contract(first.name, 1, first.key, first.producers, OrderCancelled, upcast=to_v2)
    OrderCancelled.contract = REGISTRY["order-cancelled", 1] = TYPES["order-cancelled.v1"] = superseded
    event("order-cancelled", 2, key="paying_account", producers=("external",), upcast=to_v3)(CancelledV2)
    event("order-cancelled", 3, key="paying_account", producers=("external",))(CancelledV3)
    yield
    REGISTRY.clear()
    REGISTRY.update(registry)
    TYPES.clear()
    TYPES.update(types)
    OrderCancelled.contract = first


def body() -> bytes:
    return (FOLDER / "examples/order-cancelled.v1/fullest.json").read_bytes()


def handler(cancelled: CancelledV3) -> str:
    return f"{cancelled.order_id} cancelled by the {cancelled.initiator}"


@pytest.mark.usefixtures("three_versions")
def test_a_handler_sees_the_newest_version_whatever_was_sent() -> None:
    old = decode("order-cancelled.v1", body())
    middle = decode("order-cancelled.v2", json.dumps({**json.loads(body()), "initiator": "seller"}).encode())
    newest = decode("order-cancelled.v3", json.dumps({**json.loads(body()), "initiator": "seller"}).encode())
    seen = [cancelled for cancelled in (old, middle, newest) if isinstance(cancelled, CancelledV3)]
    assert [handler(cancelled) for cancelled in seen] == [
        "SO-1002 cancelled by the customer",
        "SO-1002 cancelled by the seller",
        "SO-1002 cancelled by the seller",
    ]


@pytest.mark.usefixtures("three_versions")
def test_a_superseded_version_is_still_validated_as_what_it_is() -> None:
    with pytest.raises(Malformed, match="cancelled_at"):
        decode("order-cancelled.v1", json.dumps({**json.loads(body()), "cancelled_at": "today"}).encode())


@pytest.mark.usefixtures("three_versions")
def test_the_gate_asks_for_examples_of_the_new_version() -> None:
    assert "order-cancelled.v3: has 0 golden examples, needs 3" in findings()


def test_without_the_new_version_it_is_from_a_newer_producer() -> None:
    with pytest.raises(Malformed) as refused:
        decode("order-cancelled.v2", body())
    assert refused.value.reason == "newer-major-version"
