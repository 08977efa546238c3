"""Applies a change to a delivery: its step, the status that tells of its end, and what its end calls for."""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID, uuid5

from chassis import Cause, UnitOfWork
from notify.bell import BELL
from notify.domain.answers import Answer
from notify.domain.delivery import Change, Delivery, applied, follow_up, repeated
from notify.domain.status import Origin, status
from notify.repository import deliveries
from notify.repository.deliveries import Locked, Step

REPEATS: Final = UUID("0e0a1a53-3a40-4bd5-bb0d-2a2d86d2a6a9")
TOKEN_BYTES: Final = 24


def report_token() -> str:
    """What only the gateway is told, and what it proves itself by when it reports."""
    return secrets.token_urlsafe(TOKEN_BYTES)


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
    group: Sequence[Locked],
    locked: Locked,
    change: Change | None,
    *,
    answer: Answer | None = None,
    ends_attempt: bool = False,
    instance: str | None = None,
) -> Delivery:
    """Stores what a change makes of one delivery of a locked group; returns it as it is now.

    `answer` is what the attempt that ends with it was answered. When the last of the group ends and none is known
    to have arrived, one is repeated.
    """
    delivery = replace(locked.delivery, phase=None) if ends_attempt else locked.delivery
    if change is not None:
        delivery = applied(delivery, change, work.now)
    has_ended = change is not None and change.ended
    step = Step(
        delivery=delivery,
        lease=None if ends_attempt else locked.lease,
        status_event_id=tell(work, delivery, locked.origin) if has_ended else None,
        answer=answer,
        attempt=delivery.attempts if ends_attempt else None,
    )
    await deliveries.save_steps(work.connection, [step], work.now, instance)
    if has_ended:
        await _follow_up(work, group, delivery)
    return delivery


async def _follow_up(work: UnitOfWork, group: Sequence[Locked], ended: Delivery) -> None:
    now_group = [ended if locked.delivery.id == ended.id else locked.delivery for locked in group]
    original = follow_up(now_group, work.now)
    if original is not None:
        repeat = repeated(original, uuid5(REPEATS, str(original.id)), work.now)
        await deliveries.insert_repeat(work.connection, repeat, report_token(), work.now)
        work.count(f"delivery-{repeat.channel}", "repeated")
        BELL.ring()
