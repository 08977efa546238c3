"""`make bench`: runs the rows and prints medians, 90 % intervals and ratios; also to .local/bench.json."""

import asyncio
import json
from pathlib import Path
from typing import Annotated, Final

import asyncpg
import typer
from rich.console import Console
from rich.table import Table

from tests.bench import credit, funds, notices, planning, sharing, stages, whole, yardsticks
from tests.bench.rows import PAIRS, Result, Row
from tests.bench.site import ROOT, Site, open_site

MEASURED: Final = (yardsticks, stages, planning, whole, notices, sharing, credit, funds)
ROWS: Final[dict[str, Row]] = {row.name: row for part in MEASURED for row in part.ROWS}
SETTINGS: Final = ("fsync", "synchronous_commit", "full_page_writes")
RESULTS: Final = ROOT / ".local" / "bench.json"

console = Console()


async def measure(site: Site, rows: list[Row], pairs: int) -> list[Result]:
    results: list[Result] = []
    for row in rows:
        console.print(f"{row.name}: {row.sentence} ...")
        for result in await row.measure(site, pairs):
            results.append(result)
            console.print(f"  {sentence(result)}")
    return results


def sentence(result: Result) -> str:
    floor = f" of {result.floor:,.0f}" if result.floor is not None else ""
    ratio = ""
    if result.ratio is not None:
        ratio = f" = {result.ratio.middle:.2f} [{result.ratio.low:.2f}, {result.ratio.high:.2f}]"
    goal = "" if result.goal is None else f"; goal {result.goal:g}: {'met' if result.met else 'MISSED'}"
    return f"{result.name}: {result.ours:,.1f}{floor} {result.unit}{ratio}{goal}"


async def durability(site: Site) -> str:
    """What the database promises while it is measured."""
    connection = await asyncpg.connect(site.stack.admin_dsn)
    try:
        values = [f"{name}={await connection.fetchval(f'show {name}')}" for name in SETTINGS]
    finally:
        await connection.close()
    return ", ".join([*values, "acks=all"])


def show(results: list[Result]) -> None:
    table = Table("row", "ours", "floor", "ratio", "90 %", "goal", "", box=None)
    for result in results:
        ratio = result.ratio
        table.add_row(
            result.name,
            f"{result.ours:,.1f} {result.unit}",
            "" if result.floor is None else f"{result.floor:,.0f}",
            "" if ratio is None else f"{ratio.middle:.2f}",
            "" if ratio is None else f"{ratio.low:.2f}..{ratio.high:.2f}",
            "" if result.goal is None else f"{result.goal:g}",
            {True: "met", False: "MISSED", None: ""}[result.met],
        )
    console.print(table)


def write(results: list[Result], path: Path) -> None:
    """Keeps the other rows of earlier runs."""
    kept = {row["name"]: row for row in json.loads(path.read_text())} if path.exists() else {}
    kept |= {result.name: result.as_json() for result in results}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(list(kept.values()), indent=1))


def verdict(results: list[Result], *, strict: bool) -> int:
    """The exit code: 1 where a goal is missed and nothing may be."""
    return int(strict and any(result.met is False for result in results))


def main(
    rows: Annotated[
        list[str] | None, typer.Argument(help=f"any of: {', '.join(ROWS)}; all by default")
    ] = None,
    pairs: Annotated[int, typer.Option(help="alternating pairs of runs")] = PAIRS,
    strict: Annotated[bool, typer.Option("--strict", help="fail when a goal is missed")] = False,
) -> None:
    """Measure Coffer on a real broker and database, beside floors that do the same work with no logic."""
    unknown = sorted(set(rows or ()) - set(ROWS))
    if unknown:
        console.print(f"There is no row {', '.join(unknown)}; the rows are {', '.join(ROWS)}.")
        raise typer.Exit(2)
    site = open_site(lambda text: console.print(f"[dim]{text}"))
    try:
        site.start()
        console.print(asyncio.run(durability(site)))
        results = asyncio.run(measure(site, [ROWS[name] for name in rows or ROWS], pairs))
    finally:
        site.stack.discard()
    show(results)
    console.print(f"largest memory of a service: {site.memory_bytes_max / 1e6:.0f} MB")
    write(results, RESULTS)
    raise typer.Exit(verdict(results, strict=strict))


if __name__ == "__main__":
    typer.run(main)
