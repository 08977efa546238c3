"""Opening balances: each fund account once, its fate known before."""

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from fund_pool.domain.opening import FundAccountKey, OpeningRow, fates, post
from fund_pool.domain.pool import Pool

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
CASH = OpeningRow(1, "A-1", "cash", "CNY", amount=100_00)
OVERDRAFT = OpeningRow(2, "A-1", "overdraft", "CNY", granted=5_000_00, used=2_000_00)


def faults(*rows: OpeningRow, done: Collection[FundAccountKey] = ()) -> list[str | None]:
    pools = {"A-1": Pool("A-1"), "A-2": Pool("A-2", active=False)}
    return [fate.fault.code if fate.fault else None for fate in fates(rows, pools, set(done), NOW)]


def test_cash_is_posted_against_opening_balances() -> None:
    pool = Pool("A-1")
    posted = post(CASH, pool, "I-1", NOW)
    assert pool.fund_accounts["cash", "CNY"].balance == 100_00
    assert [(p.account_type, p.bucket, p.amount) for p in posted.entry.postings] == [
        ("cash", "balance", 100_00),
        ("opening-balances", "internal", -100_00),
    ]
    assert posted.entry.document.reference == "I-1/1"


def test_an_overdraft_is_granted_and_used() -> None:
    """Granted 5,000, used 2,000: usable 3,000."""
    pool = Pool("A-1")
    posted = post(OVERDRAFT, pool, "I-1", NOW)
    purse = pool.fund_accounts["overdraft", "CNY"]
    assert (purse.line, purse.balance, purse.used, purse.usable) == (5_000_00, -2_000_00, 2_000_00, 3_000_00)
    assert [(p.account_type, p.bucket, p.amount) for p in posted.entry.postings] == [
        ("overdraft", "line", 5_000_00),
        ("overdraft", "balance", -2_000_00),
        ("credit-lines", "internal", -5_000_00),
        ("opening-balances", "internal", 2_000_00),
    ]


def test_a_line_that_is_not_used_posts_only_the_line() -> None:
    posted = post(replace(OVERDRAFT, used=None), Pool("A-1"), "I-1", NOW)
    assert [(p.bucket, p.amount) for p in posted.entry.postings] == [
        ("line", 5_000_00),
        ("internal", -5_000_00),
    ]


def test_good_rows_will_post() -> None:
    assert faults(CASH, OVERDRAFT, replace(CASH, currency="JPY")) == [None, None, None]


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (replace(CASH, account="A-9"), "unknown-account"),
        (replace(CASH, account="A-2"), "account-inactive"),
        (replace(CASH, account_type="gold"), "unknown-account-type"),
        (replace(CASH, amount=0), "amount-missing"),
        (replace(CASH, amount=None), "amount-missing"),
        (replace(CASH, granted=1), "line-not-possible"),
        (replace(CASH, effective_date=date(2026, 3, 3)), "effective-date-ahead"),
        (replace(CASH, amount=10**17), "too-large"),
        (replace(OVERDRAFT, granted=None), "granted-missing"),
        (replace(OVERDRAFT, amount=1), "amount-not-possible"),
        (replace(OVERDRAFT, used=5_000_01), "used-above-granted"),
        (replace(OVERDRAFT, used=5_000_00), None),
    ],
)
def test_a_row_is_refused_with_its_reason(row: OpeningRow, code: str | None) -> None:
    assert faults(row) == [code]


def test_a_repeated_row_is_refused_within_an_import_and_after_it() -> None:
    assert faults(CASH, CASH) == [None, "repeated-in-import"]
    assert faults(CASH, done=[CASH.key]) == ["already-imported"]
