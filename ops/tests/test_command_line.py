"""`python -m ops.local` as `make up`, `status`, `token` and `down` use it, with whatever services are installed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import jwt
import psutil
import pytest

from ops.local.ports import Ports, variable_of
from ops.local.processes import recorded
from ops.local.services import SERVICES
from ops.local.stack import TESTS_DIRECTORY, Stack

ROOT = Path(__file__).resolve().parents[2]
SECONDS_MAX = 400


class CommandLine:
    """Runs commands on one stack of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        ports = {variable_of(name): str(port) for name, port in asdict(Ports.free()).items()}
        named = {"KAFKA_BOOTSTRAP_SERVERS", "POSTGRES_DSN"}
        self.environment = {name: value for name, value in os.environ.items() if name not in named} | ports
        self.environment["COFFER_STACK"] = "native"

    def __call__(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ops.local", command, "--directory", str(self.directory), *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )


@pytest.fixture
def run() -> Iterator[CommandLine]:
    directory = TESTS_DIRECTORY / f"{os.getpid()}-command-line"
    try:
        yield CommandLine(directory)
    finally:
        Stack(directory, kind="native").discard()


@pytest.mark.stack
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_up_twice_then_down(run: CommandLine) -> None:
    first = run("up")
    assert first.returncode == 0, first.stderr + first.stdout
    before = {managed.name: managed.pid for managed in recorded(run.directory)}
    installed = {f"{service.name}-1" for service in SERVICES if service.is_installed()}
    assert set(before) == {"kafka", "postgres", "mail", "sms"} | installed

    status = run("status")
    assert status.returncode == 0, status.stdout
    assert "stopped" not in status.stdout

    second = run("up")
    assert second.returncode == 0, second.stderr
    assert {managed.name: managed.pid for managed in recorded(run.directory)} == before
    environment = (run.directory / "env").read_text()
    for name in ("KAFKA_BOOTSTRAP_SERVERS", "POSTGRES_DSN", "COFFER_FUND_POOL_URL", "COFFER_TOKEN"):
        assert f"export {name}=" in environment

    assert run("down").returncode == 0
    assert [pid for pid in before.values() if pid and _runs(pid)] == []
    assert not (run.directory / "env").exists()
    assert run("down").returncode == 0
    assert run("status").returncode == 1


def _runs(pid: int) -> bool:
    """Whether a process is there and has not ended; one that nobody has reaped yet has."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_token_is_printed_alone(run: CommandLine) -> None:
    printed = run("token", "--role", "account-user", "--account", "ACME", "--subject", "ann", "--ttl", "60")
    claims = jwt.decode(printed.stdout.strip(), options={"verify_signature": False})
    assert (claims["sub"], claims["roles"], claims["accounts"]) == ("ann", ["account-user"], ["ACME"])


def test_a_mistake_is_one_sentence(run: CommandLine) -> None:
    refused = run("token", "--role", "boss")
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: There is no role boss; the roles are ")
    assert refused.stderr.count("\n") == 1


def test_a_log_that_does_not_exist_is_told(run: CommandLine) -> None:
    refused = run("logs", "kafka")
    assert refused.stderr.startswith("error: There is no log of kafka in ")


def test_the_topics_are_shown_with_who_writes_and_reads_them(run: CommandLine) -> None:
    shown = run("topics").stdout
    [line] = [line for line in shown.splitlines() if line.startswith("order-submitted")]
    assert line.split() == ["order-submitted", "order-systems", "credit", "paying", "account"]
