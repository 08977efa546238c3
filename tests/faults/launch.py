"""Serves a service that comes to harm where a test says.

Production code knows no faults. Here named methods of it are wrapped: whenever the process comes to a named point,
it looks for a file of that name in the folder COFFER_FAULTS. Whichever instance takes the file away does what it
says: `kill` (SIGKILL to itself), `stop` (SIGSTOP to itself) or `hold` (wait there until the file is gone).
A file `bug` holds a mark; a handler raises for every batch in which a record's value contains it.
"""

import asyncio
import importlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from functools import wraps
from pathlib import Path
from typing import Any, Final

from chassis.consumer import Consumer, Handler
from chassis.kafka import Subscriber
from chassis.relay import Relay
from chassis.service import ServiceContext
from chassis.work import UnitOfWork

from chassis import Batch, Service, Subscription

FOLDER_VARIABLE: Final = "COFFER_FAULTS"
BUG: Final = "bug"
HOLD_POLL_SECONDS: Final = 0.01
LEASE: Final = timedelta(seconds=7)
REPORT_WAIT: Final = timedelta(seconds=10)
UNKNOWN_WAIT: Final = timedelta(seconds=2)
"""Time runs faster for deliveries: what an attempt leaves unclear is settled within seconds."""

SAVES: Final = {
    "credit": ("credit.repository.saving", "save"),
    "fund-pool": ("fund_pool.repository.orders", "save"),
    "cashplan": ("cashplan.repository.pool", "save_changes"),
    "sharing": ("sharing.repository.relationships", "update"),
    "notify": ("notify.repository.notices", "insert_notices"),
}
"""The function by which each service's handler, or command, writes what it has decided."""
COMMANDING: Final = ("sharing",)
"""Services whose work comes by HTTP: the points of the transaction are those of their commands too."""

Method = Callable[..., Awaitable[Any]]


class TestOnlyBug(Exception):
    """What a handler raises for a valid record, because a test wants a bug."""

    __test__ = False


def taken(point: str) -> Path | None:
    """The order for this point, if there is one and no other process has taken it."""
    order = Path(os.environ[FOLDER_VARIABLE]) / point
    mine = order.with_name(f"{point}.{os.getpid()}")
    try:
        order.rename(mine)
    except FileNotFoundError:
        return None
    return mine


def reach(point: str) -> Path | None:
    """Comes to a point: dies or freezes there if that is ordered; returns the order to wait for."""
    order = taken(point)
    if order is None:
        return None
    action = order.read_text()
    print(f'{{"event": "ordered fault", "action": "{action}", "point": "{point}"}}', flush=True)
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if action == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    return order if action == "hold" else None


async def pass_by(point: str) -> None:
    """Comes to a point from a coroutine, which may be held there."""
    order = reach(point)
    while order is not None and order.exists():  # noqa: ASYNC110  # the test's word is a file
        await asyncio.sleep(HOLD_POLL_SECONDS)


def before(owner: Any, name: str, point: str) -> None:
    original: Method = getattr(owner, name)

    @wraps(original)
    async def wrapped(*arguments: Any, **named: Any) -> Any:
        await pass_by(point)
        return await original(*arguments, **named)

    setattr(owner, name, wrapped)


def after(owner: Any, name: str, point: str) -> None:
    original: Method = getattr(owner, name)

    @wraps(original)
    async def wrapped(*arguments: Any, **named: Any) -> Any:
        result = await original(*arguments, **named)
        await pass_by(point)
        return result

    setattr(owner, name, wrapped)


def install(service: str) -> None:
    """The points that every service has, in the order in which a record meets them."""
    module, function = SAVES[service]
    before(Consumer, "consume", "after-fetch")
    before(importlib.import_module(module), function, "before-write")
    after(Consumer, "_finish", "before-commit")
    before(Subscriber, "commit", "after-commit")
    before(Relay, "send", "before-send")
    before(Relay, "delete", "after-send")
    if service in COMMANDING:
        after(UnitOfWork, "flush", "before-commit")
        install_after_command()


def install_after_command() -> None:
    original = ServiceContext.committed

    def wrapped(self: ServiceContext, work: UnitOfWork) -> None:
        reach("after-commit")
        original(self, work)

    ServiceContext.committed = wrapped  # type: ignore[method-assign]


def install_in_sender() -> None:
    """The points of a delivery: the phase is committed and nothing sent; accepted and not written down."""
    from notify.domain.answers import Answer, Verdict
    from notify.domain.outgoing import Outgoing
    from notify.sender import Sender

    begin, record = Sender.begin_attempt, Sender.record_answer

    async def begun(self: Sender, outgoing: Outgoing, *more: Any) -> bool:
        is_ours = await begin(self, outgoing, *more)
        await pass_by(f"{outgoing.delivery.channel}-before-request")
        return is_ours

    async def recorded(self: Sender, outgoing: Outgoing, answer: Answer) -> bool:
        if answer.verdict is Verdict.ACCEPTED:
            await pass_by(f"{outgoing.delivery.channel}-after-acceptance")
        return await record(self, outgoing, answer)

    Sender.begin_attempt = begun  # type: ignore[method-assign, assignment]
    Sender.record_answer = recorded  # type: ignore[method-assign]


def hurry_deliveries() -> None:
    """Besides, people take as many messages as the traffic causes, which is more than anybody should get."""
    from notify.domain.delivery import Limits
    from notify.settings import Settings

    usual: Callable[[Settings], Limits] = vars(Settings)["limits"].fget

    def limits(self: Settings) -> Limits:
        return replace(usual(self), lease=LEASE, report_wait=REPORT_WAIT, unknown_wait=UNKNOWN_WAIT)

    Settings.recipient_rates = property(lambda _: {})  # type: ignore[assignment, method-assign]
    Settings.limits = property(limits)  # type: ignore[assignment, method-assign]


def with_bug(handler: Handler) -> Handler:
    @wraps(handler)
    async def buggy(batch: Batch[Any]) -> None:
        file = Path(os.environ[FOLDER_VARIABLE]) / BUG
        mark = file.read_bytes() if file.exists() else b""
        if mark and any(mark in (record.raw.value or b"") for record in batch):
            raise TestOnlyBug(mark.decode())
        await handler(batch)

    return buggy


def install_all(name: str) -> None:
    """Imports a service with everything that serving needs, and wraps its points."""
    importlib.import_module(f"{_module(name)}.app")
    importlib.import_module("chassis.command_line")
    install(name)
    if name == "notify":
        install_in_sender()
        hurry_deliveries()


def run(name: str, *arguments: str) -> None:
    """Does what the service's own command does, with the points installed before."""
    service: Service = importlib.import_module(f"{_module(name)}.app").service
    subscriptions = tuple(
        Subscription(with_bug(entry.handler), *entry.events) for entry in service.subscriptions
    )
    sys.argv = [f"python -m {_module(name)}", *arguments]
    replace(service, subscriptions=subscriptions).main()


def _module(name: str) -> str:
    return name.replace("-", "_")
