"""A provider that fails again and again is left alone for a while, and then tried with one message."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

FAULTS_MAX: Final = 5
FIRST_REST: Final = timedelta(seconds=30)
REST_MAX: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Breaker:
    """`faults` in a row; from the fifth on it is open until `open_until`, then half open: one message at a time."""

    faults: int = 0
    open_until: datetime | None = None

    def is_open(self, now: datetime) -> bool:
        return self.open_until is not None and now < self.open_until

    @property
    def is_tripped(self) -> bool:
        return self.open_until is not None

    def admits(self, wanted: int, now: datetime) -> int:
        """How many messages may be tried now."""
        if self.is_open(now):
            return 0
        return min(wanted, 1) if self.is_tripped else wanted

    def failed(self, now: datetime) -> "Breaker":
        if self.is_open(now):
            return self
        faults = self.faults + 1
        if faults < FAULTS_MAX:
            return replace(self, faults=faults)
        rest = min(FIRST_REST * 2 ** min(faults - FAULTS_MAX, 10), REST_MAX)
        return Breaker(faults, now + rest)

    def succeeded(self) -> "Breaker":
        return Breaker()
