"""SIGSTOP: a process that stands still gives up what it holds, and writes nothing when it goes on late."""

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import psutil
import pytest

from ops.local.services import ServiceProcess
from ops.local.topics import declared
from ops.local.waiting import run, wait_until
from ops.verify.log import ends_of
from ops.verify.services import SERVICES
from tests.faults.books import settle
from tests.faults.fleet import Fleet, LogTail
from tests.faults.streams import Commander, Stream, publish_now
from tests.faults.traffic import ACCOUNTS, SHOP, message, order

pytestmark = [pytest.mark.stack, pytest.mark.slow]

GIVES_UP_SECONDS = 20.0
GOES_ON_SECONDS = 60.0
STOPS = {
    "credit": "before-commit",
    "fund-pool": "before-send",
    "cashplan": "before-commit",
    "sharing": "after-send",
    "notify": "sms-before-request",
}
HOLDING = ("credit", "fund-pool", "cashplan", "sharing")
FINDS_OUT = {
    "credit": "batches are applied again",
    "fund-pool": "relay waits for a fault to pass",
    "cashplan": "batches are applied again",
    "sharing": "relay waits for a fault to pass",
}
HOLDS = """
select a.pid from pg_stat_activity a
where a.client_port = any($1::int[]) and a.datname = current_database()
  and (exists (select from pg_locks l where l.pid = a.pid and l.locktype in ('advisory', 'transactionid'))
       or a.state like 'idle in transaction%')
"""


def test_a_stopped_process_gives_up_its_locks_and_its_relay_and_writes_nothing_late(
    fleet: Fleet, stream: Stream, commander: Commander
) -> None:
    for name, point in STOPS.items():
        fleet.arm(name, point, "stop")
    with stream, commander, ThreadPoolExecutor() as pool:
        seconds = dict(zip(STOPS, pool.map(partial(_stopped_until_given_up, fleet), STOPS), strict=True))
    _probe(fleet)
    fleet.drain()
    before = _everything(fleet)
    _go_on(fleet, {name: fleet.victim(name, point) for name, point in STOPS.items()})
    fleet.drain()
    assert _everything(fleet) == before
    given_up = ", ".join(f"{name} {each:.1f} s" for name, each in seconds.items())
    print(f"stopped {len(STOPS)}, locks given up after: {given_up}; {settle(fleet)}")


def _stopped_until_given_up(fleet: Fleet, name: str) -> float:
    """Seconds from the standstill of an instance to the end of every session in which it held something."""
    process = fleet.victim(name, STOPS[name])
    began = time.monotonic()
    sessions = _sessions_that_hold(fleet, name, process)
    assert bool(sessions) == (name in HOLDING), f"{name} holds locks in sessions {sessions}"
    wait_until(
        lambda: not _still_there(fleet, name, sessions),
        GIVES_UP_SECONDS,
        f"The end of the sessions in which {process.name} holds locks",
    )
    return time.monotonic() - began


def _go_on(fleet: Fleet, stopped: dict[str, ServiceProcess]) -> None:
    """Lets the stopped go on, and returns when each has found out that it is too late."""
    tails = {name: LogTail(process) for name, process in stopped.items()}
    for process in stopped.values():
        process.resume()
    for name, sentence in FINDS_OUT.items():
        tail = tails[name]
        wait_until(partial(tail.says, sentence), GOES_ON_SECONDS, f"{tail.name} says: {sentence}")
    fleet.wait_ready()
    fleet.wait_shared()


def _sessions_that_hold(fleet: Fleet, name: str, process: ServiceProcess) -> list[int]:
    assert process.pid is not None
    ports = [connection.laddr.port for connection in psutil.Process(process.pid).net_connections("tcp")]
    return [row["pid"] for row in fleet.rows(name, HOLDS, ports)]


def _still_there(fleet: Fleet, name: str, sessions: list[int]) -> bool:
    return bool(fleet.rows(name, "select from pg_stat_activity where pid = any($1::int[])", sessions))


def _probe(fleet: Fleet) -> None:
    """An order for every account is answered, whichever instance reads its partition."""
    orders = [order(account, fleet.traffic.next_id("SO"), 100) for account in ACCOUNTS]
    publish_now(
        fleet.stack.bootstrap_servers,
        [message(each, fleet.traffic.next_id("shop"), SHOP) for each in orders],
    )
    ids = [each.order_id for each in orders]
    decided = "select count(*) from check_decision where order_id = any($1::text[])"
    wait_until(
        lambda: fleet.rows("credit", decided, ids)[0][0] == len(ids), GOES_ON_SECONDS, "The probes' answers"
    )


def _everything(fleet: Fleet) -> dict[str, object]:
    """All rows of all services, the end of every topic, and what the providers took."""
    topics = [topic.name for topic in declared()]
    return {
        **{name: fleet.digest(name) for name in SERVICES},
        "topics": run(ends_of(fleet.stack.bootstrap_servers, topics)),
        "mails": len(fleet.stack.mail.messages()),
        "texts": len(fleet.stack.sms.messages()),
    }
