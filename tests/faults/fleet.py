"""Five services, two instances of each, on a stack of their own: armed, killed, stopped, restarted and judged."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx
import psutil
from aiokafka.admin import AIOKafkaAdminClient

from ops.local.errors import NotReadyError
from ops.local.ports import free_ports
from ops.local.processes import ManagedProcess
from ops.local.services import ServiceDefinition, ServiceProcess
from ops.local.stack import Stack
from ops.local.waiting import run, together, wait_until
from ops.verify.__main__ import gather, invariants, wait_until_drained
from ops.verify.checks import Evidence, Outcome, run_all
from ops.verify.log import Log
from ops.verify.services import SERVICES, Services, from_environment
from tests.faults.door import Door
from tests.faults.launch import FOLDER_VARIABLE
from tests.faults.nursery import Nursery
from tests.faults.settings import SEED
from tests.faults.traffic import Traffic

INSTANCES: Final = (1, 2)
REACH_SECONDS: Final = 90.0
DRAIN_SECONDS: Final = 180.0
READY_SECONDS: Final = 180.0
COMMAND_SECONDS: Final = 120.0
PROVIDER_SECONDS: Final = 3
STOP_SECONDS: Final = 10.0
ENDED_IN_ORDER: Final = (0, -15)

UNFINISHED: Final = "select to_jsonb(d)::text from delivery d where ended_at is null order by id limit 20"
NOTIFY_ENVIRONMENT: Final = {
    "COFFER_SMTP_SECONDS_MAX": str(PROVIDER_SECONDS),
    "COFFER_SMS_SECONDS_MAX": str(PROVIDER_SECONDS),
    "COFFER_DELIVERY_RETRY_SECONDS": "0.5",
}


class Fleet:
    """The running instances, and what a test can do to them."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.faults = stack.directory / "faults"
        self.traffic = Traffic(SEED)
        self.acknowledged: list[tuple[str, int, int]] = []
        self.processes: dict[tuple[str, int], ServiceProcess] = {}
        self.nurseries = {name: Nursery(name, stack.directory) for name in SERVICES}
        ports = iter(free_ports(len(SERVICES) * len(INSTANCES)))
        self.ports = {(name, number): next(ports) for name in SERVICES for number in INSTANCES}
        self.door = Door([self.ports["notify", number] for number in INSTANCES])

    def prepare(self) -> None:
        """Starts broker, database and providers, on which nothing of Coffer runs yet."""
        self.stack.start_infrastructure()
        self.stack.create_topics()
        self.stack.create_databases()
        together(*(partial(self._migrate, name) for name in SERVICES))

    def _migrate(self, name: str) -> None:
        owner = {"COFFER_MIGRATION_DSN": self.stack.dsn(name, owner=True)}
        code, output = self.command(name, "migrate", environment=owner)
        assert code == 0, output

    def command(
        self, name: str, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> tuple[int | None, str]:
        """Runs one of a service's commands to its end; returns its code and what it said."""
        log_file = self.stack.directory / "logs" / f"{name}-{arguments[0]}.log"
        log_file.parent.mkdir(parents=True, exist_ok=True)
        log_file.unlink(missing_ok=True)
        told = {**self.stack.service_environment(name, "command", 0), **(environment or {})}
        process = self.nurseries[name].start(told, log_file, *arguments)
        wait_until(lambda: process.poll() is not None, COMMAND_SECONDS, f"The end of {name} {arguments[0]}")
        return process.poll(), log_file.read_text()

    def start(self, name: str, instance: int) -> ServiceProcess:
        """Starts an instance that does not run, on the port that it always has; returns at once."""
        folder, port = self._folder(name), self.ports[name, instance]
        folder.mkdir(parents=True, exist_ok=True)
        managed = ManagedProcess(self.stack.directory, f"{name}-{instance}")
        managed.open_log().close()
        environment = self.stack.service_environment(name, str(instance), port)
        environment[FOLDER_VARIABLE] = str(folder)
        if name == "notify":
            environment |= {**NOTIFY_ENVIRONMENT, "COFFER_SMS_REPORT_URL": self.door.url}
        nursery = self.nurseries[name]
        managed.adopt(nursery.start(environment, managed.log_file, "serve"), nursery.command, port)
        process = self.processes[name, instance] = ServiceProcess(managed)
        return process

    def close(self) -> None:
        """Ends everything."""
        self.stack.discard()
        self.door.close()
        for nursery in self.nurseries.values():
            nursery.close()

    def start_missing(self) -> list[ServiceProcess]:
        """Starts what was killed or was never there, all at once, and returns when everything is ready."""
        missing = [
            key for key in self.ports if (known := self.processes.get(key)) is None or not known.is_alive()
        ]
        started = [self.start(*key) for key in missing]
        self.wait_ready()
        return started

    def wait_shared(self) -> None:
        """Returns when both instances of every service are members of its group and have their partitions."""
        shared = {name: ("Stable", len(INSTANCES)) for name in SERVICES}
        wait_until(lambda: self.groups() == shared, READY_SECONDS, "Both members of every group")

    def groups(self) -> dict[str, tuple[str, int]]:
        """State and number of members of each service's consumer group."""
        return run(_groups(self.stack.bootstrap_servers))

    def wait_ready(self) -> None:
        together(*(partial(process.wait_ready, READY_SECONDS) for process in self.processes.values()))

    def both(self, name: str) -> list[ServiceProcess]:
        return [self.processes[name, instance] for instance in INSTANCES]

    def url(self, name: str, instance: int = 1) -> str:
        return self.processes[name, instance].url

    def arm(self, name: str, point: str, action: str = "kill") -> None:
        """The next instance of a service that comes to the point does as it is told there."""
        order = self._folder(name) / point
        written = order.with_name(f"{point}-written")
        written.write_text(action)
        written.rename(order)

    def has_taken(self, name: str, point: str) -> bool:
        return bool(list(self._folder(name).glob(f"{point}.*")))

    def victim(self, name: str, point: str) -> ServiceProcess:
        """Waits until an instance has come to an armed point, and returns it; a killed one is gone by then."""
        wait_until(lambda: self.has_taken(name, point), REACH_SECONDS, f"An instance of {name} at {point}")
        [order] = self._folder(name).glob(f"{point}.*")
        pid = int(order.suffix.removeprefix("."))
        [process] = [each for each in self.both(name) if _pid(each) == pid]
        if order.read_text() == "kill":
            wait_until(lambda: not process.is_alive(), REACH_SECONDS, f"The end of {process.name}")
            order.unlink()
        if order.exists() and order.read_text() == "stop":
            wait_until(lambda: _stands_still(pid), REACH_SECONDS, f"The standstill of {process.name}")
        return process

    def release(self, name: str, point: str) -> None:
        """Lets a held instance go on."""
        for order in self._folder(name).glob(f"{point}.*"):
            order.unlink()

    def disarm(self) -> None:
        """Takes every order back that nobody has taken."""
        for name in SERVICES:
            for order in self._folder(name).glob("*"):
                order.unlink()

    def _folder(self, name: str) -> Path:
        return self.faults / name

    def drain(self, seconds: float = DRAIN_SECONDS) -> None:
        """Returns when everything that was published has been read, decided, published on and delivered."""
        drained = wait_until_drained(self.services, self.stack.bootstrap_servers, seconds)
        assert run(drained), self.standing()
        with suppress(NotReadyError):
            wait_until(lambda: not self.unfinished_deliveries(), seconds, "The end of every delivery")
        assert self.unfinished_deliveries() == []

    @cached_property
    def services(self) -> Services:
        return from_environment(self.stack.environment())

    def standing(self) -> str:
        """Where the services stand, for a message: readiness and rows that wait to be published."""
        ready = {process.name: process.readiness() for process in self.processes.values()}
        waiting = {name: self.rows(name, "select count(*) from outbox")[0][0] for name in SERVICES}
        return f"not drained; waiting: {waiting}; readiness: {ready}"

    def unfinished_deliveries(self) -> list[str]:
        """What is still to be sent or settled, each with all that explains why."""
        return [row[0] for row in self.rows("notify", UNFINISHED)]

    def verify(self) -> Log:
        """Every invariant of the services and between them holds; returns what lies in the topics."""
        found, evidence = run(self._evidence())
        outcomes = [*found, *run_all(evidence)]
        broken = {outcome.name: outcome.violations[:5] for outcome in outcomes if not outcome.holds}
        assert not broken, json.dumps(broken, indent=1, ensure_ascii=False)
        return evidence.log

    async def _evidence(self) -> tuple[list[Outcome], Evidence]:
        return await invariants(self.services), await gather(self.services, self.stack.bootstrap_servers)

    def rows(self, name: str, sql: str, *arguments: object) -> list[Any]:
        """What a query says in a service's database, asked by somebody who may see everything."""
        database = ServiceDefinition(name).module
        return run(_rows(f"{self.stack.admin_dsn.rpartition('/')[0]}/{database}", sql, arguments))

    def digest(self, name: str) -> dict[str, str]:
        """What lies in every table of a service; whatever is written changes it."""
        tables = self.rows(
            name, "select tablename from pg_tables where schemaname = 'public' order by tablename"
        )
        sql = " union all ".join(
            f"select '{table}', md5(coalesce(string_agg(t::text, ',' order by t::text), '')) from \"{table}\" t"
            for (table,) in tables
        )
        return dict(self.rows(name, sql))


class LogTail:
    """The lines that a process has logged since this was made."""

    def __init__(self, process: ServiceProcess) -> None:
        self.name = process.name
        self.file = process.log_file
        self.begin = self.file.stat().st_size if self.file.exists() else 0

    def lines(self) -> list[dict[str, Any]]:
        with self.file.open("rb") as log:
            log.seek(self.begin)
            written = log.read().decode(errors="replace").splitlines()
        return list(_documents(written))

    def says(self, text: str) -> bool:
        return any(text in json.dumps(line) for line in self.lines())


def metric(process: ServiceProcess, name: str) -> float:
    """The value of a metric without labels."""
    lines = httpx.get(f"{process.url}/metrics", timeout=10).text.splitlines()
    [value] = [line.split()[1] for line in lines if line.startswith(f"{name} ")]
    return float(value)


def _documents(lines: Sequence[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            document = json.loads(line)
        except ValueError:
            document = {"event": line}
        yield document


def _pid(process: ServiceProcess) -> int | None:
    record = process.managed.record
    return None if record is None else record.pid


def _stands_still(pid: int) -> bool:
    return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)


async def _groups(servers: str) -> dict[str, tuple[str, int]]:
    """One request a group: aiokafka 0.14 cannot decode an answer about two."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        return {name: _standing_of(await admin.describe_consumer_groups([name])) for name in SERVICES}
    finally:
        await admin.close()


def _standing_of(answers: Any) -> tuple[str, int]:
    [(_, _, state, _, _, members)] = answers[0].groups
    return state, len(members)


async def _rows(dsn: str, sql: str, arguments: Sequence[object]) -> list[Any]:
    connection = await asyncpg.connect(dsn)
    try:
        return list(await connection.fetch(sql, *arguments))
    finally:
        await connection.close()
