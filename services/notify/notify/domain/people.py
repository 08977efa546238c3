"""The people who are told: their addresses, what they want to hear, by which channel, and when not."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from notify.domain.delivery import Channel

MANDATORY: Final = frozenset({"payment-overdue"})
"""Families of notices that nobody can switch off."""
FAMILIES: Final = (
    "quota-low",
    "payment-overdue",
    "allocation",
    "credit-alerted",
    "plan-due",
    "plan-exceeded",
    "cash-gap",
    "task",
)


@dataclass(frozen=True, slots=True)
class Address:
    """A phone number (E.164), an e-mail address, or the address of another channel; used once it is verified."""

    value: str
    verified: bool


@dataclass(frozen=True, slots=True)
class QuietHours:
    """A span of local time in which notices wait; it may pass midnight. Equal times would be no span."""

    begins: time
    ends: time

    def end_after(self, now: datetime, time_zone: str) -> datetime | None:
        """When the quiet hours that `now` lies in are over; None outside them.

        Local times that a change to summer time leaves out are read as if the clock had not been changed yet; of
        those that come twice, the first that lies ahead counts.
        """
        zone = ZoneInfo(time_zone)
        local = now.astimezone(zone)
        clock = local.time().replace(tzinfo=None, fold=0)
        is_overnight = self.begins > self.ends
        after, before = clock >= self.begins, clock < self.ends
        is_quiet = (after or before) if is_overnight else (after and before)
        if not is_quiet:
            return None
        day = local.date() + timedelta(days=1 if is_overnight and clock >= self.begins else 0)
        ends = [datetime.combine(day, self.ends, zone).replace(fold=fold).astimezone(UTC) for fold in (0, 1)]
        return next((end for end in ends if end > now), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """One person of a place.

    `wants` are the families that a person who is not the security contact asked for; `wants_of_members` those of the
    accounts that this one manages; `preferences` name the channels of a family, none of them to switch it off.
    """

    account: str
    person: str
    name: str
    language: str
    time_zone: str
    security: bool = False
    wants: frozenset[str] = frozenset()
    wants_of_members: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    preferences: Mapping[str, tuple[Channel, ...]] = field(default_factory=dict)
    quiet: QuietHours | None = None
    addresses: Mapping[Channel, Address]

    @property
    def key(self) -> tuple[str, str]:
        return self.account, self.person
