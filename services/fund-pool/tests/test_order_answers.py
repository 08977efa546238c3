"""Each check of an order gets one answer; refused means unchanged."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from contracts.order import Reason
from fund_pool.domain.errors import OrderMissing
from fund_pool.domain.order import (
    PARKED_MAX,
    OrderState,
    Parked,
    answer,
    assess,
    decide,
    due_date,
    position,
)

from contracts import CreditChecked

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


def print_of(number: int) -> bytes:
    return number.to_bytes(16, "big")


class Story:
    """One order of one account, check by check."""

    def __init__(self, pool: Any, account: str = "A-1") -> None:
        self.pool = pool
        self.order = OrderState("shop-east", "SO-1", account)

    def __call__(self, check: CreditChecked) -> Any:
        pools = {} if self.pool is None else {self.pool.account: self.pool}
        decision = decide(self.order, pools, check, print_of(check.check_number), NOW)
        return answer(self.order, check, decision, NOW)

    def balance(self, code: str = "cash") -> int:
        return int(self.pool.fund_accounts[code, "CNY"].balance)


def codes(event: Any) -> list[str]:
    return [reason.code for reason in event.reasons]


def test_an_approved_order_is_paid_whole(make: Any) -> None:
    story = Story(make.pool(cash="100.00", overdraft=("50.00", "0.00")))
    event = story(make.check(make.order("A-1", "120.00")))
    assert event.outcome == "accepted"
    assert event.explanation.text == "100.00 CNY from cash, 20.00 CNY from overdraft"
    assert [
        (a.account_type, a.available.amount, a.gave.amount, a.code) for a in event.explanation.accounts
    ] == [
        ("cash", "100.00", "100.00", "paid"),
        ("overdraft", "50.00", "20.00", "paid"),
    ]
    assert (event.position.total.amount, event.position.unpaid.amount) == ("120.00", "0.00")
    assert (story.balance(), story.balance("overdraft")) == (0, -20_00)


def test_a_warned_order_is_paid_and_the_warnings_are_passed_on(make: Any) -> None:
    warning = Reason(code="credit-limit", text="above the limit")
    event = Story(make.pool(cash="100.00"))(
        make.check(make.order("A-1", "1.00"), outcome="warned", reasons=[warning])
    )
    assert (event.outcome, event.reasons) == ("accepted", [warning])


def test_too_little_money_declines_and_takes_nothing(make: Any) -> None:
    story = Story(make.pool(cash="100.00"))
    event = story(make.check(make.order("A-1", "100.01")))
    assert (event.outcome, codes(event)) == ("declined", ["insufficient-funds"])
    assert event.reasons[0].text == "0.01 CNY short; cash could give 100.00; overdraft is not opened"
    assert (event.position.total.amount, event.position.payments) == ("0.00", [])
    assert story.balance() == 100_00
    assert story.pool.last_entry_number == 1


def test_an_order_submitted_anew_after_a_decline_is_decided_afresh(make: Any) -> None:
    story = Story(make.pool(cash="100.00"))
    assert story(make.check(make.order("A-1", "100.01"))).outcome == "declined"
    event = story(make.check(make.order("A-1", "99.00", revision=2), 2))
    assert (event.outcome, event.order_revision, event.check_number) == ("accepted", 2, 2)
    assert story.balance() == 1_00


def test_another_payment_method_is_accepted_and_takes_nothing(make: Any) -> None:
    story = Story(make.pool(cash="100.00"))
    order = make.order("A-1", "70.00", method="credit-terms", payment_terms_days=30, user="U-unknown")
    event = story(make.check(order))
    assert event.outcome == "accepted"
    assert (event.position.total.amount, event.position.unpaid.amount) == ("70.00", "70.00")
    assert event.position.due_date == date(2026, 3, 31)
    assert story.balance() == 100_00


@pytest.mark.parametrize(
    ("due", "terms", "expected"),
    [
        (date(2026, 5, 1), 30, date(2026, 5, 1)),
        (None, 30, date(2026, 3, 31)),
        (None, None, date(2026, 3, 1)),
    ],
)
def test_the_due_date_is_named_else_by_terms_else_the_order_date(
    make: Any, due: date | None, terms: int | None, expected: date
) -> None:
    assert due_date(make.order("A-1", "1.00", due_date=due, payment_terms_days=terms)) == expected


def test_an_unknown_account_declines(make: Any) -> None:
    event = Story(None)(make.check(make.order("A-9", "1.00")))
    assert (event.outcome, codes(event)) == ("declined", ["unknown-account"])


def test_a_closed_account_declines_but_its_refunds_still_land(make: Any) -> None:
    story = Story(make.pool(cash="100.00"))
    assert story(make.check(make.order("A-1", "60.00"))).outcome == "accepted"
    story.pool.active = False
    assert story(make.cancel("A-1", 2)).outcome == "cancelled"
    assert story.balance() == 100_00
    event = Story(story.pool)(make.check(make.order("A-1", "1.00")))
    assert codes(event) == ["account-inactive"]


def test_a_user_without_the_right_is_declined(make: Any) -> None:
    event = Story(make.pool(cash="100.00"))(make.check(make.order("A-1", "1.00", user="U-2")))
    assert (event.outcome, codes(event)) == ("declined", ["not-allowed-to-use-balance"])


def test_amounts_that_do_not_add_up_are_declined_here_too(make: Any) -> None:
    order = make.order("A-1", "1.00")
    wrong = type(order)(**{**_fields(order), "total": type(order.total)("2.00", "CNY")})
    assert codes(Story(make.pool(cash="9.00"))(make.check(wrong))) == ["total-mismatch"]
    foreign = type(order)(**{**_fields(order), "currency": "USD"})
    assert codes(Story(make.pool(cash="9.00"))(make.check(foreign))) == ["currency-mismatch"]


def _fields(order: Any) -> dict[str, Any]:
    return {name: getattr(order, name) for name in type(order).__dataclass_fields__}


def test_a_cancellation_returns_what_is_left_to_the_accounts_that_gave_it(make: Any) -> None:
    story = Story(make.pool(cash="100.00", overdraft=("50.00", "10.00")))
    story(make.check(make.order("A-1", "120.00")))
    event = story(make.cancel("A-1", 2))
    assert event.outcome == "cancelled"
    assert event.explanation.text == "returned 100.00 CNY to cash, 20.00 CNY to overdraft"
    assert (event.position.total.amount, event.position.payments) == ("0.00", [])
    assert (story.balance(), story.balance("overdraft")) == (100_00, -10_00)
    assert (story.order.paid, story.order.refunded) == (120_00, 120_00)


def test_a_refund_lands_on_an_expired_fund_account(make: Any) -> None:
    story = Story(make.pool(cash="100.00"))
    story(make.check(make.order("A-1", "60.00")))
    story.pool.fund_accounts["cash", "CNY"].valid_until = date(2026, 1, 1)
    story(make.cancel("A-1", 2))
    assert story.balance() == 100_00


def test_a_second_cancellation_returns_nothing_more(make: Any) -> None:
    story = Story(make.pool(cash="100.00"))
    story(make.check(make.order("A-1", "60.00")))
    story(make.cancel("A-1", 2))
    event = story(make.cancel("A-1", 3))
    assert event.outcome == "cancelled"
    assert event.explanation.text == "nothing had been taken, so nothing is returned"
    assert story.balance() == 100_00


def test_a_cancellation_of_an_order_never_seen_is_cancelled_and_its_submission_declined(make: Any) -> None:
    story = Story(make.pool(cash="100.00"))
    event = story(make.cancel("A-1", 1))
    assert (event.outcome, event.position, event.currency) == ("cancelled", None, None)
    event = story(make.check(make.order("A-1", "60.00"), 2))
    assert (event.outcome, codes(event), event.position.total.amount) == ("declined", ["cancelled"], "0.00")
    assert story.balance() == 100_00


def test_a_cancellation_that_credit_declines_changes_nothing(make: Any) -> None:
    story = Story(make.pool(cash="100.00"))
    story(make.check(make.order("A-1", "60.00")))
    event = story(make.cancel("A-1", 2, outcome="declined"))
    assert (event.outcome, event.position.total.amount) == ("declined", "60.00")
    assert story.balance() == 40_00


@pytest.mark.parametrize("outcome", ["declined", "approved", "warned", "pending-approval"])
def test_a_second_submission_of_an_accepted_order_changes_nothing(make: Any, outcome: str) -> None:
    story = Story(make.pool(cash="100.00"))
    first = story(make.check(make.order("A-1", "60.00")))
    reasons = [Reason(code="already-submitted", text="seen")] if outcome == "declined" else []
    event = story(make.check(make.order("A-1", "30.00", revision=2), 2, outcome=outcome, reasons=reasons))
    assert (event.outcome, codes(event)) == ("declined", ["already-submitted"])
    assert event.position == first.position
    assert story.balance() == 40_00


def test_what_credit_declines_is_passed_on_with_its_reasons(make: Any) -> None:
    reasons = [Reason(code="over-limit", text="12.00 above the limit", line_id="1")]
    story = Story(make.pool(cash="100.00"))
    event = story(make.check(make.order("A-1", "60.00"), outcome="declined", reasons=reasons))
    assert (event.outcome, event.reasons, story.balance()) == ("declined", reasons, 100_00)


def test_a_held_order_is_paid_when_it_is_approved(make: Any) -> None:
    story = Story(make.pool(cash="100.00"))
    order = make.order("A-1", "60.00")
    event = story(make.check(order, outcome="pending-approval"))
    assert (event.outcome, event.position.total.amount, story.balance()) == (
        "pending-approval",
        "0.00",
        100_00,
    )
    event = story(make.check(order, 2))
    assert (event.outcome, story.balance()) == ("accepted", 40_00)


def test_a_second_submission_of_a_held_order_leaves_it_waiting(make: Any) -> None:
    story = Story(make.pool(cash="100.00"))
    story(make.check(make.order("A-1", "60.00"), outcome="pending-approval"))
    again = [Reason(code="already-submitted", text="seen")]
    event = story(make.check(make.order("A-1", "60.00", revision=2), 2, outcome="declined", reasons=again))
    assert (event.outcome, story.order.status) == ("declined", "pending-approval")


def test_an_order_of_nothing_is_accepted_without_an_entry(make: Any) -> None:
    story = Story(make.pool(cash="100.00"))
    event = story(make.check(make.order("A-1", "0.00")))
    assert (event.outcome, event.position.total.amount, story.pool.last_entry_number) == (
        "accepted",
        "0.00",
        1,
    )


def test_a_submission_without_its_order_is_an_error_and_changes_nothing(make: Any) -> None:
    story = Story(make.pool(cash="100.00"))
    check = make.cancel("A-1", 1)
    broken = type(check)(
        **{**{n: getattr(check, n) for n in type(check).__dataclass_fields__}, "operation": "submit"}
    )
    with pytest.raises(OrderMissing):
        story(broken)
    assert story.order.check_number == 0


def test_checks_stand_next_early_repeated_or_in_conflict(make: Any) -> None:
    story = Story(make.pool(cash="100.00"))
    story(make.check(make.order("A-1", "60.00")))
    assert story.order.standing(2, print_of(2)) == "next"
    assert story.order.standing(3, print_of(3)) == "early"
    assert story.order.standing(1, print_of(1)) == "repeat"
    assert story.order.standing(1, print_of(9)) == "conflict"


def test_early_checks_wait_in_bounded_number() -> None:
    order = OrderState("shop-east", "SO-1", "A-1")
    assert all(order.park(number, Parked(b"{}", print_of(number))) for number in range(2, 2 + PARKED_MAX))
    assert not order.park(99, Parked(b"{}", print_of(99)))
    assert order.park(2, Parked(b"{}", print_of(2)))
    assert not order.park(2, Parked(b"{}", print_of(7)))
    assert order.next_parked() is None
    order.check_number = 1
    assert order.next_parked() == Parked(b"{}", print_of(2))


def test_the_dry_run_is_the_decision_without_its_effect(make: Any) -> None:
    pool = make.pool(cash="100.00", overdraft=("50.00", "0.00"))
    order = make.order("A-1", "120.00")
    dry = assess(pool, order, NOW)
    assert pool.fund_accounts["cash", "CNY"].balance == 100_00
    assert Story(pool)(make.check(order)).explanation == dry.explanation


def test_every_answer_is_valid_on_the_wire(make: Any) -> None:
    story = Story(make.pool(cash="100.00"))
    for check in (make.check(make.order("A-1", "60.00")), make.cancel("A-1", 2), make.cancel("A-1", 3)):
        event = story(check)
        assert type(event).adapter.validate_json(event.to_json()) == event
    assert position(OrderState("s", "o", "a")) is None
