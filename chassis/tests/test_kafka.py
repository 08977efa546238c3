"""The chassis on a real broker: order through the relay, offsets, gaps, restarts, shutdown."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, date, datetime
from uuid import uuid4

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from chassis.bookkeeping import TopicPartition
from chassis.records import pack_headers
from chassis.relay import Relay
from chassis.service import STOP_SECONDS_MAX
from chassis.testing import Harness
from chassis.work import OutboxRow, insert_outbox
from contracts.money import Money
from sample_service import handlers

from chassis import Service, ServiceContext, Subscription
from contracts import PaymentReceived
from ops.local.broker import NativeBroker
from ops.local.ports import Ports

pytestmark = pytest.mark.stack

TOPIC = "payment-received"
PARTITIONS = 3


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NativeBroker]:
    server = NativeBroker(tmp_path_factory.mktemp("kafka"), Ports.free())
    server.start()
    try:
        yield server
    finally:
        server.kill()


async def eventually(condition: Callable[[], Awaitable[bool]], seconds: float = 30) -> None:
    """Waits for a condition, and fails when it never comes to hold."""
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, f"{condition.__name__} did not come to hold in {seconds} s"
        await asyncio.sleep(0.05)


class Site:
    """One sample service on a fresh database and fresh topics of one broker."""

    def __init__(self, broker: NativeBroker, harness: Harness) -> None:
        self.broker = broker
        self.harness = harness
        self.contexts: list[ServiceContext] = []
        self.number = 0

    async def make_topics(self, *names: str) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.broker.bootstrap_servers)
        await admin.start()
        try:
            have = set(await admin.list_topics())
            await admin.delete_topics([name for name in names if name in have])
            await eventually(lambda: _gone(admin, names))
            await admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in names])
        finally:
            await admin.close()

    async def start(self) -> ServiceContext:
        settings = self.harness.context.settings.model_copy(
            update={"kafka_bootstrap_servers": self.broker.bootstrap_servers}
        )
        context = ServiceContext(self.harness.service, settings)
        context.start()
        self.contexts.append(context)
        return context

    async def publish(self, *accounts: str) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self.broker.bootstrap_servers)
        await producer.start()
        try:
            for account in accounts:
                self.number += 1
                event = PaymentReceived(
                    payment_id=f"P{self.number}",
                    payer=account,
                    amount=Money("1.00", "CNY"),
                    received_on=date(2026, 3, 1),
                )
                headers = [
                    ("ce_specversion", b"1.0"),
                    ("ce_id", str(uuid4()).encode()),
                    ("ce_source", b"test/bank"),
                    ("ce_type", b"payment-received.v1"),
                    ("ce_time", datetime.now(UTC).isoformat().encode()),
                ]
                await producer.send_and_wait(TOPIC, event.to_json(), key=account.encode(), headers=headers)
        finally:
            await producer.stop()

    async def counted(self) -> int:
        rows = await self.harness.rows("select coalesce(sum(payments), 0) as n from counted")
        return int(rows[0]["n"])

    async def has(self, number: int) -> None:
        async def all_counted() -> bool:
            return await self.counted() == number

        await eventually(all_counted)

    async def stop(self) -> None:
        for context in self.contexts:
            await context.stop()
        self.contexts.clear()


async def _gone(admin: AIOKafkaAdminClient, names: tuple[str, ...]) -> bool:
    return not set(names) & set(await admin.list_topics())


@pytest.fixture
async def site(broker: NativeBroker, postgres_dsn: str) -> AsyncIterator[Site]:
    name = f"sample-{uuid4().hex[:8]}"
    service = Service(
        name=name,
        package="sample_service",
        subscriptions=(Subscription(handlers.count_payments, PaymentReceived),),
    )
    async with Harness(service, postgres_dsn) as harness:
        place = Site(broker, harness)
        await place.make_topics(TOPIC, f"{name}.redrive", f"{name}.dead-letter")
        try:
            yield place
        finally:
            await place.stop()


async def ready(context: ServiceContext) -> bool:
    return all(condition.ok for condition in await context.readiness())


async def test_records_are_counted_once_across_a_restart(site: Site) -> None:
    await site.start()
    await site.publish(*(f"A{number}" for number in range(20)))
    await site.has(20)
    await site.stop()
    await site.publish("A1", "A2")
    context = await site.start()
    await site.has(22)
    await eventually(lambda: ready(context))


async def test_two_instances_share_the_partitions_and_count_once(site: Site) -> None:
    await site.start()
    await site.start()
    await site.publish(*(f"A{number}" for number in range(60)))
    await site.has(60)


async def test_stopping_takes_less_than_ten_seconds_and_leaves_the_group(site: Site) -> None:
    context = await site.start()
    await site.publish("A")
    await site.has(1)
    started = time.monotonic()
    await context.stop()
    site.contexts.clear()
    assert time.monotonic() - started < 10
    await site.start()
    await site.publish("B")
    await site.has(2)


@pytest.mark.parametrize("fault", ["pause", "kill"])
async def test_stopping_takes_less_than_ten_seconds_while_the_broker_is_away(site: Site, fault: str) -> None:
    context = await site.start()
    await site.publish("A")
    await site.has(1)
    await eventually(lambda: _relay_holds(context))
    await asyncio.to_thread(getattr(site.broker.managed, fault))
    try:
        async with site.harness.connection() as connection:
            topic = f"{context.name}.redrive"
            await insert_outbox(connection, [OutboxRow(topic, b"k", pack_headers([("ce_id", b"1")]), b"{}")])
        context.relay.wake()
        started = time.monotonic()
        await context.stop()
        seconds = time.monotonic() - started
        site.contexts.clear()
    finally:
        await asyncio.to_thread(site.broker.managed.resume if fault == "pause" else site.broker.start)
    assert seconds < STOP_SECONDS_MAX + 0.5
    assert all(task.done() for task in context._tasks)
    await site.start()
    await site.publish("B")
    await site.has(2)


async def _relay_holds(context: ServiceContext) -> bool:
    return context.relay.holding


async def test_group_offsets_that_were_moved_forward_skip_nothing(site: Site) -> None:
    context = await site.start()
    await site.publish("A")
    await site.has(1)
    await site.stop()
    await site.publish(*(f"B{number}" for number in range(9)))
    mover = AIOKafkaConsumer(bootstrap_servers=site.broker.bootstrap_servers, group_id=context.name)
    await mover.start()
    try:
        partitions = [KafkaPartition(TOPIC, number) for number in range(PARTITIONS)]
        mover.assign(partitions)
        await mover.commit(await mover.end_offsets(partitions))
    finally:
        await mover.stop()
    await site.start()
    await site.has(10)


async def test_an_expired_log_is_reported_until_it_is_accepted(site: Site) -> None:
    from chassis import bookkeeping

    await site.start()
    await site.publish("A")
    await site.has(1)
    await site.stop()
    await site.publish(*["A"] * 5)
    admin = AIOKafkaAdminClient(bootstrap_servers=site.broker.bootstrap_servers)
    await admin.start()
    (position,) = await site.harness.rows(
        "select * from position where topic = 'payment-received' and next_offset > 0"
    )
    where = TopicPartition(TOPIC, position["partition"])
    await admin.delete_records(
        {KafkaPartition(*where): RecordsToDelete(before_offset=position["next_offset"] + 3)}
    )
    await admin.close()
    context = await site.start()

    async def gap_reported() -> bool:
        return any(
            "are gone" in condition.sentence and not condition.ok for condition in await context.readiness()
        )

    await eventually(gap_reported)
    assert await site.counted() == 1
    async with site.harness.connection() as connection:
        assert await bookkeeping.accept_gap(connection, where, "operator")
    await site.has(3)
    await eventually(lambda: ready(context))


async def test_a_recreated_topic_is_reported(site: Site) -> None:
    await site.start()
    await site.publish(*["A"] * 5)
    await site.has(5)
    await site.stop()
    await site.make_topics(TOPIC)
    context = await site.start()

    async def gap_reported() -> bool:
        return any("log-ends-earlier" in condition.sentence for condition in await context.readiness())

    await eventually(gap_reported)


async def test_the_relay_publishes_one_key_in_the_order_of_its_lock(site: Site) -> None:
    """The later lock holder began first: its event has the lower transaction id and the higher outbox id."""
    harness, name = site.harness, site.harness.service.name
    topic = f"{name}.redrive"
    began_first = await asyncpg.connect(harness.dsn())
    began_second = await asyncpg.connect(harness.dsn())
    insert = "insert into outbox (topic, key, headers, body) values ($1, 'k', '[]', $2)"
    await began_first.execute("begin")
    await began_first.execute("select txid_current()")
    await began_second.execute("begin")
    await began_second.execute("select pg_advisory_xact_lock(1)")
    waiting = asyncio.create_task(began_first.execute("select pg_advisory_xact_lock(1)"))
    await began_second.execute(insert, topic, b"first lock")
    await began_second.execute("commit")
    await waiting
    await began_first.execute(insert, topic, b"second lock")
    await began_first.execute("commit")
    relay = Relay(name, harness.dsn(), site.broker.bootstrap_servers, harness.context.database)
    running = asyncio.create_task(relay.run())
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=site.broker.bootstrap_servers, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        received = [(await asyncio.wait_for(consumer.getone(), 20)).value for _ in range(2)]
    finally:
        await consumer.stop()
        running.cancel()
        await began_first.close()
        await began_second.close()
    assert received == [b"first lock", b"second lock"]


async def test_a_broker_that_comes_back_is_used_again(site: Site) -> None:
    context = await site.start()
    await site.publish("A")
    await site.has(1)
    await asyncio.to_thread(site.broker.kill)
    await asyncio.to_thread(site.broker.start)
    await site.publish("B")
    await site.has(2)
    await eventually(lambda: ready(context))
