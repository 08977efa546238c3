"""docker-compose.yml and the Dockerfile, as files: what must hold whether or not an engine is at hand."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.compose import receivers
from ops.local import broker, topics
from ops.local.services import SERVICES

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker-compose.yml"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
OWN_IMAGE = "coffer:local"
JOBS = {"secrets", "topics", "databases", "migrations"}
SERVICE_NAMES = {service.name for service in SERVICES}
PINNED = {"apache/kafka:4.3.0", "postgres:18", "prom/prometheus:v3.5.0", "grafana/grafana:12.1.0", OWN_IMAGE}
SECRET_NAME = re.compile(r"PASSWORD|SECRET|TOKEN|DSN|KEY$")

Json = dict[str, Any]

STACK: Json = yaml.safe_load(FILE.read_text())
CONTAINERS: dict[str, Json] = STACK["services"]
TOOLS = {name for name, entry in CONTAINERS.items() if "profiles" in entry}
LONG_RUNNING = CONTAINERS.keys() - JOBS - TOOLS
OURS = {name for name, entry in CONTAINERS.items() if entry["image"] == OWN_IMAGE}


def environment(name: str) -> dict[str, str]:
    return {key: str(value) for key, value in CONTAINERS[name].get("environment", {}).items()}


def test_it_brings_the_services_and_what_they_stand_on() -> None:
    assert SERVICE_NAMES | {"kafka", "postgres", "prometheus", "grafana", "mail", "sms"} == LONG_RUNNING
    assert {entry["image"] for entry in CONTAINERS.values()} == PINNED


@pytest.mark.parametrize("name", CONTAINERS)
def test_nothing_is_pulled_anew_at_each_start(name: str) -> None:
    assert CONTAINERS[name].get("pull_policy") != "always"


@pytest.mark.parametrize("name", CONTAINERS)
def test_ports_are_published_on_loopback_only(name: str) -> None:
    assert all(str(port).startswith("127.0.0.1:") for port in CONTAINERS[name].get("ports", []))


@pytest.mark.parametrize("name", sorted(LONG_RUNNING))
def test_what_runs_on_is_watched_started_again_and_writes_a_bounded_log(name: str) -> None:
    entry = CONTAINERS[name]
    assert entry["healthcheck"]["test"]
    assert entry["restart"] == "unless-stopped"
    assert entry["logging"]["options"]["max-size"]


@pytest.mark.parametrize("name", sorted(JOBS | TOOLS))
def test_a_job_is_not_started_again(name: str) -> None:
    assert CONTAINERS[name].get("restart", "no") == "no"


@pytest.mark.parametrize("name", sorted(OURS))
def test_our_containers_run_as_an_ordinary_user_who_can_change_nothing(name: str) -> None:
    entry = CONTAINERS[name]
    assert entry["user"] == "10001:10001"
    assert entry["read_only"] is True
    assert entry["cap_drop"] == ["ALL"]
    assert entry["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in entry


@pytest.mark.parametrize("name", CONTAINERS)
def test_secrets_come_from_files_only(name: str) -> None:
    for key, value in environment(name).items():
        if SECRET_NAME.search(key.removesuffix("_FILE")):
            assert key.endswith("_FILE"), key
            assert value.startswith("/run/coffer/"), key
        assert not re.search(r"://[^/\s]+:[^/\s]+@", value), f"{key} holds a password"


def test_the_image_holds_no_secret_and_ends_as_an_ordinary_user() -> None:
    assert not re.search(r"^(ARG|ENV) .*(PASSWORD|SECRET|TOKEN|DSN)", DOCKERFILE, re.MULTILINE)
    assert re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE)[-1] == "10001:10001"


def test_the_image_is_built_on_one_base_from_locked_packages() -> None:
    assert {line.split()[0] for line in re.findall(r"^FROM (.*)$", DOCKERFILE, re.MULTILINE)} == {
        "python:3.13-slim"
    }
    assert DOCKERFILE.count("--require-hashes") == 2
    assert "syntax=" not in DOCKERFILE


def test_only_what_is_named_gets_into_the_build() -> None:
    lines = (ROOT / ".dockerignore").read_text().split()
    assert "*" in lines
    assert {line for line in lines if line.startswith("!")} == {
        f"!{name}"
        for name in ("requirements.in", "requirements.lock", "contracts", "chassis", "services", "ops")
    }


@pytest.mark.parametrize("name", sorted(OURS))
def test_each_container_sees_its_own_part_of_the_secrets(name: str) -> None:
    """The job that makes them and the one that sets the passwords see all of them."""
    parts = [mount for mount in CONTAINERS[name].get("volumes", []) if "coffer" in str(mount)]
    if name in {"secrets", "databases"}:
        assert all(isinstance(mount, str) for mount in parts)
        return
    subpaths = [mount["volume"]["subpath"] for mount in parts]
    if name in SERVICE_NAMES:
        assert subpaths == [f"services/{name}"]
    assert len(subpaths) == len(set(subpaths)) <= 1
    assert "services" not in subpaths


def test_only_the_job_that_makes_secrets_and_the_receivers_write_there() -> None:
    writers = set()
    for name in OURS:
        for mount in CONTAINERS[name].get("volumes", []):
            read_only = mount.endswith(":ro") if isinstance(mount, str) else mount.get("read_only", False)
            if not read_only:
                writers.add(name)
    assert writers == {"secrets", "mail", "sms"}


@pytest.mark.parametrize("name", sorted(SERVICE_NAMES))
def test_a_service_waits_for_its_topics_and_tables(name: str) -> None:
    waits = CONTAINERS[name]["depends_on"]
    for job in ("topics", "migrations"):
        assert waits[job]["condition"] == "service_completed_successfully"


def test_whoever_needs_something_waits_until_it_works() -> None:
    for name, entry in CONTAINERS.items():
        for needed, how in entry.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if needed in JOBS else "service_healthy"
            assert how["condition"] == wanted, f"{name} needs {needed}"


@pytest.mark.parametrize("name", sorted(SERVICE_NAMES))
def test_a_service_answers_on_one_port_everywhere(name: str) -> None:
    entry = CONTAINERS[name]
    port = environment(name)["COFFER_HTTP_PORT"]
    scraped = (ROOT / "ops" / "prometheus" / "prometheus.yml").read_text()
    assert [str(mapping).rpartition(":")[2] for mapping in entry["ports"]] == [port]
    assert entry["healthcheck"]["test"].split()[-1] == port
    assert f'{{targets: ["{name}:{port}"], labels: {{service: {name}}}}}' in scraped


def test_the_receivers_are_where_notify_looks_for_them() -> None:
    told = environment("notify")
    assert told["COFFER_SMTP_PORT"] == str(receivers.SMTP_PORT)
    assert told["COFFER_SMS_URL"] == f"http://sms:{receivers.SMS_PORT}/cgi-bin/sendsms"
    assert CONTAINERS["mail"]["healthcheck"]["test"].endswith(f" {receivers.MAILBOX_PORT} /livez")
    assert CONTAINERS["sms"]["healthcheck"]["test"].endswith(f" {receivers.SMS_PORT} /livez")


def test_data_lies_where_the_images_keep_it() -> None:
    assert "postgres:/var/lib/postgresql" in CONTAINERS["postgres"]["volumes"]
    assert "kafka:/var/lib/kafka/data" in CONTAINERS["kafka"]["volumes"]
    assert set(STACK["volumes"]) == {"coffer", "kafka", "postgres", "prometheus", "grafana"}


def test_the_broker_takes_the_largest_message_that_a_topic_admits() -> None:
    told = environment("kafka")
    largest = max(topic.message_bytes_max for topic in topics.declared())
    assert (
        int(told["KAFKA_MESSAGE_MAX_BYTES"])
        == broker.MESSAGE_BYTES_MAX + broker.REQUEST_OVERHEAD_BYTES
        > largest
    )
    assert told["KAFKA_REPLICA_FETCH_MAX_BYTES"] == told["KAFKA_MESSAGE_MAX_BYTES"]


def test_the_services_of_the_topics_file_are_those_that_run() -> None:
    document = tomllib.loads((ROOT / "ops" / "topics.toml").read_text())
    assert set(document["services"]["names"]) == SERVICE_NAMES
