"""What broker and database reach by their own benchmarks, to read the floors by."""

import asyncio
import re
from collections.abc import Sequence
from typing import Final

from ops.local.broker import java
from ops.local.database import installation
from tests.bench.rows import Result, Row
from tests.bench.site import OUT, Site

CLIENTS: Final = 4
PGBENCH_SCALE: Final = 10
PGBENCH_SECONDS: Final = 5
RECORDS: Final = 200_000
RECORD_BYTES: Final = 1_000
TOOL_SECONDS_MAX: Final = 120.0


async def yardsticks(site: Site, _: int) -> list[Result]:
    """Transactions by pgbench, records by Kafka's producer benchmark."""
    site.reset([])
    return [
        Result("pgbench, TPC-B-like", "transactions/s", await _pgbench(site), None, None, None, None),
        Result("Kafka's producer benchmark", "records/s", await _producer(site), None, None, None, None),
    ]


async def _pgbench(site: Site) -> float:
    program = str(installation() / "bin" / "pgbench")
    await _said([program, "--initialize", "--quiet", f"--scale={PGBENCH_SCALE}", site.stack.admin_dsn])
    said = await _said(
        [
            program,
            "--no-vacuum",
            f"--client={CLIENTS}",
            f"--time={PGBENCH_SECONDS}",
            "--protocol=prepared",
            site.stack.admin_dsn,
        ]
    )
    return _figure(r"tps = ([0-9.]+)", said)


async def _producer(site: Site) -> float:
    tool = java("-Xmx256m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error")
    settings = [f"bootstrap.servers={site.servers}", "acks=all", "enable.idempotence=true"]
    size = ["--num-records", str(RECORDS), "--record-size", str(RECORD_BYTES), "--throughput", "-1"]
    program = "org.apache.kafka.tools.ProducerPerformance"
    said = await _said([*tool, program, "--topic", OUT, *size, "--command-property", *settings])
    return _figure(r"([0-9.]+) records/sec(?!.*records/sec)", said)


async def _said(command: Sequence[str]) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await asyncio.wait_for(process.communicate(), TOOL_SECONDS_MAX)
    if process.returncode:
        raise RuntimeError(f"{command[0]} ended with {process.returncode}: {said.decode()[-500:]}")
    return said.decode()


def _figure(pattern: str, said: str) -> float:
    found = re.search(pattern, said, re.DOTALL)
    if found is None:
        raise RuntimeError(f"no figure in what was said: {said[-500:]}")
    return float(found[1])


ROWS: Final = (Row("yardsticks", "pgbench and Kafka's own producer benchmark", yardsticks),)
