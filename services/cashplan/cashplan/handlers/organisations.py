"""Master data: organisations, plan items and members of dimensions, as the ERP holds them."""

from cashplan.domain.masterdata import MasterRecord, newest_records
from cashplan.domain.organisations import Organisation, newest
from cashplan.repository import masterdata as record_rows
from cashplan.repository import organisations as organisation_rows
from chassis import Batch
from contracts import MasterDataChanged
from contracts import master_data_changed as master_data


async def keep_organisations(batch: Batch[MasterDataChanged]) -> None:
    """Keeps the newest version of what plans are made of; other master data is of no use here."""
    told = [organisation for record in batch if (organisation := _organisation(record.event))]
    await organisation_rows.save_newer(batch.connection, newest(told))
    records = [found for record in batch if (found := _record(record.event))]
    await record_rows.save_newer(batch.connection, newest_records(records))


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


def _record(change: MasterDataChanged) -> MasterRecord | None:
    record = change.record
    if not isinstance(record, master_data.Organisation | master_data.PlanItem | master_data.DimensionMember):
        return None
    return MasterRecord(
        kind=record.kind,
        record_id=change.id,
        version=change.version,
        name=record.name,
        parent=record.parent,
        direction=record.direction if isinstance(record, master_data.PlanItem) else None,
        dimension=record.dimension if isinstance(record, master_data.DimensionMember) else None,
        active=change.active,
    )
