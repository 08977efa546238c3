"""Balances of the enterprise's own accounts, as banks tell them."""

from cashplan.flows import forecasting
from cashplan.repository import position as position_rows
from cashplan.repository import systems as system_rows
from cashplan.repository.position import ToldBalance
from chassis import Batch, Record
from contracts import BankBalanceChanged


async def keep_balances(batch: Batch[BankBalanceChanged]) -> None:
    """Appends each balance once; one of an unknown account or in another currency is dead-lettered."""
    last: dict[tuple[str, object, object], Record[BankBalanceChanged]] = {}
    for record in batch:
        last.setdefault((record.event.account, record.event.as_of, record.event.told_at), record)
    records = list(last.values())
    if not records:
        return
    currencies = await position_rows.add_told(
        batch.connection, [_told(record) for record in records], batch.now
    )
    for record, currency in zip(records, currencies, strict=True):
        batch.count("bank-balance", _outcome(batch, record, currency))
    for system in await system_rows.systems(batch.connection):
        forecasting.look_again(batch, system.id, records[0])


def _told(record: Record[BankBalanceChanged]) -> ToldBalance:
    event = record.event
    return ToldBalance(
        account_id=event.account,
        as_of=event.as_of,
        balance_minor=event.balance.minor,
        currency=event.balance.currency,
        told_at=event.told_at,
        source=record.source,
    )


def _outcome(
    batch: Batch[BankBalanceChanged], record: Record[BankBalanceChanged], currency: str | None
) -> str:
    event = record.event
    if currency is None:
        batch.dead_letter(record, "unknown-account", f"account: {event.account} is no position account")
        return "unknown-account"
    if currency != event.balance.currency:
        batch.dead_letter(record, "currency-mismatch", f"balance: {event.account} is kept in {currency}")
        return "currency-mismatch"
    return "kept"
