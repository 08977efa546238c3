"""Orders on a real PostgreSQL, through the very consumer."""

import asyncio
import re
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, cast

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from chassis.testing import Harness, only
from contracts.order import LINES_MAX
from fund_pool import handlers
from fund_pool.tables import METADATA
from sqlalchemy import Connection
from sqlalchemy import event as sqlalchemy_events

from chassis import Batch, Record, ServiceContext
from contracts import BalanceChanged, OrderDecided

pytestmark = pytest.mark.stack

OWN = re.compile(r"order_state|purse|journal_entry")


async def rich(harness: Harness, make: Any, *accounts: str, amount: str = "100.00") -> None:
    """Accounts with that much cash each."""
    await harness.play(*make.master_data(*accounts))
    await harness.play(*(make.payment(account, amount) for account in accounts))


async def balance(harness: Harness, account: str = "A-1") -> int:
    (row,) = await harness.rows(f"select balance from fund_account where account = '{account}'")
    return int(row["balance"])


async def dead_letters(harness: Harness) -> list[str]:
    return [
        row["reason"] for row in await harness.rows("select reason from dead_letter order by recorded_at")
    ]


async def test_an_order_is_paid_and_a_cancellation_returns_the_money(
    harness: Harness, make: Any, broken: Any
) -> None:
    await harness.play(*make.master_data("A-1"))
    topped = await harness.play(make.payment("A-1", "100.00"))
    assert [event.balance.amount for event in only(topped, BalanceChanged)] == ["100.00"]

    out = await harness.play(make.check(make.order("A-1", "60.00", "20.00")))
    (decided,) = only(out, OrderDecided)
    assert decided.outcome == "accepted"
    assert decided.explanation.text == "80.00 CNY from cash; overdraft is not opened"
    assert decided.position is not None
    assert [(p.line_id, p.account_type, p.amount.amount) for p in decided.position.payments] == [
        ("1", "cash", "60.00"),
        ("2", "cash", "20.00"),
    ]
    (moved,) = only(out, BalanceChanged)
    assert (moved.change.amount, moved.balance.amount, moved.entry_number) == ("-80.00", "20.00", 2)
    assert (moved.document_type, moved.document_id) == ("order-payment", "shop-east/SO-1/1")

    out = await harness.play(make.cancel("A-1"))
    (decided,) = only(out, OrderDecided)
    assert decided.position is not None
    assert (decided.outcome, decided.position.total.amount) == ("cancelled", "0.00")
    assert only(out, BalanceChanged)[0].balance.amount == "100.00"
    assert await broken() == []


async def test_the_same_check_is_applied_once_even_without_the_inbox(
    harness: Harness, make: Any, broken: Any
) -> None:
    await rich(harness, make, "A-1")
    check = make.check(make.order("A-1", "60.00"))
    await harness.play(check, check)
    for _ in range(2):
        await harness.spoil("delete from inbox")
        assert await harness.play(check) == []
    assert await balance(harness) == 40_00
    assert await dead_letters(harness) == []
    assert await broken() == []


async def test_the_same_check_with_other_content_is_a_conflict(
    harness: Harness, make: Any, broken: Any
) -> None:
    await rich(harness, make, "A-1")
    await harness.play(make.check(make.order("A-1", "60.00")))
    assert await harness.play(make.check(make.order("A-1", "10.00"))) == []
    assert await dead_letters(harness) == ["check-conflict"]
    assert await balance(harness) == 40_00
    assert await broken() == []


async def test_a_check_that_comes_early_waits_for_the_ones_before_it(
    harness: Harness, make: Any, broken: Any
) -> None:
    await rich(harness, make, "A-1")
    assert await harness.play(make.cancel("A-1", 3)) == []
    assert await harness.play(make.check(make.order("A-1", "60.00"), 2)) == []
    assert await harness.rows("select 1 from order_state where parked is not null and status = 'new'")
    out = await harness.play(make.check(make.order("A-1", "60.00"), 1, outcome="pending-approval"))
    decided = [(event.check_number, event.outcome) for event in only(out, OrderDecided)]
    assert decided == [(1, "pending-approval"), (2, "accepted"), (3, "cancelled")]
    assert await balance(harness) == 100_00
    assert await broken() == []


async def test_the_life_of_many_orders_may_come_in_one_batch(
    harness: Harness, make: Any, broken: Any
) -> None:
    await rich(harness, make, "A-1", "A-2", amount="1000.00")
    orders = [
        make.order(account, "60.00", order_id=f"SO-{account}-{number}")
        for number in range(20)
        for account in ("A-1", "A-2")
    ]
    checks = [make.check(order) for order in orders]
    cancels = [make.cancel(order.paying_account, 2, order_id=order.order_id) for order in orders[::2]]
    out = only(await harness.play(*checks, *cancels, *checks), OrderDecided)
    outcomes = [event.outcome for event in out]
    assert (outcomes.count("accepted"), outcomes.count("declined"), outcomes.count("cancelled")) == (
        32,
        8,
        20,
    )
    assert (await balance(harness, "A-1"), await balance(harness, "A-2")) == (1000_00, 40_00)
    assert await broken() == []


@pytest.mark.parametrize("accounts", [1, 100])
async def test_a_batch_takes_the_same_number_of_statements_however_large(
    harness: Harness, make: Any, broken: Any, accounts: int
) -> None:
    """Orders and accounts, pools, write: three beside the chassis' own, on a hot account and on cold ones."""
    names = [f"A-{number}" for number in range(accounts)]
    await rich(harness, make, *names, amount="99999.00")
    statements = []
    sqlalchemy_events.listen(
        harness.context.database.engine.sync_engine,
        "before_cursor_execute",
        lambda _c, _x, statement, *_: statements.append(" ".join(statement.split())[:70]),
    )
    for number in range(2):
        statements.clear()
        order = make.order(names[0], "1.00", order_id=f"SO-{number}")
        await harness.context.consumer.consume([harness.raw(make.check(order))])
    one = len(statements)
    statements.clear()
    orders = [make.order(names[n % accounts], "1.00", order_id=f"SO-many-{n}") for n in range(500)]
    await harness.context.consumer.consume([harness.raw(make.check(order)) for order in orders])
    assert len(statements) == one
    own = [statement for statement in statements if OWN.search(statement)]
    assert len(own) == 3, statements
    assert len(only(await harness.drain(), OrderDecided)) == 502
    assert await broken() == []


async def test_a_hot_account_is_written_once_a_batch(harness: Harness, make: Any) -> None:
    await rich(harness, make, "A-1")
    before = await harness.rows("select xmin::text as version from fund_account")
    out = await harness.play(*(make.check(make.order("A-1", "1.00", order_id=f"SO-{n}")) for n in range(100)))
    changes = only(out, BalanceChanged)
    assert [change.balance.minor for change in changes] == [10_000 - 100 * n for n in range(1, 101)]
    assert [change.entry_number for change in changes] == list(range(2, 102))
    (row,) = await harness.rows("select xmin::text as version, balance from fund_account")
    assert row["balance"] == 0
    assert row["version"] != before[0]["version"]


async def test_the_largest_order_passes(harness: Harness, make: Any, broken: Any) -> None:
    await rich(harness, make, "A-1", amount="10000.00")
    order = make.order("A-1", *["1.11"] * LINES_MAX)
    (decided,) = only(await harness.play(make.check(order)), OrderDecided)
    assert decided.outcome == "accepted"
    assert decided.position is not None
    assert len(decided.position.payments) == LINES_MAX
    await harness.play(make.cancel("A-1"))
    assert await balance(harness) == 10000_00
    assert await broken() == []


async def test_a_submission_without_its_order_goes_to_the_dead_letter_and_later_ones_wait(
    harness: Harness, make: Any
) -> None:
    await rich(harness, make, "A-1")
    bare = replace(make.check(make.order("A-1", "1.00")), order=None)
    neighbour = make.check(make.order("A-1", "2.00", order_id="SO-2"))
    out = await harness.play(bare, neighbour, make.cancel("A-1", 2))
    assert [event.order_id for event in only(out, OrderDecided)] == ["SO-2"]
    assert await dead_letters(harness) == ["order-missing"]


async def test_32_orders_at_once_on_one_account_never_overspend(
    harness: Harness, make: Any, broken: Any
) -> None:
    """Two instances, each with its own partitions: 100.00 pays three orders of 30.00, whoever comes first."""
    await rich(harness, make, "A-1")
    instances = [harness.context, harness.instance()]
    records = [
        [
            harness.raw(make.check(make.order("A-1", "30.00", order_id=f"SO-{side}-{n}")), partition=side)
            for n in range(16)
        ]
        for side in range(2)
    ]

    async def one_by_one(side: int) -> None:
        for record in records[side]:
            await instances[side].consumer.consume([record])

    await asyncio.gather(one_by_one(0), one_by_one(1))
    decided = only(await harness.drain(), OrderDecided)
    await instances[1].database.close()
    assert len(decided) == 32
    assert [event.outcome for event in decided].count("accepted") == 3
    assert await balance(harness) == 10_00
    assert await broken() == []


async def test_batches_that_share_accounts_in_opposite_order_do_not_block_one_another(
    harness: Harness, make: Any, broken: Any
) -> None:
    names = [f"A-{number}" for number in range(8)]
    await rich(harness, make, *names, amount="1000.00")
    second = harness.instance()

    def batch(side: int, number: int) -> list[Any]:
        ordered = names if side else names[::-1]
        return [
            harness.raw(
                make.check(make.order(name, "1.00", order_id=f"SO-{side}-{number}-{name}")), partition=side
            )
            for name in ordered
        ]

    async def consume(context: ServiceContext, side: int) -> None:
        for number in range(10):
            await context.consumer.consume(batch(side, number))

    await asyncio.wait_for(asyncio.gather(consume(harness.context, 0), consume(second, 1)), 60)
    await second.database.close()
    decided = only(await harness.drain(), OrderDecided)
    assert [event.outcome for event in decided].count("accepted") == 160
    assert {row["balance"] for row in await harness.rows("select balance from fund_account")} == {980_00}
    assert await broken() == []


def record_of(event: Any) -> Record[Any]:
    digest = blake2b(event.to_json(), digest_size=16).digest()
    return Record(
        event=event,
        id=f"id-{event.check_number}",
        source="coffer/credit",
        type=event.contract.type,
        time=datetime.now(UTC),
        correlation_id="c",
        traceparent=None,
        hash=digest,
        raw=cast(Any, None),
    )


@pytest.mark.parametrize("first", ["submission", "cancellation"])
async def test_a_cancellation_and_its_submission_in_two_open_transactions_end_cancelled_and_unpaid(
    harness: Harness, make: Any, broken: Any, first: str
) -> None:
    """The numbers say which came first in credit; whichever takes the lock first here, both see each other."""
    await rich(harness, make, "A-1")
    submission, cancellation = make.check(make.order("A-1", "60.00")), make.cancel("A-1", 2)
    ahead, behind = (submission, cancellation) if first == "submission" else (cancellation, submission)
    async with harness.connection() as connection:
        now = (await connection.exec_driver_sql("select clock_timestamp()")).scalar_one()
        batch = Batch(service="fund-pool", connection=connection, now=now, records=[record_of(ahead)])
        await handlers.decide_orders(batch)
        await batch.flush()
        waiting = asyncio.create_task(harness.context.consumer.consume([harness.raw(behind)]))
        done, _ = await asyncio.wait([waiting], timeout=0.3)
        assert not done, "the second transaction waits for the order's row"
    await asyncio.wait_for(waiting, 20)
    decided = only(await harness.drain(), OrderDecided)
    assert [(event.check_number, event.outcome) for event in decided] == [(1, "accepted"), (2, "cancelled")]
    assert await balance(harness) == 100_00
    (order,) = await harness.rows("select status, paid - refunded as left_paid from order_state")
    assert (order["status"], order["left_paid"]) == ("cancelled", 0)
    assert await broken() == []


async def test_a_cancellation_numbered_before_its_submission_declines_it(
    harness: Harness, make: Any, broken: Any
) -> None:
    await rich(harness, make, "A-1")
    await harness.play(make.check(make.order("A-1", "60.00"), 2))
    out = only(await harness.play(make.cancel("A-1", 1)), OrderDecided)
    assert [(event.check_number, event.outcome) for event in out] == [(1, "cancelled"), (2, "declined")]
    assert await balance(harness) == 100_00
    assert await broken() == []


async def test_history_may_not_be_changed(harness: Harness, make: Any) -> None:
    await rich(harness, make, "A-1")
    await harness.play(make.check(make.order("A-1", "60.00")))
    for statement in (
        "update posting set amount = amount + 1",
        "delete from journal_entry",
        "update decision set outcome = 'declined'",
    ):
        with pytest.raises(Exception, match="append-only"):
            await harness.rows(statement)


async def test_history_is_cut_by_month_and_months_are_laid_out_ahead(harness: Harness, make: Any) -> None:
    from fund_pool.repository import months

    async with harness.connection() as connection:
        assert await months.create_months(connection, 12) == 0
        assert await months.create_months(connection, 14) == 8
    await rich(harness, make, "A-1")
    (row,) = await harness.rows("select tableoid::regclass::text as part from journal_entry")
    assert row["part"].startswith("journal_entry_20")


def is_own(_: Any, name: str | None, kind: str, *__: Any) -> bool:
    """Leaves the chassis' tables and the monthly parts out."""
    return kind != "table" or name in METADATA.tables


def difference(connection: Connection) -> list[Any]:
    context = MigrationContext.configure(connection, opts={"include_object": is_own})
    return list(compare_metadata(context, METADATA))


async def test_the_tables_are_what_the_migrations_make(harness: Harness) -> None:
    async with harness.connection() as connection:
        assert await connection.run_sync(difference) == []
