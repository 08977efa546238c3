"""Takes what is announced, decides who is told, and writes it down: for events, timers, and rehearsals alike."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid5

import orjson
from chassis.work import CausedBy
from contracts.event import TYPES

from chassis import UnitOfWork
from notify.bell import BELL
from notify.domain.announcements import (
    NOTHING_TOLD,
    PAYMENT_OVERDUE,
    QUOTA_LOW,
    Announcement,
    ThreadKey,
    announcement,
)
from notify.domain.delivery import Change, Channel, Delivery, State, applied, cancelled
from notify.domain.noise import Spell
from notify.domain.places import entity_place, is_account
from notify.domain.planning import Plan, Planned, World, expiry, plan
from notify.domain.rules import Rule, in_force
from notify.domain.status import Origin
from notify.endings import acknowledge_token, ending_step, report_token, tell
from notify.repository import contacts as contact_rows
from notify.repository import deliveries, notices, reference
from notify.repository import rules as rule_rows
from notify.repository.deliveries import Locked, NewDelivery, Step
from notify.repository.notices import NewNotice, Thread
from notify.rule_bodies import rule_of
from notify.settings import recipient_rates

NOTICES: Final = UUID("b2b7f1a4-6d0c-4a54-8a5e-0f2b8a3b0c51")
ESCALATE: Final = "escalate"
REPEAT: Final = "repeat"
GATHER: Final = "gather"
GATHER_GRACE: Final = timedelta(minutes=5)
"""What waits to be gathered goes out by itself when nobody has gathered it for so long."""
NOT_TOLD: Final = frozenset({"overtaken", "overdue", "stale", "no-rule"})
"""Reasons for which a notice itself is of no use, whoever would have got it."""


@dataclass(frozen=True, slots=True)
class Told:
    """An announcement with where it came from; `cause` is what its timers and events go back to."""

    announcement: Announcement
    origin: Origin
    cause: CausedBy | None = None


def told_of(event: Any, cause: Any) -> Told:
    """What an event's record tells."""
    origin = Origin(cause.source, cause.id, cause.type, cause.correlation_id, cause.traceparent)
    return Told(announcement(event, cause.source), origin, cause)


def thread_text(key: ThreadKey) -> str:
    """A thread as the key of a timer."""
    return orjson.dumps(key.row).decode()


def thread_of(text: str) -> ThreadKey:
    return ThreadKey(*orjson.loads(text))


async def load_world(work: UnitOfWork, announced: Sequence[Announcement]) -> World:
    """People, rules and silences that these announcements can meet, in a constant number of statements."""
    connection = work.connection
    places = {told.place for told in announced}
    accounts = {place for place in places if is_account(place)}
    managers = await reference.managers(connection, accounts)
    persons = {one.id for told in announced for one in told.addressees if one.kind == "person"}
    entities = {entity_place(one.entity) for told in announced for one in told.addressees}
    abouts = {told.about for told in announced if told.about}
    all_places = places | entities | abouts | {manager for many in managers.values() for manager in many}
    return World(
        contacts=await contact_rows.at_places(connection, all_places, persons),
        managers=managers,
        rules=in_force([rule_of(row.id, row.body) for row in await rule_rows.stored(connection)]),
        silences=[rule_rows.silence_of(row) for row in await rule_rows.silences(connection, work.now)],
        arrivals=await rule_rows.arrivals(connection, all_places, work.now),
        rates=recipient_rates(),
    )


@dataclass(frozen=True, slots=True)
class PlannedDelivery:
    """A delivery that this transaction stores, with what it needs to go out."""

    delivery: Delivery
    planned: Planned
    origin: Origin
    is_acknowledgeable: bool

    def stopped(self, reason: str, now: datetime) -> "PlannedDelivery":
        change = cancelled(self.delivery, reason)
        return replace(self, delivery=applied(self.delivery, change, now)) if change else self

    def new(self, work: UnitOfWork) -> NewDelivery:
        if self.delivery.ended_at is not None:
            return NewDelivery(delivery=self.delivery, status_event_id=tell(work, self.delivery, self.origin))
        contact = self.planned.contact
        assert contact is not None, "what goes out goes to somebody"
        work.count(f"delivery-{self.delivery.channel}", self.delivery.state)
        return NewDelivery(
            delivery=self.delivery,
            address=self.planned.address,
            name=contact.name,
            language=contact.language,
            time_zone=contact.time_zone,
            report_token=report_token(),
            acknowledge_token=acknowledge_token() if self.is_acknowledgeable else None,
        )


@dataclass(slots=True)
class Desk:
    """The threads that a transaction touches, under lock, and what it makes of them."""

    work: UnitOfWork
    world: World
    threads: dict[ThreadKey, Thread]
    spells: dict[tuple[str, str], Spell]
    known: set[tuple[str, str]]
    quota_threads: dict[tuple[str, str], list[ThreadKey]]
    held: dict[ThreadKey, list[Locked]]
    moved: dict[ThreadKey, tuple[int, datetime | None]] = field(default_factory=dict)
    changed_spells: dict[tuple[str, str], Spell] = field(default_factory=dict)
    notices: list[NewNotice] = field(default_factory=list)
    planned: dict[ThreadKey, list[PlannedDelivery]] = field(default_factory=dict)
    stopped: list[Step] = field(default_factory=list)
    plans: list[Plan] = field(default_factory=list)
    gathering: dict[str, tuple[datetime, Told]] = field(default_factory=dict)

    @classmethod
    async def load(cls, work: UnitOfWork, announced: Sequence[Announcement]) -> "Desk":
        """Locks spells and threads first, so that everything read after it is settled."""
        connection = work.connection
        overdue = [told for told in announced if told.family == PAYMENT_OVERDUE]
        money = {_spell_key(told) for told in announced if told.family in (QUOTA_LOW, PAYMENT_OVERDUE)}
        spells = await notices.locked_spells(connection, money)
        threads = await notices.locked_threads(connection, {told.thread for told in announced}, work.now)
        known = await notices.known_keys(connection, {(told.place, told.business_key) for told in announced})
        opened = {_spell_key(told) for told in overdue if told.ends is None}
        quota_threads = await notices.open_quota_threads(connection, opened)
        ending = {told.thread for told in announced if told.ends}
        ending |= {key for keys in quota_threads.values() for key in keys}
        return cls(
            work=work,
            world=await load_world(work, announced),
            threads=threads,
            spells=spells,
            known=known,
            quota_threads=quota_threads,
            held=await deliveries.locked_open(connection, ending),
        )

    def take(self, told: Told) -> None:
        """Applies one announcement, once per business key."""
        said = told.announcement
        if said.kind is not None and (said.place, said.business_key) in self.known:
            self.work.count("notice", "known-already")
            return
        last_step = self._last_step(said.thread)
        self._move(said)
        if said.ends and said.step > last_step:
            self._stop(said.thread, said.ends)
        if said.family == PAYMENT_OVERDUE:
            self._overdue(said)
        if said.kind is not None:
            self.known.add((said.place, said.business_key))
            spell = self.spells.get(_spell_key(said), Spell())
            self.add(told, plan(said, last_step, spell, self.world, self.work.now))

    def _last_step(self, key: ThreadKey) -> int:
        if key in self.moved:
            return self.moved[key][0]
        return self.threads[key].step if key in self.threads else NOTHING_TOLD

    def _move(self, said: Announcement) -> None:
        step, ended_at = self.moved.get(said.thread, (self._last_step(said.thread), None))
        if said.ends and said.step >= step:
            ended_at = said.occurred_at
        self.moved[said.thread] = max(step, said.step), ended_at

    def _overdue(self, said: Announcement) -> None:
        """Keeps the overdue spell, and stops what waits to say that the quota is low."""
        key = _spell_key(said)
        event = TYPES[said.event_type].model.adapter.validate_json(said.data)
        spell = self.spells.get(key, Spell())
        if said.ends:
            spell = spell.cleared(event.episode_id, event.opened_at, said.occurred_at)
        else:
            spell = spell.opened(event.episode_id, said.occurred_at)
            for thread in {*self.quota_threads.get(key, ()), *self._planned_quota_threads(key)}:
                self._stop(thread, "overdue")
        self.spells[key] = self.changed_spells[key] = spell

    def _planned_quota_threads(self, key: tuple[str, str]) -> list[ThreadKey]:
        return [
            thread
            for thread in self.planned
            if thread.family == QUOTA_LOW and (thread.place, thread.currency) == key
        ]

    def add(self, told: Told, made: Plan, *, id: UUID | None = None, reminder: int = 0) -> None:
        """Records a plan as a notice with its deliveries, and sets the timers that its rule asks for."""
        said, now = told.announcement, self.work.now
        notice = new_notice(told, made, id=id, reminder=reminder)
        self.plans.append(made)
        self.notices.append(notice)
        self.work.count("notice", notice.kind)
        planned = [
            PlannedDelivery(
                delivery_of(notice, one, now), one, told.origin, is_acknowledgeable(said, made.rule)
            )
            for one in made.deliveries
        ]
        self.planned.setdefault(said.thread, []).extend(planned)
        self._set_timers(told, made, reminder)

    def add_to(self, told: Told, notice_id: UUID, made: Plan, taken: set[tuple[str, str, Channel]]) -> None:
        """Records further deliveries of a notice that exists, except to those who have one by the same channel."""
        notice = new_notice(told, made, id=notice_id)
        for one in made.deliveries:
            if (one.contact_place, one.recipient, one.channel) not in taken:
                delivery = delivery_of(notice, one, self.work.now)
                acknowledgeable = is_acknowledgeable(told.announcement, made.rule)
                self.planned.setdefault(told.announcement.thread, []).append(
                    PlannedDelivery(delivery, one, told.origin, acknowledgeable)
                )

    def _set_timers(self, told: Told, made: Plan, reminder: int) -> None:
        said, rule, now = told.announcement, made.rule, self.work.now
        for one in made.deliveries:
            if one.group_key and one.due_at:
                self.gathering.setdefault(one.group_key, (one.due_at, told))
        if rule is None or said.ends or all(one.reason in NOT_TOLD for one in made.deliveries):
            return
        if rule.escalation and not reminder:
            due_at = now + rule.escalation.after
            self.work.set_timer(ESCALATE, thread_text(said.thread), due_at, cause=told.cause)
        if rule.may_repeat(said) and rule.repeat_every and reminder < rule.repeat_max:
            due_at = now + rule.repeat_every
            self.work.set_timer(REPEAT, thread_text(said.thread), due_at, cause=told.cause)

    def _stop(self, key: ThreadKey, reason: str) -> None:
        """Cancels what the thread has not sent, be it stored or only planned; attempts under way learn of it."""
        for locked in self.held.pop(key, []):
            change = cancelled(locked.delivery, reason)
            if change is None:
                asked = replace(locked.delivery, cancel_reason=reason)
                self.stopped.append(Step(delivery=asked, lease=locked.lease))
            else:
                ended = applied(locked.delivery, change, self.work.now)
                self.stopped.append(ending_step(self.work, ended, locked.origin))
        self.planned[key] = [made.stopped(reason, self.work.now) for made in self.planned.get(key, [])]

    async def save(self) -> None:
        connection, now = self.work.connection, self.work.now
        await self._set_gather_timers()
        made = list(self._new_deliveries())
        await notices.insert_notices(connection, self.notices, self.moved, now)
        await deliveries.insert_deliveries(connection, made, now)
        await deliveries.save_steps(connection, self.stopped, now, None)
        await notices.save_spells(connection, self.changed_spells)
        await rule_rows.save_arrivals(connection, self.world.arrivals)
        if made:
            BELL.ring()

    async def _set_gather_timers(self) -> None:
        """The first of a group decides when it goes out; those that come later go along."""
        if not self.gathering:
            return
        waiting = await deliveries.waiting_groups(self.work.connection, set(self.gathering))
        for key, (due_at, told) in self.gathering.items():
            if key not in waiting:
                self.work.set_timer(GATHER, key, due_at, cause=told.cause)

    def _new_deliveries(self) -> Iterator[NewDelivery]:
        for thread in self.planned.values():
            for made in thread:
                yield made.new(self.work)


def _spell_key(said: Announcement) -> tuple[str, str]:
    return said.place, said.thread.currency


def is_acknowledgeable(said: Announcement, rule: Rule | None) -> bool:
    """Whether the notice carries a link to acknowledge by: its thread goes on, and it changes something."""
    return said.ends is None and rule is not None and rule.waits_for_acknowledgement


def new_notice(told: Told, made: Plan, *, id: UUID | None = None, reminder: int = 0) -> NewNotice:
    """The notice of an announcement; its id follows from its business key, so that deciding again gives the same."""
    said = told.announcement
    assert said.kind is not None, "only what is told becomes a notice"
    key = f"{said.business_key}/repeat/{reminder}" if reminder else said.business_key
    return NewNotice(
        account=said.place,
        id=id or uuid5(NOTICES, f"{said.place}\n{key}"),
        family=said.family,
        kind=said.kind,
        business_key=key,
        currency=said.thread.currency,
        episode_id=said.thread.episode_id,
        origin=told.origin,
        data=said.data,
        occurred_at=said.occurred_at,
        expires_at=made.expires_at,
        rule=made.rule.id if made.rule else None,
        template=made.rule.template if made.rule else None,
        reminder=reminder,
        about=said.about,
    )


def delivery_of(notice: NewNotice, planned: Planned, now: datetime) -> Delivery:
    """The delivery as it begins: due at once or later, or ended at once with its reason."""
    due_at = planned.due_at
    if planned.group_key and due_at:
        due_at += GATHER_GRACE
    begun = Delivery(
        account=notice.account,
        id=uuid5(
            notice.id, f"{planned.contact_place}\n{planned.recipient}\n{planned.channel}\n{planned.role}"
        ),
        notice_id=notice.id,
        kind=notice.kind,
        recipient=planned.recipient,
        contact_place=planned.contact_place,
        channel=planned.channel,
        role=planned.role,
        fallback=planned.fallback,
        state=State.ACCEPTED,
        expires_at=expiry(planned, notice.expires_at),
        due_at=due_at or now,
        group_key=planned.group_key,
    )
    if planned.state is State.ACCEPTED:
        return begun
    ended = planned.state is not State.HELD
    change = Change(planned.state, planned.reason, due_at=None if ended else begun.due_at, ended=ended)
    return applied(begun, change, now)


async def announce(work: UnitOfWork, tolds: Iterable[Told]) -> Desk:
    """Plans and stores what these announcements call for."""
    tolds = list(tolds)
    desk = await Desk.load(work, [told.announcement for told in tolds])
    for told in tolds:
        desk.take(told)
    await desk.save()
    return desk
