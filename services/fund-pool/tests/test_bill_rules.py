"""Bills, overdue spells and members' limits, in worked numbers."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from fund_pool.domain.bills import issue, settle
from fund_pool.domain.books import Book
from fund_pool.domain.items import OpenItem, Settlement
from fund_pool.domain.limits import MemberLimit, judge, set_line
from fund_pool.domain.pool import Pool
from fund_pool.domain.quota import Alert, Notice, QuotaTerms, Watch

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
TODAY = date(2026, 3, 2)
EPISODE = UUID(int=1)


def bill(amount: int, billed: int = 0, due: date = date(2026, 3, 20), kind: Any = "bill") -> OpenItem:
    return OpenItem("B-1", kind, "CNY", amount, TODAY, due, overdraft_billed=billed)


def settlement(asked: int, paid_from: Any = "account") -> Settlement:
    return Settlement("S-1", "A-1", "B-1", "CNY", asked, paid_from, TODAY)


def quota(pool: Pool) -> int:
    return pool.terms("CNY").quota


def kinds(notices: list[Notice]) -> list[str]:
    return [notice.kind for notice in notices]


def test_the_quota_with_each_of_its_terms(make: Any) -> None:
    """100 + 10 + 500 + 5 - 230 - (50 - 20) = 355; 40 of the cash are transferred, deposit and vouchers do not count."""
    pool = make.pool(cash="100.00", deposit="1000.00", overdraft=("500.00", "200.00"))
    pool.books["M-1", "CNY"] = Book("M-1", "CNY", NOW, given=40_00)
    pool.hold("H", "order", pool.fund_accounts["cash", "CNY"], 30_00, NOW)
    owed_to: list[tuple[Any, int]] = [
        ("acceptance", 10_00),
        ("credit-refund", 5_00),
        ("negative-bill", 20_00),
    ]
    for kind, amount in owed_to:
        pool.items[kind] = OpenItem(kind, kind, "CNY", amount, TODAY, TODAY)
    pool.items["B"] = OpenItem("B", "bill", "CNY", 50_00, TODAY, TODAY, past_due=True)
    terms = pool.terms("CNY")
    assert terms == QuotaTerms(100_00, 10_00, 500_00, 5_00, 230_00, 50_00, 20_00)
    assert terms.quota == 355_00


def test_a_bill_moves_used_overdraft_into_itself_and_lowers_the_quota_by_the_rest(make: Any) -> None:
    pool = make.pool(cash="100.00", overdraft=("500.00", "200.00"))
    assert quota(pool) == 400_00
    issue(bill(250_00, 200_00), pool, NOW)
    assert quota(pool) == 350_00
    assert pool.terms("CNY").unsettled == 250_00


def test_settling_from_the_account_restores_overdraft_in_one_entry_and_keeps_the_quota(make: Any) -> None:
    pool = make.pool(cash="120.00", overdraft=("500.00", "100.00"))
    issue(bill(150_00, 100_00), pool, NOW)
    before = quota(pool)
    posted, _ = settle(settlement(150_00), pool.items["B-1"], pool, NOW)
    assert posted is not None
    assert {(one.account_type, one.amount) for one in posted.entry.postings} == {
        ("cash", -120_00),
        ("overdraft", 100_00),
        ("bill-clearing", 20_00),
    }
    assert quota(pool) == before
    assert (pool.items["B-1"].outstanding, pool.items["B-1"].overdraft_outstanding) == (30_00, 0)


def test_a_settlement_takes_at_most_free_cash(make: Any) -> None:
    pool = make.pool(cash="50.00")
    pool.hold("H", "order", pool.fund_accounts["cash", "CNY"], 30_00, NOW)
    issue(bill(100_00), pool, NOW)
    one = settlement(100_00)
    settle(one, pool.items["B-1"], pool, NOW)
    assert (one.settled, pool.items["B-1"].outstanding) == (20_00, 80_00)
    assert pool.fund_accounts["cash", "CNY"].balance == 30_00


def test_settling_from_outside_raises_the_quota(make: Any) -> None:
    pool = make.pool(cash="50.00", overdraft=("500.00", "100.00"))
    issue(bill(150_00, 100_00), pool, NOW)
    before = quota(pool)
    settle(settlement(150_00, "outside"), pool.items["B-1"], pool, NOW)
    assert quota(pool) == before + 150_00
    assert (pool.fund_accounts["cash", "CNY"].balance, pool.fund_accounts["overdraft", "CNY"].balance) == (
        50_00,
        0,
    )


def test_a_single_bill_that_makes_overdue_is_told_instead_of_a_low_quota(make: Any) -> None:
    pool = make.pool(cash="100.00")
    pool.watches["CNY"] = Watch("CNY", Alert(50_00))
    notices = issue(bill(100_01), pool, NOW)
    assert kinds(notices) == ["overdue"]
    posted = pool.items["B-1"]
    _, told = settle(settlement(1, "outside"), posted, pool, NOW)
    assert kinds(told) == ["cleared", "opened"]


def test_becoming_overdue_supersedes_the_open_episode(make: Any) -> None:
    pool = make.pool(cash="100.00")
    pool.watches["CNY"] = watch = Watch("CNY", Alert(50_00))
    assert kinds(issue(bill(60_00), pool, NOW)) == ["opened"]
    episode = watch.episode
    second = OpenItem("B-2", "bill", "CNY", 60_00, TODAY, TODAY)
    notices = issue(second, pool, NOW)
    assert kinds(notices) == ["superseded", "overdue"]
    assert episode is not None
    assert (episode.ending, notices[1].spell and notices[1].spell.supersedes) == (
        "superseded",
        episode.episode_id,
    )
    assert watch.after_quota(-20_00, QuotaTerms(cash_balance=-10_00), NOW, EPISODE) == []


def test_overdue_is_told_without_any_threshold(make: Any) -> None:
    pool = make.pool(cash="10.00")
    assert kinds(issue(bill(20_00), pool, NOW)) == ["overdue"]


def test_a_bill_is_past_due_after_its_day_in_the_organisations_time_zone(make: Any) -> None:
    from zoneinfo import ZoneInfo

    pool = make.pool(cash="100.00")
    pool.time_zone = ZoneInfo("Asia/Shanghai")
    late = datetime(2026, 3, 20, 15, 59, tzinfo=UTC)
    issue(bill(10_00), pool, late)
    assert not pool.items["B-1"].past_due
    issue(bill(10_00), pool, late + timedelta(minutes=1))
    assert pool.items["B-1"].past_due


def following(make: Any, line: str, used: str, cash: str = "0.00") -> Pool:
    pool: Pool = make.pool(cash=cash, overdraft=(line, used))
    pool.fund_accounts["overdraft", "CNY"].line_source = "member-limit"
    return pool


@pytest.mark.parametrize(
    ("proposed", "accepted", "smallest"),
    [(345_01, True, None), (345_00, False, 345_01), (0, False, 345_01), (500_00, True, None)],
)
def test_a_lowered_limit_leaves_the_quota_above_zero(
    make: Any, proposed: int, accepted: bool, smallest: int | None
) -> None:
    """Line 500, quota 155: at 345.01 one cent is left, at 345.00 none."""
    pool = following(make, "500.00", "345.00")
    verdict = judge(pool, "CNY", proposed)
    assert (verdict.accepted, verdict.smallest) == (accepted, smallest)


def test_a_limit_under_live_holds_is_not_lowered_below_them(make: Any) -> None:
    """Cash keeps the quota high, but 300 of the line are held."""
    pool = following(make, "500.00", "0.00", cash="1000.00")
    pool.hold("H", "order", pool.fund_accounts["overdraft", "CNY"], 300_00, NOW)
    assert judge(pool, "CNY", 299_99).smallest == 300_00
    assert judge(pool, "CNY", 299_99).code == "line-in-use"
    assert judge(pool, "CNY", 300_00).accepted


def test_a_line_of_documents_follows_no_limit(make: Any) -> None:
    pool = make.pool(overdraft=("500.00", "500.00"))
    assert judge(pool, "CNY", 0).accepted
    assert set_line(pool, "CNY", 0, 1, NOW) is None


def test_limit_versions_are_applied_in_turn() -> None:
    limit = MemberLimit("A-1", "CNY", version=3)
    assert [limit.standing(version) for version in (3, 4, 5)] == ["repeat", "next", "early"]
