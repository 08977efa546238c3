"""A process that stands still gives up its locks and its relay, and writes nothing when it continues late."""

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from ops.local.services import ServiceProcess
from ops.local.waiting import wait_until
from tests.faults.books import OUTGOING, Books, settle
from tests.faults.fleet import Fleet, metric
from tests.faults.streams import Commander, Relationships, Stream

pytestmark = [pytest.mark.stack, pytest.mark.slow]

GIVE_UP_SECONDS = 20.0
IN_A_TRANSACTION = "before-commit"
AS_THE_RELAY = "before-send"
STANDS = {
    "credit": IN_A_TRANSACTION,
    "sharing": IN_A_TRANSACTION,
    "cashplan": IN_A_TRANSACTION,
    "fund-pool": AS_THE_RELAY,
    "notify": AS_THE_RELAY,
}
HOLDERS = """
select distinct l.pid from pg_locks l join pg_stat_activity a using (pid)
where a.datname = current_database() and a.application_name = $1 and l.granted
  and l.locktype in ('advisory', 'transactionid')
"""
HELD = f"select pid from ({HOLDERS}) h where pid = any($2::int[])"
MOVED_BY_READING = ("position", "alert_mark")
TAKEN_AT_THE_DOOR = ("delivery_report",)
"""A report that was handed in while the process stood still is read when it continues; it came over HTTP then."""


def test_a_stopped_process_gives_up_locks_and_relay_within_20_seconds_and_writes_nothing_late(
    fleet: Fleet, stream: Stream, commander: Commander, relationships: Relationships
) -> None:
    with stream, commander:
        for name, point in STANDS.items():
            fleet.arm(name, point, "stop")
        with ThreadPoolExecutor() as pool:
            stopped = list(pool.map(partial(_gives_up, fleet), STANDS))
    fleet.drain()
    written, said = _written(fleet), _said(Books(fleet.verify()))
    for process in stopped:
        process.resume()
    fleet.wait_ready()
    fleet.wait_shared()
    fleet.drain()
    assert _written(fleet) == written
    settled = settle(fleet)
    assert _said(settled.books) == said
    relationships.check(settled.books)
    print(f"stopped {len(stopped)}: {settled} so far")


def _gives_up(fleet: Fleet, name: str) -> ServiceProcess:
    process = fleet.victim(name, STANDS[name])
    began = time.monotonic()
    session = f"{name}-{process.name}" if STANDS[name] == IN_A_TRANSACTION else f"{name}-relay"
    holders = [pid for (pid,) in fleet.rows(name, HOLDERS, session)]
    assert holders, f"{process.name} holds nothing that it could give up"
    wait_until(
        lambda: not fleet.rows(name, HELD, session, holders),
        GIVE_UP_SECONDS,
        f"The end of what {session} holds",
    )
    [other] = [each for each in fleet.both(name) if each is not process]
    left = GIVE_UP_SECONDS - (time.monotonic() - began)
    wait_until(lambda: metric(other, "coffer_relay_leader") == 1, left, f"{other.name} is the relay")
    return process


def _written(fleet: Fleet) -> dict[tuple[str, str], str]:
    """What lies in every table of the services; what is read a second time moves bookmarks only."""
    return {
        (name, table): digest
        for name in STANDS
        for table, digest in fleet.digest(name).items()
        if table not in (*MOVED_BY_READING, *TAKEN_AT_THE_DOOR)
    }


def _said(books: Books) -> dict[str, set[tuple[str, str]]]:
    return {topic: {(record.source, record.id) for record in books.log.of(topic)} for topic in OUTGOING}
