"""How fast messages go to one provider: at most so many in every second, whatever happened before."""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

SPREAD: Final = timedelta(milliseconds=100)
"""How much longer one message may be on its way than another without a second at the provider holding too many."""
WINDOW: Final = timedelta(seconds=1) + SPREAD
AHEAD: Final = timedelta(milliseconds=150)
"""How far ahead turns are booked: a look finds at least what goes out until the next one."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Turns at one provider, evenly spaced, booked by all instances in the order in which they ask.

    There is no burst: time in which nothing was sent is not saved up.
    """

    per_second: int

    @property
    def interval(self) -> timedelta:
        return WINDOW / self.per_second

    def room(self, free_from: datetime | None, now: datetime, wanted: int) -> int:
        """How many of the wanted messages have a turn soon."""
        left = now + AHEAD - self._first(free_from, now)
        return 0 if left < timedelta(0) else min(wanted, left // self.interval + 1)

    def turns(self, free_from: datetime | None, now: datetime, count: int) -> list[datetime]:
        """The next turns; the one behind the last of them is free from an interval later on."""
        first = self._first(free_from, now)
        return [first + number * self.interval for number in range(count)]

    def _first(self, free_from: datetime | None, now: datetime) -> datetime:
        return max(free_from or now, now)


@dataclass(slots=True)
class Door:
    """What one instance has sent lately: it makes up for turns that it missed, but never beyond the pace.

    Seconds are those of a clock that never goes back.
    """

    per_second: int
    _passed: deque[float] = field(default_factory=deque)

    def passes(self, now_seconds: float) -> float:
        """0 when a message goes now; else for how many seconds it must wait before it asks again."""
        if len(self._passed) < self.per_second:
            self._passed.append(now_seconds)
            return 0
        wait = self._passed[0] + WINDOW.total_seconds() - now_seconds
        if wait > 0:
            return wait
        self._passed.popleft()
        self._passed.append(now_seconds)
        return 0
