"""Wakes this process's senders when deliveries are being stored, so that they need not wait for the next poll."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final


class Bell:
    """Rung inside the transaction that stores deliveries; who hears it looks again shortly after."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Event] = set()

    def ring(self) -> None:
        for listener in self._listeners:
            listener.set()

    @contextmanager
    def listener(self) -> Iterator[asyncio.Event]:
        """An event that every ring sets, for as long as the block runs."""
        event = asyncio.Event()
        self._listeners.add(event)
        try:
            yield event
        finally:
            self._listeners.discard(event)


BELL: Final = Bell()
