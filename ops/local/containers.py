"""A broker and a database in containers, by testcontainers, where a Docker engine answers."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ops.local import broker, database
from ops.local.errors import StackError
from ops.local.ports import HOST, Ports, is_listening, require_free
from ops.local.secret import secret
from ops.local.waiting import run, wait_until

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

KAFKA_IMAGE = "apache/kafka:4.3.0"
POSTGRES_IMAGE = "postgres:18"
LABEL = "coffer.stack"
PART_LABEL = "coffer.part"
ENGINE_SECONDS = 5
START_SECONDS = 180.0
STOP_SECONDS = 20
INTERNAL_PORT = 9094
# The image writes its configuration at start; where it was built from read-only files it may not.
KAFKA_COMMAND = ["bash", "-c", "chmod -R u+w /opt/kafka/config /etc/kafka/docker; exec /etc/kafka/docker/run"]


def unusable() -> str | None:
    """Why containers cannot be used here, in a sentence, or nothing where they can."""
    import docker
    from docker.errors import DockerException, ImageNotFound

    try:
        client = docker.from_env(timeout=ENGINE_SECONDS)
        client.ping()
    except (DockerException, OSError):
        return "No Docker engine answers."
    for image in (KAFKA_IMAGE, POSTGRES_IMAGE):
        try:
            client.images.get(image)
        except ImageNotFound:
            if not _pulled(client, image):
                return f"The image {image} is not here and cannot be pulled."
    return None


def _pulled(client: Any, image: str) -> bool:
    from docker.errors import DockerException

    try:
        client.images.pull(image)
    except (DockerException, OSError):
        return False
    return True


class _Part:
    """One container of a stack, found again by its labels."""

    def __init__(self, directory: Path, name: str) -> None:
        self.directory = directory
        self.name = name

    @property
    def container(self) -> Any:
        import docker

        labels = [f"{LABEL}={self.directory}", f"{PART_LABEL}={self.name}"]
        found = docker.from_env().containers.list(all=True, filters={"label": labels}, ignore_removed=True)
        return found[0] if found else None

    def is_running(self) -> bool:
        container = self.container
        return container is not None and container.status == "running"

    def run(self, container: "DockerContainer", port: int, inner_port: int) -> None:
        """Start the container anew, its port on 127.0.0.1 only."""
        from testcontainers.core.config import testcontainers_config

        # The stack removes its containers itself, and Ryuk's image cannot be pulled everywhere.
        testcontainers_config.ryuk_disabled = True
        ports: dict[str, Any] = container.ports
        ports[f"{inner_port}/tcp"] = (HOST, port)
        container.with_kwargs(labels={LABEL: str(self.directory), PART_LABEL: self.name})
        container.start()

    def remove(self) -> None:
        container = self.container
        if container is not None:
            container.remove(force=True, v=True)


class ContainerBroker:
    """One broker of the image apache/kafka."""

    kind = "docker"

    def __init__(self, directory: Path, ports: Ports) -> None:
        self.ports = ports
        self.part = _Part(directory, "kafka")

    @property
    def bootstrap_servers(self) -> str:
        return f"{HOST}:{self.ports.kafka}"

    def is_alive(self) -> bool:
        return self.part.is_running()

    def require_ports(self) -> None:
        if self.part.container is None:
            require_free(self.ports.kafka, "Kafka", "kafka")

    def start(self) -> None:
        container = self.part.container
        if container is None:
            self.require_ports()
            self.part.run(self._new(), self.ports.kafka, 9092)
        elif container.status != "running":
            container.start()
        wait_until(self._answers, START_SECONDS, "Kafka's start in a container")

    def _new(self) -> "DockerContainer":
        from testcontainers.core.container import DockerContainer

        # The image drops all its defaults as soon as one variable is set, hence the whole set.
        container = DockerContainer(KAFKA_IMAGE).with_command(KAFKA_COMMAND)
        return container.with_envs(
            KAFKA_NODE_ID="1",
            KAFKA_PROCESS_ROLES="broker,controller",
            KAFKA_CONTROLLER_QUORUM_VOTERS="1@localhost:9093",
            KAFKA_CONTROLLER_LISTENER_NAMES="CONTROLLER",
            KAFKA_LISTENERS=f"PLAINTEXT://:9092,CONTROLLER://:9093,INTERNAL://:{INTERNAL_PORT}",
            KAFKA_ADVERTISED_LISTENERS=(
                f"PLAINTEXT://{self.bootstrap_servers},INTERNAL://localhost:{INTERNAL_PORT}"
            ),
            KAFKA_INTER_BROKER_LISTENER_NAME="INTERNAL",
            KAFKA_LISTENER_SECURITY_PROTOCOL_MAP=(
                "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,INTERNAL:PLAINTEXT"
            ),
            KAFKA_AUTO_CREATE_TOPICS_ENABLE="false",
            KAFKA_MESSAGE_MAX_BYTES=str(broker.MESSAGE_BYTES_MAX + broker.REQUEST_OVERHEAD_BYTES),
            KAFKA_REPLICA_FETCH_MAX_BYTES=str(broker.MESSAGE_BYTES_MAX + broker.REQUEST_OVERHEAD_BYTES),
            KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR="1",
            KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR="1",
            KAFKA_TRANSACTION_STATE_LOG_MIN_ISR="1",
            KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR="1",
            KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR="1",
            KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS="0",
            KAFKA_BROKER_SESSION_TIMEOUT_MS=str(broker.SESSION_MILLISECONDS),
            KAFKA_BROKER_HEARTBEAT_INTERVAL_MS=str(broker.HEARTBEAT_MILLISECONDS),
        )

    def _answers(self) -> bool:
        if not self.part.is_running():
            raise StackError("Kafka's container ended before it was ready.")
        return is_listening(self.ports.kafka) and run(broker.answers(self.bootstrap_servers))

    def stop(self) -> None:
        container = self.part.container
        if container is not None:
            container.stop(timeout=STOP_SECONDS)

    def kill(self) -> None:
        if self.is_alive():
            self.part.container.kill()

    def remove(self) -> None:
        """Remove the container and its data."""
        self.part.remove()


class ContainerDatabase:
    """One server of the image postgres."""

    kind = "docker"

    def __init__(self, directory: Path, ports: Ports) -> None:
        self.directory = directory
        self.ports = ports
        self.part = _Part(directory, "postgres")

    @property
    def admin_dsn(self) -> str:
        return f"postgresql://postgres:{self._password}@{HOST}:{self.ports.postgres}/postgres"

    @property
    def _password(self) -> str:
        return secret(self.directory, "postgres")

    def is_alive(self) -> bool:
        return self.part.is_running()

    def require_ports(self) -> None:
        if self.part.container is None:
            require_free(self.ports.postgres, "PostgreSQL", "postgres")

    def start(self) -> None:
        container = self.part.container
        if container is None:
            self.require_ports()
            self.part.run(self._new(), self.ports.postgres, 5432)
        elif container.status != "running":
            container.start()
        wait_until(self._answers, START_SECONDS, "PostgreSQL's start in a container")

    def _new(self) -> "DockerContainer":
        from testcontainers.core.container import DockerContainer

        settings = {"max_connections": "200", "shared_buffers": "256MB", "max_wal_size": "2GB"}
        command = ["postgres"]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        container = DockerContainer(POSTGRES_IMAGE).with_command(command)
        return container.with_envs(POSTGRES_PASSWORD=self._password, POSTGRES_DB="postgres")

    def _answers(self) -> bool:
        if not self.part.is_running():
            raise StackError("PostgreSQL's container ended before it was ready.")
        return is_listening(self.ports.postgres) and run(database.answers(self.admin_dsn))

    def stop(self, *, immediate: bool = False) -> None:
        container = self.part.container
        if container is None:
            return
        if immediate:
            container.kill(signal="SIGQUIT")
            wait_until(lambda: not self.is_alive(), STOP_SECONDS, "PostgreSQL's end")
        else:
            container.stop(timeout=STOP_SECONDS)

    def remove(self) -> None:
        """Remove the container and its data."""
        self.part.remove()
