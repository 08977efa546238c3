"""Facts in: the accounts that can enter relationships."""

from chassis import Batch
from contracts import MasterDataChanged
from contracts import master_data_changed as master_data
from sharing.domain.accounts import Account, newest
from sharing.repository import accounts as account_rows


async def keep_accounts(batch: Batch[MasterDataChanged]) -> None:
    """Keeps the newest version of each account; other master data is of no use here."""
    told = [account for record in batch if (account := _account(record.event))]
    await account_rows.save_newer(batch.connection, newest(told))


def _account(change: MasterDataChanged) -> Account | None:
    if not isinstance(change.record, master_data.Account):
        return None
    return Account(
        account_id=change.id, version=change.version, name=change.record.name, active=change.active
    )
