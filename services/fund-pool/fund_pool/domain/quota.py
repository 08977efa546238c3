"""The available quota of an account, and the episodes in which it is low."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

REMINDER_EVERY = timedelta(hours=24)
REMINDERS_MAX = 5
BASIS_POINTS = 10_000

NoticeKind = Literal["opened", "reminder", "resolved", "superseded", "overdue", "cleared"]
Ending = Literal["resolved", "disabled", "superseded"]
OVERDUE_KINDS = ("overdue", "cleared")


@dataclass(frozen=True, slots=True)
class QuotaTerms:
    """Every term of the available quota, in minor units."""

    cash_balance: int = 0
    bankers_acceptance: int = 0
    credit_limit: int = 0
    credit_refund: int = 0
    unsettled: int = 0
    outstanding_fees: int = 0
    negative_bill: int = 0

    @property
    def quota(self) -> int:
        plus = self.cash_balance + self.bankers_acceptance + self.credit_limit + self.credit_refund
        return plus - self.unsettled - (self.outstanding_fees - self.negative_bill)


@dataclass(frozen=True, slots=True)
class Alert:
    """The threshold that a management account sets, in minor units.

    An episode ends at threshold + margin, the margin being absolute or in basis points of the threshold.
    """

    threshold: int
    enabled: bool = True
    margin: int = 0
    margin_basis_points: int = 0

    @property
    def resolved_from(self) -> int:
        share = self.threshold * self.margin_basis_points
        return self.threshold + self.margin + (2 * share + BASIS_POINTS) // (2 * BASIS_POINTS)


@dataclass(slots=True)
class Episode:
    """A time in which the quota is low; `reminder_number` is that of the last 24 hours it was reminded of."""

    episode_id: UUID
    opened_at: datetime
    reminder_number: int = 0
    ended_at: datetime | None = None
    ending: Ending | None = None

    @property
    def reminder_due_at(self) -> datetime | None:
        """When the next reminder is due; None when it has ended or said enough."""
        if self.ended_at is not None or self.reminder_number >= REMINDERS_MAX:
            return None
        return self.opened_at + (self.reminder_number + 1) * REMINDER_EVERY


@dataclass(slots=True)
class Spell:
    """A time in which the account is overdue: its quota is below zero."""

    episode_id: UUID
    opened_at: datetime
    supersedes: UUID | None = None
    cleared_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """What people are told about an episode or an overdue spell, and when; `spell` is that of overdue kinds."""

    kind: NoticeKind
    currency: str
    episode_id: UUID
    reminder_number: int
    threshold: int
    terms: QuotaTerms
    occurred_at: datetime
    spell: Spell | None = None


@dataclass(slots=True)
class Watch:
    """The alert of one (account, currency) with its open episode, and whether the account is overdue.

    `changed`, `notices` and `spells`: what changed and what was told since it was loaded.
    """

    currency: str
    alert: Alert
    episode: Episode | None = None
    changed: list[Episode] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    spell: Spell | None = None
    spells: list[Spell] = field(default_factory=list)

    def after_quota(self, before: int, terms: QuotaTerms, now: datetime, episode_id: UUID) -> list[Notice]:
        """What follows from a change of the quota, overdue first.

        An account that becomes overdue is told so instead of being told that its quota is low; an episode that
        is open then is superseded. While it is overdue nothing else is said.
        """
        if terms.quota == before:
            return []
        if self.spell is None and terms.quota < 0:
            return self._become_overdue(terms, now, episode_id)
        told = []
        if self.spell is not None:
            if terms.quota < 0:
                return []
            told.append(self._cleared(self.spell, terms, now))
        low = self.after_change(before, terms, now, episode_id)
        return [*told, low] if low is not None else told

    def _become_overdue(self, terms: QuotaTerms, now: datetime, episode_id: UUID) -> list[Notice]:
        told = []
        superseded = self.episode
        if superseded is not None:
            self._end(superseded, now, "superseded")
            told.append(self._notice("superseded", superseded, terms, now))
        self.spell = Spell(episode_id, now, superseded.episode_id if superseded is not None else None)
        self.spells.append(self.spell)
        return [*told, self._overdue("overdue", self.spell, terms, now)]

    def _cleared(self, spell: Spell, terms: QuotaTerms, now: datetime) -> Notice:
        self.spell = None
        spell.cleared_at = now
        if spell not in self.spells:
            self.spells.append(spell)
        return self._overdue("cleared", spell, terms, now)

    def _overdue(self, kind: NoticeKind, spell: Spell, terms: QuotaTerms, now: datetime) -> Notice:
        threshold = self.alert.threshold
        return Notice(kind, self.currency, spell.episode_id, 0, threshold, terms, now, spell)

    def after_change(self, before: int, terms: QuotaTerms, now: datetime, episode_id: UUID) -> Notice | None:
        """What follows from a change of the quota: an episode opens or is resolved."""
        if not self.alert.enabled or terms.quota == before:
            return None
        if self.episode is None and terms.quota < self.alert.threshold:
            self.episode = Episode(episode_id, now)
            self.changed.append(self.episode)
            return self._notice("opened", self.episode, terms, now)
        return self._resolved(terms, now)

    def after_alert_change(self, alert: Alert, terms: QuotaTerms, now: datetime) -> Notice | None:
        """Takes over a changed alert: it re-evaluates the open episode and never opens one."""
        self.alert = alert
        if not alert.enabled and self.episode is not None:
            self._end(self.episode, now, "disabled")
        return self._resolved(terms, now)

    def after_time(self, terms: QuotaTerms, now: datetime) -> Notice | None:
        """A reminder, when its time has come and the quota is still low; days slept through send one only."""
        episode = self.episode
        if episode is None or episode.reminder_due_at is None or now < episode.reminder_due_at:
            return None
        episode.reminder_number = min(REMINDERS_MAX, (now - episode.opened_at) // REMINDER_EVERY)
        self._touch(episode)
        if terms.quota >= self.alert.threshold:
            return None
        return self._notice("reminder", episode, terms, now)

    def _resolved(self, terms: QuotaTerms, now: datetime) -> Notice | None:
        episode = self.episode
        if episode is None or terms.quota < self.alert.resolved_from:
            return None
        self._end(episode, now, "resolved")
        return self._notice("resolved", episode, terms, now)

    def _end(self, episode: Episode, now: datetime, ending: Ending) -> None:
        self.episode = None
        episode.ended_at = now
        episode.ending = ending
        self._touch(episode)

    def _touch(self, episode: Episode) -> None:
        if episode not in self.changed:
            self.changed.append(episode)

    def _notice(self, kind: NoticeKind, episode: Episode, terms: QuotaTerms, now: datetime) -> Notice:
        number = 0 if kind == "opened" else episode.reminder_number
        notice = Notice(kind, self.currency, episode.episode_id, number, self.alert.threshold, terms, now)
        self.notices.append(notice)
        return notice
