"""A delivery: one notice, one recipient, one channel; its states move forward only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from notify.domain.answers import Answer, Report, ReportMeaning, Verdict


class Channel(StrEnum):
    """Ways to reach people; `apprise` is whatever else its catalogue has."""

    SMS = "sms"
    EMAIL = "email"
    WEBHOOK = "webhook"
    DINGTALK = "dingtalk"
    WECOM = "wecom"
    FEISHU = "feishu"
    SLACK = "slack"
    TWILIO = "twilio"
    APPRISE = "apprise"


CATALOGUE: Final = frozenset(
    {Channel.DINGTALK, Channel.WECOM, Channel.FEISHU, Channel.SLACK, Channel.TWILIO, Channel.APPRISE}
)
"""Channels that Apprise serves; their address is an Apprise URL."""


class Role(StrEnum):
    """Why a delivery was made: at first, for one that did not arrive, or because somebody must hear of it now."""

    FIRST = "first"
    FALLBACK = "fallback"
    REPEAT = "repeat"
    RESEND = "resend"
    ESCALATION = "escalation"


class State(StrEnum):
    """Where a delivery is.

    `held` waits for a time before which it must not go out; `sending` lasts from the first attempt to the last
    answer, waits between included; `sent` is with the provider, for e-mail the end.
    """

    ACCEPTED = "accepted"
    HELD = "held"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    FAILED = "failed"
    EXPIRED = "expired"
    SUPPRESSED = "suppressed"
    UNKNOWN = "unknown"


class Phase(StrEnum):
    """How far an attempt under way has got; the provider can only have accepted it when `transmitting`."""

    PREPARING = "preparing"
    TRANSMITTING = "transmitting"


FORWARD: Final[Mapping[State, frozenset[State]]] = {
    State.ACCEPTED: frozenset({State.HELD, State.SENDING, State.EXPIRED, State.SUPPRESSED}),
    State.HELD: frozenset({State.SENDING, State.EXPIRED, State.SUPPRESSED}),
    State.SENDING: frozenset(
        {
            State.SENT,
            State.DELIVERED,
            State.UNDELIVERED,
            State.FAILED,
            State.EXPIRED,
            State.SUPPRESSED,
            State.UNKNOWN,
        }
    ),
    State.SENT: frozenset({State.DELIVERED, State.UNDELIVERED, State.UNKNOWN}),
    State.UNKNOWN: frozenset({State.DELIVERED, State.UNDELIVERED}),
    State.DELIVERED: frozenset(),
    State.UNDELIVERED: frozenset(),
    State.FAILED: frozenset(),
    State.EXPIRED: frozenset(),
    State.SUPPRESSED: frozenset(),
}
WAITING: Final = frozenset({State.ACCEPTED, State.HELD, State.SENDING})
REPORTED_CHANNELS: Final = frozenset({Channel.SMS})
"""Channels whose provider reports what became of a message; elsewhere its acceptance is the end."""
INSISTENT: Final = ("quota-low-", "payment-overdue-", "digest-quota-low-", "digest-payment-overdue-")
"""Beginnings of kinds that are said once more when nobody can tell whether they reached anybody."""


class BackwardStep(Exception):
    """A change of state that is not forward: a bug."""

    def __init__(self, old: State, new: State) -> None:
        self.old = old
        self.new = new
        super().__init__(f"a delivery cannot go from {old} to {new}")


@dataclass(frozen=True, slots=True)
class Limits:
    """How often and how long a delivery is tried."""

    attempts_max: int = 12
    backoff_first: timedelta = timedelta(seconds=30)
    backoff_max: timedelta = timedelta(hours=1)
    alarm_wait: timedelta = timedelta(minutes=15)
    lease: timedelta = timedelta(seconds=90)
    report_wait: timedelta = timedelta(hours=4, minutes=15)
    unknown_wait: timedelta = timedelta(minutes=15)

    def deadline_wait(self, channel: Channel) -> timedelta:
        """How long an outcome may stay unclear: for SMS as long as a report may come."""
        return self.report_wait if channel in REPORTED_CHANNELS else self.unknown_wait


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the rules need of a delivery.

    `due_at` is when somebody must look at it again (attempt, lease, deadline); None once nothing is left to do.
    `phase` is None while no attempt is under way. `cancel_reason` asks an attempt under way to be the last.
    `contact_place` is where the recipient belongs. `group_key` gathers it with others until it is due; `carried_by` is
    the delivery that brings it along then, and whose fate it shares.
    """

    account: str
    id: UUID
    notice_id: UUID
    kind: str
    recipient: str
    contact_place: str
    channel: Channel
    state: State
    expires_at: datetime
    role: Role = Role.FIRST
    fallback: tuple[Channel, ...] = ()
    reason: str | None = None
    attempts: int = 0
    phase: Phase | None = None
    due_at: datetime | None = None
    cancel_reason: str | None = None
    repeat_of: UUID | None = None
    group_key: str | None = None
    carried_by: UUID | None = None
    ended_at: datetime | None = None

    @property
    def is_insistent(self) -> bool:
        return self.kind.startswith(INSISTENT)

    @property
    def succeeded(self) -> bool:
        return self.ended_at is not None and self.state in (State.SENT, State.DELIVERED)


@dataclass(frozen=True, slots=True)
class Change:
    """A step of a delivery: its new state, why, when to look again, and whether this ends it."""

    state: State
    reason: str | None = None
    due_at: datetime | None = None
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """The answer of `woken` when the delivery is to be tried now."""

    number: int


def woken(delivery: Delivery, now: datetime, jitter: float, limits: Limits) -> Attempt | Change:
    """What a delivery that is due needs: an attempt, or the end of something that took too long."""
    if delivery.carried_by is not None:
        return Change(State.UNKNOWN, "no-answer", ended=True)
    if delivery.phase is Phase.TRANSMITTING:
        return _unclear(delivery, now, "interrupted", limits)
    if delivery.phase is Phase.PREPARING:
        return _again(delivery, now, jitter, limits, "interrupted")
    if delivery.state in (State.SENT, State.UNKNOWN):
        return Change(State.UNKNOWN, delivery.reason or "no-report", ended=True)
    if delivery.cancel_reason:
        return Change(State.SUPPRESSED, delivery.cancel_reason, ended=True)
    if now >= delivery.expires_at:
        return Change(State.EXPIRED, "stale", ended=True)
    return Attempt(delivery.attempts + 1)


def answered(delivery: Delivery, answer: Answer, now: datetime, jitter: float, limits: Limits) -> Change:
    """What the provider's answer to the attempt under way makes of the delivery."""
    match answer.verdict:
        case Verdict.ACCEPTED if delivery.channel in REPORTED_CHANNELS:
            return Change(State.SENT, due_at=now + limits.report_wait)
        case Verdict.ACCEPTED:
            return Change(State.SENT, ended=True)
        case Verdict.PERMANENT:
            return Change(State.FAILED, answer.reason, ended=True)
        case Verdict.UNCLEAR:
            return _unclear(delivery, now, answer.reason, limits)
        case Verdict.TRANSIENT:
            return _again(delivery, now, jitter, limits, answer.reason, alarm=answer.alarm)


def reported(delivery: Delivery, report: Report) -> Change | None:
    """What a delivery report makes of the delivery; None when it changes nothing. Any order, any number of times."""
    if delivery.channel not in REPORTED_CHANNELS or State.DELIVERED not in FORWARD[delivery.state]:
        return None
    match report.meaning:
        case ReportMeaning.DELIVERED:
            return Change(State.DELIVERED, ended=True)
        case ReportMeaning.UNDELIVERED:
            return Change(State.UNDELIVERED, report.reason, ended=True)
        case ReportMeaning.UNCLEAR if delivery.state is State.SENT:
            return Change(State.UNKNOWN, report.reason, due_at=delivery.due_at)
        case _:
            return None


def cancelled(delivery: Delivery, reason: str) -> Change | None:
    """Stops what has not gone out; None when an attempt is under way (its end looks at `cancel_reason`) or past."""
    is_free = delivery.phase is None and delivery.carried_by is None
    if delivery.state in WAITING and is_free:
        return Change(State.SUPPRESSED, reason, ended=True)
    return None


@dataclass(frozen=True, slots=True)
class FollowUp:
    """What is sent because of a delivery that did not arrive: by another channel, or the same once more."""

    original: Delivery
    channel: Channel
    role: Role


def follow_up(group: Sequence[Delivery], reachable: frozenset[Channel], now: datetime) -> FollowUp | None:
    """What a notice to one recipient still calls for when all its deliveries have ended and none has surely arrived.

    `reachable` are the channels by which the recipient can be reached. What surely failed goes by the next fallback
    channel; what may have arrived does so only for insistent kinds, and is said once more where there is none.
    """
    if any(d.ended_at is None or d.succeeded or d.role in (Role.REPEAT, Role.RESEND) for d in group):
        return None
    used = {delivery.channel for delivery in group}
    ended = sorted(
        (d for d in group if not d.cancel_reason and now < d.expires_at), key=lambda d: (d.channel, d.id)
    )
    surely = [d for d in ended if d.state in (State.FAILED, State.UNDELIVERED)]
    perhaps = [d for d in ended if d.state is State.UNKNOWN and d.is_insistent]
    for delivery in (*surely, *perhaps):
        for channel in delivery.fallback:
            if channel in reachable and channel not in used:
                return FollowUp(delivery, channel, Role.FALLBACK)
    return FollowUp(perhaps[0], perhaps[0].channel, Role.REPEAT) if perhaps else None


def followed(up: FollowUp, id: UUID, now: datetime) -> Delivery:
    """The delivery that a follow-up makes."""
    original = up.original
    is_repeat = up.role in (Role.REPEAT, Role.RESEND)
    return Delivery(
        account=original.account,
        id=id,
        notice_id=original.notice_id,
        kind=original.kind,
        recipient=original.recipient,
        contact_place=original.contact_place,
        channel=up.channel,
        state=State.ACCEPTED,
        expires_at=original.expires_at,
        role=up.role,
        fallback=tuple(channel for channel in original.fallback if channel is not up.channel),
        due_at=now,
        repeat_of=original.id if is_repeat else None,
    )


def applied(delivery: Delivery, change: Change, now: datetime) -> Delivery:
    """The delivery after the change; raises BackwardStep unless its state stays or moves forward."""
    old, new = delivery.state, change.state
    if new is not old and new not in FORWARD[old]:
        raise BackwardStep(old, new)
    assert change.ended == (change.due_at is None), "what has not ended is looked at again"
    ended_at = now if change.ended else None
    return replace(delivery, state=new, reason=change.reason, due_at=change.due_at, ended_at=ended_at)


def backoff(attempts: int, jitter: float, limits: Limits) -> timedelta:
    """The wait after so many tries: doubling from the first to the longest, half to all of it by `jitter` (0 to 1)."""
    doubled: timedelta = limits.backoff_first * 2 ** min(max(attempts - 1, 0), 16)
    return min(doubled, limits.backoff_max) * (0.5 + jitter / 2)


def _unclear(delivery: Delivery, now: datetime, reason: str, limits: Limits) -> Change:
    return Change(State.UNKNOWN, reason, due_at=now + limits.deadline_wait(delivery.channel))


def _again(
    delivery: Delivery, now: datetime, jitter: float, limits: Limits, reason: str, *, alarm: bool = False
) -> Change:
    if delivery.cancel_reason:
        return Change(State.SUPPRESSED, delivery.cancel_reason, ended=True)
    if delivery.attempts >= limits.attempts_max:
        return Change(State.FAILED, "retries-exhausted", ended=True)
    wait = backoff(delivery.attempts, jitter, limits)
    due_at = now + (max(wait, limits.alarm_wait) if alarm else wait)
    if now >= delivery.expires_at:
        return Change(State.EXPIRED, "stale", ended=True)
    return Change(State.SENDING, reason, due_at=min(due_at, delivery.expires_at))
