"""Tells of faults that pass: once when they begin and once when they are over, however often they show."""

from typing import Any, Final

import structlog

log: Final[Any] = structlog.get_logger(__name__)


class FaultLog:
    """Remembers which steps are failing; a fault that stops several of them is told by the first."""

    def __init__(self) -> None:
        self._failing: set[str] = set()

    def failed(self, step: str, error: Exception) -> None:
        if not self._failing:
            log.warning("sending waits for a fault to pass", step=step, error=type(error).__name__)
        self._failing.add(step)

    def succeeded(self, *steps: str) -> None:
        if not self._failing:
            return
        self._failing.difference_update(steps)
        if not self._failing:
            log.info("sending goes on", steps=steps)
