"""Each invariant is itself tested: the data is spoiled, and the check says so."""

from typing import Any

import asyncpg
import pytest
from credit import tables
from credit.invariants import CHECKS
from sqlalchemy import inspect

pytestmark = pytest.mark.stack

SPOILT = {
    "used-equals-history": "update credit_profile set used_minor = used_minor + 1 where object_id = 'C-1'",
    "entries-run-on": """
        update occupancy_entry set used_after_minor = used_after_minor + 1 where order_id =
        'O-accepted'
    """,
    "used-equals-live-orders": """
        update occupancy set amount_minor = amount_minor - 1 where order_id = 'O-accepted'
    """,
    "occupancy-has-a-profile": """
        insert into occupancy select source, order_id, 9, profile_id, 0, true from occupancy where
        order_id = 'O-accepted'
    """,
    "no-stage-is-negative": """
        insert into document_occupancy
        select 'outbound', 'erp', 'D', profile_id, 'outbound', -1 from credit_profile where object_id = 'C-1'
    """,
    "above-limit-only-by-permit": "update occupancy_entry set limit_minor = 1 where order_id = 'O-accepted'",
    "checks-without-gap": "delete from credit_check where order_id = 'O-declined'",
    "one-answer-per-revision": "update sales_order set last_revision = 2 where order_id = 'O-declined'",
    "only-live-orders-occupy": "update sales_order set status = 'cancelled' where order_id = 'O-accepted'",
    "pending-orders-are-listed": """
        update pending_order set state = 'approved', ended_at = held_at, result_check = 2 where
        order_id = 'O-pending'
    """,
    "waits-have-timers": "delete from timer",
    "pending-documents-have-timers": """
        insert into pending_document (document_type, source, document_id, number, state, revision, operation, customer,
                                      currency, total_minor, event_id, body, findings, held_at, due_at)
        values ('outbound', 'erp', 'D', 1, 'pending', 1, 'audit', 'C-1', 'CNY', 1, 'E', '', '', now(), now())
    """,
    "approvals-within-ceiling": """
        insert into approval_grant (document_type, source, document_id, number, currency, approver, customer,
                                    amount_minor, metrics, reason, given_on, given_at)
        values ('sales-order', 'shop', 'O', 1, 'CNY', 'ada', 'C-1', 1, '{credit-limit}', 'why', current_date, now())
    """,
    "parked-revisions-are-listed": "update sales_order set parked = '{}' where order_id = 'O-parked'",
    "decisions-follow-checks": """
        insert into check_decision select source, order_id, check_number, 'accepted', 'X', checked_at
        from credit_check where order_id = 'O-declined'
    """,
    "decisions-arrive": """
        update credit_check set checked_at = checked_at - interval '2 hours' where order_id =
        'O-undecided'
    """,
    "limits-have-history": """
        update credit_profile set credit_limit_minor = 1, credit_limit_unlimited = false
    """,
}


async def _some_of_everything(bench: Any, make: Any) -> None:
    await bench.managed_customer(make, "C-1", limit=100_000)
    await bench.managed_customer(make, "C-2", limit=0, enforcement="special-approval")
    await bench.managed_customer(make, "C-3", limit=0)
    accepted, *_ = await bench.checks(
        make.order("O-accepted"),
        make.order("O-undecided"),
        make.order("O-pending", customer="C-2"),
        make.order("O-declined", customer="C-3"),
        make.order("O-parked", revision=2),
        make.cancellation("O-cancelled"),
    )
    await bench.play(make.decision(accepted, "accepted"))


async def test_every_check_holds_over_some_of_everything_and_is_spoiled_below(bench: Any, make: Any) -> None:
    await _some_of_everything(bench, make)
    assert await bench.broken() == []
    assert set(SPOILT) == {check.name for check in CHECKS}


async def test_spoiled_data_is_reported_by_its_check(bench: Any, make: Any) -> None:
    await _some_of_everything(bench, make)
    owner = await asyncpg.connect(bench.dsn(f"{bench.role}_owner"))
    for check in CHECKS:
        spoiling = owner.transaction()
        await spoiling.start()
        await owner.execute(SPOILT[check.name])
        assert await owner.fetch(check.sql), check.name
        await spoiling.rollback()
    await owner.close()
    assert await bench.broken() == []


async def test_the_migrations_make_the_tables_that_the_code_speaks_of(bench: Any) -> None:
    async with bench.connection() as connection:
        found = await connection.run_sync(
            lambda sync: {
                table: {(column["name"], column["nullable"]) for column in inspect(sync).get_columns(table)}
                for table in tables.metadata.tables
            }
        )
    for name, table in tables.metadata.tables.items():
        assert found[name] == {(column.name, bool(column.nullable)) for column in table.columns}, name
