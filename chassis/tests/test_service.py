"""A service stops in time whatever hangs meanwhile."""

import asyncio
from time import monotonic
from typing import NoReturn

from sample_service.app import service
from structlog.testing import capture_logs

from chassis import ServiceContext

BOUND = 1.5


def context() -> ServiceContext:
    settings = service.settings(
        KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1", database_dsn="postgresql://nobody@127.0.0.1:1/none"
    )
    return ServiceContext(service, settings)


async def hang(*_: object) -> NoReturn:
    await asyncio.Event().wait()
    raise AssertionError


async def cleans_up_without_end() -> None:
    try:
        await hang()
    finally:
        await hang()


async def never_listens() -> None:
    while True:
        try:
            await hang()
        except asyncio.CancelledError:
            if released.is_set():
                return


released = asyncio.Event()


async def test_a_hanging_broker_pool_and_loops_are_left_behind_in_time() -> None:
    running = context()
    running.subscriber.stop = hang  # type: ignore[method-assign]
    running.database.close = hang  # type: ignore[method-assign]
    cleaning = asyncio.create_task(cleans_up_without_end(), name="cleaning")
    stubborn = asyncio.create_task(never_listens(), name="stubborn")
    running._tasks += [cleaning, stubborn]
    await asyncio.sleep(0)
    began = monotonic()
    with capture_logs() as lines:
        await running.stop(BOUND)
    assert monotonic() - began < BOUND + 0.5
    assert running.stopping.is_set()
    assert cleaning.cancelled()
    assert [line["event"] for line in lines] == [
        "left the group by force",
        "background tasks are left behind",
        "closed the pool by force",
        "stopped",
    ]
    assert lines[1]["tasks"] == ["stubborn"]
    released.set()
    stubborn.cancel()
    await stubborn


async def test_nothing_is_said_of_force_where_all_ends_by_itself() -> None:
    running = context()
    running._tasks.append(asyncio.create_task(hang()))
    with capture_logs() as lines:
        await running.stop(BOUND)
    assert [line["event"] for line in lines] == ["stopped"]
    assert lines[0]["seconds"] < BOUND


async def test_a_service_that_waits_for_its_database_stops_at_once() -> None:
    running = context()
    running.start()
    readiness = await running.readiness()
    assert [(each.name, each.ok) for each in readiness] == [("database", False), ("consumer", False)]
    began = monotonic()
    await running.stop(BOUND)
    assert monotonic() - began < BOUND
