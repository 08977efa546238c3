"""Runs every check against the stack that the environment, or `.local`, names."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Final, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from ops.local.stack import Stack
from ops.verify.checks import AGREEMENTS, Evidence, Outcome, run_all
from ops.verify.log import ends_of, read_log
from ops.verify.services import SERVICES, ServiceCannotAnswer, Services, from_environment

TOPICS: Final = (
    "order-submitted",
    "order-cancelled",
    "master-data-changed",
    "payment-received",
    "credit-checked",
    "order-decided",
    "balance-changed",
    "quota-low",
    "relationship-changed",
    "notification-status",
)
T = TypeVar("T")

VIOLATIONS_SHOWN_MAX: Final = 5
DRAIN_POLL_SECONDS: Final = 0.5


async def wait_until_drained(services: Services, servers: str, seconds: float) -> None:
    """Returns when every service has read all its partitions, or when the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        positions = _each(services.positions)
        topics = sorted({topic for places in positions.values() for topic, _ in places})
        ends = await ends_of(servers, topics)
        if all(ends.get(place, 0) == at for places in positions.values() for place, at in places.items()):
            return
        await asyncio.sleep(DRAIN_POLL_SECONDS)


def _each(ask: Callable[[str], T]) -> dict[str, T]:
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(SERVICES, pool.map(ask, SERVICES), strict=True))


async def gather(services: Services, servers: str) -> Evidence:
    """Reads topics and services; nothing may be in flight meanwhile."""
    positions = _each(services.positions)
    topics = sorted({topic for places in positions.values() for topic, _ in places} | set(TOPICS))
    pairs = {side for _, _, *sides in AGREEMENTS for side in sides} | {("credit", "parked-events")}
    return Evidence(
        log=await read_log(servers, topics),
        positions=positions,
        dead_letters=_each(services.dead_letters),
        facts={pair: frozenset(tuple(row) for row in services.facts(*pair)) for pair in sorted(pairs)},
    )


def invariants(services: Services) -> list[Outcome]:
    """What each service checks in its own database."""
    return [
        Outcome(f"{service}: {check['name']}", check["sentence"], [str(row) for row in check["violations"]])
        for service, checks in _each(services.invariants).items()
        for check in checks
    ]


async def verify(services: Services, servers: str, seconds: float) -> list[Outcome]:
    """All outcomes, the services' own first."""
    await wait_until_drained(services, servers, seconds)
    return invariants(services) + run_all(await gather(services, servers))


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
