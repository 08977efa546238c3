"""Each record is applied once, refused with a reason, or dead-lettered; nothing else is held up by it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import date
from time import monotonic
from typing import Any

import pytest
from chassis.bookkeeping import TopicPartition
from chassis.errors import Refused
from chassis.invariants import CHASSIS_CHECKS, run_checks
from chassis.relay import SEND_WITHIN_SECONDS, StoodStill
from chassis.testing import Harness
from contracts.money import Money
from sample_service import handlers
from sample_service.app import service
from sqlalchemy import text

from chassis import Batch, Check, Service, Subscription
from contracts import PaymentReceived

pytestmark = pytest.mark.stack

TOPIC = "payment-received"
WHERE = TopicPartition(TOPIC, 0)


def payment(account: str, number: int = 1, amount: str = "10.00") -> PaymentReceived:
    return PaymentReceived(
        payment_id=f"{account}-{number}",
        payer=account,
        account=account,
        amount=Money(amount, "CNY"),
        received_on=date(2026, 3, 1),
    )


@pytest.fixture
async def harness(postgres_dsn: str) -> AsyncIterator[Harness]:
    async with Harness(service, postgres_dsn) as fresh:
        yield fresh


async def counted(harness: Harness) -> dict[str, int]:
    return {row["account"]: row["payments"] for row in await harness.rows("select * from counted")}


async def reasons(harness: Harness) -> list[tuple[int, str]]:
    rows = await harness.rows('select "offset", reason from dead_letter order by "offset"')
    return [(row["offset"], row["reason"]) for row in rows]


async def test_a_batch_takes_three_statements_whatever_its_size(harness: Harness) -> None:
    from chassis import metrics

    def observed() -> tuple[float, float]:
        samples = {
            sample.name: sample.value
            for family in metrics.batch_statements.collect()
            for sample in family.samples
        }
        return samples["coffer_batch_statements_sum"], samples["coffer_batch_statements_count"]

    await harness.play(payment("warm"))
    for size in (1, 10, 300):
        before = observed()
        await harness.play(*(payment(f"A{number}", size) for number in range(size)))
        after = observed()
        assert (after[0] - before[0], after[1] - before[1]) == (3, 1)


async def test_a_batch_that_stands_still_loses_its_session_wherever_it_stands(postgres_dsn: str) -> None:
    """The bound holds in this transaction only; a command's is longer, an export has none."""
    bounds: list[str] = []

    async def ask(batch: Batch[PaymentReceived]) -> None:
        bounds.append(str(await batch.connection.scalar(text("show transaction_timeout"))))

    asking = Service(
        name="sample", package="sample_service", subscriptions=(Subscription(ask, PaymentReceived),)
    )
    async with Harness(asking, postgres_dsn) as harness:
        await harness.play(payment("A"))
        async with harness.context.database.transaction() as command:
            bounds.append(str(await command.scalar(text("show transaction_timeout"))))
        async with harness.context.database.reader() as export:
            bounds.append(str(await export.scalar(text("show transaction_timeout"))))
    assert bounds == ["15s", "2min", "0"]


async def test_records_below_the_position_are_filtered(harness: Harness) -> None:
    records = [harness.raw(payment("A")), harness.raw(payment("B"))]
    await harness.consume(records)
    await harness.consume(records)
    assert await counted(harness) == {"A": 1, "B": 1}


async def test_the_inbox_holds_when_the_positions_are_lost(harness: Harness) -> None:
    records = [harness.raw(payment("A")), harness.raw(payment("B"))]
    await harness.consume(records)
    await harness.spoil("delete from position")
    harness.context.consumer.positions.clear()
    await harness.consume(records)
    assert await counted(harness) == {"A": 1, "B": 1}


async def test_another_instance_that_moved_the_positions_is_noticed(harness: Harness) -> None:
    first, second = harness.context.consumer, harness.instance().consumer
    one, two, three = (harness.raw(payment(name)) for name in "ABC")
    await first.consume([one])
    await second.consume([one, two])
    await first.consume([two, three])
    assert await counted(harness) == {"A": 1, "B": 1, "C": 1}


async def test_a_partition_taken_away_in_the_middle_of_a_batch_is_no_bug_of_its_records(
    harness: Harness,
) -> None:
    consumer = harness.context.consumer
    records = [harness.raw(payment(name)) for name in "AB"]
    await harness.consume(records)
    bounds = harness.log.bounds

    async def taken_away(partition: TopicPartition) -> tuple[int, int]:
        consumer.revoked([partition])
        return await bounds(partition)

    harness.log.bounds = taken_away  # type: ignore[method-assign]
    await harness.consume(records[:1])
    await harness.consume([harness.raw(payment("C"))])
    assert await counted(harness) == {"A": 1, "B": 1, "C": 1}
    assert await reasons(harness) == []


async def test_the_same_id_twice_in_one_batch_counts_once(harness: Harness) -> None:
    await harness.consume([harness.raw(payment("A"), event_id="x"), harness.raw(payment("A"), event_id="x")])
    assert await counted(harness) == {"A": 1}
    assert await reasons(harness) == []


@pytest.mark.parametrize("together", [True, False])
async def test_the_same_id_with_another_payload_is_a_recorded_conflict(
    harness: Harness, together: bool
) -> None:
    records = [
        harness.raw(payment("A", amount="10.00"), event_id="x"),
        harness.raw(payment("A", amount="11.00"), event_id="x"),
        harness.raw(payment("A", amount="10.00"), event_id="x"),
    ]
    for batch in [records] if together else [[record] for record in records]:
        await harness.consume(batch)
    assert await counted(harness) == {"A": 1}
    assert await reasons(harness) == [(1, "id-conflict")]


async def test_a_broken_record_is_dead_lettered_with_its_bytes_and_its_neighbours_are_applied(
    harness: Harness,
) -> None:
    good, bad, other = payment("A"), b'{"payment_id": ', payment("B")
    first = harness.raw(good)
    broken = harness.log.append(
        TOPIC, b"k\xff", bad, [*first.headers[:-1], ("ce_odd", b"\xff\x00"), ("n", None)]
    )
    await harness.consume([first, broken, harness.raw(other)])
    assert await counted(harness) == {"A": 1, "B": 1}
    (letter,) = await harness.rows("select * from dead_letter")
    assert (letter["key"], letter["value"], letter["reason"]) == (b"k\xff", bad, "bad-header")
    assert (letter["topic"], letter["partition"], letter["offset"], letter["attempts"]) == (TOPIC, 0, 1, 1)


async def test_the_dead_letter_topic_gets_the_same_bytes_and_the_reason(harness: Harness) -> None:
    good = harness.raw(payment("A"))
    await harness.context.consumer.consume([good, harness.log.append(TOPIC, b"k", b"[", good.headers)])
    (row,) = await harness.rows(
        "select topic, key, body, convert_from(headers, 'UTF8') as headers from outbox"
    )
    assert (row["topic"], row["key"], row["body"]) == ("sample.dead-letter", b"k", b"[")
    assert '["dead_letter_reason","not-json"]' in row["headers"]
    assert f'["dead_letter_topic","{TOPIC}"]' in row["headers"]


async def test_a_replayed_dead_letter_is_not_published_again(harness: Harness) -> None:
    record = harness.log.append(TOPIC, b"k", None, ())
    await harness.context.consumer.consume([record])
    await harness.spoil("delete from position")
    harness.context.consumer.positions.clear()
    await harness.context.consumer.consume([record])
    assert (await harness.rows("select count(*) as n from outbox"))[0]["n"] == 1


async def fail_on_poison(batch: Batch[PaymentReceived]) -> None:
    if any(record.event.payer == "poison" for record in batch):
        raise ZeroDivisionError("a bug")
    await handlers.count_payments(batch)


async def refuse_poison(batch: Batch[PaymentReceived]) -> None:
    if any(record.event.payer == "poison" for record in batch):
        raise Refused("not-today", "because")
    await handlers.count_payments(batch)


@pytest.mark.parametrize(
    ("handler", "reason"), [(fail_on_poison, "processing-failed"), (refuse_poison, "not-today")]
)
async def test_a_record_on_which_a_handler_raises_goes_alone(
    postgres_dsn: str, handler: Any, reason: str
) -> None:
    faulty = Service(
        name="sample", package="sample_service", subscriptions=(Subscription(handler, PaymentReceived),)
    )
    async with Harness(faulty, postgres_dsn) as harness:
        await harness.play(payment("A"), payment("poison"), payment("B"))
        assert await counted(harness) == {"A": 1, "B": 1}
        (letter,) = await harness.rows("select reason, attempts from dead_letter")
        assert letter == {"reason": reason, "attempts": 2}
        inbox = await harness.rows("select count(*) as n from inbox")
        assert inbox[0]["n"] == 2, "a dead-lettered record leaves no inbox row"


async def test_a_redriven_record_is_applied_by_the_same_handler(harness: Harness) -> None:
    record = harness.raw(payment("A"))
    assert isinstance(record.headers, list)
    again = harness.log.append(
        "sample.redrive", record.key, record.value, [*record.headers, ("redrive_of", b"x")]
    )
    await harness.consume([again])
    assert await counted(harness) == {"A": 1}


async def test_a_record_on_the_wrong_topic_or_from_the_wrong_source_is_refused(harness: Harness) -> None:
    record = harness.raw(payment("A"), source="coffer/credit")
    await harness.consume([record])
    assert await reasons(harness) == [(0, "source-not-admitted")]


async def test_a_hole_is_read_again_before_it_is_believed(harness: Harness) -> None:
    one, two, three = (harness.raw(payment(name)) for name in "ABC")
    await harness.consume([one])
    await harness.consume([three])
    assert harness.log.sought == [(WHERE, 1)]
    assert await counted(harness) == {"A": 1}
    await harness.consume([two, three])
    assert await counted(harness) == {"A": 1, "B": 1, "C": 1}


async def test_offsets_that_a_second_reading_does_not_show_are_markers(harness: Harness) -> None:
    one, _, three = (harness.raw(payment(name)) for name in "ABC")
    await harness.consume([one])
    await harness.consume([three])
    await harness.consume([three])
    assert await counted(harness) == {"A": 1, "C": 1}


async def test_a_batch_that_was_fetched_before_the_second_reading_proves_nothing(harness: Harness) -> None:
    one, two, three, four = (harness.raw(payment(name)) for name in "ABCD")
    await harness.consume([one])
    await harness.consume([three])
    await harness.consume([four])
    assert harness.log.sought == [(WHERE, 1), (WHERE, 1)]
    assert await counted(harness) == {"A": 1}
    await harness.consume([two, three, four])
    assert await counted(harness) == {"A": 1, "B": 1, "C": 1, "D": 1}


async def test_markers_are_known_even_when_a_batch_had_been_fetched_before(harness: Harness) -> None:
    one, _, three, four = (harness.raw(payment(name)) for name in "ABCD")
    for batch in ([one], [three], [four], [three, four]):
        await harness.consume(batch)
    assert await counted(harness) == {"A": 1, "C": 1, "D": 1}


async def test_positions_of_all_assigned_partitions_are_asked_for_once(harness: Harness) -> None:
    records = [harness.raw(payment(f"A{number}"), partition=number) for number in range(4)]
    asked: list[int] = []
    begins = harness.log.begins

    async def counting(partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        asked.append(len(partitions))
        return await begins(partitions)

    harness.log.begins = counting  # type: ignore[method-assign]
    for record in records:
        await harness.consume([record])
    assert asked == [4]
    restarted = harness.instance().consumer
    await restarted.consume([harness.raw(payment("B"))])
    assert asked == [4]


async def test_an_expired_log_is_a_gap_until_an_operator_accepts_it(harness: Harness) -> None:
    records = [harness.raw(payment(name)) for name in "ABCD"]
    await harness.consume(records[:1])
    harness.log.begins_at[WHERE] = 2
    await harness.consume(records[2:])
    assert await counted(harness) == {"A": 1}
    assert WHERE in harness.log.paused
    (gap,) = await harness.rows("select kind, expected_offset, log_begin from gap")
    assert gap == {"kind": "log-begins-later", "expected_offset": 1, "log_begin": 2}
    findings = await run_checks(harness.context.database, CHASSIS_CHECKS)
    assert {finding.check.name for finding in findings if not finding.holds} == {"no-open-gap"}


async def test_a_recreated_topic_is_a_gap(harness: Harness) -> None:
    await harness.consume([harness.raw(payment(name)) for name in "ABC"])
    harness.log.ends[WHERE] = 0
    await harness.consume([harness.raw(payment("D"))])
    (gap,) = await harness.rows("select kind, expected_offset, log_end from gap")
    assert gap == {"kind": "log-ends-earlier", "expected_offset": 3, "log_end": 1}
    assert "D" not in await counted(harness)


async def test_a_batch_waits_while_the_database_refuses_it(harness: Harness) -> None:
    async with harness.connection() as blocker:
        await harness.play(payment("warm"))
        await blocker.exec_driver_sql("lock table counted in access exclusive mode")
        applying = asyncio.create_task(harness.context.consumer.consume([harness.raw(payment("A"))]))
        done, _ = await asyncio.wait({applying}, timeout=0.3)
        assert not done
    await applying
    assert (await counted(harness))["A"] == 1


async def test_a_check_names_the_rows_that_break_it(harness: Harness) -> None:
    await harness.play(payment("A"))
    check = Check(
        "one-each", "No account has two payments.", "select account from counted where payments > 1"
    )
    assert (await run_checks(harness.context.database, [check]))[0].holds
    await harness.spoil("update counted set payments = 2")
    assert (await run_checks(harness.context.database, [check]))[0].rows == [{"account": "A"}]


async def test_a_relay_that_stood_still_sends_nothing_of_what_it_had_read(harness: Harness) -> None:
    class Producer:
        sent = 0

        async def partitions_for(self, _: str) -> set[int]:
            return {0}

        def create_batch(self) -> "Producer":
            return self

        def append(self, **_: object) -> int:
            return 1

        def close(self) -> None:
            return

        async def send_batch(self, *_: object, **__: object) -> asyncio.Future[None]:
            self.sent += 1
            done: asyncio.Future[None] = asyncio.Future()
            done.set_result(None)
            return done

    producer: Any = Producer()
    rows = [{"id": 1, "topic": "t", "key": b"k", "headers": b"[]", "body": b"{}"}]
    await harness.context.relay.send(producer, rows, read_at=monotonic())
    assert producer.sent == 1
    with pytest.raises(StoodStill):
        await harness.context.relay.send(producer, rows, read_at=monotonic() - SEND_WITHIN_SECONDS - 1)
    assert producer.sent == 1
