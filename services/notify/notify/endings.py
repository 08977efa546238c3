"""Applies changes to deliveries: their steps, the statuses that tell of their ends, and what an end calls for."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final
from uuid import UUID, uuid5

from chassis import Cause, UnitOfWork
from notify.bell import BELL
from notify.domain.announcements import DIGEST
from notify.domain.answers import Answer
from notify.domain.delivery import FORWARD, Change, Delivery, FollowUp, applied, follow_up, followed
from notify.domain.status import Origin, status
from notify.repository import deliveries
from notify.repository.deliveries import Locked, NewFollowUp, Step

FOLLOW_UPS: Final = UUID("0e0a1a53-3a40-4bd5-bb0d-2a2d86d2a6a9")
TOKEN_BYTES: Final = 24
ACKNOWLEDGE_BYTES: Final = 12
"""96 bits that cannot be guessed, in 16 characters: the link stands in SMS too."""
CARRIED_GRACE: Final = timedelta(hours=1)
"""How much longer a carried delivery waits than the one that carries it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What happened to a delivery: `answer` is what the attempt that ends with it was answered."""

    locked: Locked
    change: Change | None
    answer: Answer | None = None
    ends_attempt: bool = False


def report_token() -> str:
    """What only the gateway is told, and what it proves itself by when it reports."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def acknowledge_token() -> str:
    """What a recipient acknowledges by."""
    return secrets.token_urlsafe(ACKNOWLEDGE_BYTES)


def tell(work: UnitOfWork, delivery: Delivery, origin: Origin) -> str:
    """Publishes and counts the end of a delivery with this transaction; returns the event's id."""
    work.count(f"delivery-{delivery.channel}", delivery.state)
    cause = Cause(
        source=f"coffer/{work.service}",
        id=f"{delivery.id}/{delivery.state}",
        correlation_id=origin.correlation_id,
        traceparent=origin.traceparent,
    )
    return work.emit(status(delivery, origin, work.now), cause=cause)


def ending_step(work: UnitOfWork, delivery: Delivery, origin: Origin) -> Step:
    """The step to a delivery's end, told."""
    return Step(delivery=delivery, status_event_id=tell(work, delivery, origin))


async def conclude(
    work: UnitOfWork,
    groups: Mapping[UUID, Sequence[Locked]],
    outcomes: Sequence[Outcome],
    *,
    instance: str | None = None,
) -> None:
    """Stores what became of deliveries whose groups are locked, and of those that they carry.

    When the last of a group ends and none is known to have arrived, another channel or a repeat follows.
    """
    steps = [_step(work, outcome) for outcome in outcomes]
    steps += await _carried_steps(work, outcomes)
    await deliveries.save_steps(work.connection, steps, work.now, instance)
    known = {step.delivery.id: step.delivery for step in steps}
    ended = [step.delivery for step in steps if step.delivery.ended_at == work.now]
    await follow(work, [groups[delivery.id] for delivery in ended if delivery.id in groups], known)


def _step(work: UnitOfWork, outcome: Outcome) -> Step:
    locked, change = outcome.locked, outcome.change
    delivery = replace(locked.delivery, phase=None) if outcome.ends_attempt else locked.delivery
    if change is not None:
        delivery = applied(delivery, change, work.now)
    has_ended = change is not None and change.ended
    return Step(
        delivery=delivery,
        lease=None if outcome.ends_attempt else locked.lease,
        status_event_id=tell(work, delivery, locked.origin) if has_ended else None,
        answer=outcome.answer,
        attempt=delivery.attempts if outcome.ends_attempt else None,
    )


async def _carried_steps(work: UnitOfWork, outcomes: Sequence[Outcome]) -> list[Step]:
    """What a digest's change makes of the deliveries that it brings along: the same."""
    changes = {
        outcome.locked.delivery.id: outcome.change
        for outcome in outcomes
        if outcome.change is not None and outcome.locked.delivery.kind.startswith(DIGEST)
    }
    if not changes:
        return []
    steps: list[Step] = []
    for carrier, carried in (await deliveries.locked_carried(work.connection, set(changes))).items():
        change = changes[carrier]
        if change.due_at is not None:
            change = replace(change, due_at=change.due_at + CARRIED_GRACE)
        steps.extend(
            _step(work, Outcome(locked=locked, change=change))
            for locked in carried
            if change.state in FORWARD[locked.delivery.state]
        )
    return steps


async def follow(
    work: UnitOfWork, groups: Sequence[Sequence[Locked]], known: Mapping[UUID, Delivery]
) -> None:
    """Makes what the ends of these groups call for; `known` are deliveries as they are after this transaction."""
    ups: dict[UUID, FollowUp] = {}
    for group in groups:
        members = [known.get(locked.delivery.id, locked.delivery) for locked in group]
        up = follow_up(members, group[0].reachable, work.now)
        if up is not None:
            ups[up.original.id] = up
    await insert_follow_ups(work, list(ups.values()))


def follow_up_id(up: FollowUp) -> UUID:
    return uuid5(FOLLOW_UPS, f"{up.original.id}/{up.channel}/{up.role}")


async def insert_follow_ups(work: UnitOfWork, ups: Sequence[FollowUp]) -> set[UUID]:
    """Stores the deliveries that follow others; returns their ids."""
    made = [
        NewFollowUp(
            delivery=followed(up, follow_up_id(up), work.now),
            original_id=up.original.id,
            report_token=report_token(),
            acknowledge_token=acknowledge_token(),
        )
        for up in ups
    ]
    inserted = await deliveries.insert_follow_ups(work.connection, made, work.now)
    for up in ups:
        if follow_up_id(up) in inserted:
            work.count(f"delivery-{up.channel}", up.role)
    if inserted:
        BELL.ring()
    return inserted
