"""A stack starts, survives what is done to it, and leaves nothing behind; alike natively and in containers."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from ops.local import containers, topics
from ops.local.broker import NativeBroker
from ops.local.database import NativeDatabase
from ops.local.errors import NotReadyError, PortBusyError, ProcessDiedError, StackError
from ops.local.external import ExternalBroker, ExternalDatabase
from ops.local.ports import HOST, Ports, is_free
from ops.local.processes import MARKER, recorded
from ops.local.stack import TESTS_DIRECTORY, Stack, remove_abandoned
from ops.local.waiting import wait_until

SAMPLE = """
import http.server, os

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = os.environ["COFFER_INSTANCE"].encode()
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()
        self.wfile.write(b'{"instance": "' + body + b'"}')

http.server.HTTPServer(("127.0.0.1", int(os.environ["COFFER_HTTP_PORT"])), Handler).serve_forever()
"""


@pytest.fixture(scope="module", params=["native", "docker"])
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    if request.param == "docker" and (reason := containers.unusable()):
        pytest.skip(reason)
    directory = TESTS_DIRECTORY / f"conformance-{request.param}"
    running = Stack(directory, Ports.free(), kind=request.param)
    running.start_infrastructure()
    try:
        yield running
    finally:
        running.discard()


def query(dsn: str, sql: str) -> object:
    async def ask() -> object:
        connection = await asyncpg.connect(dsn, timeout=10)
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    return asyncio.run(ask())


def produce(stack: Stack, topic: str, value: bytes) -> None:
    async def send() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=stack.bootstrap_servers, max_request_size=20_000_000)
        await producer.start()
        try:
            await producer.send_and_wait(topic, value, partition=0)
        finally:
            await producer.stop()

    asyncio.run(send())


def count(stack: Stack, topic: str) -> int:
    async def ask() -> int:
        consumer = AIOKafkaConsumer(topic, bootstrap_servers=stack.bootstrap_servers)
        await consumer.start()
        try:
            return sum((await consumer.end_offsets(consumer.assignment())).values())
        finally:
            await consumer.stop()

    return asyncio.run(ask())


@pytest.mark.stack
class TestInfrastructure:
    def test_starting_what_runs_changes_nothing(self, stack: Stack) -> None:
        before = {managed.name: managed.pid for managed in recorded(stack.directory)}
        stack.start_infrastructure()
        assert {managed.name: managed.pid for managed in recorded(stack.directory)} == before

    def test_another_command_finds_it_with_its_ports(self, stack: Stack) -> None:
        found = Stack(stack.directory)
        assert (found.ports, found.broker.kind) == (stack.ports, stack.broker.kind)
        assert found.broker.is_alive()
        assert found.database.is_alive()

    def test_nothing_listens_beyond_this_machine(self, stack: Stack) -> None:
        pids = {managed.pid for managed in recorded(stack.directory)}
        listening = [
            getattr(connection.laddr, "ip", "")
            for connection in psutil.net_connections("inet")
            if connection.pid in pids and connection.status == psutil.CONN_LISTEN
        ]
        assert listening
        assert {address.removeprefix("::ffff:") for address in listening} == {HOST}

    def test_topics_are_made_once_and_keep_their_records(self, stack: Stack) -> None:
        stack.create_topics()
        produce(stack, "order-submitted", b"{}")
        before = count(stack, "order-submitted")
        assert topics.create(stack.bootstrap_servers, topics.declared()) == []
        assert count(stack, "order-submitted") == before >= 1

    def test_fresh_topics_are_empty(self, stack: Stack) -> None:
        stack.create_topics()
        produce(stack, "quota-low", b"{}")
        stack.create_topics(fresh=True)
        assert count(stack, "quota-low") == 0

    def test_a_topic_takes_what_is_declared_and_no_more(self, stack: Stack) -> None:
        stack.create_topics()
        produce(stack, "order-submitted", bytes(4_000_000))
        produce(stack, "credit.dead-letter", bytes(8_000_000))
        with pytest.raises(MessageSizeTooLargeError):
            produce(stack, "order-submitted", bytes(4_300_000))

    def test_a_topic_that_nobody_declared_is_not_made_by_a_typo(self, stack: Stack) -> None:
        with pytest.raises((KafkaError, TimeoutError)):
            asyncio.run(asyncio.wait_for(_send_to_nowhere(stack), 3))

    @pytest.mark.parametrize("name", ["fsync", "synchronous_commit", "full_page_writes"])
    def test_durability_is_on(self, stack: Stack, name: str) -> None:
        assert query(stack.admin_dsn, f"show {name}") == "on"


async def _send_to_nowhere(stack: Stack) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=stack.bootstrap_servers)
    await producer.start()
    try:
        await producer.send_and_wait("order-submited", b"{}")
    finally:
        await producer.stop()


@pytest.mark.stack
class TestDatabases:
    @pytest.fixture(autouse=True)
    def _databases(self, stack: Stack) -> None:
        stack.create_databases()
        stack.create_databases()

    def test_the_application_changes_rows_of_tables_that_the_owner_makes(self, stack: Stack) -> None:
        query(stack.dsn("credit", owner=True), "create table if not exists thing (id bigserial primary key)")
        query(stack.dsn("credit"), "insert into thing default values")
        assert query(stack.dsn("credit"), "update thing set id = id + 1 returning id") is not None
        query(stack.dsn("credit"), "delete from thing")

    def test_the_application_owns_nothing_and_makes_no_tables(self, stack: Stack) -> None:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            query(stack.dsn("credit"), "create table mine (id bigint)")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            query(stack.dsn("credit"), "create schema mine")

    def test_a_service_cannot_read_anothers_database(self, stack: Stack) -> None:
        other = stack.dsn("credit").rpartition("/")[0] + "/fund_pool"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            query(other, "select 1")

    def test_a_fresh_database_is_empty(self, stack: Stack) -> None:
        query(stack.dsn("sharing", owner=True), "create table if not exists left_over (id bigint)")
        stack.create_databases(["sharing"], fresh=True)
        assert query(stack.dsn("sharing"), "select to_regclass('left_over')") is None


@pytest.mark.stack
class TestServices:
    def test_a_service_is_started_told_who_it_is_and_stopped(self, stack: Stack) -> None:
        service = stack.start_service("sample", argv=["-c", SAMPLE], extra_env={"COFFER_LOG_LEVEL": "debug"})
        service.wait_ready(20)
        assert service.readiness() == (200, {"instance": "sample-1"})
        assert [found.name for found in stack.services()] == ["sample-1"]
        with pytest.raises(StackError, match=r"sample-1 runs already\."):
            stack.start_service("sample", argv=["-c", SAMPLE])
        assert service.stop() == -15
        assert stack.services() == []

    def test_two_instances_have_ports_of_their_own(self, stack: Stack) -> None:
        both = [stack.start_service("sample", number, argv=["-c", SAMPLE]) for number in (1, 2)]
        for service in both:
            service.wait_ready(20)
        assert both[0].port != both[1].port
        assert [service.readiness()[1]["instance"] for service in both] == ["sample-1", "sample-2"]
        both[0].kill()
        assert (both[0].is_alive(), both[1].is_alive()) == (False, True)
        both[1].kill()

    def test_a_paused_service_does_not_answer_until_it_goes_on(self, stack: Stack) -> None:
        service = stack.start_service("sample", argv=["-c", SAMPLE]).wait_ready(20)
        service.pause()
        assert service.readiness()[0] == 0
        assert service.is_alive()
        service.resume()
        service.wait_ready(10)
        service.kill()

    def test_a_service_that_dies_at_start_is_told_with_its_last_words(self, stack: Stack) -> None:
        service = stack.start_service("sample", argv=["-c", "raise SystemExit('no broker named')"])
        with pytest.raises(ProcessDiedError, match="no broker named"):
            service.wait_ready(20)
        service.kill()

    def test_a_service_that_never_gets_ready_is_told_too(self, stack: Stack) -> None:
        service = stack.start_service("sample", argv=["-c", "import time; time.sleep(60)"])
        with pytest.raises(NotReadyError, match="Readiness of sample-1"):
            service.wait_ready(0.2)
        service.kill()

    def test_the_environment_file_can_be_sourced(self, stack: Stack) -> None:
        path = stack.write_environment_file()
        script = f'. "{path}" && printf "%s|%s|%s" "$POSTGRES_DSN" "$COFFER_CREDIT_URL" "$COFFER_SMTP_FROM"'
        shell = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)
        assert shell.stdout == f"{stack.admin_dsn}|{stack.url('credit')}|Coffer <notices@coffer.local>"
        assert path.stat().st_mode & 0o077 == 0


@pytest.mark.stack
@pytest.mark.slow
class TestDisturbances:
    def test_a_broker_that_was_stopped_or_killed_comes_back_with_its_records(self, stack: Stack) -> None:
        stack.create_topics()
        produce(stack, "master-data-changed", b"{}")
        before = count(stack, "master-data-changed")
        for end in (stack.stop_broker, stack.kill_broker):
            end()
            assert not stack.broker.is_alive()
            stack.start_broker()
            assert count(stack, "master-data-changed") == before

    def test_a_database_that_was_stopped_hard_comes_back_with_its_rows(self, stack: Stack) -> None:
        stack.create_databases()
        query(stack.dsn("notify", owner=True), "create table if not exists kept as select 42 as answer")
        stack.stop_postgres(immediate=True)
        assert not stack.database.is_alive()
        stack.start_postgres()
        assert query(stack.dsn("notify"), "select answer from kept") == 42

    def test_after_a_kill_of_everything_it_just_starts_again(self, stack: Stack) -> None:
        if stack.broker.kind != "native":
            pytest.skip("containers outlive what started them")
        stack.create_databases()
        query(stack.dsn("cashplan", owner=True), "create table if not exists kept as select 7 as answer")
        killed = [managed.process for managed in recorded(stack.directory) if managed.process is not None]
        for process in killed:
            process.kill()
        psutil.wait_procs(killed, timeout=10)
        again = Stack(stack.directory, stack.ports, kind="native")
        again.start_infrastructure()
        assert query(again.dsn("cashplan"), "select answer from kept") == 7


@pytest.mark.stack
def test_what_a_killed_test_run_left_is_removed_by_the_next() -> None:
    directory = TESTS_DIRECTORY / "4194304-abandoned"
    stack = Stack(directory, Ports.free(), kind="native")
    stack.start_postgres()
    (directory / "owner.json").write_text(json.dumps({"pid": 4194304, "started_at": 0}))
    remove_abandoned()
    assert is_free(stack.ports.postgres)
    assert not directory.exists()


def test_a_busy_port_is_told_before_anything_starts(tmp_path: Path) -> None:
    stack = Stack(tmp_path, Ports.free(), kind="native")
    with (
        socket.create_server((HOST, stack.ports.notify)),
        pytest.raises(PortBusyError, match=r"needed by the service notify,.*COFFER_PORT_NOTIFY"),
    ):
        stack.up()
    assert recorded(tmp_path) == []


@pytest.mark.parametrize(
    ("environment", "kinds"),
    [
        ({}, (NativeBroker, NativeDatabase)),
        ({"KAFKA_BOOTSTRAP_SERVERS": "k:9092"}, (ExternalBroker, NativeDatabase)),
        ({"POSTGRES_DSN": "postgresql://p/"}, (NativeBroker, ExternalDatabase)),
        (
            {"POSTGRES_DSN": "postgresql://p/", "KAFKA_BOOTSTRAP_SERVERS": "k:9092"},
            (ExternalBroker, ExternalDatabase),
        ),
        (
            {
                "POSTGRES_DSN": "postgresql://p/",
                "KAFKA_BOOTSTRAP_SERVERS": "k:9092",
                "COFFER_STACK": "native",
            },
            (NativeBroker, NativeDatabase),
        ),
    ],
)
def test_servers_of_ones_own_are_used_where_the_environment_names_them(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    kinds: tuple[type, type],
) -> None:
    for name in ("KAFKA_BOOTSTRAP_SERVERS", "POSTGRES_DSN", "COFFER_STACK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    stack = Stack(tmp_path)
    assert (type(stack.broker), type(stack.database)) == kinds


def test_what_is_not_ours_is_never_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "kafka.example.test:9092")
    monkeypatch.setenv("POSTGRES_DSN", "postgresql://admin:secret@db.example.test/postgres")
    stack = Stack(tmp_path, kind="external")
    with pytest.raises(StackError, match="that KAFKA_BOOTSTRAP_SERVERS names is not this stack's"):
        stack.stop_broker()
    with pytest.raises(StackError, match="that POSTGRES_DSN names is not this stack's"):
        stack.stop_postgres()
    stack.stop()
    assert stack.dsn("credit").endswith("@db.example.test:5432/credit")


def test_a_kind_that_does_not_exist_is_told(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="COFFER_STACK is 'podman': it must be one of auto, native,"):
        Stack(tmp_path, kind="podman")


def test_stop_ends_what_was_started_but_never_recorded(tmp_path: Path) -> None:
    stack = Stack(tmp_path, Ports.free(), kind="native")
    orphan = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"], env={MARKER: str(stack.directory)}
    )
    stack.stop()
    wait_until(lambda: orphan.poll() is not None, 5, "its end")
