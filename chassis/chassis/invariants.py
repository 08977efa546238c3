"""Invariants as SQL: each check returns the rows that break it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog
from sqlalchemy import text

from chassis import metrics
from chassis.database import Database
from chassis.errors import is_transient

ROWS_SHOWN_MAX: Final = 20
CHECK_SECONDS_MAX: Final = 300

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Check:
    """One invariant: `sentence` says what must hold, `sql` returns a row per violation."""

    name: str
    sentence: str
    sql: str


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of a check; `rows` are the first violations."""

    check: Check
    rows: list[dict[str, Any]]

    @property
    def holds(self) -> bool:
        return not self.rows


CHASSIS_CHECKS: Final = (
    Check(
        "no-open-gap",
        "No partition has a gap that nobody has accepted.",
        "select * from gap where accepted_at is null",
    ),
    Check(
        "dead-letters-below-position",
        "A dead letter lies below its partition's position.",
        """
        select d.id, d.topic, d.partition, d."offset", p.next_offset
        from dead_letter d left join position p using (topic, partition)
        where (p.next_offset is null or d."offset" >= p.next_offset)
          and not exists (select from gap g where g.topic = d.topic and g.partition = d.partition)
        """,
    ),
    Check(
        "outbox-drains",
        "No event has waited in the outbox for more than a minute.",
        "select id, topic, created_at from outbox where created_at < clock_timestamp() - interval '1 minute'",
    ),
    Check(
        "timers-fire",
        "No timer is more than five minutes late.",
        "select kind, key, due_at, attempts from timer where due_at < clock_timestamp() - interval '5 minutes'",
    ),
)


async def run_checks(database: Database, checks: Sequence[Check]) -> list[Finding]:
    """Runs every check in one snapshot, so that they speak of the same moment."""
    findings: list[Finding] = []
    async with database.reader() as connection:
        await connection.execute(text(f"set local statement_timeout = '{CHECK_SECONDS_MAX}s'"))
        for check in checks:
            limited = text(f"select * from ({check.sql}) as violations limit {ROWS_SHOWN_MAX}")
            rows = await connection.execute(limited)
            findings.append(Finding(check, [dict(row) for row in rows.mappings()]))
    return findings


async def watch(database: Database, checks: Sequence[Check], interval_seconds: float) -> None:
    """Keeps the invariant metrics fresh for as long as the service runs."""
    while True:
        await asyncio.sleep(interval_seconds)
        try:
            for finding in await run_checks(database, checks):
                metrics.invariant_violations.labels(check=finding.check.name).set(len(finding.rows))
                if not finding.holds:
                    log.error("invariant broken", check=finding.check.name, rows=len(finding.rows))
            metrics.invariant_last_run_timestamp_seconds.set_to_current_time()
        except Exception as error:
            if not is_transient(error):
                log.exception("invariants could not be checked")
