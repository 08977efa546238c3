"""Master data: the organisations whose days are counted."""

from cashplan.domain.organisations import Organisation, newest
from cashplan.repository import organisations as organisation_rows
from chassis import Batch
from contracts import MasterDataChanged
from contracts import master_data_changed as master_data


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
