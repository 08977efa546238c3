"""Lanes: order within a partition number, side by side across them, and an end in bounded time."""

import asyncio
from collections.abc import Sequence

from chassis.consumer import Incoming
from chassis.lanes import LANES, Lane, lane_of
from chassis.testing import TestRecord


def incoming(topic: str, partition: int, offset: int = 0) -> Incoming:
    return Incoming(TestRecord(topic, partition, offset, 0, b"k", b"{}", []))


def test_equal_partitions_of_all_topics_share_a_lane() -> None:
    for partition in range(12):
        assert lane_of(incoming("order-submitted", partition)) == lane_of(
            incoming("order-decided", partition)
        )
    assert {lane_of(incoming("t", partition)) for partition in range(12)} == set(range(LANES))


async def test_a_lane_applies_in_order_and_another_does_not_wait_for_it() -> None:
    held, applied = asyncio.Event(), []

    async def slow(batch: Sequence[Incoming]) -> None:
        await held.wait()
        applied.append(("slow", batch[0].raw.offset))

    async def quick(batch: Sequence[Incoming]) -> None:
        applied.append(("quick", batch[0].raw.offset))

    first, second = Lane(slow), Lane(quick)
    for offset in range(2):
        await first.put([incoming("t", 0, offset)])
    await second.put([incoming("t", 1)])
    await second.stop(5)
    assert applied == [("quick", 0)]
    held.set()
    await first.stop(5)
    assert applied == [("quick", 0), ("slow", 0), ("slow", 1)]


async def test_a_lane_that_hangs_is_left_in_time() -> None:
    began = asyncio.Event()

    async def hanging(_: Sequence[Incoming]) -> None:
        began.set()
        await asyncio.Event().wait()

    lane = Lane(hanging)
    await lane.put([incoming("t", 0)])
    await began.wait()
    await asyncio.wait_for(lane.stop(0.05), 5)
