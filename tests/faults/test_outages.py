"""Broker and database killed under load and while services start: everybody waits, says so once, and catches up."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from ops.local.services import ServiceProcess
from ops.local.waiting import together, wait_until
from ops.verify.services import SERVICES
from tests.faults.books import settle
from tests.faults.fleet import Fleet, LogTail
from tests.faults.streams import Commander, Relationships, Stream

pytestmark = [pytest.mark.stack, pytest.mark.slow]

STREAM_SECONDS = 60.0
NOTICE_SECONDS = 60.0
STOP_SECONDS = 10.0
MESSAGES_BEFORE = 60
SAME_LINES_MAX = 6
LINES_MAX = 120


def test_a_broker_killed_under_load_and_away_at_a_start_is_waited_for(
    fleet: Fleet, stream: Stream, commander: Commander, relationships: Relationships
) -> None:
    _require_own(fleet.stack.broker.kind)
    with stream, commander:
        tails = _undergo(fleet, stream, fleet.stack.kill_broker, fleet.stack.start_broker, "Kafka")
    settled = settle(fleet)
    assert relationships.wrong == []
    print(f"broker killed: {_counted(tails)}; {settled}")


def test_a_database_stopped_hard_under_load_and_away_at_a_start_is_waited_for(
    fleet: Fleet, stream: Stream, commander: Commander, relationships: Relationships
) -> None:
    _require_own(fleet.stack.database.kind)

    def stop_hard() -> None:
        fleet.stack.stop_postgres(immediate=True)

    with stream, commander:
        tails = _undergo(fleet, stream, stop_hard, fleet.stack.start_postgres, "database")
    settled = settle(fleet)
    assert relationships.wrong == []
    print(f"database stopped hard: {_counted(tails)}; {settled}")


def _require_own(kind: str) -> None:
    if kind == "external":
        pytest.skip("the server belongs to somebody else, and is not stopped")


def _undergo(
    fleet: Fleet, stream: Stream, begin: Callable[[], None], end: Callable[[], None], names: str
) -> list[LogTail]:
    """An outage in which second instances stop in order and start again; returns what was logged meanwhile."""
    moment = stream.sent + MESSAGES_BEFORE
    wait_until(lambda: stream.sent >= moment, STREAM_SECONDS, "The stream")
    tails = [LogTail(process) for process in fleet.processes.values()]
    begin()
    together(*(partial(fleet.processes[name, 2].stop, STOP_SECONDS) for name in SERVICES))
    for name in SERVICES:
        fleet.start(name, 2)
    for process in fleet.processes.values():
        wait_until(partial(_says_unready, process, names), NOTICE_SECONDS, f"{process.name} says so")
    end()
    fleet.wait_ready()
    _assert_few_words(tails)
    return tails


def _says_unready(process: ServiceProcess, names: str) -> bool:
    status, document = process.readiness()
    checks: Any = document.get("checks", [])
    failing = [check for check in checks if not check["ok"] and check["sentence"]]
    return status == 503 and any(names in f"{check['name']} {check['sentence']}" for check in failing)


def _assert_few_words(tails: list[LogTail]) -> None:
    for tail in tails:
        lines = [line for line in tail.lines() if line.get("level") != "debug"]
        same = Counter((str(line.get("logger")), str(line.get("event"))[:60]) for line in lines)
        often = {line: count for line, count in same.items() if count > SAME_LINES_MAX}
        assert not often, f"{tail.name} says again and again: {often}"
        assert len(lines) <= LINES_MAX, f"{tail.name} says {len(lines)} lines: {same.most_common(10)}"


def _counted(tails: list[LogTail]) -> str:
    counts = [len(tail.lines()) for tail in tails]
    return f"{min(counts)} to {max(counts)} lines logged per instance"
