"""A superseded version on the wire reaches a service's handler as the newest one, on a real database."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from chassis.testing import Harness
from contracts.event import REGISTRY, TYPES, Contract
from contracts.gate import FOLDER
from contracts.text import Id, Text

from chassis import Batch, Service, Subscription
from contracts import Event, OrderCancelled, event

ROOT = Path(__file__).parents[2]
V1, V2 = "order-cancelled.v1", "order-cancelled.v2"


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelledV2(Event):
    """A made-up second version: it says who wanted it, and no longer when."""

    source: Id
    order_id: Id
    paying_account: Id
    initiator: Literal["customer", "unknown"]
    reason: Text


def to_v2(old: OrderCancelled) -> CancelledV2:
    initiator: Literal["customer", "unknown"] = "customer" if old.cancelled_by else "unknown"
    return CancelledV2(
        source=old.source,
        order_id=old.order_id,
        paying_account=old.paying_account,
        initiator=initiator,
        reason=old.reason,
    )


@pytest.fixture
def second_version() -> Iterator[None]:
    registry, types, first = dict(REGISTRY), dict(TYPES), OrderCancelled.contract
    superseded = Contract(first.name, 1, first.key, first.producers, OrderCancelled, upcast=to_v2)
    OrderCancelled.contract = REGISTRY["order-cancelled", 1] = TYPES[V1] = superseded
    event("order-cancelled", 2, key="paying_account", producers=first.producers)(CancelledV2)
    yield
    REGISTRY.clear()
    REGISTRY.update(registry)
    TYPES.clear()
    TYPES.update(types)
    OrderCancelled.contract = first


def headers(event_id: str, event_type: str) -> list[tuple[str, bytes | None]]:
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", event_id.encode()),
        ("ce_source", b"shop-east"),
        ("ce_type", event_type.encode()),
    ]


@pytest.mark.stack
@pytest.mark.usefixtures("second_version")
async def test_the_handler_sees_the_newest_version_only(
    postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(ROOT / "docs" / "examples"), *sys.path])
    seen: list[CancelledV2] = []

    async def count_cancellations(batch: Batch[CancelledV2]) -> None:
        seen.extend(record.event for record in batch)

    service = Service(
        name="sample",
        package="sample_service",
        subscriptions=(Subscription(count_cancellations, CancelledV2),),
    )
    old = (FOLDER / "examples" / V1 / "fullest.json").read_bytes()
    async with Harness(service, postgres_dsn) as harness:
        await harness.play_raw("order-cancelled", b"ACC-100", old, headers("1", V1))
        await harness.play(
            CancelledV2(
                source="shop-east",
                order_id="SO-7",
                paying_account="ACC-100",
                initiator="unknown",
                reason="",
            )
        )
        await harness.play_raw("order-cancelled", b"ACC-100", old, headers("3", "order-cancelled.v3"))
        refused = await harness.rows("select reason from dead_letter")
    assert [(each.order_id, each.initiator) for each in seen] == [
        ("SO-1002", "customer"),
        ("SO-7", "unknown"),
    ]
    assert refused == [{"reason": "newer-major-version"}]
