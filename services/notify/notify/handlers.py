"""Events in: quota-low becomes deliveries; accounts' names and relationships are kept."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final
from uuid import UUID, uuid5

from chassis import Batch, Record
from contracts import MasterDataChanged, QuotaLow, RelationshipChanged
from contracts import master_data_changed as master_data
from notify.bell import BELL
from notify.domain.delivery import Change, Delivery, State, applied, cancelled
from notify.domain.planning import (
    NOTICE_VALID,
    Contact,
    Planned,
    business_key,
    cancel_reason,
    ends_episode,
    notice_kind,
    plan,
    step,
)
from notify.domain.status import Origin
from notify.endings import ending_step, report_token, tell
from notify.repository import contacts as contact_rows
from notify.repository import deliveries, notices, reference
from notify.repository.deliveries import Locked, NewDelivery, Step
from notify.repository.notices import EpisodeKey, NewNotice
from notify.repository.reference import Relationship

NOTICES: Final = UUID("b2b7f1a4-6d0c-4a54-8a5e-0f2b8a3b0c51")


async def notify_quota_low(batch: Batch[QuotaLow]) -> None:
    """Plans a delivery per notice, recipient and channel; the end of an episode stops what has not gone out."""
    episodes = await Episodes.load(batch)
    for record in batch:
        episodes.apply(record)
    await episodes.save()


@dataclass(frozen=True, slots=True)
class PlannedDelivery:
    """A delivery that this batch stores, with what it needs to go out."""

    delivery: Delivery
    planned: Planned
    origin: Origin

    def stopped(self, reason: str, now: datetime) -> "PlannedDelivery":
        change = cancelled(self.delivery, reason)
        return replace(self, delivery=applied(self.delivery, change, now)) if change else self

    def new(self, batch: Batch[QuotaLow]) -> NewDelivery:
        if self.delivery.ended_at is not None:
            return NewDelivery(
                delivery=self.delivery, status_event_id=tell(batch, self.delivery, self.origin)
            )
        contact = self.planned.contact
        assert contact is not None, "what goes out goes to somebody"
        batch.count(f"delivery-{self.delivery.channel}", self.delivery.state)
        return NewDelivery(
            delivery=self.delivery,
            address=self.planned.address,
            name=contact.name,
            language=contact.language,
            time_zone=contact.time_zone,
            report_token=report_token(),
        )


@dataclass(slots=True)
class Episodes:
    """The episodes that a batch touches, under lock, and what the batch makes of them."""

    batch: Batch[QuotaLow]
    steps: dict[EpisodeKey, int]
    known: set[tuple[str, str]]
    contacts: dict[str, list[Contact]]
    held: dict[EpisodeKey, list[Locked]]
    notices: list[NewNotice] = field(default_factory=list)
    planned: dict[EpisodeKey, list[PlannedDelivery]] = field(default_factory=dict)
    stopped: list[Step] = field(default_factory=list)

    @classmethod
    async def load(cls, batch: Batch[QuotaLow]) -> "Episodes":
        """Locks the episodes first, so that everything read after it is settled."""
        connection = batch.connection
        events = [record.event for record in batch]
        steps = await notices.locked_steps(connection, {episode_key(event) for event in events}, batch.now)
        known = await notices.known_keys(
            connection, {(event.account, business_key(event)) for event in events}
        )
        contacts = await contact_rows.by_account(connection, {event.account for event in events})
        ending = sorted({episode_key(event) for event in events if ends_episode(event)})
        held = await deliveries.locked_open(connection, ending)
        return cls(batch, steps, known, contacts, held)

    def apply(self, record: Record[QuotaLow]) -> None:
        """Applies one event, once per business key."""
        event = record.event
        key = episode_key(event)
        kind = notice_kind(event)
        if kind is not None and (event.account, business_key(event)) in self.known:
            self.batch.count("notice", "known-already")
            return
        last_step = self.steps[key]
        self.steps[key] = max(last_step, step(event))
        if ends_episode(event) and step(event) > last_step:
            self._stop(key, cancel_reason(event))
        if kind is not None:
            self.known.add((event.account, business_key(event)))
            self._plan(record, kind, last_step)

    def _plan(self, record: Record[QuotaLow], kind: str, last_step: int) -> None:
        event = record.event
        origin = Origin(record.source, record.id, record.type, record.correlation_id, record.traceparent)
        notice = new_notice(event, kind, origin)
        self.notices.append(notice)
        self.batch.count("notice", kind)
        contacts = self.contacts.get(event.account, [])
        planned = plan(event, last_step, contacts, self.batch.now, notice.expires_at)
        made = [PlannedDelivery(delivery_of(notice, one, self.batch.now), one, origin) for one in planned]
        self.planned.setdefault(episode_key(event), []).extend(made)

    def _stop(self, key: EpisodeKey, reason: str) -> None:
        """Cancels what the episode has not sent, be it stored or only planned; attempts under way learn of it."""
        for locked in self.held.pop(key, []):
            change = cancelled(locked.delivery, reason)
            if change is None:
                asked = replace(locked.delivery, cancel_reason=reason)
                self.stopped.append(Step(delivery=asked, lease=locked.lease))
            else:
                ended = applied(locked.delivery, change, self.batch.now)
                self.stopped.append(ending_step(self.batch, ended, locked.origin))
        self.planned[key] = [made.stopped(reason, self.batch.now) for made in self.planned.get(key, [])]

    async def save(self) -> None:
        connection, now = self.batch.connection, self.batch.now
        made = list(self._new_deliveries())
        await notices.insert_notices(connection, self.notices, self.steps, now)
        await deliveries.insert_deliveries(connection, made, now)
        await deliveries.save_steps(connection, self.stopped, now, None)
        if made:
            BELL.ring()

    def _new_deliveries(self) -> Iterator[NewDelivery]:
        for episode in self.planned.values():
            for made in episode:
                yield made.new(self.batch)


def episode_key(event: QuotaLow) -> EpisodeKey:
    return event.account, event.currency, event.episode_id


def new_notice(event: QuotaLow, kind: str, origin: Origin) -> NewNotice:
    """The notice of an event; its id follows from its business key, so that deciding again gives the same."""
    key = business_key(event)
    return NewNotice(
        account=event.account,
        id=uuid5(NOTICES, f"{event.account}\n{key}"),
        kind=kind,
        business_key=key,
        currency=event.currency,
        episode_id=event.episode_id,
        origin=origin,
        data=event.to_json(),
        occurred_at=event.occurred_at,
        expires_at=event.occurred_at + NOTICE_VALID,
    )


def delivery_of(notice: NewNotice, planned: Planned, now: datetime) -> Delivery:
    """The delivery as it begins: due at once, or ended at once with its reason."""
    begun = Delivery(
        account=notice.account,
        id=uuid5(notice.id, f"{planned.recipient}\n{planned.channel}"),
        notice_id=notice.id,
        kind=notice.kind,
        recipient=planned.recipient,
        channel=planned.channel,
        state=State.ACCEPTED,
        expires_at=notice.expires_at,
        due_at=now,
    )
    if planned.state is State.ACCEPTED:
        return begun
    return applied(begun, Change(planned.state, planned.reason, ended=True), now)


async def keep_accounts(batch: Batch[MasterDataChanged]) -> None:
    """Keeps the newest name of each account for the texts; other master data is of no use here."""
    names: dict[str, tuple[int, str]] = {}
    for record in batch:
        change = record.event
        if (
            isinstance(change.record, master_data.Account)
            and change.version > names.get(change.id, (0, ""))[0]
        ):
            names[change.id] = change.version, change.record.name
    await reference.save_newer_names(batch.connection, names)


async def keep_relationships(batch: Batch[RelationshipChanged]) -> None:
    """Keeps the newest state of each relationship, by which a member's management account is found."""
    newest: dict[str, Relationship] = {}
    for record in batch:
        told = relationship_of(record.event)
        known = newest.get(told.relationship_id)
        if known is None or known.relationship_version < told.relationship_version:
            newest[told.relationship_id] = told
    await reference.save_newer_relationships(batch.connection, list(newest.values()))


def relationship_of(event: RelationshipChanged) -> Relationship:
    may_view = any(
        p.name == "view-financial-information" and p.state == "accepted" for p in event.permissions
    )
    return Relationship(
        relationship_id=event.relationship_id,
        relationship_version=event.relationship_version,
        kind=event.kind,
        management_account=event.management_account,
        member_account=event.member_account,
        state=event.state,
        may_view_finances=may_view,
        changed_at=event.changed_at,
    )
