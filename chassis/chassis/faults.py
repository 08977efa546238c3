"""Faults that pass by themselves are told once when they begin and once when they are over."""

import time
from collections.abc import Callable
from typing import Any, Final

import structlog

REMINDER_SECONDS: Final = 60.0

log: Final[Any] = structlog.get_logger(__name__)


class Fault:
    """What one loop waits for: told when it begins, once a minute while it lasts, and when it is over."""

    def __init__(
        self, waiting: str, over: str, *, monotonic: Callable[[], float] = time.monotonic, log: Any = log
    ) -> None:
        self.waiting = waiting
        self.over = over
        self._monotonic = monotonic
        self._log = log
        self._told_at: float | None = None

    def failed(self, error: Exception) -> None:
        now = self._monotonic()
        if self._told_at is None or now - self._told_at >= REMINDER_SECONDS:
            self._told_at = now
            self._log.warning(self.waiting, error=f"{type(error).__name__}: {error}".splitlines()[0][:300])

    def passed(self) -> None:
        if self._told_at is not None:
            self._log.info(self.over)
        self._told_at = None
