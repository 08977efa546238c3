"""Plays the day on a stack, step by step."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Final

from examples.day import play
from ops.demo.day import Day, Json
from ops.demo.people import People, at_work
from ops.local.sinks import Message
from ops.local.stack import Stack
from ops.verify.__main__ import wait_until_drained
from ops.verify.services import Services, from_environment

REST_SECONDS: Final = 90.0
POLL_SECONDS: Final = 0.3


class NoRest(Exception):
    """The services were still at work when the time was over."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"records were still on their way after {seconds:g} s; look at the services' logs")


class Playing:
    """One day on one stack; each step returns when everything that follows from it has come to rest."""

    def __init__(self, stack: Stack, day: Day, people: People) -> None:
        self.stack = stack
        self.day = day
        self.people = people
        self.services: Services = from_environment(stack.environment())

    async def publish(self, records: Iterable[Json], rate: float | None = None) -> Counter[str]:
        """Publishes records as bytes, as an outside system would; returns how many went to each topic."""
        return await play.publish(records, self.stack.bootstrap_servers, rate)

    async def rest(self, seconds: float = REST_SECONDS) -> None:
        """Returns when nothing is on its way any more; raises NoRest when the time is over."""
        if not await wait_until_drained(self.services, self.stack.bootstrap_servers, seconds):
            raise NoRest(seconds)

    async def play(self, records: Iterable[Json], rate: float | None = None) -> None:
        """Publishes records and waits for what follows from them."""
        await self.publish(records, rate)
        await self.rest()

    async def prepare(self) -> list[tuple[Json, str, Message]]:
        """Master data and what people enter, their addresses verified; returns the messages with codes."""
        await self.play(self.day.master_data)
        await self.people.enter(self.day.setup)
        return await self.people.verify_addresses(self.day.setup["contacts"])

    async def judge(self) -> None:
        """The approvers decide about the orders that wait, but for those that the day leaves waiting."""
        for approval in self.day.expectations["approvals"]:
            if approval["judgement"] != "leave":
                await self.people.judge(approval["source"], approval["order_id"], approval["judgement"])
        await self.rest()

    async def whole_day(self) -> None:
        """Everything, in its order."""
        await self.prepare()
        await self.play(self.day.payments)
        await self.play(self.day.orders_among_broken)
        await self.judge()
        await self.play(self.day.evening)
        await self.deliveries_ended()

    async def deliveries(self) -> list[Json]:
        """The deliveries of quota-low notices."""
        found = await self.people.listed("notify", "/deliveries")
        return [delivery for delivery in found if delivery["kind"].startswith("quota-low")]

    async def deliveries_ended(self, seconds: float = REST_SECONDS) -> None:
        """Returns when no delivery is under way any more, or when the time is over."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = await self.people.listed("notify", "/deliveries")
            if all(delivery["ended_at"] is not None for delivery in found):
                break
            await asyncio.sleep(POLL_SECONDS)
        await self.rest()


@asynccontextmanager
async def playing(stack: Stack, day: Day) -> AsyncIterator[Playing]:
    """The day on a stack, with its people at work."""
    async with at_work(stack) as people:
        yield Playing(stack, day, people)
