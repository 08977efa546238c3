"""The available quota and the episodes in which it is low, with time passed in."""

from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4

import pytest
from fund_pool.domain.quota import Alert, QuotaTerms, Watch

T0 = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
EPISODE = UUID(int=1)
T = TypeVar("T")


def there(found: T | None) -> T:
    assert found is not None
    return found


def quota(amount: int) -> QuotaTerms:
    return QuotaTerms(cash_balance=amount)


def watch(threshold: int = 100_00, **more: Any) -> Watch:
    return Watch("CNY", Alert(threshold, **more))


def opened(threshold: int = 100_00, **more: Any) -> Watch:
    low = watch(threshold, **more)
    assert there(low.after_change(threshold, quota(threshold - 1), T0, EPISODE)).kind == "opened"
    return low


def test_the_worked_example_of_the_formula() -> None:
    terms = QuotaTerms(
        cash_balance=100,
        bankers_acceptance=10,
        credit_limit=500,
        credit_refund=5,
        unsettled=30 + 200,
        outstanding_fees=50,
        negative_bill=20,
    )
    assert terms.quota == 355


def test_terms_of_a_pool_count_the_line_and_its_use_and_leave_the_deposit_out(make: Any) -> None:
    terms = make.pool(cash="100.00", overdraft=("500.00", "200.00"), deposit="1000.00").terms("CNY")
    assert terms == QuotaTerms(cash_balance=100_00, credit_limit=500_00, unsettled=200_00)
    assert terms.quota == 400_00


def test_an_episode_opens_strictly_below_the_threshold() -> None:
    low = watch()
    assert low.after_change(200_00, quota(100_00), T0, EPISODE) is None
    notice = there(low.after_change(100_00, quota(99_99), T0, EPISODE))
    assert (notice.kind, notice.episode_id, notice.reminder_number) == ("opened", EPISODE, 0)
    assert (notice.threshold, notice.terms.quota) == (100_00, 99_99)


def test_a_change_that_raises_a_quota_that_stays_low_opens_an_episode_too() -> None:
    assert there(watch().after_change(10_00, quota(20_00), T0, EPISODE)).kind == "opened"


def test_an_entry_that_leaves_the_quota_as_it_was_tells_nothing() -> None:
    assert watch().after_change(10_00, quota(10_00), T0, EPISODE) is None


def test_within_an_episode_further_changes_tell_nothing() -> None:
    low = opened()
    assert low.after_change(99_99, quota(1), T0 + HOUR, uuid4()) is None
    assert there(low.episode).episode_id == EPISODE


def test_an_episode_is_resolved_at_the_threshold_and_the_next_one_has_an_id_of_its_own() -> None:
    low = opened()
    assert there(low.after_change(1, quota(100_00), T0 + HOUR, uuid4())).kind == "resolved"
    assert (low.episode, low.changed[0].ending, low.changed[0].ended_at) == (None, "resolved", T0 + HOUR)
    second = UUID(int=2)
    assert there(low.after_change(100_00, quota(0), T0 + DAY, second)).episode_id == second


@pytest.mark.parametrize(
    ("margin", "resolved_from"),
    [
        ({"margin": 20_00}, 120_00),
        ({"margin_basis_points": 1_000}, 110_00),
        ({"margin": 1, "margin_basis_points": 333}, 103_34),
        ({}, 100_00),
    ],
)
def test_an_episode_ends_at_threshold_and_margin(margin: dict[str, Any], resolved_from: int) -> None:
    low = opened(**margin)
    assert low.after_change(1, quota(resolved_from - 1), T0, uuid4()) is None
    assert there(low.after_change(resolved_from - 1, quota(resolved_from), T0, uuid4())).kind == "resolved"


def test_a_margin_in_percent_is_rounded_half_up() -> None:
    assert Alert(1_50, margin_basis_points=100).resolved_from == 1_52
    assert Alert(1_49, margin_basis_points=100).resolved_from == 1_50


def test_a_reminder_comes_every_24_hours_and_five_times_at_most() -> None:
    low = opened()
    numbers = []
    for hours in range(1, 24 * 8):
        notice = low.after_time(quota(1), T0 + hours * HOUR)
        if notice is not None:
            numbers.append((hours, notice.kind, notice.reminder_number))
    assert numbers == [(24 * day, "reminder", day) for day in range(1, 6)]
    assert low.episode is not None
    assert low.episode.reminder_due_at is None


def test_days_that_were_slept_through_are_reminded_of_once() -> None:
    low = opened()
    assert there(low.after_time(quota(1), T0 + 3 * DAY + HOUR)).reminder_number == 3
    assert there(low.episode).reminder_due_at == T0 + 4 * DAY
    assert there(low.after_time(quota(1), T0 + 30 * DAY)).reminder_number == 5
    assert low.after_time(quota(1), T0 + 31 * DAY) is None


def test_between_threshold_and_margin_no_reminder_is_sent_and_the_days_go_on() -> None:
    low = opened(margin=20_00)
    assert low.after_time(quota(110_00), T0 + DAY) is None
    assert there(low.after_time(quota(50_00), T0 + 2 * DAY)).reminder_number == 2


def test_disabling_ends_the_episode_without_a_word() -> None:
    low = opened()
    assert low.after_alert_change(Alert(100_00, enabled=False), quota(1), T0 + HOUR) is None
    assert (low.episode, low.changed[0].ending) == (None, "disabled")
    assert low.after_change(1, quota(0), T0 + HOUR, uuid4()) is None
    assert low.after_time(quota(0), T0 + DAY) is None


def test_enabling_below_the_threshold_tells_nothing_until_the_next_change() -> None:
    low = watch(enabled=False)
    assert low.after_alert_change(Alert(100_00), quota(50_00), T0) is None
    assert low.episode is None
    assert there(low.after_change(50_00, quota(60_00), T0, EPISODE)).kind == "opened"


def test_a_changed_threshold_re_evaluates_the_open_episode() -> None:
    low = opened()
    assert low.after_alert_change(Alert(150_00), quota(99_99), T0) is None
    assert low.episode is not None
    notice = there(low.after_alert_change(Alert(50_00), quota(99_99), T0))
    assert (notice.kind, notice.threshold) == ("resolved", 50_00)


def test_a_raised_threshold_alone_opens_no_episode() -> None:
    calm = watch()
    assert calm.after_alert_change(Alert(500_00), quota(200_00), T0) is None
    assert calm.episode is None


def test_a_threshold_of_zero_never_fires_on_a_quota_of_zero() -> None:
    assert watch(0).after_change(10_00, quota(0), T0, EPISODE) is None
