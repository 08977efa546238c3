"""Sharing: decisions by HTTP, a million details as a file, and a change that concerns ten thousand resources."""

import asyncio
import sys
import tempfile
import time
import zipfile
from typing import IO, BinaryIO, Final
from uuid import uuid4

import httpx
import psutil

from tests.bench.kafka import Tail
from tests.bench.rows import Result, Row, ratio_row, time_row
from tests.bench.site import OUT, ROOT, RUN_SECONDS_MAX, Site
from tests.bench.statistics import percentile

ACCOUNTS: Final = 1_000
GROUPS: Final = 200
RESOURCES: Final = 10_000
DETAILS: Final = 1_000_000
RATE: Final = 50
RATE_SECONDS: Final = 20
WARM_SECONDS: Final = 3
WATCH_SECONDS: Final = 0.02
COUNT_BYTES: Final = 1024 * 1024
DECISION_GOAL_MILLISECONDS: Final = 20.0
EXPORT_GOAL_MB: Final = 250.0
SHAPE_GOAL: Final = 0.5
TYPE: Final = "reserved-instance"

PREPARED: Final = f"""
    insert into account (account_id, version, name, active) values ('M', 1, 'M', true);
    insert into sharer values ('M', now() - interval '1 hour', null, 0);
    insert into relationship (relationship_id, version, kind, management_account, member_account, state, offered,
            accepted, refused, display_name, invoice_status, changed_at)
        select 'R' || n, 1, 'trusteeship', 'M', 'S' || n, 'active', '{{}}', '{{}}', '{{}}', 'S', 'none', now()
        from generate_series(1, {ACCOUNTS}) n;
    insert into trusteeship select 'M', 'S' || n, now() - interval '2 hours', null
        from generate_series(1, {ACCOUNTS}) n;
    insert into user_group select 'G' || n, 'M', 'G' || n, now(), null from generate_series(1, {GROUPS}) n;
    insert into shared_type values ('M', '{TYPE}', now() - interval '2 hours', null);
    insert into accepted_type select 'M', 'S' || n, '{TYPE}', now() - interval '2 hours', null
        from generate_series(1, 50) n;
    insert into membership select 'M', 'S' || n, 'G' || n - 500, now() - interval '2 hours', null
        from generate_series(501, 500 + {GROUPS}) n;
    insert into resource (resource_id, version, owner, resource_type, name, valid_from, starts_at)
        select 'RI' || n, 1, 'M', '{TYPE}', 'RI', now() - interval '1 year', now() - interval '2 hours'
        from generate_series(1, {RESOURCES}) n;
"""
BOUND: Final = f"""
    insert into binding select 'M', 'RI' || n, 'G' || n % 40 + 1, now() - interval '2 hours', null
        from generate_series(1, {RESOURCES} / 2) n;
"""


def _token(site: Site) -> dict[str, str]:
    return {"Authorization": f"Bearer {site.stack.token('administrator')}"}


def _client(site: Site) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=site.stack.url("sharing"), headers=_token(site), timeout=300)


async def decisions(site: Site, _: int) -> list[Result]:
    """Single questions at 50 a second, about members in groups and out of them."""
    site.reset(["sharing"])
    await site.sql("sharing", PREPARED + BOUND + "analyze")
    times: list[float] = []

    async def ask(client: httpx.AsyncClient, number: int) -> None:
        account, resource = f"S{number * 7 % ACCOUNTS + 1}", f"RI{number * 13 % RESOURCES + 1}"
        began = time.monotonic()
        answer = await client.get(f"/accounts/{account}/resources/{resource}/decision")
        assert answer.status_code == 200, answer.text
        times.append((time.monotonic() - began) * 1_000)

    with site.service("sharing", 500) as process:
        await asyncio.to_thread(process.wait_ready)
        async with _client(site) as client, asyncio.TaskGroup() as group:
            began = time.monotonic()
            for number in range(RATE * RATE_SECONDS):
                await asyncio.sleep(max(began + number / RATE - time.monotonic(), 0))
                group.create_task(ask(client, number))
    warm = times[RATE * WARM_SECONDS :]
    return [
        time_row(f"may an account use a resource, by HTTP at {RATE}/s, p50", percentile(warm, 0.5), None),
        time_row(
            f"may an account use a resource, by HTTP at {RATE}/s, p99",
            percentile(warm, 0.99),
            DECISION_GOAL_MILLISECONDS,
        ),
    ]


async def details(site: Site, _: int) -> list[Result]:
    """A million rows of all details as CSV and as Excel; what counts is the service's memory."""
    site.reset(["sharing"])
    await site.sql(
        "sharing",
        PREPARED
        + BOUND
        + f"delete from trusteeship where substr(account, 2)::int >= {DETAILS // RESOURCES}; analyze",
    )
    return [row for file_format in ("csv", "xlsx") for row in await _downloaded(site, file_format)]


async def _downloaded(site: Site, file_format: str) -> list[Result]:
    """The file from a service that has just started, and the largest memory that it held meanwhile."""
    began = time.monotonic()
    with site.service("sharing", 500) as process, tempfile.TemporaryFile() as file:
        await asyncio.to_thread(process.wait_ready)
        watch = asyncio.create_task(_peak_bytes(psutil.Process(process.pid)))
        async with (
            _client(site) as client,
            client.stream("GET", f"/accounts/M/sharing/details/export?format={file_format}") as answer,
        ):
            async for chunk in answer.aiter_bytes():
                file.write(chunk)
        seconds = time.monotonic() - began
        watch.cancel()
        megabytes = await watch / 1e6
        rows = await asyncio.to_thread(_csv_rows if file_format == "csv" else _xlsx_rows, file)
    assert rows == DETAILS, rows
    name = f"details of a million pairs as {file_format}"
    return [
        Result(f"{name}, memory", "MB", megabytes, None, None, EXPORT_GOAL_MB, megabytes < EXPORT_GOAL_MB),
        Result(name, "rows/s", rows / seconds, None, None, None, None),
    ]


async def _peak_bytes(process: psutil.Process) -> int:
    """The largest memory of a process from now on, until this is cancelled."""
    peak = 0
    try:
        while True:
            peak = max(peak, process.memory_info().rss)
            await asyncio.sleep(WATCH_SECONDS)
    except asyncio.CancelledError:
        return peak


def _csv_rows(file: BinaryIO) -> int:
    """Rows below the heading."""
    file.seek(0)
    return sum(1 for _ in file) - 1


def _xlsx_rows(file: BinaryIO) -> int:
    """Rows below the headings of all sheets, counted in the file as it is unpacked."""
    rows = 0
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            if name.startswith("xl/worksheets/sheet"):
                with archive.open(name) as sheet:
                    rows += _count(sheet, b"<row ") - 1
    return rows


def _count(file: IO[bytes], wanted: bytes) -> int:
    found, rest = 0, b""
    while block := file.read(COUNT_BYTES):
        found += (rest + block).count(wanted)
        rest = block[1 - len(wanted) :]
    return found


async def telling(site: Site, pairs: int) -> list[Result]:
    """One member accepts a type with ten thousand resources, and every access goes out as an event."""
    site.reset(["sharing"])
    await site.sql("sharing", PREPARED + "analyze")
    floor_dsn = await site.floor_database("sharing")
    ours: list[float] = []
    floor: list[float] = []
    with site.service("sharing", 500) as process:
        await asyncio.to_thread(process.wait_ready)
        async with _client(site) as client:
            for pair in range(pairs + 1):
                rate = await _told_rate(site, client, [TYPE] if pair % 2 == 0 else [])
                shape = await _floor_rate(site, floor_dsn)
                if pair > 0:
                    ours.append(rate)
                    floor.append(shape)
    return [ratio_row("accesses told after one change, of shape", "events/s", ours, floor, SHAPE_GOAL)]


async def _told_rate(site: Site, client: httpx.AsyncClient, types: list[str]) -> float:
    """From the request to the last event in the topic."""
    tail = await Tail(site.servers, "sharing-changed").open()
    try:
        body = {"change": {"change": "accept-types", "accounts": ["S900"], "types": types}}
        began = time.time()
        answer = await client.post(
            "/accounts/M/sharing/changes", json=body, headers={"Idempotency-Key": uuid4().hex}
        )
        assert answer.status_code == 200, answer.text
        return await _rate(tail, began)
    finally:
        await tail.close()


async def _floor_rate(site: Site, dsn: str) -> float:
    """From the floor's first statement to its last record in the topic."""
    tail = await Tail(site.servers, OUT).open()
    try:
        command = ["-m", "tests.bench.floors.shape_sharing", site.servers, dsn, OUT, str(RESOURCES)]
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        began = float(await asyncio.wait_for(process.stdout.readline(), RUN_SECONDS_MAX))
        rate = await _rate(tail, began)
        await asyncio.wait_for(process.wait(), RUN_SECONDS_MAX)
        return rate
    finally:
        await tail.close()


async def _rate(tail: Tail, began: float) -> float:
    """Events per second by the times that the log has of them, for both in the same way."""
    await tail.wait_for(RESOURCES, RUN_SECONDS_MAX)
    return RESOURCES / ((await tail.timestamps())[-1] - began)


ROWS: Final = (
    Row("decisions", f"whether an account may use a resource, asked {RATE} times a second", decisions),
    Row("details", "a million rows of sharing details as CSV and as Excel", details),
    Row("telling", "ten thousand accesses told after one change", telling),
)
