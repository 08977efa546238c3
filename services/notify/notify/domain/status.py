"""How the end of a delivery is told to whoever asked: without any address."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, cast

from contracts import NotificationStatus
from notify.domain.delivery import Delivery

EndState = Literal["sent", "delivered", "undelivered", "failed", "expired", "suppressed", "unknown"]


@dataclass(frozen=True, slots=True)
class Origin:
    """The event that a delivery came from, and the ids that go along with everything it causes."""

    source: str
    id: str
    type: str
    correlation_id: str
    traceparent: str | None


def status(delivery: Delivery, origin: Origin, at: datetime) -> NotificationStatus:
    """The notification-status of a delivery that has ended."""
    assert delivery.ended_at is not None, "only an end is told"
    return NotificationStatus(
        delivery_id=str(delivery.id),
        recipient=delivery.recipient,
        channel=delivery.channel,
        event_source=origin.source,
        event_id=origin.id,
        event_type=origin.type,
        state=cast(EndState, str(delivery.state)),
        reason=delivery.reason,
        attempts=delivery.attempts,
        ended_at=at,
    )
