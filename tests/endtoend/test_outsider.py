"""Somebody with a Kafka client and the contracts' page publishes an order and gets the answer."""

import os
import subprocess
import sys

import pytest

from ops.local.stack import ROOT
from tests.endtoend.house import House

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(900)]

SCRIPT = "examples/publish_order.py"


@pytest.mark.parametrize(
    ("arguments", "code", "answer"),
    [
        ([], 0, "accepted: 359.34 CNY from cash"),
        (["--customer", "C-UNKNOWN"], 1, "unknown-customer"),
    ],
)
def test_an_outsiders_order_is_answered(
    prepared: House, arguments: list[str], code: int, answer: str
) -> None:
    prepared.forget()
    environment = os.environ | {"KAFKA_BOOTSTRAP_SERVERS": prepared.stack.bootstrap_servers}
    script = subprocess.run(
        [sys.executable, SCRIPT, *arguments],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert script.returncode == code, script.stdout + script.stderr
    assert answer in script.stdout


def test_the_script_imports_nothing_of_ours() -> None:
    listing = "import sys, runpy; runpy.run_path(sys.argv[1]); print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", listing, SCRIPT],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout.split()
    assert "aiokafka" in modules
    assert not {"contracts", "chassis", "ops", "examples"} & set(modules)
