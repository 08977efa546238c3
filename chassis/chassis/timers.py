"""Fires due timers: each batch of one kind in one transaction with its effects and events."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final

import structlog

from chassis import bookkeeping, metrics
from chassis.database import Database
from chassis.errors import is_transient
from chassis.faults import Fault
from chassis.work import Committed, Timer, TimerBatch

TIMERS_MAX: Final = 200
POLL_SECONDS_MAX: Final = 1.0
RETRY_MAX: Final = timedelta(hours=1)

log = structlog.get_logger(__name__)

TimerHandler = Callable[[TimerBatch], Awaitable[None]]


class TimerRunner:
    """Every instance runs one; due timers are locked and skipped, so that each fires once."""

    def __init__(
        self, service: str, database: Database, handlers: Mapping[str, TimerHandler], committed: Committed
    ) -> None:
        self.service = service
        self.database = database
        self.handlers = handlers
        self.committed = committed
        self._fault = Fault("timers wait for a fault to pass", "timers are fired again", log=log)

    async def run(self) -> None:
        while True:
            try:
                fired = await self.fire_due()
                pause = 0 if fired else await self._idle_seconds()
                self._fault.passed()
                await asyncio.sleep(pause)
            except Exception as error:
                self._fault.failed(error)
                await asyncio.sleep(POLL_SECONDS_MAX)

    async def _idle_seconds(self) -> float:
        async with self.database.transaction() as connection:
            delay = await bookkeeping.next_due(connection)
        seconds = delay.total_seconds() if delay is not None else POLL_SECONDS_MAX
        metrics.timer_overdue_seconds.set(max(-seconds, 0))
        return min(max(seconds, 0.01), POLL_SECONDS_MAX)

    async def fire_due(self, at: datetime | None = None) -> int:
        """Fires the timers due now (or at a moment that a test passes in); returns how many."""
        try:
            return await self._fire(TIMERS_MAX, at)
        except Exception as error:
            if is_transient(error):
                raise
            log.exception("timers failed; they are fired one by one")
            return await self._fire_each(at)

    async def _fire(self, limit: int, at: datetime | None) -> int:
        works: list[TimerBatch] = []
        async with self.database.transaction() as connection:
            now, timers = await bookkeeping.due_timers(connection, f"coffer/{self.service}", limit, at)
            for kind, group in groupby(timers, key=lambda timer: timer.kind):
                work = TimerBatch(service=self.service, connection=connection, now=now, timers=list(group))
                await self.handlers[kind](work)
                works.append(work)
            if timers:
                await bookkeeping.delete_timers(connection, timers)
            for work in works:
                await work.flush()
        for work in works:
            self.committed.committed(work)
            metrics.timers_fired.labels(kind=work.timers[0].kind).inc(len(work.timers))
        return len(timers)

    async def _fire_each(self, at: datetime | None) -> int:
        """The first timer alone; one that fails is tried again later, ever more rarely, and never lost."""
        try:
            return await self._fire(1, at)
        except Exception as error:
            if is_transient(error):
                raise
            log.exception("timer failed; it is postponed")
            return await self._postpone_first(at)

    async def _postpone_first(self, at: datetime | None) -> int:
        async with self.database.transaction() as connection:
            _, timers = await bookkeeping.due_timers(connection, f"coffer/{self.service}", 1, at)
            for timer in timers:
                await bookkeeping.postpone_timer(connection, timer, retry_delay(timer))
        return len(timers)


def retry_delay(timer: Timer) -> timedelta:
    """10 s, 20 s, 40 s ... at most an hour."""
    return min(timedelta(seconds=10 * 2 ** min(timer.attempts, 10)), RETRY_MAX)
