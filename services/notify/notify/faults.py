"""Tells of faults that pass: once when they begin and once when they are over, however often they show."""

from typing import Any, Final

import structlog

log: Final[Any] = structlog.get_logger(__name__)


class FaultLog:
    """Remembers which steps are failing."""

    def __init__(self) -> None:
        self._failing: set[str] = set()

    def failed(self, step: str, error: Exception) -> None:
        if step not in self._failing:
            log.warning("sending waits for a fault to pass", step=step, error=type(error).__name__)
        self._failing.add(step)

    def succeeded(self, *steps: str) -> None:
        if not self._failing.isdisjoint(steps):
            log.info("sending goes on", steps=steps)
        self._failing.difference_update(steps)
