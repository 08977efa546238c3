"""Processes are found again by their pid file, and nothing else is ever touched."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest

from ops.local.errors import DidNotStopError, ProcessDiedError
from ops.local.processes import ManagedProcess, Record, kill_unrecorded, recorded, unrecorded
from ops.local.waiting import wait_until

SLEEP = [sys.executable, "-c", "import time; print('begun', flush=True); time.sleep(600)"]
DEAF_PROGRAM = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('begun', flush=True)
time.sleep(600)
"""
DEAF = [sys.executable, "-c", DEAF_PROGRAM]


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[ManagedProcess]:
    managed = ManagedProcess(tmp_path, "sleeper")
    managed.start(SLEEP, port=1234)
    yield managed
    managed.kill()


def begun(managed: ManagedProcess) -> None:
    wait_until(lambda: "begun" in managed.log_file.read_text(), 10, "the start")


def test_another_command_finds_a_process_by_its_name(sleeper: ManagedProcess, tmp_path: Path) -> None:
    found = ManagedProcess(tmp_path, "sleeper")
    assert (found.pid, found.port, found.is_alive()) == (sleeper.pid, 1234, True)
    assert [managed.name for managed in recorded(tmp_path)] == ["sleeper"]


def test_a_pid_that_was_given_to_somebody_else_is_neither_alive_nor_stopped(tmp_path: Path) -> None:
    stranger = subprocess.Popen(SLEEP, stdout=subprocess.DEVNULL)
    try:
        managed = ManagedProcess(tmp_path, "kafka")
        managed.pid_file.parent.mkdir()
        began = psutil.Process(stranger.pid).create_time()
        record = Record("kafka", stranger.pid, began - 3600, 9092, ["java"])
        managed.pid_file.write_text(json.dumps(asdict(record)))
        assert not managed.is_alive()
        managed.stop(1)
        managed.kill()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}', "17"])
def test_a_broken_pid_file_counts_as_none(tmp_path: Path, content: str) -> None:
    managed = ManagedProcess(tmp_path, "kafka")
    managed.pid_file.parent.mkdir()
    managed.pid_file.write_text(content)
    assert not managed.is_alive()
    assert managed.stop(1) is None


def test_a_process_that_was_started_but_never_recorded_is_found_and_ended(sleeper: ManagedProcess) -> None:
    sleeper.pid_file.unlink()
    pids = [process.pid for process in unrecorded(sleeper.directory)]
    assert len(pids) == 1
    assert len(kill_unrecorded(sleeper.directory)) == 1
    wait_until(lambda: not sleeper.is_alive(), 10, "its end")


def test_a_recorded_process_is_not_taken_for_a_leftover(sleeper: ManagedProcess) -> None:
    assert list(unrecorded(sleeper.directory)) == []


def test_a_paused_process_still_stops(sleeper: ManagedProcess) -> None:
    begun(sleeper)
    sleeper.pause()
    assert sleeper.stop(10) == -15
    assert not sleeper.pid_file.exists()


def test_a_process_that_does_not_stop_is_killed_and_told(tmp_path: Path) -> None:
    managed = ManagedProcess(tmp_path, "deaf")
    managed.start(DEAF)
    begun(managed)
    with pytest.raises(DidNotStopError, match=r"deaf did not stop within 0\.2 s and was killed"):
        managed.stop(0.2)
    assert (managed.is_alive(), managed.exit_code) == (False, -9)


def test_a_process_that_dies_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    managed = ManagedProcess(tmp_path, "credit-1")
    managed.start([sys.executable, "-c", "raise SystemExit('COFFER_HTTP_PORT is no number')"])
    wait_until(lambda: not managed.is_alive(), 10, "its end")
    with pytest.raises(ProcessDiedError, match="COFFER_HTTP_PORT is no number"):
        managed.require_alive()
