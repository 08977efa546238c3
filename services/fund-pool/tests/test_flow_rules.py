"""Usage rules, vouchers and the assignment of sources to lines, compared with brute force on small cases."""

from collections.abc import Sequence
from datetime import date
from itertools import product
from typing import Any

import pytest
from fund_pool.domain import explain
from fund_pool.domain.account_types import AccountType
from fund_pool.domain.deduction import DeductionOrder
from fund_pool.domain.flow import assign
from fund_pool.domain.pool import Pool
from fund_pool.domain.usage import UsagePolicy, UsageRule, conflicting, first_payment, policy_for, split
from fund_pool.domain.vouchers import Voucher
from fund_pool.domain.walk import LineAmount, Walk, walk
from hypothesis import given
from hypothesis import strategies as st

TODAY = date(2026, 3, 2)
REBATE = AccountType("rebate", True, True, True, has_line=False, cash_like=False)


def rule(code: str, **more: Any) -> UsageRule:
    return UsageRule(more.pop("version", 1), "BUS-1", "CNY", code, **more)


def policy(*rules: UsageRule) -> UsagePolicy:
    return policy_for({("BUS-1", "CNY"): rules}, "BUS-1", "CNY", TODAY)


def gave(outcome: Walk) -> dict[str, int]:
    return {
        (share.voucher.voucher_id if share.voucher else share.account_type): share.gave
        for share in outcome.shares
        if share.gave
    }


def codes(outcome: Walk) -> dict[str, str]:
    return {
        (share.voucher.voucher_id if share.voucher else share.account_type): share.code
        for share in outcome.shares
    }


def with_rebate(make: Any, rebate: int, **more: Any) -> Pool:
    pool: Pool = make.pool(**more)
    pool.open(REBATE, "CNY").balance = rebate
    pool.deduction = DeductionOrder(3, ("cash", "rebate", "overdraft"))
    return pool


def voucher(voucher_id: str, remaining: int, kind: Any = "voucher", **more: Any) -> Voucher:
    return Voucher(voucher_id, kind, "M-1", "CNY", remaining, remaining, members=frozenset({"A-1"}), **more)


LINES = [LineAmount("1", 100_00, "X", "GX"), LineAmount("2", 80_00, "Y", "GY")]
ALL = (rule("cash"), rule("overdraft"))


def test_a_plain_walk_would_decline_thirty_short_and_this_one_pays(make: Any) -> None:
    """Lines X 100, Y 80; cash 60, rebate 150 for X only, overdraft 50: 60, 100, 20."""
    pool = with_rebate(make, 150_00, cash="60.00", overdraft=("50.00", "0.00"))
    rules = policy(*ALL, rule("rebate", materials=frozenset({"X"}), version=9))
    outcome = walk(pool, "CNY", LINES, TODAY, rules)
    assert gave(outcome) == {"cash": 60_00, "rebate": 100_00, "overdraft": 20_00}
    assert [(paid.account_type, paid.line_id, paid.amount) for paid in outcome.payments] == [
        ("rebate", "1", 100_00),
        ("cash", "2", 60_00),
        ("overdraft", "2", 20_00),
    ]
    told = explain.of_walk("A-1", "CNY", outcome, 3, rules.version)
    assert (told.policy_version, told.usage_version) == (3, 9)


def test_each_account_says_why_it_gave_nothing(make: Any) -> None:
    pool = with_rebate(make, 10_00, cash="60.00", overdraft=("50.00", "50.00"))
    pool.hold("H", "order", pool.fund_accounts["cash", "CNY"], 60_00, _now())
    rules = policy(*ALL, rule("rebate", material_groups=frozenset({"GZ"})))
    outcome = walk(pool, "CNY", LINES, TODAY, rules)
    assert codes(outcome) == {
        "cash": "held-by-others",
        "rebate": "outside-material-scope",
        "overdraft": "line-used-up",
    }
    text = explain.of_walk("A-1", "CNY", outcome, 3).text
    assert text == (
        "180.00 CNY short; cash is held by others; rebate is outside its material scope; "
        "overdraft has its line used up"
    )


def test_once_there_are_rules_a_type_without_one_does_not_pay(make: Any) -> None:
    pool = make.pool(cash="60.00", overdraft=("500.00", "0.00"))
    outcome = walk(pool, "CNY", LINES, TODAY, policy(rule("overdraft")))
    assert (codes(outcome)["cash"], gave(outcome)) == ("not-in-usage-rule", {"overdraft": 180_00})
    only_final = rule("cash", purposes=frozenset({"final-payment"}))
    assert codes(walk(pool, "CNY", LINES, TODAY, policy(*ALL[1:], only_final)))["cash"] == "not-in-usage-rule"
    final = walk(pool, "CNY", LINES, TODAY, policy(*ALL[1:], only_final), "final-payment")
    assert gave(final)["cash"] == 60_00


def test_vouchers_come_first_soonest_to_expire_and_are_named_with_their_day(make: Any) -> None:
    pool = make.pool(cash="100.00")
    pool.vouchers = {
        one.voucher_id: one
        for one in (
            voucher("V-1", 50_00, valid_until=date(2026, 12, 31)),
            voucher("V-3", 120_00, valid_until=date(2026, 12, 1)),
            voucher("V-2", 500_00, materials=frozenset({"Z"})),
            voucher("V-0", 500_00, valid_until=date(2026, 3, 1)),
        )
    }
    outcome = walk(pool, "CNY", LINES, TODAY)
    assert gave(outcome) == {"V-3": 120_00, "V-1": 50_00, "cash": 10_00}
    assert codes(outcome)["V-2"] == "outside-material-scope"
    assert codes(outcome)["V-0"] == "expired"
    told = explain.of_walk("A-1", "CNY", outcome, 0)
    assert told.text.startswith(
        "120.00 CNY from voucher V-3 (expires 2026-12-01), 50.00 CNY from voucher V-1 (expires 2026-12-31), "
        "10.00 CNY from cash; "
    )
    pool.deduction = DeductionOrder(2, ("cash", "voucher"))
    assert gave(walk(pool, "CNY", LINES, TODAY)) == {"cash": 100_00, "V-3": 80_00}


def test_a_coupon_asks_for_its_minimum_and_is_used_once(make: Any) -> None:
    pool = make.pool(cash="500.00")
    coupon = voucher("C-1", 20_00, "coupon", minimum_order=180_00)
    pool.vouchers = {"C-1": coupon}
    assert gave(walk(pool, "CNY", LINES, TODAY))["C-1"] == 20_00
    assert codes(walk(pool, "CNY", LINES[:1], TODAY))["C-1"] == "below-minimum-order"
    coupon.remaining = 1_00
    assert codes(walk(pool, "CNY", LINES, TODAY))["C-1"] == "used-before"


def test_somebody_elses_voucher_pays_nothing(make: Any) -> None:
    pool = make.pool("A-2", cash="500.00")
    pool.vouchers = {"V-1": voucher("V-1", 50_00)}
    assert gave(walk(pool, "CNY", LINES, TODAY)) == {"cash": 180_00}


@pytest.mark.parametrize(
    ("delivery", "points"),
    [(None, 10_000), (date(2026, 3, 30), 10_000), (date(2026, 3, 31), 3_333), (date(2026, 5, 1), 3_333)],
)
def test_a_long_lead_time_pays_the_rules_percentage_first(
    make: Any, delivery: date | None, points: int
) -> None:
    """30 days from the order of 1 March: from 31 March on the first payment is a third."""
    order = make.order("A-1", "100.00", requested_delivery_date=delivery)
    rules = policy(rule("overdraft"), rule("cash", lead_time_days=30, first_payment=3_333))
    assert first_payment(order, rules, DeductionOrder(0, ("cash", "overdraft"))) == points


@pytest.mark.parametrize(
    ("amounts", "points", "parts"),
    [
        ([100_00], 3_333, [33_33]),
        ([1, 1, 1], 3_333, [1, 0, 0]),
        ([10, 10, 10], 3_334, [4, 3, 3]),
        ([3], 5_000, [2]),
        ([], 5_000, []),
        ([7, 0], 10_000, [7, 0]),
    ],
)
def test_a_part_is_half_up_in_all_and_loses_nothing(
    amounts: list[int], points: int, parts: list[int]
) -> None:
    assert split(amounts, points) == parts


@given(st.lists(st.integers(0, 10**6), max_size=8), st.integers(0, 10_000))
def test_parts_sum_to_the_rounded_part_of_the_sum(amounts: list[int], points: int) -> None:
    parts = split(amounts, points)
    assert sum(parts) == (2 * sum(amounts) * points + 10_000) // 20_000
    assert all(0 <= part <= amount for part, amount in zip(parts, amounts, strict=True))


def test_a_second_valid_rule_for_the_same_key_is_seen() -> None:
    first = rule("cash", valid_until=date(2026, 6, 30))
    assert conflicting(rule("cash", valid_from=date(2026, 6, 30)), [first]) is first
    assert conflicting(rule("cash", valid_from=date(2026, 7, 1)), [first]) is None
    assert conflicting(rule("overdraft"), [first]) is None


def _now() -> Any:
    from datetime import UTC, datetime

    return datetime(2026, 3, 2, tzinfo=UTC)


def best(capacities: Sequence[int], eligible: Sequence[Sequence[int]], debts: Sequence[int]) -> list[int]:
    """The lexicographically largest gifts among all that pay the most, by trying everything."""
    ways = [
        [parts for parts in product(*(range(debts[debt] + 1) for debt in debtors)) if sum(parts) <= capacity]
        for capacity, debtors in zip(capacities, eligible, strict=True)
    ]
    found: tuple[int, list[int]] = (-1, [])
    for choice in product(*ways):
        paid = [0] * len(debts)
        for parts, debtors in zip(choice, eligible, strict=True):
            for part, debt in zip(parts, debtors, strict=True):
                paid[debt] += part
        if all(one <= debt for one, debt in zip(paid, debts, strict=True)):
            found = max(found, (sum(paid), [sum(parts) for parts in choice]))
    return found[1]


@given(st.data())
def test_the_assignment_is_that_of_brute_force(data: st.DataObject) -> None:
    debts = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=3))
    capacities = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=3))
    eligible = [
        sorted(data.draw(st.sets(st.integers(0, len(debts) - 1), max_size=len(debts)))) for _ in capacities
    ]
    flow = assign(capacities, eligible, debts)
    assert [sum(parts) for parts in flow] == best(capacities, eligible, debts)
    for source, parts in enumerate(flow):
        assert all(part >= 0 for part in parts)
        assert all(not part or debt in eligible[source] for debt, part in enumerate(parts))
    assert all(sum(parts[at] for parts in flow) <= debt for at, debt in enumerate(debts))


def test_a_long_chain_of_exchanges_is_found() -> None:
    """Each source may pay two neighbouring debts; the last one frees a place for the first."""
    size = 60
    eligible = [[at, at + 1] for at in range(size)] + [[0]]
    flow = assign([1] * (size + 1), eligible, [1] * (size + 1))
    assert [sum(parts) for parts in flow] == [1] * (size + 1)
