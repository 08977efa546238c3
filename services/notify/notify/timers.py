"""What happens by time alone: escalation, notify's own repeats, and the end of gathering."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import uuid5

from chassis.timers import TimerHandler
from contracts.event import TYPES

from chassis import Timer, TimerBatch
from notify.bell import BELL
from notify.desk import ESCALATE, GATHER, NOTICES, REPEAT, Desk, Told, thread_of
from notify.domain.announcements import DIGEST, announcement
from notify.domain.contexts import digest_data
from notify.domain.delivery import Change, Delivery, State, applied
from notify.domain.noise import Spell
from notify.domain.people import Contact
from notify.domain.planning import escalated, plan
from notify.domain.rules import Rule
from notify.domain.status import Origin
from notify.endings import report_token
from notify.repository import contacts as contact_rows
from notify.repository import deliveries, notices
from notify.repository.deliveries import Gathered, NewDelivery, Step
from notify.repository.notices import NewNotice

DIGEST_TYPE: Final = "digest.v1"
CARRIED_WAIT: Final = timedelta(days=9)
"""Behind the longest wait for a report there can be: then the digest itself has been lost."""


async def escalate(batch: TimerBatch) -> None:
    """Tells those who come next when nobody has acknowledged a thread, or it has reached nobody."""
    due = await _due(batch, may_be_acknowledged=True)
    if not due:
        return
    desk = await Desk.load(batch, [told.announcement for told, _, _ in due])
    taken = await deliveries.recipients(batch.connection, {(row.account, row.id) for _, row, _ in due})
    for told, row, is_acknowledged in due:
        rule = _rule(desk.world.rules, row.rule)
        escalation = rule.escalation if rule else None
        if rule is None or escalation is None:
            continue
        if (escalation.unless == "delivered" and row.has_arrived) or (
            escalation.unless == "acknowledged" and is_acknowledged
        ):
            continue
        made = escalated(told.announcement, rule, escalation, desk.world, batch.now)
        desk.add_to(told, row.id, made, taken.get(row.id, set()))
        batch.count("escalation", told.announcement.family)
    await desk.save()


async def repeat(batch: TimerBatch) -> None:
    """Says a thread's last notice once more, while the thread lasts and nobody has acknowledged it."""
    due = await _due(batch, may_be_acknowledged=False)
    if not due:
        return
    desk = await Desk.load(batch, [told.announcement for told, _, _ in due])
    for told, row, _ in due:
        said = replace(told.announcement, occurred_at=batch.now)
        spell = desk.spells.get((said.place, said.thread.currency), Spell())
        made = plan(said, said.step, spell, desk.world, batch.now)
        if made.rule is not None and made.rule.may_repeat(said) and row.reminder < made.rule.repeat_max:
            kept = replace(told, announcement=replace(said, occurred_at=row.occurred_at))
            desk.add(kept, made, reminder=row.reminder + 1)
    await desk.save()


async def _due(batch: TimerBatch, *, may_be_acknowledged: bool) -> list[tuple[Told, Any, bool]]:
    """What the timers' threads said last, and whether it is acknowledged; without those that have ended."""
    timers = {thread_of(timer.key): timer for timer in batch}
    threads = await notices.locked_threads(batch.connection, set(timers), batch.now)
    going_on = [
        key
        for key, thread in threads.items()
        if thread.ended_at is None and (may_be_acknowledged or thread.acknowledged_at is None)
    ]
    latest = await notices.latest_of_threads(batch.connection, going_on)
    return [
        (_told(row, timers[key]), row, threads[key].acknowledged_at is not None)
        for key, row in sorted(latest.items(), key=lambda item: item[0].row)
    ]


def _told(row: Any, timer: Timer) -> Told:
    """The announcement of a notice that was stored."""
    event = TYPES[row.event_type].model.adapter.validate_json(row.data)
    origin = Origin(row.event_source, row.event_id, row.event_type, row.correlation_id, row.traceparent)
    return Told(announcement(event, row.event_source), origin, timer)


def _rule(rules: Sequence[Rule], id: str | None) -> Rule | None:
    return next((rule for rule in rules if rule.id == id), None)


async def gather(batch: TimerBatch) -> None:
    """Puts what waited for the same person into one message; what waited alone goes out as it is."""
    gathered = await deliveries.locked_gathered(batch.connection, {timer.key for timer in batch})
    people = await _people(batch, gathered)
    steps: list[Step] = []
    made: list[tuple[NewNotice, NewDelivery]] = []
    for timer in batch:
        members = gathered.get(timer.key, [])
        if not members:
            continue
        due_at = _due_at(people.get(_contact_key(members[0])), batch.now)
        if len(members) == 1:
            steps.append(Step(delivery=replace(members[0].locked.delivery, due_at=due_at)))
            continue
        digest = _digest(timer, members, due_at, batch.now)
        made.append(digest)
        steps.extend(_carried(one, digest[1].delivery, batch.now) for one in members)
        batch.count("digest", members[0].locked.delivery.kind)
    await notices.insert_notices(batch.connection, [notice for notice, _ in made], {}, batch.now)
    await deliveries.insert_deliveries(batch.connection, [delivery for _, delivery in made], batch.now)
    await deliveries.save_steps(batch.connection, steps, batch.now, None)
    if steps:
        BELL.ring()


async def _people(
    batch: TimerBatch, gathered: Mapping[str, Sequence[Gathered]]
) -> dict[tuple[str, str], Contact]:
    places = {one.locked.delivery.contact_place for members in gathered.values() for one in members}
    found = await contact_rows.at_places(batch.connection, places)
    return {contact.key: contact for people in found.values() for contact in people}


def _contact_key(one: Gathered) -> tuple[str, str]:
    return one.locked.delivery.contact_place, one.locked.delivery.recipient


def _due_at(contact: Contact | None, now: datetime) -> datetime:
    """Now, or the end of the person's quiet hours."""
    if contact is None or contact.quiet is None:
        return now
    return contact.quiet.end_after(now, contact.time_zone) or now


def _digest(
    timer: Timer, members: Sequence[Gathered], due_at: datetime, now: datetime
) -> tuple[NewNotice, NewDelivery]:
    """One message that says what all of them would have said."""
    first = members[0].locked.delivery
    kind = f"{DIGEST}-{first.kind}"
    expires_at = max(*(one.locked.delivery.expires_at for one in members), due_at)
    key = f"{kind}/{timer.id}"
    notice_id = uuid5(NOTICES, key)
    notice = NewNotice(
        account=first.contact_place,
        id=notice_id,
        family=DIGEST,
        kind=kind,
        business_key=key,
        currency=None,
        episode_id=None,
        origin=Origin(timer.source, str(notice_id), DIGEST_TYPE, timer.correlation_id, timer.traceparent),
        data=digest_data(
            [(one.locked.delivery.kind, one.event_type, one.account_name, one.data) for one in members]
        ),
        occurred_at=now,
        expires_at=expires_at,
    )
    begun = Delivery(
        account=notice.account,
        id=uuid5(notice_id, first.recipient),
        notice_id=notice_id,
        kind=kind,
        recipient=first.recipient,
        contact_place=first.contact_place,
        channel=first.channel,
        state=State.ACCEPTED,
        expires_at=expires_at,
        due_at=due_at,
    )
    if due_at > now:
        begun = applied(begun, Change(State.HELD, "quiet-hours", due_at=due_at), now)
    delivery = NewDelivery(
        delivery=begun,
        address=members[0].address,
        name=members[0].name,
        language=members[0].language,
        time_zone=members[0].time_zone,
        report_token=report_token(),
    )
    return notice, delivery


def _carried(one: Gathered, digest: Delivery, now: datetime) -> Step:
    """A delivery that the digest brings along: it is over when the digest is."""
    change = Change(State.SENDING, "in-digest", due_at=digest.expires_at + CARRIED_WAIT)
    carried = replace(applied(one.locked.delivery, change, now), carried_by=digest.id)
    return Step(delivery=carried)


HANDLERS: Final[Mapping[str, TimerHandler]] = {ESCALATE: escalate, REPEAT: repeat, GATHER: gather}
