"""Starts a whole stack as quickly as a small machine can: one process makes all tables while services load."""

import time
from collections.abc import Callable
from typing import Final

from chassis.migrations import upgrade

from ops.local.services import SERVICES
from ops.local.stack import Stack
from ops.local.waiting import run, together

NAMES: Final = tuple(service.name for service in SERVICES)


def start(stack: Stack, *, fresh: bool = False) -> None:
    """Returns when everything is ready; fresh: with empty topics and databases, whatever was in them."""
    stack.start_infrastructure()
    together(lambda: stack.create_topics(fresh=fresh), lambda: stack.create_databases(fresh=fresh))
    timed(stack.say, "The five services are ready", lambda: start_services(stack))
    stack.write_environment_file()


def start_services(stack: Stack) -> None:
    """Starts the five services and makes their tables meanwhile, for which they wait by themselves."""
    started = [stack.start_service(name) for name in NAMES]
    run(_migrate(stack))
    together(*(service.wait_ready for service in started))


async def _migrate(stack: Stack) -> None:
    """One after the other: Alembic knows one migration at a time in a process."""
    for service in SERVICES:
        await upgrade(service.module, stack.dsn(service.name, owner=True))


def timed(say: Callable[[str], None], what: str, action: Callable[[], object]) -> None:
    """Does it, and says that it is done and how long it took."""
    began = time.monotonic()
    action()
    say(f"{what} ({time.monotonic() - began:.1f} s)")
