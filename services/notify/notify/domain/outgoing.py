"""What a channel and the texts need of a delivery that is to go out now."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from notify.domain.delivery import Delivery, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A delivery with its address, the recipient's ways of reading, the notice's data and its stable ids.

    `lease` is the one that an attempt begins with now, `held_lease` the one that was found; `body` are the bytes of an
    earlier attempt; `address_current` is False once the contact has another address. `secret` signs what goes to a
    webhook, `template` names another kind's texts, `reminder` counts notify's own repeats of a notice; `turn_seconds`
    is its turn at a provider with a pace, by the clock that never goes back.
    """

    delivery: Delivery
    held_lease: UUID | None
    lease: UUID
    claimed_at: datetime
    address: str
    address_current: bool
    name: str
    language: str
    time_zone: str
    account_name: str
    currency: str | None
    episode_id: str | None
    data: bytes
    occurred_at: datetime
    report_token: str
    acknowledge_token: str | None
    secret: str | None
    family: str
    event_type: str
    template: str | None
    reminder: int
    body: bytes | None
    turn_seconds: float | None = None

    @property
    def is_repeat(self) -> bool:
        return self.delivery.role in (Role.REPEAT, Role.RESEND)
