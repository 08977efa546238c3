"""What notify tells Prometheus besides the chassis' figures; the ends of deliveries are among the decisions."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from chassis.metrics import REGISTRY
from prometheus_client import Counter, Gauge

from notify.domain.delivery import Channel, Delivery

attempts: Final = Counter(
    "coffer_delivery_attempts",
    "Attempts by what the answer meant: accepted, transient, permanent, unclear; broken-off by a fault of ours.",
    ["channel", "verdict"],
    registry=REGISTRY,
)
alarms: Final = Counter(
    "coffer_provider_alarms",
    "Answers that an operator must act on, such as a refused login or an invalid certificate.",
    ["channel", "reason"],
    registry=REGISTRY,
)
overdue_seconds: Final = Gauge(
    "coffer_delivery_overdue_seconds",
    "How long the delivery that waits longest has been due; 0 when none is.",
    ["channel"],
    registry=REGISTRY,
)
breaker_open: Final = Gauge(
    "coffer_provider_at_rest",
    "1 while a provider has failed so often that it is left alone, 0 otherwise.",
    ["channel"],
    registry=REGISTRY,
)


def measure_overdue(channel: Channel, due: Sequence[Delivery], now: datetime) -> None:
    """Notes how late the first of the due deliveries is."""
    waited = (now - due[0].due_at).total_seconds() if due and due[0].due_at else 0.0
    overdue_seconds.labels(channel=channel).set(waited)
