"""From an event to its deliveries: who is told, by which channel, and why not."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from contracts import QuotaLow
from notify.domain.delivery import Channel, State

CHANNELS: Final = (Channel.SMS, Channel.EMAIL)
QUOTA_LOW: Final = "quota-low"
VERIFICATION_CODE: Final = "verification-code"
NOTICE_VALID: Final = timedelta(hours=24)
"""A notice that could not go out for so long is stale: it would flood people with what is past."""
NOTHING_TOLD: Final = -1
RESOLVED_STEP: Final = 100
SUPERSEDED_STEP: Final = 101


@dataclass(frozen=True, slots=True)
class Address:
    """A phone number (E.164) or e-mail address; used once it is verified."""

    value: str
    verified: bool


@dataclass(frozen=True, slots=True)
class Contact:
    """One person of an account. `wants` are the kinds of notice that the person asked for."""

    account: str
    person: str
    name: str
    language: str
    time_zone: str
    security: bool
    wants: frozenset[str]
    addresses: Mapping[Channel, Address]


@dataclass(frozen=True, slots=True)
class Planned:
    """A delivery to be recorded; without `contact` nobody could be found and the account stands as recipient."""

    recipient: str
    channel: Channel
    state: State
    reason: str | None
    contact: Contact | None

    @property
    def address(self) -> str | None:
        if self.contact is None or self.state is not State.ACCEPTED:
            return None
        return self.contact.addresses[self.channel].value


def step(event: QuotaLow) -> int:
    """The place of a notice in its episode: opened, reminders by number, then one of the two ends."""
    match event.kind:
        case "opened":
            return 0
        case "reminder":
            return event.reminder_number
        case "resolved":
            return RESOLVED_STEP
        case "superseded":
            return SUPERSEDED_STEP


def business_key(event: QuotaLow) -> str:
    """What makes a notice the same notice, whatever the id of the event that brings it."""
    return f"{QUOTA_LOW}/{event.currency}/{event.episode_id}/{step(event)}"


def notice_kind(event: QuotaLow) -> str | None:
    """The kind of notice that the event calls for; None when it only ends what is held."""
    return None if event.kind == "superseded" else f"{QUOTA_LOW}-{event.kind}"


def ends_episode(event: QuotaLow) -> bool:
    return event.kind in ("resolved", "superseded")


def cancel_reason(event: QuotaLow) -> str:
    """Why what an ended episode has not yet sent is not sent any more."""
    return f"episode-{event.kind}"


def recipients(contacts: Iterable[Contact]) -> list[Contact]:
    """The account's security contact and those of its people who asked for quota-low, in a fixed order."""
    chosen = [contact for contact in contacts if contact.security or QUOTA_LOW in contact.wants]
    return sorted(chosen, key=lambda contact: contact.person)


def plan(
    event: QuotaLow, last_step: int, contacts: Sequence[Contact], now: datetime, expires_at: datetime
) -> list[Planned]:
    """One delivery per recipient and channel; what must not go out is recorded with its reason.

    `last_step` is the furthest that the episode had got before: a notice that comes after a later one is overtaken.
    """
    verdict: tuple[State, str | None] = (State.ACCEPTED, None)
    if step(event) < last_step:
        verdict = (State.SUPPRESSED, "overtaken")
    elif now >= expires_at:
        verdict = (State.EXPIRED, "stale")
    return list(_deliveries(event.account, recipients(contacts), verdict))


def _deliveries(
    account: str, chosen: Sequence[Contact], verdict: tuple[State, str | None]
) -> Iterator[Planned]:
    if not chosen:
        for channel in CHANNELS:
            yield Planned(account, channel, State.SUPPRESSED, "no-contact", None)
    for contact in chosen:
        for channel in CHANNELS:
            state, reason = _unusable(contact.addresses.get(channel)) or verdict
            yield Planned(contact.person, channel, state, reason, contact)


def _unusable(address: Address | None) -> tuple[State, str] | None:
    if address is None:
        return State.SUPPRESSED, "no-address"
    if not address.verified:
        return State.SUPPRESSED, "unverified"
    return None
