"""Clocks and counts: quiet hours, overdue spells that are told in any order, rates, and breakers."""

from datetime import UTC, datetime, time, timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from notify.domain.breaker import Breaker
from notify.domain.noise import Rate, Spell
from notify.domain.people import QuietHours

NOW = datetime(2026, 3, 10, 9, 0, tzinfo=UTC)
NIGHT = QuietHours(time(22), time(7))
SHANGHAI, BERLIN = "Asia/Shanghai", "Europe/Berlin"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("hours", "zone", "now", "end"),
    [
        (NIGHT, SHANGHAI, "2026-03-10T13:59:59", None),
        (NIGHT, SHANGHAI, "2026-03-10T14:00:00", "2026-03-10T23:00:00"),
        (NIGHT, SHANGHAI, "2026-03-10T22:59:59", "2026-03-10T23:00:00"),
        (NIGHT, SHANGHAI, "2026-03-10T23:00:00", None),
        (QuietHours(time(12), time(13, 30)), SHANGHAI, "2026-03-10T04:10:00", "2026-03-10T05:30:00"),
        # Berlin, 29 March 2026: 02:00 becomes 03:00, the night has nine hours less one
        (NIGHT, BERLIN, "2026-03-28T21:30:00", "2026-03-29T05:00:00"),
        (NIGHT, BERLIN, "2026-03-27T21:30:00", "2026-03-28T06:00:00"),
        # 02:30 does not exist that night: its end is read on the old clock, 03:30 on the new one
        (QuietHours(time(22), time(2, 30)), BERLIN, "2026-03-28T22:00:00", "2026-03-29T01:30:00"),
        # Berlin, 25 October 2026: 02:30 comes twice, the first counts, then the second
        (QuietHours(time(22), time(2, 30)), BERLIN, "2026-10-24T22:00:00", "2026-10-25T00:30:00"),
        (QuietHours(time(2), time(2, 45)), BERLIN, "2026-10-25T01:10:00", "2026-10-25T01:45:00"),
    ],
)
def test_when_quiet_hours_end(hours: QuietHours, zone: str, now: str, end: str | None) -> None:
    assert hours.end_after(utc(now), zone) == (utc(end) if end else None)


@given(
    begins=st.times(timezones=st.none()),
    ends=st.times(timezones=st.none()),
    now=st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),
    zone=st.sampled_from([SHANGHAI, BERLIN, "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
)
def test_quiet_hours_end_ahead_and_within_a_day_and_an_hour(
    begins: time, ends: time, now: datetime, zone: str
) -> None:
    end = QuietHours(begins, ends).end_after(now, zone)
    assert end is None or now < end <= now + timedelta(hours=25)


def test_an_overdue_spell_is_the_same_in_whatever_order_it_is_told() -> None:
    """E-1 from 1 to 3, E-2 from 5 on."""
    at = [NOW + timedelta(hours=hour) for hour in range(7)]
    told = [("opened", "E-1", 1, 1), ("cleared", "E-1", 1, 3), ("opened", "E-2", 5, 5)]
    for order in permutations(told):
        spell = Spell()
        for kind, episode, began, hour in order:
            was_opened = spell.opened(episode, at[hour])
            spell = was_opened if kind == "opened" else spell.cleared(episode, at[began], at[hour])
        assert spell == Spell("E-2", at[5], None), order
        assert [spell.covers(moment) for moment in (at[4], at[5], at[6])] == [False, True, True]


@given(burst=st.integers(1, 20), count=st.integers(1, 60), gap=st.integers(0, 20))
def test_a_rate_never_lets_more_through_than_its_burst_and_its_interval(
    burst: int, count: int, gap: int
) -> None:
    rate, arrival = Rate(burst, timedelta(seconds=10)), None
    went: list[datetime] = []
    for number in range(count):
        goes_at, arrival = rate.admit(arrival, NOW + timedelta(seconds=number * gap))
        went.append(goes_at)
    for first, at in enumerate(went):
        within = [other for other in went[first:] if other < at + timedelta(seconds=60)]
        assert len(within) <= burst + 6


def test_a_breaker_opens_at_the_fifth_fault_and_tries_with_one() -> None:
    breaker = Breaker()
    for _ in range(4):
        breaker = breaker.failed(NOW)
    assert breaker.admits(50, NOW) == 50
    breaker = breaker.failed(NOW)
    assert (breaker.admits(50, NOW), breaker.open_until) == (0, NOW + timedelta(seconds=30))
    assert breaker.failed(NOW) == breaker, "attempts that were under way count no more"
    later = NOW + timedelta(seconds=30)
    assert breaker.admits(50, later) == 1
    again = breaker.failed(later)
    assert again.open_until == later + timedelta(seconds=60)
    assert again.succeeded().admits(50, later) == 50


def test_a_fault_now_and_then_opens_nothing() -> None:
    breaker = Breaker()
    for _ in range(20):
        breaker = breaker.failed(NOW).succeeded()
    assert not breaker.is_tripped


def test_a_breaker_rests_no_longer_than_ten_minutes() -> None:
    breaker, now = Breaker(), NOW
    for _ in range(40):
        breaker = breaker.failed(now)
        now = breaker.open_until or now
    assert breaker.open_until is not None
    assert breaker.failed(now).open_until == now + timedelta(minutes=10)
