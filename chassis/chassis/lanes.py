"""Lanes: batches of different partitions are applied side by side, those of one partition one after another.

One batch computes while another waits for the database. To the database two lanes look like two instances, and so
keep every promise that two instances keep.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from chassis.consumer import Incoming

LANES: Final = 2
"""One computes, one waits; more would only wait for the one Python that computes."""

Apply = Callable[[Sequence[Incoming]], Awaitable[None]]


def lane_of(incoming: Incoming) -> int:
    """By partition number alone, so that equal partitions of related topics, which hold equal keys, share a lane."""
    return incoming.raw.partition % LANES


class Lane:
    """Applies its batches in order; one more may wait, decoded, while one is applied."""

    def __init__(self, apply: Apply) -> None:
        self._apply = apply
        self._waiting: asyncio.Queue[Sequence[Incoming]] = asyncio.Queue(maxsize=1)
        self._task = asyncio.create_task(self._run(), name="lane")

    async def put(self, batch: Sequence[Incoming]) -> None:
        """Hands a batch over; waits while another is waiting."""
        await self._waiting.put(batch)

    async def _run(self) -> None:
        while True:
            batch = await self._waiting.get()
            try:
                await self._apply(batch)
            finally:
                self._waiting.task_done()

    async def stop(self, seconds_max: float) -> None:
        """Waits until all that it was handed is applied or left, then ends."""
        try:
            async with asyncio.timeout(seconds_max):
                await self._waiting.join()
        except TimeoutError:
            pass
        self._task.cancel()
