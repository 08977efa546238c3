"""Money that arrived: topped up, or unmatched with the reason."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from fund_pool.domain.account_types import DEPOSIT, OVERDRAFT
from fund_pool.domain.payment import Payment, receive
from fund_pool.domain.pool import Pool, largest_amount

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


def told(make: Any, account: str | None, amount: str = "80.00", **more: Any) -> Payment:
    return Payment.told_by(make.payment(account, amount, **more))


def test_a_payment_opens_cash_and_tops_it_up_against_bank_clearing(make: Any) -> None:
    pool = Pool("A-1")
    payment = told(make, "A-1", payment_id="P-7")
    posted = receive(payment, {"A-1": pool}, NOW)
    assert posted is not None
    assert pool.fund_accounts["cash", "CNY"].balance == 80_00
    assert [(p.account_type, p.bucket, p.amount, p.after) for p in posted.entry.postings] == [
        ("cash", "balance", 80_00, 80_00),
        ("bank-clearing", "internal", -80_00, None),
    ]
    assert (posted.entry.document.type, posted.entry.document.reference) == ("top-up", "P-7/1")
    assert posted.entry.effective_date == date(2026, 3, 2)
    assert (payment.status, payment.entry_number) == ("posted", 1)


def test_a_deposit_is_topped_up_once_it_is_opened(make: Any) -> None:
    pool = Pool("A-1")
    closed = told(make, "A-1", account_type="deposit")
    assert receive(closed, {"A-1": pool}, NOW) is None
    assert closed.reason == "fund-account-not-opened"
    pool.open(DEPOSIT, "CNY")
    receive(told(make, "A-1", account_type="deposit"), {"A-1": pool}, NOW)
    assert pool.fund_accounts["deposit", "CNY"].balance == 80_00


@pytest.mark.parametrize(
    ("account", "more", "reason"),
    [
        (None, {}, "no-account-named"),
        ("A-9", {}, "unknown-account"),
        ("A-2", {}, "account-inactive"),
        ("A-1", {"account_type": "gold"}, "unknown-account-type"),
        ("A-1", {"account_type": "overdraft"}, "no-online-top-up"),
        ("A-1", {"instrument": "bankers-acceptance"}, "bankers-acceptance-not-cashed"),
    ],
)
def test_what_cannot_be_placed_waits_with_its_reason(
    make: Any, account: str | None, more: dict[str, Any], reason: str | None
) -> None:
    pool = Pool("A-1")
    pool.open(OVERDRAFT, "CNY")
    payment = told(make, account, **more)
    assert receive(payment, {"A-1": pool, "A-2": Pool("A-2", active=False)}, NOW) is None
    assert (payment.status, payment.reason) == ("unmatched", reason)
    assert pool.last_entry_number == 0


@pytest.mark.parametrize(
    ("days", "reason"), [(-1, "fund-account-expired"), (0, None), (1, "fund-account-not-yet-valid")]
)
def test_outside_its_validity_a_fund_account_takes_no_top_up(
    make: Any, days: int, reason: str | None
) -> None:
    pool = make.pool(cash="1.00")
    purse = pool.fund_accounts["cash", "CNY"]
    purse.valid_from = purse.valid_until = NOW.date() + timedelta(days=days)
    payment = told(make, "A-1")
    receive(payment, {"A-1": pool}, NOW)
    assert payment.reason == reason


def test_a_day_is_a_day_in_the_organisations_time_zone(make: Any) -> None:
    """23:30 UTC on 1 March is 2 March in Shanghai."""
    from zoneinfo import ZoneInfo

    pool = make.pool(cash="1.00")
    pool.time_zone = ZoneInfo("Asia/Shanghai")
    pool.fund_accounts["cash", "CNY"].valid_from = date(2026, 3, 2)
    payment = told(make, "A-1")
    receive(payment, {"A-1": pool}, datetime(2026, 3, 1, 23, 30, tzinfo=UTC))
    assert payment.status == "posted"


def test_more_than_can_be_said_on_the_wire_is_not_taken(make: Any) -> None:
    pool = Pool("A-1")
    first = told(make, "A-1", "99999999999999.99")
    receive(first, {"A-1": pool}, NOW)
    assert pool.fund_accounts["cash", "CNY"].balance == largest_amount("CNY")
    second = told(make, "A-1", "0.01")
    receive(second, {"A-1": pool}, NOW)
    assert second.reason == "balance-too-large"


def test_a_difference_between_two_tellings_is_named() -> None:
    first = Payment("P-7", "A-1", "A-1", "cash", "CNY", 80_00, "card", date(2026, 3, 2), None)
    assert first.difference(replace(first, status="posted", entry_number=3)) is None
    assert first.difference(replace(first, amount=90_00)) == "amount was 80.00 CNY, now 90.00 CNY"
    assert first.difference(replace(first, reference="x", payer="B")) == (
        "payer was A-1, now B; reference was None, now x"
    )


def test_posting_time_never_runs_backwards(make: Any) -> None:
    pool = Pool("A-1")
    late = receive(told(make, "A-1"), {"A-1": pool}, NOW)
    early = receive(told(make, "A-1"), {"A-1": pool}, NOW - timedelta(seconds=5))
    assert early is not None
    assert late is not None
    assert early.entry.posted_at == late.entry.posted_at == NOW
    assert [entry.number for entry in pool.entries] == [1, 2]
