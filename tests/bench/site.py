"""The stack that the bench runs on, and what must be in it before anything is measured."""

import asyncio
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import asyncpg
import httpx
import psutil

from ops.local.ports import Ports
from ops.local.services import ServiceProcess
from ops.local.stack import Stack
from ops.local.topics import declared
from tests.bench.kafka import Prepared, Tail, publish, skip

ROOT: Final = Path(__file__).resolve().parents[2]
DIRECTORY: Final = ROOT / ".local" / "bench"
OUT: Final = "bench-out"
RUN_SECONDS_MAX: Final = 180.0


@dataclass(slots=True)
class Site:
    """One stack, its floors' databases, and the runs made on it."""

    stack: Stack
    say: Callable[[str], None]
    runs: int = 0
    memory_bytes_max: int = 0

    @property
    def servers(self) -> str:
        return self.stack.bootstrap_servers

    def start(self) -> None:
        """Broker, database, mail server and SMS gateway."""
        self.stack.start_infrastructure()

    def reset(self, services: Sequence[str]) -> None:
        """Empty topics, and empty databases of these services."""
        self.stack.create_topics([replace(declared()[0], name=OUT)], fresh=True)
        self.stack.create_databases(services, fresh=True)
        self.stack.migrate_all(services)

    def memory_of_services(self) -> list[int]:
        """Bytes that each running service holds."""
        pids = [process.pid for process in self.stack.services()]
        return [psutil.Process(pid).memory_info().rss for pid in pids if pid is not None]

    def next_run(self) -> str:
        self.runs += 1
        return f"run{self.runs}"

    @contextmanager
    def service(self, name: str, batch: int) -> Iterator[ServiceProcess]:
        """One instance of a service, stopped at the end."""
        process = self.stack.start_service(name, extra_env={"COFFER_BATCH_RECORDS_MAX": str(batch)})
        try:
            yield process
        finally:
            process.stop()

    async def stage_rate(self, name: str, output: str, batch: int, records: int) -> float:
        """Records per second of a service that finds its input waiting."""
        tail = await Tail(self.servers, output).open()
        try:
            with self.service(name, batch) as process:
                await tail.wait_for(records, RUN_SECONDS_MAX)
                self._note_memory(process)
            return await tail.rate()
        finally:
            await tail.close()

    def _note_memory(self, process: ServiceProcess) -> None:
        if process.pid is not None:
            self.memory_bytes_max = max(self.memory_bytes_max, psutil.Process(process.pid).memory_info().rss)

    async def floor_rate(
        self, floor: str, dsn: str, source: str, group: str, batch: int, records: int
    ) -> float:
        """Records per second of a floor over the same input."""
        tail = await Tail(self.servers, OUT).open()
        try:
            command = ["-m", f"tests.bench.floors.{floor}", self.servers, dsn, source, OUT, group]
            process = await asyncio.create_subprocess_exec(
                sys.executable, *command, str(batch), str(records), cwd=ROOT
            )
            try:
                await tail.wait_for(records, RUN_SECONDS_MAX)
            finally:
                await asyncio.wait_for(process.wait(), 30)
            return await tail.rate()
        finally:
            await tail.close()

    async def publish(self, topic: str, records: Sequence[Prepared], floors: Sequence[str] = ()) -> None:
        """Writes the input of one run; the groups of the floors begin where it begins."""
        for group in floors:
            await skip(self.servers, topic, group)
        await publish(self.servers, topic, records)

    async def floor_database(self, service: str) -> str:
        """A copy of the service's database, with its tables and settings and nothing running on it."""
        module = service.replace("-", "_")
        name = f"{module}_floor"
        connection = await asyncpg.connect(self.stack.admin_dsn)
        try:
            await connection.execute(f"drop database if exists {name} with (force)")
            await connection.execute(f"create database {name} template {module}")
        finally:
            await connection.close()
        base, _, _ = self.stack.admin_dsn.rpartition("/")
        return f"{base}/{name}"

    async def sql(self, service: str, statement: str) -> None:
        """Fills tables as their owner, for histories too long to be played."""
        connection = await asyncpg.connect(self.stack.dsn(service, owner=True))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    def client(self, service: str, *roles: str) -> httpx.Client:
        token = self.stack.token(*roles)
        return httpx.Client(base_url=self.stack.url(service), headers={"Authorization": f"Bearer {token}"})


def open_site(say: Callable[[str], None]) -> Site:
    """A stack of the bench's own, on free ports."""
    return Site(Stack(DIRECTORY, Ports.free(), say=say), say)
