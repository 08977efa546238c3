"""Waiting for conditions, and running coroutines from plain functions."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from ops.local.errors import NotReadyError

# Polls begin often, so that what is quick is seen at once, and grow rarer, so that long waits cost little.
POLL_SECONDS = 0.02
POLL_SECONDS_MAX = 0.25
POLL_GROWTH = 1.15

Result = TypeVar("Result")


def wait_until(condition: Callable[[], object], timeout_seconds: float, what: str) -> None:
    """Return as soon as the condition holds; raise NotReadyError when the time is over."""
    deadline = time.monotonic() + timeout_seconds
    pause = POLL_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise NotReadyError(what, timeout_seconds)
        time.sleep(pause)
        pause = min(pause * POLL_GROWTH, POLL_SECONDS_MAX)


def run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine to its end, also where the caller's thread has a running event loop."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


def together(*actions: Callable[[], object]) -> None:
    """Do several things at once; when all have ended, raise the first error among them."""
    with ThreadPoolExecutor(max_workers=max(1, len(actions))) as pool:
        futures = [pool.submit(action) for action in actions]
    for future in futures:
        future.result()
