"""Each check is seen to report data that was spoiled."""

from datetime import UTC, date, datetime
from typing import Any

import asyncpg
import pytest
from chassis.testing import Harness
from fund_pool.invariants import CHECKS, FACTS

pytestmark = pytest.mark.stack

FREE = "".join(
    f"alter table {table} disable trigger all; " for table in ("posting", "journal_entry", "decision")
)
SPOILED = [
    (
        "ledger-balanced",
        FREE + "update posting set amount = amount + 1 where bucket = 'internal' and entry_number = 1",
    ),
    ("balances-fold", "update fund_account set balance = balance + 1"),
    ("balances-fold", FREE + "delete from posting where bucket = 'balance'"),
    ("running-balances", FREE + "update posting set after = after + 1 where entry_number = 2"),
    ("entries-gapless", FREE + "delete from journal_entry where entry_number = 1"),
    ("entries-gapless", "update account set last_entry_number = 9"),
    (
        "entries-gapless",
        FREE + "update journal_entry set posted_at = posted_at - interval '1 day' where entry_number = 2",
    ),
    ("entries-complete", FREE + "delete from posting where entry_number = 2 and bucket = 'internal'"),
    ("chain-unbroken", FREE + "update posting set amount = amount + 1 where entry_number = 1"),
    ("chain-unbroken", FREE + "update posting set account_type = 'cesh' where entry_number = 1"),
    ("chain-unbroken", FREE + "update journal_entry set document_id = 'P-2' where entry_number = 1"),
    ("chain-unbroken", FREE + "update journal_entry set hash = set_byte(hash, 5, 1) where entry_number = 2"),
    ("chain-unbroken", FREE + "delete from journal_entry where entry_number = 1"),
    ("chain-unbroken", FREE + "delete from journal_entry where entry_number = 2"),
    ("chain-unbroken", FREE + "delete from posting where entry_number = 2 and bucket = 'internal'"),
    (
        "chain-unbroken",
        "update account set chain_head = set_byte(chain_head, 0, get_byte(chain_head, 0) # 1)",
    ),
    (
        "chain-unbroken",
        FREE
        + "delete from journal_entry where entry_number = 2; delete from posting where entry_number = 2; "
        + "update account set last_entry_number = 1",
    ),
    (
        "within-limits",
        "alter table fund_account drop constraint fund_account_within_line; update fund_account set balance = -1",
    ),
    ("within-limits", "update fund_account set line = 1"),
    ("orders-match-postings", "update order_state set paid = paid + 1"),
    ("orders-match-postings", "update order_state set payments = null"),
    (
        "refunds-per-fund-account",
        FREE + "update posting set amount = 99999 where entry_number = 2 and bucket = 'balance'",
    ),
    ("order-states", "update order_state set status = 'cancelled'"),
    ("decisions-gapless", FREE + "delete from decision"),
    ("decisions-gapless", "update order_state set check_number = 2"),
    ("checks-not-parked", "update order_state set parked = '[]', changed_at = now() - interval '2 days'"),
    ("payments-posted-once", "update payment set amount = amount + 1"),
    ("payments-posted-once", "update payment set status = 'unmatched'"),
    (
        "payments-posted-once",
        FREE + "update journal_entry set document_id = 'P-9' where document_type = 'top-up'",
    ),
    (
        "holds-fold",
        (
            "insert into hold (account, hold_id, kind, account_type, currency, placed, placed_at) "
            "values ('A-1', 'h', 'order', 'cash', 'CNY', 1, now())"
        ),
    ),
    (
        "holds-covered",
        (
            "insert into hold (account, hold_id, kind, account_type, currency, placed, placed_at) "
            "values ('A-1', 'h', 'order', 'cash', 'CNY', 999999, now())"
        ),
    ),
    (
        "books-covered",
        (
            "insert into transfer_book (account, currency, giver, given, opened_at) "
            "values ('A-1', 'CNY', 'M', 999999, now())"
        ),
    ),
    (
        "vouchers-fold",
        (
            "insert into voucher (voucher_id, kind, owner, currency, amount, remaining, issued_on, materials, "
            "material_groups, made_by, made_at) values ('V', 'card', 'A-1', 'CNY', 5, 5, now(), '{}', '{}', 'x', now())"
        ),
    ),
    (
        "allocations-match",
        FREE
        + "update posting set account_type = 'allocation-clearing' where bucket = 'internal' and entry_number = 1",
    ),
    (
        "documents-posted-once",
        (
            "insert into document (document_type, document_id, account, currency, amount, account_type, status, "
            "made_by, made_at) values ('other-credit', 'D', 'A-1', 'CNY', 1, 'cash', 'posted', 'x', now())"
        ),
    ),
    (
        "one-open-episode",
        (
            "drop index quota_episode_open; insert into quota_episode "
            "select account, currency, gen_random_uuid(), opened_at, 0, null, null from quota_episode"
        ),
    ),
    ("episodes-consistent", "update quota_alert set threshold = 1"),
    ("episodes-consistent", "update quota_alert set enabled = false"),
    ("reminders-set", "delete from timer"),
    ("episodes-told", "delete from quota_notice"),
]


async def an_ordinary_day(harness: Harness, make: Any) -> None:
    harness.now = datetime.now(UTC)
    await harness.play(*make.master_data("A-1"), make.payment("A-1", "100.00"))
    body = {"threshold": {"amount": "50.00", "currency": "CNY"}}
    async with harness.client(roles={"finance-maker"}) as client:
        assert (await client.put("/accounts/A-1/quota-alerts/CNY", json=body)).status_code == 200
    await harness.play(make.check(make.order("A-1", "60.00")))


async def test_each_check_reports_data_that_was_spoiled(harness: Harness, make: Any, broken: Any) -> None:
    """Every case is spoiled in a transaction of the tables' owner, looked at there, and taken back."""
    await an_ordinary_day(harness, make)
    assert await broken() == []
    checks = {check.name: check for check in CHECKS}
    owner = await asyncpg.connect(harness.dsn(f"{harness.role}_owner"))
    unreported = []
    try:
        for name, sql in SPOILED:
            transaction = owner.transaction()
            await transaction.start()
            await owner.execute(sql)
            if not await owner.fetch(checks[name].sql):
                unreported.append((name, sql))
            await transaction.rollback()
    finally:
        await owner.close()
    assert unreported == []
    assert await broken() == []


def test_every_check_has_its_case() -> None:
    assert {check.name for check in CHECKS} == {name for name, _ in SPOILED}


async def test_the_facts_that_others_must_agree_with(harness: Harness, make: Any) -> None:
    """Of a receipt is left what cash has not paid: what the overdraft paid is still to come."""
    await an_ordinary_day(harness, make)
    order = make.order("A-1", "20.00", order_id="SO-2", method="credit-terms", payment_terms_days=30)
    await harness.play(make.check(order), make.relationship("M", "A-1", version=3))

    async def fact(name: str) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in await harness.rows(FACTS[name])]

    assert sorted(await fact("accepted-orders")) == [
        ("shop-east", "SO-1", "CNY", 60_00),
        ("shop-east", "SO-2", "CNY", 20_00),
    ]
    assert await fact("expected-receipts") == [("shop-east", "SO-2", "CNY", 20_00, date(2026, 3, 31))]
    assert [(kind, number) for _, kind, number in await fact("quota-notices")] == [("opened", 0)]
    assert await fact("relationships") == [("R-M-A-1", 3, "active")]
