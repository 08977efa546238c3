"""A service: what it reads, answers, schedules and checks; started, watched and stopped in one place."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import structlog
from fastapi import FastAPI
from sqlalchemy import text

from chassis import bookkeeping, invariants, metrics, tracing
from chassis.consumer import Consumer, Subscription
from chassis.database import Database
from chassis.errors import is_transient, stop_process
from chassis.faults import Fault
from chassis.http.application import build_app
from chassis.http.ports import Readiness
from chassis.http.router import Router
from chassis.invariants import CHASSIS_CHECKS, Check
from chassis.kafka import BATCH_END_SECONDS_MAX, Subscriber, Watch
from chassis.relay import Relay, measure_outbox
from chassis.settings import Settings
from chassis.timers import TimerHandler, TimerRunner
from chassis.work import CausedBy, UnitOfWork

OUTBOX_AGE_SECONDS_MAX: Final = 60.0
MEASURE_SECONDS: Final = 5.0
PRUNE_SECONDS: Final = 60.0
INBOX_DAYS: Final = 16
IDEMPOTENCY_DAYS: Final = 7
STOP_SECONDS_MAX: Final = 7.0
LEAVE_SHARE: Final = 0.7
FORCE_SECONDS_MAX: Final = 0.5

assert BATCH_END_SECONDS_MAX < STOP_SECONDS_MAX * LEAVE_SHARE, "the group is left in order after the batch"

log = structlog.get_logger(__name__)

Job = Callable[["ServiceContext"], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Service:
    """A service on one page: `app.py` makes one, `__main__.py` runs its `main`.

    `facts` names queries whose rows another service must agree with; `make verify` compares them.
    """

    name: str
    package: str
    subscriptions: tuple[Subscription, ...] = ()
    timers: Mapping[str, TimerHandler] = field(default_factory=dict)
    routers: tuple[Router, ...] = ()
    jobs: tuple[Job, ...] = ()
    checks: tuple[Check, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    settings: type[Settings] = Settings

    @property
    def all_checks(self) -> tuple[Check, ...]:
        return CHASSIS_CHECKS + self.checks

    def main(self) -> None:
        """The command line: serve, migrate, verify, gaps, dead-letters, redrive."""
        from chassis.command_line import run

        run(self)

    def application(self, settings: Settings) -> FastAPI:
        """The ASGI application whose lifespan runs everything else."""
        return ServiceContext(self, settings).application()


class ServiceContext:
    """A running service: its database, consumer, relay and timers."""

    def __init__(
        self, service: Service, settings: Settings, *, now: Callable[[], datetime | None] = lambda: None
    ) -> None:
        self.service = service
        self.name = service.name
        self.settings = settings
        self.metrics = metrics
        self._now = now
        self.stopping = asyncio.Event()
        self.database = Database(
            settings.database_dsn.get_secret_value(),
            application_name=f"{service.name}-{settings.instance}",
            connections_max=settings.database_connections_max,
        )
        self.relay = Relay(
            service.name,
            settings.database_dsn.get_secret_value(),
            settings.kafka_bootstrap_servers,
            self.database,
        )
        topics = [topic for entry in service.subscriptions for topic in entry.topics]
        self.subscriber = Subscriber(
            settings.kafka_bootstrap_servers,
            service.name,
            f"{service.name}-{settings.instance}",
            [*topics, f"{service.name}.redrive"],
            settings.batch_records_max,
        )
        self.consumer = Consumer(
            service.name,
            self.database,
            service.subscriptions,
            self.subscriber,
            self,
            stopping=self.stopping,
            now=now,
        )
        self.timers = TimerRunner(service.name, self.database, service.timers, self)
        self._tasks: list[asyncio.Task[None]] = []

    def now(self) -> datetime | None:
        """The moment that a test passes in; None leaves it to the database's clock."""
        return self._now()

    def committed(self, work: UnitOfWork) -> None:
        """Wakes the relay and counts decisions once a transaction has committed."""
        if work.outbox:
            self.relay.wake()
        for (decision, outcome), number in work.counts.items():
            metrics.decisions.labels(decision=decision, outcome=outcome).inc(number)

    def application(self) -> FastAPI:
        return build_app(self, self.service.routers, self._lifespan)

    @asynccontextmanager
    async def _lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        self.start()
        try:
            yield
        finally:
            await self.stop()

    def start(self) -> None:
        """Begins to run in the background; `readiness` tells how far it is."""
        self._tasks.append(asyncio.create_task(self._run(), name="run"))

    async def _run(self) -> None:
        """Waits for the database, then for Kafka; everything that runs beside HTTP starts here."""
        await self._until_database()
        self._prepare_codecs()
        loops: list[Awaitable[None]] = [self.relay.run(), self._measure(), self._prune()]
        loops.append(
            invariants.watch(self.database, self.service.all_checks, self.settings.invariant_seconds)
        )
        if self.service.timers:
            loops.append(self.timers.run())
        loops.extend(job(self) for job in self.service.jobs)
        self._tasks.extend(
            asyncio.create_task(self._guard(loop), name=getattr(loop, "__qualname__", None)) for loop in loops
        )
        await self.subscriber.start(self.consumer)
        self._tasks.append(asyncio.create_task(Watch(self.subscriber, self.consumer, self.database).run()))
        _settle_garbage()

    def _prepare_codecs(self) -> None:
        """Builds what reads this service's events now, so that the first of them need not wait for it."""
        for entry in self.service.subscriptions:
            for event in entry.events:
                assert event.adapter is not None, "a codec is built when it is first asked for"

    async def _guard(self, loop: Awaitable[None]) -> None:
        """A loop that ends by an error takes the process with it; the next start is the mending."""
        try:
            await loop
        except asyncio.CancelledError:
            raise
        except Exception:
            log.critical("a background loop has failed; the process stops", exc_info=True)
            stop_process()

    async def _until_database(self) -> None:
        fault = Fault("waiting for the database, or for its migrations", "the database answers", log=log)
        while True:
            try:
                async with self.database.engine.connect() as connection:
                    await connection.execute(text("select 1 from position limit 1"))
            except Exception as error:
                fault.failed(error)
                await asyncio.sleep(1)
            else:
                fault.passed()
                return

    async def _measure(self) -> None:
        """Readiness as a metric, for those who watch by metrics alone."""
        while True:
            conditions = await self.readiness()
            metrics.ready.set(all(condition.ok for condition in conditions))
            await asyncio.sleep(MEASURE_SECONDS)

    async def _prune(self) -> None:
        while True:
            await asyncio.sleep(PRUNE_SECONDS)
            try:
                async with self.database.transaction() as connection:
                    await bookkeeping.prune(connection, INBOX_DAYS, IDEMPOTENCY_DAYS)
            except Exception as error:
                if not is_transient(error):
                    raise

    @asynccontextmanager
    async def open_work(self, cause: CausedBy) -> AsyncIterator[UnitOfWork]:
        """A command's transaction: flushed and committed when the block ends, rolled back when it raises."""
        async with self.database.transaction() as connection:
            now = self.now() or (await connection.execute(text("select clock_timestamp()"))).scalar_one()
            work = UnitOfWork(service=self.name, connection=connection, now=now, cause=cause)
            yield work
            await work.flush()
        self.committed(work)

    async def readiness(self) -> list[Readiness]:
        """Named conditions, whether each holds, and a sentence."""
        return [*await self._database_readiness(), Readiness("consumer", *self.subscriber.readiness())]

    async def _database_readiness(self) -> list[Readiness]:
        try:
            async with asyncio.timeout(3):
                rows, age = await measure_outbox(self.database)
                async with self.database.transaction() as connection:
                    gaps = await bookkeeping.open_gaps(connection)
        except Exception as error:
            return [Readiness("database", False, f"{type(error).__name__}: {error}".splitlines()[0][:200])]
        stale = age > OUTBOX_AGE_SECONDS_MAX
        return [
            Readiness("database", True, "answers"),
            Readiness("outbox", not stale, f"{rows} events wait, the oldest for {age:.0f} s"),
            Readiness("gaps", not gaps, "; ".join(_gap_sentence(gap) for gap in gaps) or "none"),
        ]

    async def stop(self, seconds_max: float = STOP_SECONDS_MAX) -> None:
        """Finishes the batch in hand, leaves the group, publishes no more, closes the pool.

        Whatever hangs meanwhile, because the broker or the database is away, is left behind in time: what it had
        in hand is found by the next start or by another instance.
        """
        clock = asyncio.get_running_loop().time
        began = clock()
        self.stopping.set()
        for task in self._tasks[:1]:
            task.cancel()
        await _in_time("left the group by force", began + seconds_max * LEAVE_SHARE, self.subscriber.stop())
        await _end(self._tasks, began + seconds_max - 2 * FORCE_SECONDS_MAX)
        await _in_time("closed the pool by force", began + seconds_max, self.database.close())
        tracing.shutdown()
        log.info("stopped", seconds=round(clock() - began, 1))


async def _in_time(forced: str, deadline: float, step: Awaitable[None]) -> None:
    """One step of stopping; that it did not come to its end is said and no more."""
    try:
        async with asyncio.timeout_at(deadline):
            await step
    except Exception as error:
        log.warning(forced, error=f"{type(error).__name__}: {error}"[:200])


async def _end(tasks: Sequence[asyncio.Task[None]], deadline: float) -> None:
    """Cancels tasks, and cancels their clean-up too where it outlasts the deadline."""
    left = set(tasks)
    for seconds in (deadline - asyncio.get_running_loop().time(), FORCE_SECONDS_MAX):
        for task in left:
            task.cancel()
        if left:
            _, left = await asyncio.wait(left, timeout=max(seconds, 0))
    if left:
        log.warning("background tasks are left behind", tasks=sorted(task.get_name() for task in left))


def _gap_sentence(gap: Any) -> str:
    return f"{gap.topic}/{gap.partition}: offsets from {gap.expected_offset} on are gone ({gap.kind})"


def _settle_garbage() -> None:
    """What was made while starting lives for good: it is taken out of every later collection."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
