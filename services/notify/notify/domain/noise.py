"""What keeps notices from becoming noise: silences, inhibition, and a rate per recipient."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from notify.domain.people import MANDATORY

SILENCE_MAX: Final = timedelta(days=90)


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Nothing of this place, family and recipient is told from `begins` to `ends`; None means any.

    A mandatory family is silenced only when it is named.
    """

    id: UUID
    place: str | None
    family: str | None
    recipient: str | None
    begins: datetime
    ends: datetime

    def covers(self, places: frozenset[str], family: str, recipient: str, at: datetime) -> bool:
        return (
            self.begins <= at < self.ends
            and (self.place is None or self.place in places)
            and (self.family == family or (self.family is None and family not in MANDATORY))
            and self.recipient in (None, recipient)
        )


def silenced(
    silences: Iterable[Silence], places: frozenset[str], family: str, recipient: str, at: datetime
) -> bool:
    return any(silence.covers(places, family, recipient, at) for silence in silences)


@dataclass(frozen=True, slots=True)
class Spell:
    """The last overdue spell of an (account, currency): while it lasts, a low quota is no news."""

    episode_id: str | None = None
    opened_at: datetime | None = None
    cleared_at: datetime | None = None

    def covers(self, at: datetime) -> bool:
        return (
            self.opened_at is not None
            and self.opened_at <= at
            and (self.cleared_at is None or at < self.cleared_at)
        )

    def opened(self, episode_id: str, at: datetime) -> "Spell":
        """The spell after an opening that may come late, or after its own clearing."""
        if self.episode_id == episode_id:
            return Spell(episode_id, at, self.cleared_at)
        return self if self.opened_at is not None and self.opened_at > at else Spell(episode_id, at, None)

    def cleared(self, episode_id: str, opened_at: datetime, at: datetime) -> "Spell":
        """The spell after a clearing, which also tells when it began."""
        if self.episode_id not in (None, episode_id) and self.opened_at and self.opened_at > opened_at:
            return self
        return Spell(episode_id, opened_at, at)


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `burst` messages at once and one every `interval` in the long run (GCRA, ITU-T I.371)."""

    burst: int
    interval: timedelta

    def admit(self, arrival: datetime | None, now: datetime) -> tuple[datetime, datetime]:
        """When a message may go, and the theoretical arrival to keep for the next one."""
        earliest = max(arrival or now, now)
        goes_at = max(now, earliest - (self.burst - 1) * self.interval)
        return goes_at, earliest + self.interval
