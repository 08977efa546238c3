"""Broker and database go away in mid-load and while services start: services wait, say so once, and catch up."""

import re
import time
from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest

from ops.local.services import ServiceProcess
from ops.local.waiting import together, wait_until
from ops.verify.services import SERVICES
from tests.faults.books import settle
from tests.faults.fleet import ENDED_IN_ORDER, STOP_SECONDS, Fleet, LogTail
from tests.faults.streams import Commander, Relationships, Stream

pytestmark = [pytest.mark.stack, pytest.mark.slow]

LOADED = 60
MISSED = 200
TOLD_SECONDS = 45.0
SAID_MAX = 2  # once by the process before a restart, once by the one after it
LINES_MAX = 60
TALKATIVE = ("aiokafka", "faststream", "kafka")
VARYING = re.compile(r"[0-9a-f]{8,}|\d+")


def test_a_broker_that_is_killed_in_mid_load_is_waited_for(
    fleet: Fleet, stream: Stream, commander: Commander, relationships: Relationships
) -> None:
    if fleet.stack.broker.kind == "external":
        pytest.skip("the broker is not ours to kill")
    _live_through(
        fleet,
        stream,
        commander,
        relationships,
        away=fleet.stack.kill_broker,
        back=fleet.stack.start_broker,
        condition="consumer",
    )


def test_a_database_that_is_stopped_hard_in_mid_load_is_waited_for(
    fleet: Fleet, stream: Stream, commander: Commander, relationships: Relationships
) -> None:
    if fleet.stack.database.kind == "external":
        pytest.skip("the database is not ours to stop")
    _live_through(
        fleet,
        stream,
        commander,
        relationships,
        away=partial(fleet.stack.stop_postgres, immediate=True),
        back=fleet.stack.start_postgres,
        condition="database",
        missed=MISSED,
    )


def _live_through(
    fleet: Fleet,
    stream: Stream,
    commander: Commander,
    relationships: Relationships,
    *,
    away: Callable[[], None],
    back: Callable[[], None],
    condition: str,
    missed: int = 0,
) -> None:
    """An outage with services that ran before it, services that are stopped in it, and services that start in it.

    It lasts until every instance tells of it, and until `missed` more records have been published.
    """
    tails = {process.name: LogTail(process) for process in fleet.processes.values()}
    with stream, commander:
        wait_until(lambda: stream.sent >= LOADED, TOLD_SECONDS, "Traffic")
        away()
        began, until = time.monotonic(), stream.sent + missed
        try:
            together(*(partial(_restart, fleet, name) for name in SERVICES))
            together(*(partial(_tells, process, condition) for process in fleet.processes.values()))
            wait_until(lambda: stream.sent >= until, TOLD_SECONDS, "Traffic in the outage")
        finally:
            back()
        lasted = time.monotonic() - began
        fleet.wait_ready()
    settled = settle(fleet)
    relationships.check(settled.books)
    for name, tail in tails.items():
        _said_once(name, tail)
    print(f"{condition} away for {lasted:.0f} s: {settled} so far")


def _restart(fleet: Fleet, name: str) -> None:
    """SIGTERM is obeyed in the outage too; the next start waits for its end."""
    code = fleet.processes[name, 1].stop(STOP_SECONDS)
    assert code in ENDED_IN_ORDER, f"{name}-1 ended with {code}"
    fleet.start(name, 1)


def _tells(process: ServiceProcess, condition: str) -> None:
    def told() -> bool:
        status, document = process.readiness()
        checks = document.get("checks", [])
        assert isinstance(checks, list)
        return status == 503 and any(check["name"] == condition and not check["ok"] for check in checks)

    wait_until(told, TOLD_SECONDS, f"{process.name} tells that its {condition} does not answer")


def _said_once(name: str, tail: LogTail) -> None:
    """A fault is said when it begins, and is no error; what the libraries say is thinned out."""
    lines = [line for line in tail.lines() if line.get("level") not in ("info", "debug")]
    own = [line for line in lines if str(line.get("logger", "")).partition(".")[0] not in TALKATIVE]
    said = Counter(VARYING.sub("#", line["event"]) for line in own)
    assert lines, f"{name} said nothing of an outage"
    assert len(lines) <= LINES_MAX, f"{name} said {len(lines)} lines: {said}"
    errors = [line for line in own if line.get("level") != "warning"]
    assert errors == [], f"{name} takes a fault that passes for an error"
    assert max(said.values(), default=0) <= SAID_MAX, f"{name}: {said}"
