"""Facts in: what decided orders leave to be received, and the organisations whose days are counted."""

from cashplan.domain.organisations import Organisation, newest
from cashplan.domain.pool import ItemChange, ItemKey, PoolItem, flaw, next_item, order_key
from cashplan.repository import organisations as organisation_rows
from cashplan.repository import pool as pool_rows
from chassis import Batch, Record
from contracts import MasterDataChanged, OrderDecided
from contracts import master_data_changed as master_data


async def collect_receipts(batch: Batch[OrderDecided]) -> None:
    """Keeps one receipt to come per decided order, following the highest check number."""
    sound = [record for record in batch if _is_sound(batch, record)]
    items = await pool_rows.locked_items(
        batch.connection, sorted({order_key(record.event) for record in sound})
    )
    changes = [change for record in sound if (change := _change(batch, items, record))]
    await pool_rows.save_changes(batch.connection, changes, batch.now)


def _is_sound(batch: Batch[OrderDecided], record: Record[OrderDecided]) -> bool:
    fault = flaw(record.event)
    if fault is not None:
        batch.dead_letter(record, "position-misstated", fault)
    return fault is None


def _change(
    batch: Batch[OrderDecided], items: dict[ItemKey, PoolItem], record: Record[OrderDecided]
) -> ItemChange | None:
    decision = record.event
    item = next_item(items.get(order_key(decision)), decision)
    batch.count("receipt", _outcome(item))
    if item is None:
        return None
    items[item.key] = item
    return ItemChange(
        item=item,
        operation=decision.operation,
        outcome=decision.outcome,
        event_id=record.id,
        decided_at=decision.decided_at,
    )


def _outcome(item: PoolItem | None) -> str:
    if item is None:
        return "known-already"
    return "open" if item.amount_minor else "closed"


async def keep_organisations(batch: Batch[MasterDataChanged]) -> None:
    """Keeps the newest version of each organisation; other master data is of no use here."""
    told = [organisation for record in batch if (organisation := _organisation(record.event))]
    await organisation_rows.save_newer(batch.connection, newest(told))


def _organisation(change: MasterDataChanged) -> Organisation | None:
    if not isinstance(change.record, master_data.Organisation):
        return None
    return Organisation(
        organisation_id=change.id,
        version=change.version,
        name=change.record.name,
        time_zone=change.record.time_zone,
        active=change.active,
    )
