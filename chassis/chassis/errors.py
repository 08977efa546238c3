"""Errors of the chassis: which ones pass by themselves, which name a refusal, which stop the process."""

import asyncio
import os
import signal
from typing import Final

import asyncpg
from aiokafka.errors import KafkaError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout


class ChassisError(Exception):
    """Base of the chassis' errors."""


class Refused(ChassisError):
    """A record that cannot be applied for a named reason; it goes to the dead letter with it."""

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason}: {detail}")


class BookkeepingFailed(ChassisError):
    """Positions, inbox or outbox could not be written for a reason that does not pass: the process must stop."""

    def __init__(self, step: str, cause: BaseException) -> None:
        self.step = step
        super().__init__(f"{step}: {cause}")


class Overtaken(ChassisError):
    """Another transaction has stored the same new row meanwhile; the next attempt finds it and goes on from it."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} were stored by another transaction meanwhile")


TRANSIENT_SQLSTATES: Final = frozenset(
    {
        "25P03",  # idle in transaction for too long: the session was ended
        "25P04",  # a transaction for too long: the session was ended
        "40001",  # serialization failure
        "40P01",  # deadlock
        "55P03",  # lock timeout
        "57014",  # statement timeout
        "57P01",  # admin shutdown
        "57P02",  # crash shutdown
        "57P03",  # cannot connect now
        "57P05",  # idle session timeout
    }
)
CLOSED_TRANSPORT: Final = "the handler is closed"
"""What uvloop says in a plain RuntimeError where asyncio raises a ConnectionError."""
TRANSIENT_CLASSES: Final = ("08", "53")  # connection; insufficient resources
TRANSIENT_TYPES: Final = (
    OSError,
    asyncio.TimeoutError,
    TimeoutError,
    KafkaError,
    PoolTimeout,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    Overtaken,
)


def is_transient(error: BaseException) -> bool:
    """Whether trying again later can succeed without anybody mending anything."""
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or _transient_driver_error(error.orig)
    return _transient_driver_error(error)


def _transient_driver_error(error: BaseException | None) -> bool:
    if error is None:
        return False
    sqlstate = getattr(error, "sqlstate", None) or ""
    if sqlstate in TRANSIENT_SQLSTATES or sqlstate[:2] in TRANSIENT_CLASSES:
        return True
    causes = (error, error.__cause__)
    return any(isinstance(cause, TRANSIENT_TYPES) or _is_closed_transport(cause) for cause in causes)


def _is_closed_transport(error: BaseException | None) -> bool:
    """Whether uvloop was asked to write to a connection that the other side has just dropped."""
    return type(error) is RuntimeError and CLOSED_TRANSPORT in str(error)


def stop_process() -> None:
    """Ends the process in the ordinary way: the batch in hand is rolled back, the group is left."""
    os.kill(os.getpid(), signal.SIGTERM)
