"""docker-compose.yml run for real: from nothing to a decided order, and gone again without a trace."""

import asyncio
import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from ops.local.ports import HOST, Ports, free_ports
from ops.local.services import SERVICES
from ops.local.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
SWITCH = "COFFER_TEST_COMPOSE"
PUBLISHED = (*(field.name for field in fields(Ports)), "prometheus", "grafana")
ENGINE_SECONDS = 20
UP_SECONDS = 900
DECISION_SECONDS = 60.0
SCRAPE_SECONDS = 60.0
ORDER = json.loads((ROOT / "contracts" / "examples" / "order-submitted.v1" / "smallest.json").read_text())

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * UP_SECONDS)]

Json = dict[str, Any]


def why_not() -> str | None:
    """Why this cannot be run here, in a sentence."""
    if os.environ.get(SWITCH) != "1":
        return f"the whole of docker-compose.yml is run where {SWITCH}=1 asks for it"
    if shutil.which("docker") is None:
        return "docker is not installed"
    command = ["docker", "version", "--format", "{{.Server.Version}}"]
    result = subprocess.run(command, capture_output=True, timeout=ENGINE_SECONDS, check=False)
    return None if result.returncode == 0 else "no Docker engine answers"


@dataclass(frozen=True)
class Compose:
    """One project of its own: name, ports, volumes."""

    project: str
    ports: dict[str, int]

    def run(self, *arguments: str, seconds: float = 120, check: bool = True) -> str:
        environment = os.environ | {
            f"COFFER_PORT_{name.upper()}": str(port) for name, port in self.ports.items()
        }
        command = ["docker", "compose", "--project-name", self.project, *arguments]
        result = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=seconds, check=False
        )
        assert not check or result.returncode == 0, f"{arguments}: {result.stdout}{result.stderr}"
        return result.stdout

    def url(self, name: str) -> str:
        return f"http://{HOST}:{self.ports[name]}"

    def token(self, role: str) -> str:
        return self.run("run", "--rm", "--no-TTY", "token", "--role", role).strip()


@pytest.fixture(scope="module")
def stack() -> Iterator[Compose]:
    if reason := why_not():
        pytest.skip(reason)
    ports = dict(zip(PUBLISHED, free_ports(len(PUBLISHED)), strict=True))
    compose = Compose(f"coffer-test-{uuid.uuid4().hex[:8]}", ports)
    try:
        try:
            compose.run("up", "--build", "--wait", "--quiet-pull", seconds=UP_SECONDS)
        except AssertionError as problem:
            logs = compose.run("logs", "--tail", "20", "--no-color", check=False)
            raise AssertionError(f"{problem}\n{logs}") from None
        yield compose
    finally:
        compose.run("--profile", "tools", "down", "--volumes", "--remove-orphans", check=False)


def test_every_container_is_healthy_and_every_job_has_ended_well(stack: Compose) -> None:
    lines = stack.run("ps", "--all", "--format", "json").splitlines()
    states = {entry["Service"]: entry for entry in map(json.loads, lines)}
    jobs = {name: entry["ExitCode"] for name, entry in states.items() if entry["State"] == "exited"}
    assert jobs == dict.fromkeys(("secrets", "topics", "databases", "migrations"), 0)
    assert {entry["Health"] for name, entry in states.items() if name not in jobs} == {"healthy"}


def test_an_order_from_outside_is_decided(stack: Compose) -> None:
    order = {**ORDER, "order_id": f"SO-{uuid.uuid4()}", "payment_method": "credit-terms"}
    with httpx.Client(headers={"Authorization": f"Bearer {stack.token('administrator')}"}) as client:
        tell_master_data(stack, client, order)
    decided = asyncio.run(place(order, f"{HOST}:{stack.ports['kafka']}"))
    assert decided["outcome"] == "accepted", decided


def tell_master_data(stack: Compose, client: httpx.Client, order: Json) -> None:
    """A customer who is not credit managed, and the account that the order names."""
    account = {
        "kind": "account",
        "name": "Example",
        "customer": order["customer"],
        "settlement_organisation": order["settlement_organisation"],
    }
    for url, body in (
        (
            f"{stack.url('credit')}/customers/{order['customer']}",
            {"name": "Example", "credit_managed": False},
        ),
        (
            f"{stack.url('fund_pool')}/accounts/{order['paying_account']}",
            {"version": 1, "active": True, "record": account},
        ),
    ):
        answer = client.put(url, json=body, headers={"Idempotency-Key": str(uuid.uuid4())})
        assert answer.is_success, answer.text


async def place(order: Json, servers: str) -> Json:
    """Publish an order as an order system does, and return what answers it."""
    headers = {
        "ce_specversion": "1.0",
        "ce_id": str(uuid.uuid4()),
        "ce_source": order["source"],
        "ce_type": "order-submitted.v1",
        "ce_time": datetime.now(UTC).isoformat(),
        "content-type": "application/json",
    }
    packed = [(name, value.encode()) for name, value in headers.items()]
    async with (
        AIOKafkaProducer(bootstrap_servers=servers) as producer,
        AIOKafkaConsumer("order-decided", bootstrap_servers=servers, auto_offset_reset="earliest") as answers,
        asyncio.timeout(DECISION_SECONDS),
    ):
        key, value = order["paying_account"].encode(), json.dumps(order).encode()
        await producer.send_and_wait("order-submitted", value, key, headers=packed)
        async for record in answers:
            decided: Json = json.loads(record.value)
            if decided["order_id"] == order["order_id"]:
                return decided
    raise AssertionError("the answers ended")


def test_a_caller_without_a_token_is_refused(stack: Compose) -> None:
    assert httpx.get(f"{stack.url('credit')}/customers").status_code == httpx.codes.UNAUTHORIZED


def test_operators_commands_run_in_the_containers(stack: Compose) -> None:
    for service in SERVICES:
        stack.run("exec", "--no-TTY", service.name, "python", "-m", service.module, "verify")
        assert stack.run("exec", "--no-TTY", service.name, "python", "-m", service.module, "gaps") == ""


def test_prometheus_reads_every_service_and_holds_the_rules(stack: Compose) -> None:
    def health() -> set[str]:
        targets = httpx.get(f"{stack.url('prometheus')}/api/v1/targets").json()["data"]["activeTargets"]
        return {target["labels"]["service"] for target in targets if target["health"] == "up"}

    wait_until(lambda: health() == {service.name for service in SERVICES}, SCRAPE_SECONDS, "Every target")
    groups = httpx.get(f"{stack.url('prometheus')}/api/v1/rules").json()["data"]["groups"]
    assert {rule["health"] for group in groups for rule in group["rules"]} <= {"ok", "unknown"}
    assert any(rule["name"] == "CofferTargetDown" for group in groups for rule in group["rules"])


def test_grafana_took_its_files(stack: Compose) -> None:
    assert httpx.get(f"{stack.url('grafana')}/api/health").json()["database"] == "ok"


def test_nothing_in_the_image_or_in_a_container_tells_a_password(stack: Compose) -> None:
    password = stack.run("run", "--rm", "--no-TTY", "password").strip()
    identities = stack.run("ps", "--all", "--quiet").split()
    described = subprocess.run(
        ["docker", "inspect", *identities, "coffer:local"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert len(password) >= 32
    assert password not in described.stdout
    assert "postgresql://" not in described.stdout


def test_a_second_start_changes_nothing(stack: Compose) -> None:
    before = stack.run("run", "--rm", "--no-TTY", "password")
    stack.run("up", "--wait", seconds=UP_SECONDS)
    assert stack.run("run", "--rm", "--no-TTY", "password") == before
