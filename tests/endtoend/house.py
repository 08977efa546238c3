"""The stack of the end-to-end tests: emptied, filled, restarted, looked at as a whole."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, Literal

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from examples.day import compare
from ops.demo.day import Day, Json
from ops.demo.playing import Playing, playing
from ops.demo.starting import start, start_services
from ops.local.stack import Stack
from ops.local.waiting import run, together
from ops.verify.log import Log, read_log
from ops.verify.services import SERVICES

State = Literal["stopped", "prepared", "played"]

OUR_TOPICS: Final = (
    "credit-checked",
    "order-decided",
    "balance-changed",
    "quota-low",
    "relationship-changed",
    "notification-status",
)
# What two services agree on, as each states it: the state that must survive a replay, beside what HTTP shows.
FACTS: Final = (
    ("credit", "accepted-orders"),
    ("credit", "parked-events"),
    ("fund-pool", "accepted-orders"),
    ("fund-pool", "expected-receipts"),
    ("fund-pool", "quota-notices"),
    ("cashplan", "expected-receipts"),
    ("notify", "quota-notices"),
)


class House:
    """The stack with what has been played on it."""

    def __init__(self, stack: Stack, day: Day) -> None:
        self.stack = stack
        self.day = day
        self.state: State = "stopped"
        self._log: Log | None = None

    def require(self, state: State) -> None:
        """Bring it into this state, unless it is."""
        if self.state == state or (state, self.state) == ("prepared", "played"):
            return
        self.empty()
        run(self._fill(state))
        self.state = state

    async def _fill(self, state: State) -> None:
        async with self.playing() as day:
            if state == "played":
                await day.whole_day()
            else:
                await day.prepare()
                await day.play(self.day.payments)

    def empty(self) -> None:
        """All services run on empty topics and databases; nobody has been told anything."""
        was_used = self.state != "stopped"
        self.stop_services()
        self.forget()
        start(self.stack, fresh=was_used or self.stack.broker.kind == "external")
        for sink in (self.stack.sms, self.stack.mail):
            sink.clear()
        self.state = "stopped"

    def stop_services(self) -> None:
        """Stop whichever services run, in order."""
        together(*(service.stop for service in self.stack.services()))

    def start_services(self) -> None:
        """Start the five again."""
        start_services(self.stack)

    def restart_without(self, *tables: str) -> None:
        """Stop the services, empty these tables of each, and start them again."""
        self.stop_services()
        together(*(partial(self.execute, name, f"truncate {', '.join(tables)}") for name in SERVICES))
        self.start_services()

    def execute(self, service: str, sql: str) -> None:
        """Change a service's database behind its back, as the owner of its tables."""
        run(_execute(self.stack.dsn(service, owner=True), sql))

    def forget(self) -> None:
        """The topics are read anew the next time that somebody asks."""
        self._log = None

    @asynccontextmanager
    async def playing(self) -> AsyncIterator[Playing]:
        """The day on this stack, with its people at work."""
        async with playing(self.stack, self.day) as day:
            yield day

    async def log(self) -> Log:
        """Everything in the topics of events; read once per played day."""
        if self._log is None:
            topics = ["order-submitted", "order-cancelled", "payment-received", *OUR_TOPICS]
            self._log = await read_log(self.stack.bootstrap_servers, topics)
        return self._log

    async def records(self, *topics: str) -> list[Any]:  # Any: aiokafka has no types
        """The raw records of topics."""
        return [record async for record in compare.values(self.stack.bootstrap_servers, *topics)]

    async def events(self, topic: str) -> list[Json]:
        """The events of a topic that our services write, as JSON."""
        return [json.loads(record.value) for record in await self.records(topic) if record.headers]

    async def record_at(self, topic: str, partition: int, offset: int) -> Any:
        """One raw record by its coordinates."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.stack.bootstrap_servers, enable_auto_commit=False)
        await consumer.start()
        try:
            place = TopicPartition(topic, partition)
            consumer.assign([place])
            consumer.seek(place, offset)
            return await consumer.getone()
        finally:
            await consumer.stop()

    async def event_ids(self) -> dict[str, set[str]]:
        """The ids of all events that the services have published, by topic."""
        log = await read_log(self.stack.bootstrap_servers, OUR_TOPICS)
        return {topic: {record.id for record in log.of(topic)} for topic in OUR_TOPICS}


async def _execute(dsn: str, sql: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=20)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


async def figures(day: Playing) -> Json:
    """Everything that has come of the day: what HTTP shows, what the services state, what people received."""
    people, expectations = day.people, day.day.expectations["after_evening"]
    accounts = sorted({row["account"] for row in expectations["balances"]})
    customers = sorted({row["customer"] for row in expectations["credit_used"]})
    return {
        "balances": {
            account: (await people.read("fund-pool", f"/accounts/{account}/balances"))["fund_accounts"]
            for account in accounts
        },
        "quota": {
            account: await people.read("fund-pool", f"/accounts/{account}/quota") for account in accounts
        },
        "credit": {
            customer: await people.listed("credit", f"/customers/{customer}/status") for customer in customers
        },
        "unmatched": await people.listed("fund-pool", "/unmatched-payments"),
        "pool": await people.listed("cashplan", "/pool-items"),
        "deliveries": await people.listed("notify", "/deliveries"),
        "received": {
            "sms": len(day.stack.sms.messages()),
            "email": len(day.stack.mail.messages()),
        },
        "facts": {
            f"{service}: {name}": sorted(map(str, await day.services.facts(service, name)))
            for service, name in FACTS
        },
    }
