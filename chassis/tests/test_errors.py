"""Which failures pass by themselves: after these a batch is tried again, after others its records are put aside."""

import asyncio

import asyncpg
import pytest
import uvloop
from chassis.errors import is_transient


async def _write_to_a_dropped_connection() -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.transport.abort()
        await asyncio.sleep(0)
        writer.transport.write(b"select 1")


def test_a_connection_that_uvloop_finds_dropped_comes_back() -> None:
    with (
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        pytest.raises(RuntimeError) as found,
    ):
        runner.run(_write_to_a_dropped_connection())
    assert is_transient(found.value)


@pytest.mark.parametrize(
    "error",
    [asyncpg.TransactionTimeoutError("", ""), asyncpg.DeadlockDetectedError(""), ConnectionResetError()],
    ids=lambda error: type(error).__name__,
)
def test_sessions_that_were_ended_and_locks_that_were_taken_pass(error: Exception) -> None:
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [RuntimeError("another"), ValueError(), asyncpg.UniqueViolationError("")],
    ids=lambda error: type(error).__name__,
)
def test_what_will_fail_again_does_not(error: Exception) -> None:
    assert not is_transient(error)
