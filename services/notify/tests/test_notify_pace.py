"""The pace of a provider: over every second, whatever was booked, missed or made up for before."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from notify.domain.pace import AHEAD, SPREAD, WINDOW, Door, Pace

NOW = datetime(2026, 3, 10, 9, 0, tzinfo=UTC)
PER_SECOND = st.sampled_from([1, 2, 3, 7, 10, 100, 333])
STEPS = st.lists(st.tuples(st.integers(0, 1_500), st.integers(0, 60)), min_size=1, max_size=60)
"""Milliseconds that pass, and how many messages are wanted then."""


def most_within(moments: list[float], seconds: float) -> int:
    """The most that lie within any window of this length, its end not included."""
    ordered, begin, most = sorted(moments), 0, 0
    for end, moment in enumerate(ordered):
        while moment - ordered[begin] >= seconds:
            begin += 1
        most = max(most, end - begin + 1)
    return most


def test_ten_a_second_have_a_turn_every_110_milliseconds() -> None:
    pace = Pace(10)
    assert pace.interval == timedelta(milliseconds=110)
    assert pace.room(None, NOW, 50) == 2, "at once and after 110 ms; the third lies more than 150 ms ahead"
    turns = pace.turns(None, NOW, 2)
    assert turns == [NOW, NOW + timedelta(milliseconds=110)]
    free_from = turns[-1] + pace.interval
    assert pace.room(free_from, NOW, 50) == 0
    assert pace.room(free_from, NOW + timedelta(milliseconds=70), 50) == 1
    assert pace.room(free_from, NOW + timedelta(hours=1), 50) == 2, "an idle hour saves nothing up"
    assert pace.room(None, NOW, 1) == 1


def test_a_second_holds_no_more_than_its_number_even_when_turns_were_missed() -> None:
    """Three a second: the fourth waits until 1.1 s after the first, however late the first three were."""
    door = Door(3)
    assert [door.passes(5.0), door.passes(5.0), door.passes(5.2)] == [0, 0, 0]
    assert round(door.passes(5.2), 6) == 0.9
    assert door.passes(6.11) == 0
    assert door.passes(6.11) == 0
    assert round(door.passes(6.11), 6) == 0.19


@given(per_second=PER_SECOND, steps=STEPS)
def test_no_window_has_more_turns_than_its_pace(per_second: int, steps: list[tuple[int, int]]) -> None:
    pace, now = Pace(per_second), NOW
    free_from: datetime | None = None
    booked: list[datetime] = []
    for milliseconds, wanted in steps:
        now += timedelta(milliseconds=milliseconds)
        count = pace.room(free_from, now, wanted)
        assert 0 <= count <= wanted
        turns = pace.turns(free_from, now, count)
        assert all(now <= turn <= now + AHEAD for turn in turns)
        booked += turns
        free_from = turns[-1] + pace.interval if turns else free_from
    assert all(later - earlier >= pace.interval for earlier, later in pairwise(booked))
    seconds = [(turn - NOW).total_seconds() for turn in booked]
    assert most_within(seconds, 1.0) <= per_second


@given(
    per_second=PER_SECOND,
    asked=st.lists(st.integers(0, 4_000), max_size=400).map(sorted),
    travels=st.lists(st.integers(0, int(SPREAD.total_seconds() * 1_000)), min_size=400, max_size=400),
)
def test_no_second_at_the_provider_holds_more_than_the_pace(
    per_second: int, asked: list[int], travels: list[int]
) -> None:
    """Whoever is told to wait asks again later; each message is up to 100 ms on its way."""
    door = Door(per_second)
    waiting = [milliseconds / 1_000 for milliseconds in asked]
    left: list[float] = []
    while waiting:
        now = min(waiting)
        waiting.remove(now)
        wait = door.passes(now)
        if wait > 0:
            waiting.append(now + wait + 1e-9)
        else:
            left.append(now)
    assert len(left) == len(asked)
    assert most_within(left, WINDOW.total_seconds() - 1e-6) <= per_second
    arrived = [moment + travel / 1_000 for moment, travel in zip(left, travels, strict=False)]
    assert most_within(arrived, 1.0 - 1e-6) <= per_second
