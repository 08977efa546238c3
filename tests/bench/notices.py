"""Notices: a burst of them, an outage and what drains behind it, forty members in one mail, and a real Kannel."""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg
import httpx
import psutil
from contracts.money import Money, SignedMoney
from contracts.quota_low import QuotaTerms

from contracts import QuotaLow
from ops.local import kannel
from ops.local.ports import HOST
from tests.bench import load
from tests.bench.rows import Result, Row
from tests.bench.site import ROOT, Site

NOTICES: Final = int(os.environ.get("COFFER_BENCH_NOTICES", "2000"))
"""10,000 is the size that the goals speak of; each has two recipients and two channels."""
OUTAGE_NOTICES: Final = 500
OUTAGE_RATE: Final = 100
KANNEL_NOTICES: Final = 1_000
RATE_GOAL: Final = 300.0
MEMORY_GOAL_MB: Final = 250.0
KANNEL_GOAL: Final = 0.8
WAIT_SECONDS_MAX: Final = 280.0
AT_ONCE: Final = 32
MEMBERS: Final = 40

CONTACTS: Final = """
    insert into account (account, name, version)
    select 'N' || n, 'Account ' || n, 1 from generate_series(0, {last}) n on conflict do nothing;
    insert into contact (account, person, name, language, time_zone, security, wants, changed_at)
    select 'N' || n, person, 'Person ' || n, 'en', 'Asia/Shanghai', person = 'p1', '{{quota-low}}', now()
    from generate_series(0, {last}) n, unnest(array['p1', 'p2']) as person;
    insert into contact_address (account, person, channel, address, verified_at, changed_at)
    select 'N' || n, person, kind, address, now(), now()
    from generate_series(0, {last}) n, unnest(array['p1', 'p2']) as person,
         lateral (values ('sms', '+861380' || right(person, 1) || lpad(n::text, 6, '0')),
                         ('email', person || n || '@example.com')) as a (kind, address)
    where {wanted}
"""
MANAGER: Final = f"""
    insert into account (account, name, version)
    select 'M' || n, 'Member ' || n, 1 from generate_series(1, {MEMBERS}) n
    union all select 'BOSS', 'Headquarters', 1;
    insert into contact (account, person, name, language, time_zone, security, wants, wants_of_members, changed_at)
    values ('BOSS', 'boss', 'Mei', 'en', 'Asia/Shanghai', true, '{{}}', '{{quota-low}}', now());
    insert into contact_address (account, person, channel, address, verified_at, changed_at)
    values ('BOSS', 'boss', 'email', 'boss@example.com', now(), now());
    insert into relationship (relationship_id, relationship_version, kind, management_account, member_account, state,
                              may_view_finances, changed_at)
    select 'R' || n, 1, 'financial', 'BOSS', 'M' || n, 'active', true, now() from generate_series(1, {MEMBERS}) n
"""
OPEN: Final = "select count(*) from delivery where state in ('accepted', 'held', 'sending')"
ENDED: Final = "select count(*) from delivery where state in ('sent', 'delivered')"


class Counted:
    """The receivers' process, and what it says."""

    def __init__(self, process: asyncio.subprocess.Process, smtp: int, sms: int) -> None:
        self.process = process
        self.smtp = smtp
        self.sms = sms

    async def ask(self, word: str) -> dict[str, int]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{word}\n".encode())
        counts: dict[str, int] = json.loads(await self.process.stdout.readline())
        return counts

    def environment(self, site: Site) -> dict[str, str]:
        return {
            **site.stack.mail.environment(),
            "COFFER_SMTP_PORT": str(self.smtp),
            "COFFER_SMS_URL": f"http://{HOST}:{self.sms}/cgi-bin/sendsms",
            "COFFER_DELIVERIES_AT_ONCE_MAX": str(AT_ONCE),
        }


@asynccontextmanager
async def receivers(site: Site) -> AsyncIterator[Counted]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.bench.receivers",
        str(site.stack.directory),
        stdin=pipe,
        stdout=pipe,
        cwd=ROOT,
    )
    assert process.stdout is not None
    smtp, sms = json.loads(await process.stdout.readline())
    try:
        yield Counted(process, smtp, sms)
    finally:
        process.kill()
        await process.wait()


def low(account: str, run: str) -> QuotaLow:
    nothing = Money("0", "CNY")
    return QuotaLow(
        account=account,
        currency="CNY",
        kind="opened",
        episode_id=f"{run}-{account}",
        reminder_number=0,
        quota=SignedMoney("900.00", "CNY"),
        threshold=Money("1000.00", "CNY"),
        terms=QuotaTerms(
            cash_balance=SignedMoney("900.00", "CNY"),
            bankers_acceptance=nothing,
            credit_limit=nothing,
            credit_refund=nothing,
            unsettled=nothing,
            outstanding_fees=nothing,
            negative_bill=nothing,
        ),
        occurred_at=datetime.now(UTC),
    )


async def _prepare(site: Site, notices: int, wanted: str = "true", prefix: str = "N") -> None:
    site.reset(["notify"])
    await site.sql("notify", CONTACTS.format(last=notices - 1, wanted=wanted))
    run = site.next_run()
    await site.publish(
        "quota-low", [load.prepared(low(f"{prefix}{number}", run)) for number in range(notices)]
    )


async def _until(site: Site, query: str, reached: Any, process: Any = None) -> tuple[float, int]:
    """Waits for a count in notify's database; how long it took, and the most memory that the service had."""
    connection = await asyncpg.connect(site.stack.dsn("notify"))
    began, memory = time.monotonic(), 0
    try:
        while not reached(await connection.fetchval(query)):
            if time.monotonic() - began > WAIT_SECONDS_MAX:
                raise TimeoutError(query)
            if process is not None and process.pid is not None:
                memory = max(memory, psutil.Process(process.pid).memory_info().rss)
            await asyncio.sleep(0.2)
        return time.monotonic() - began, memory
    finally:
        await connection.close()


async def burst(site: Site, _: int) -> list[Result]:
    """Every notice waits in the topic when the service starts; the clock runs from the first delivery on."""
    wanted = NOTICES * 4
    await _prepare(site, NOTICES)
    async with receivers(site) as counted:
        process = site.stack.start_service("notify", extra_env=counted.environment(site))
        try:
            await _until(site, ENDED, lambda count: count > 0)
            seconds, memory = await _until(site, ENDED, lambda count: count >= wanted, process)
            counts = await counted.ask("count")
        finally:
            process.stop()
    rate = wanted / seconds
    arrived = counts["sms"] + counts["email"]
    return [
        Result("deliveries of a burst", "/s", rate, None, None, RATE_GOAL, rate >= RATE_GOAL),
        Result("doubles of a burst", "messages", arrived - wanted, None, None, 0, arrived == wanted),
        Result(
            "memory of notify", "MB", memory / 1e6, None, None, MEMORY_GOAL_MB, memory / 1e6 < MEMORY_GOAL_MB
        ),
    ]


async def outage(site: Site, _: int) -> list[Result]:
    """Both providers are down while the burst comes, and come back with a configured rate in force."""
    wanted = OUTAGE_NOTICES * 2
    await _prepare(site, OUTAGE_NOTICES)
    async with receivers(site) as counted:
        await counted.ask("down")
        limits = {f"COFFER_{kind}_PER_SECOND_MAX": str(OUTAGE_RATE) for kind in ("SMS", "MAIL")}
        hurry = {"COFFER_DELIVERY_RETRY_SECONDS": "2", "COFFER_DELIVERY_RETRY_SECONDS_MAX": "10"}
        process = site.stack.start_service(
            "notify", extra_env={**counted.environment(site), **limits, **hurry}
        )
        try:
            await _until(site, "select count(*) from delivery", lambda count: count >= 2 * wanted)
            await _until(
                site, "select count(*) from provider where open_until is not null", lambda count: count == 2
            )
            await counted.ask("up")
            seconds, _ = await _until(site, OPEN, lambda count: count == 0)
            counts = await counted.ask("count")
        finally:
            process.stop()
    peak = max(counts["sms-peak"], counts["email-peak"])
    arrived = counts["sms"] + counts["email"]
    return [
        Result("messages that arrived behind an outage", "", arrived, None, None, None, None),
        Result("backlog behind an outage, seconds to drain", "s", seconds, None, None, None, None),
        Result(
            "most in any second by a channel behind an outage",
            "/s",
            peak,
            None,
            None,
            OUTAGE_RATE,
            peak <= OUTAGE_RATE,
        ),
    ]


async def digest(site: Site, _: int) -> list[Result]:
    """Forty members of one management account go low together."""
    site.reset(["notify"])
    await site.sql("notify", MANAGER)
    run = site.next_run()
    await site.publish(
        "quota-low", [load.prepared(low(f"M{number}", run)) for number in range(1, MEMBERS + 1)]
    )
    async with receivers(site) as counted:
        process = site.stack.start_service("notify", extra_env=counted.environment(site))
        try:
            await _until(
                site, "select count(*) from delivery where state = 'sent'", lambda count: count == MEMBERS + 1
            )
            mails = (await counted.ask("count"))["email"]
        finally:
            process.stop()
    return [
        Result(
            f"mails for {MEMBERS} members of one management account",
            "mails",
            mails,
            None,
            None,
            1,
            mails == 1,
        )
    ]


async def through_kannel(site: Site, _: int) -> list[Result]:
    """Notify beside a bare client, on the same Kannel with its own pretended centre."""
    if not kannel.is_installed():
        print("  Kannel is not installed (packages kannel and kannel-extras): skipped")
        return []
    gateway = kannel.Kannel(site.stack.directory / "kannel")
    await asyncio.to_thread(gateway.start)
    try:
        async with receivers(site) as counted:
            bare = await _bare_client(gateway.environment(), f"http://{HOST}:{counted.sms}/report?status=%d")
        await _prepare(site, KANNEL_NOTICES, "kind = 'sms'")
        process = site.stack.start_service(
            "notify", extra_env={**gateway.environment(), "COFFER_DELIVERIES_AT_ONCE_MAX": str(AT_ONCE)}
        )
        try:
            await _until(site, ENDED, lambda count: count > 0)
            seconds, _ = await _until(site, ENDED, lambda count: count >= 2 * KANNEL_NOTICES)
        finally:
            process.stop()
    finally:
        await asyncio.to_thread(gateway.stop)
    ours = 2 * KANNEL_NOTICES / seconds
    ratio = ours / bare
    return [
        Result("SMS through Kannel", "/s", ours, bare, None, None, None),
        Result(
            "SMS through Kannel, of a bare client", "", ratio, None, None, KANNEL_GOAL, ratio >= KANNEL_GOAL
        ),
    ]


async def _bare_client(environment: dict[str, str], report_url: str) -> float:
    """Requests per second of as many hands as notify has, which post, wait for the answer, and have reports counted."""
    headers = {
        "X-Kannel-Username": environment["COFFER_SMS_USERNAME"],
        "X-Kannel-Password": environment["COFFER_SMS_PASSWORD"],
        "X-Kannel-From": "Coffer",
        "X-Kannel-Coding": "0",
        "X-Kannel-DLR-Mask": "19",
        "X-Kannel-DLR-Url": report_url,
    }
    numbers = iter(range(2 * KANNEL_NOTICES))
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(headers=headers, limits=limits, trust_env=False) as client:

        async def hand() -> None:
            for number in numbers:
                to = {"X-Kannel-To": f"+8613800{number:06}"}
                answer = await client.post(environment["COFFER_SMS_URL"], content=b"Quota is low", headers=to)
                assert answer.status_code == 202, answer.text

        began = time.monotonic()
        await asyncio.gather(*(hand() for _ in range(AT_ONCE)))
        return 2 * KANNEL_NOTICES / (time.monotonic() - began)


ROWS: Final = (
    Row("notices", f"{NOTICES:,} quota-low with two recipients and two channels each", burst),
    Row("notices-outage", f"{OUTAGE_NOTICES} quota-low while both providers are down", outage),
    Row("notices-digest", f"{MEMBERS} members of one management account", digest),
    Row("notices-kannel", f"{KANNEL_NOTICES:,} quota-low by SMS through a real Kannel", through_kannel),
)
