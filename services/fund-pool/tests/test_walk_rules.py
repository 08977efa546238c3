"""Which fund account gives how much, in worked numbers."""

from datetime import date, timedelta
from typing import Any

import pytest
from fund_pool.domain import explain
from fund_pool.domain.deduction import DeductionOrder, faults
from fund_pool.domain.walk import LineAmount, Walk, walk

TODAY = date(2026, 3, 2)
DAY = timedelta(days=1)


def lines(*amounts: int) -> list[LineAmount]:
    return [LineAmount(str(number), amount) for number, amount in enumerate(amounts, start=1)]


def gives(outcome: Walk) -> list[tuple[str, int, int, str]]:
    return [(share.account_type, share.available, share.gave, share.code) for share in outcome.shares]


def parts(outcome: Walk) -> list[tuple[str, str, int]]:
    return [(paid.account_type, paid.line_id, paid.amount) for paid in outcome.payments]


def test_cash_pays_first_and_overdraft_the_rest_line_by_line(make: Any) -> None:
    pool = make.pool(cash="120.00", overdraft=("500.00", "200.00"))
    outcome = walk(pool, "CNY", lines(100_00, 50_00), TODAY)
    assert gives(outcome) == [("cash", 120_00, 120_00, "paid"), ("overdraft", 300_00, 30_00, "paid")]
    assert parts(outcome) == [("cash", "1", 100_00), ("cash", "2", 20_00), ("overdraft", "2", 30_00)]


def test_what_is_not_needed_stays(make: Any) -> None:
    outcome = walk(make.pool(cash="120.00", overdraft=("10.00", "0.00")), "CNY", lines(120_00), TODAY)
    assert gives(outcome) == [("cash", 120_00, 120_00, "paid"), ("overdraft", 10_00, 0, "not-needed")]
    text = explain.of_walk("A-1", "CNY", outcome, 0).text
    assert text == "120.00 CNY from cash; overdraft not used"


def test_all_or_nothing_names_the_shortfall_and_why_each_account_gave_nothing(make: Any) -> None:
    pool = make.pool(cash="60.00", overdraft=("50.00", "0.00"), deposit="1000.00")
    outcome = walk(pool, "CNY", lines(100_00, 80_00), TODAY)
    assert outcome.shortfall == 70_00
    assert outcome.payments == []
    assert gives(outcome) == [
        ("cash", 60_00, 0, "not-enough"),
        ("overdraft", 50_00, 0, "not-enough"),
        ("deposit", 0, 0, "not-for-orders"),
    ]
    text = explain.of_walk("A-1", "CNY", outcome, 0).text
    assert text == "70.00 CNY short; cash could give 60.00; overdraft could give 50.00"


def test_an_imported_overdraft_gives_what_is_granted_less_what_is_used(make: Any) -> None:
    """Seed 002, 1.2.5: granted 5,000 and used 2,000 leaves 3,000.00, not a cent more."""
    pool = make.pool(overdraft=("5000.00", "2000.00"))
    assert walk(pool, "CNY", lines(3_000_00), TODAY).shortfall == 0
    assert walk(pool, "CNY", lines(3_000_01), TODAY).shortfall == 1


def test_a_deposit_never_pays(make: Any) -> None:
    outcome = walk(make.pool(deposit="1000.00"), "CNY", lines(1), TODAY)
    assert gives(outcome) == [
        ("cash", 0, 0, "not-opened"),
        ("overdraft", 0, 0, "not-opened"),
        ("deposit", 0, 0, "not-for-orders"),
    ]


@pytest.mark.parametrize(
    ("valid_from", "valid_until", "code", "gave"),
    [
        (TODAY, TODAY, "paid", 10_00),
        (TODAY + DAY, None, "not-yet-valid", 0),
        (None, TODAY - DAY, "expired", 0),
        (None, None, "paid", 10_00),
    ],
)
def test_a_fund_account_pays_from_its_first_to_its_last_day(
    make: Any, valid_from: date | None, valid_until: date | None, code: Any, gave: int
) -> None:
    pool = make.pool(cash="10.00")
    purse = pool.fund_accounts["cash", "CNY"]
    purse.valid_from, purse.valid_until = valid_from, valid_until
    outcome = walk(pool, "CNY", lines(10_00), TODAY)
    assert (outcome.shares[0].code, outcome.shares[0].gave) == (code, gave)


def test_the_deduction_order_decides_who_gives_first_and_who_not_at_all(make: Any) -> None:
    pool = make.pool(cash="100.00", overdraft=("100.00", "0.00"))
    pool.deduction = DeductionOrder(7, ("overdraft", "cash"))
    assert gives(walk(pool, "CNY", lines(120_00), TODAY)) == [
        ("overdraft", 100_00, 100_00, "paid"),
        ("cash", 100_00, 20_00, "paid"),
    ]
    pool.deduction = DeductionOrder(8, ("cash",))
    outcome = walk(pool, "CNY", lines(120_00), TODAY)
    assert outcome.shortfall == 20_00
    assert gives(outcome)[1] == ("overdraft", 0, 0, "not-in-deduction-order")
    assert explain.of_walk("A-1", "CNY", outcome, 8).policy_version == 8


def test_money_of_another_currency_does_not_pay(make: Any) -> None:
    assert walk(make.pool(cash="100.00"), "JPY", lines(1), TODAY).shortfall == 1


def test_an_order_of_nothing_takes_nothing(make: Any) -> None:
    outcome = walk(make.pool(cash="100.00"), "CNY", lines(0, 0), TODAY)
    assert (outcome.shortfall, outcome.payments) == (0, [])
    assert explain.of_walk("A-1", "CNY", outcome, 0).text == "nothing is owed, so nothing is taken"


def test_lines_of_nothing_are_passed_over() -> None:
    from fund_pool.domain.pool import Pool

    outcome = walk(Pool("A-1"), "CNY", lines(0), TODAY)
    assert outcome.payments == []


def test_faults_of_a_deduction_order_are_all_named() -> None:
    found = [(fault.position, fault.text) for fault in faults(["cash", "deposit", "gold", "cash"])]
    assert found == [
        (1, "deposit does not pay for orders"),
        (2, "there is no account type gold"),
        (3, "cash stands in the list twice"),
    ]
    assert faults(["overdraft", "cash"]) == []
