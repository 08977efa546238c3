"""Events in: what they announce becomes notices with deliveries; accounts' names and relationships are kept."""

from typing import Any

from contracts.event import Event

from chassis import Batch
from contracts import MasterDataChanged, RelationshipChanged, TaskChanged
from contracts import master_data_changed as master_data
from notify.desk import announce, told_of
from notify.repository import reference, tasks
from notify.repository.reference import Relationship


async def announce_events(batch: Batch[Event]) -> None:
    """Plans a delivery per notice, recipient and channel; the end of a thread stops what has not gone out."""
    await announce(batch, [told_of(record.event, record) for record in batch])


async def keep_tasks(batch: Batch[TaskChanged]) -> None:
    """Keeps the to-do list, and announces what is new on it."""
    newest: dict[tuple[str, str], TaskChanged] = {}
    for record in batch:
        key, known = (record.source, record.event.task_id), newest.get((record.source, record.event.task_id))
        if known is None or known.task_version < record.event.task_version:
            newest[key] = record.event
    await tasks.save_newer(batch.connection, [(source, event) for (source, _), event in newest.items()])
    records: Any = batch
    await announce_events(records)


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
