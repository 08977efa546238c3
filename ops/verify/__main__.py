"""Runs every check against the stack that the environment, or `.local`, names."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Final, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from ops.local.stack import Stack
from ops.verify.checks import AGREEMENTS, Evidence, Outcome, run_all
from ops.verify.log import ends_of, read_log
from ops.verify.services import SERVICES, ServiceCannotAnswer, Services, from_environment, topics_read_by

TOPICS: Final = (
    "order-submitted",
    "order-cancelled",
    "master-data-changed",
    "payment-received",
    "credit-checked",
    "order-decided",
    "balance-changed",
    "entry-posted",
    "quota-low",
    "relationship-changed",
    "notification-status",
)
T = TypeVar("T")

VIOLATIONS_SHOWN_MAX: Final = 5
DRAIN_POLL_SECONDS: Final = 0.5


async def wait_until_drained(services: Services, servers: str, seconds: float) -> bool:
    """Whether every service has read all its partitions and published all its events within this time."""
    deadline = time.monotonic() + seconds
    while not await _is_drained(services, servers):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(DRAIN_POLL_SECONDS)
    return True


async def _is_drained(services: Services, servers: str) -> bool:
    """Nothing is on its way: whatever was published meanwhile would have moved an end."""
    topics = sorted(set(TOPICS).union(*map(topics_read_by, SERVICES)))
    ends = await ends_of(servers, topics)
    positions = await _each(services.positions)
    waiting = await _each(services.waiting)
    if any(waiting.values()) or not all(
        _filled(service, known, ends).items() <= ends.items() for service, known in positions.items()
    ):
        return False
    return await ends_of(servers, topics) == ends


def _filled(
    service: str, positions: Mapping[tuple[str, int], int], ends: Mapping[tuple[str, int], int]
) -> dict[tuple[str, int], int]:
    """The positions, with 0 for partitions that the service reads and has not begun."""
    read = topics_read_by(service)
    return {place: 0 for place in ends if place[0] in read} | dict(positions)


async def _each(ask: Callable[[str], Awaitable[T]]) -> dict[str, T]:
    return dict(zip(SERVICES, await asyncio.gather(*map(ask, SERVICES)), strict=True))


async def gather(services: Services, servers: str) -> Evidence:
    """Reads topics and services; nothing may be in flight meanwhile."""
    positions = await _each(services.positions)
    log = await read_log(servers, sorted(set(TOPICS).union(*map(topics_read_by, SERVICES))))
    pairs = sorted({side for _, _, *sides in AGREEMENTS for side in sides} | {("credit", "parked-events")})
    return Evidence(
        log=log,
        positions={service: _filled(service, known, log.ends) for service, known in positions.items()},
        dead_letters=await _each(services.dead_letters),
        facts={pair: frozenset(tuple(row) for row in await services.facts(*pair)) for pair in pairs},
    )


async def invariants(services: Services) -> list[Outcome]:
    """What each service checks in its own database."""
    return [
        Outcome(f"{service}: {check['name']}", check["sentence"], [str(row) for row in check["violations"]])
        for service, checks in (await _each(services.invariants)).items()
        for check in checks
    ]


async def verify(services: Services, servers: str, seconds: float) -> list[Outcome]:
    """All outcomes, the services' own first."""
    await wait_until_drained(services, servers, seconds)
    return await invariants(services) + run_all(await gather(services, servers))


def show(console: Console, outcomes: list[Outcome]) -> None:
    table = Table("", "check", "what must hold", box=None)
    for outcome in outcomes:
        table.add_row("[green]ok" if outcome.holds else "[red]NO", outcome.name, outcome.sentence)
    console.print(table)
    for outcome in outcomes:
        for violation in outcome.violations[:VIOLATIONS_SHOWN_MAX]:
            console.print(f"[red]{outcome.name}[/]: {violation}", markup=True, highlight=False)
    broken = sum(not outcome.holds for outcome in outcomes)
    console.print(
        f"{len(outcomes)} checks, {broken} broken" if broken else f"All {len(outcomes)} checks hold."
    )


def main(
    wait: Annotated[float, typer.Option(help="seconds to wait for records that are still on their way")] = 30,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False,
) -> None:
    """Check every invariant of the running stack; exit code 1 when one is broken."""
    environment = os.environ if "COFFER_CREDIT_DSN" in os.environ else Stack().environment()
    try:
        outcomes = asyncio.run(
            verify(from_environment(environment), environment["KAFKA_BOOTSTRAP_SERVERS"], wait)
        )
    except (ServiceCannotAnswer, OSError) as error:
        print(error, file=sys.stderr)
        raise typer.Exit(2) from None
    if as_json:
        print(json.dumps([{"name": o.name, "holds": o.holds, "violations": o.violations} for o in outcomes]))
    else:
        show(Console(), outcomes)
    raise typer.Exit(any(not outcome.holds for outcome in outcomes))


if __name__ == "__main__":
    typer.run(main)
