"""What billing tells: bills, negative bills and credit refunds, and how they are settled."""

from collections.abc import Mapping

from chassis import Batch, Record
from contracts import BillIssued, BillSettled
from fund_pool.domain.bills import difference, issue, settle
from fund_pool.domain.items import OpenItem, Settlement
from fund_pool.domain.pool import Pool
from fund_pool.publishing import BillSettled as SettledBill
from fund_pool.publishing import publish, publish_notices
from fund_pool.repository import bills as bill_rows
from fund_pool.repository import ledger as ledger_rows
from fund_pool.repository import pools as pool_rows
from fund_pool.repository.bills import ItemKey

Items = dict[ItemKey, OpenItem]


async def keep_bills(batch: Batch[BillIssued]) -> None:
    """Counts what billing charges or owes; settlements that came before their bill are applied at once."""
    told = {(record.event.account, record.event.bill_id) for record in batch}
    pools = await pool_rows.locked_pools(batch.connection, {account for account, _ in told}, now=batch.now)
    known = await bill_rows.items(batch.connection, told)
    waiting = await bill_rows.waiting(batch.connection, told)
    for record in batch:
        _keep(batch, record, pools, known)
    causes = {(record.event.account, record.event.bill_id): record for record in batch}
    for settlement in waiting:
        key = (settlement.account, settlement.item_id)
        if key in known:
            _apply(batch, causes[key], settlement, known[key], pools[settlement.account])
    await ledger_rows.save(batch.connection, list(pools.values()), batch.now)
    await bill_rows.save_settlements(batch.connection, waiting)


def _keep(
    batch: Batch[BillIssued], record: Record[BillIssued], pools: Mapping[str, Pool], known: Items
) -> None:
    event = record.event
    key = (event.account, event.bill_id)
    item = _item(event)
    if key in known:
        changed = difference(_told(known[key]), _told(item))
        if changed is not None:
            batch.dead_letter(record, "bill-conflict", f"bill {event.bill_id} came before: {changed}")
        return
    pool = pools.get(event.account)
    if pool is None:
        batch.dead_letter(record, "unknown-account", f"there is no account {event.account}")
        return
    if item.overdraft_billed > item.amount or (item.overdraft_billed and item.kind != "bill"):
        detail = "overdraft_billed: is a part of a bill's amount"
        batch.dead_letter(record, "overdraft-beyond-bill", detail)
        return
    if not pool.has_room(item.currency, item.amount):
        batch.dead_letter(record, "balance-too-large", "the account would owe more than can be stored")
        return
    known[key] = item
    publish_notices(batch, issue(item, pool, batch.now), pool, record)
    batch.count("bill", event.kind)


async def settle_bills(batch: Batch[BillSettled]) -> None:
    """Settles bills; a settlement that comes before its bill waits for it."""
    accounts = {record.event.account for record in batch}
    pools = await pool_rows.locked_pools(batch.connection, accounts, now=batch.now)
    told = [_settlement(record.event) for record in batch if record.event.amount.minor]
    kept = await bill_rows.kept_settlements(batch.connection, told, batch.now)
    items = await bill_rows.items(batch.connection, {(one.account, one.item_id) for one in kept.values()})
    for record in batch:
        _settle(batch, record, kept, items, pools)
    await ledger_rows.save(batch.connection, list(pools.values()), batch.now)
    await bill_rows.save_settlements(batch.connection, kept.values())


def _settle(
    batch: Batch[BillSettled],
    record: Record[BillSettled],
    kept: Mapping[str, Settlement],
    items: Items,
    pools: Mapping[str, Pool],
) -> None:
    event = record.event
    settlement = kept.get(event.settlement_id)
    if settlement is None:
        batch.dead_letter(record, "zero-amount", "amount: a settlement is more than 0")
        return
    changed = difference(_asked(settlement), _asked(_settlement(event)))
    if changed is not None:
        batch.dead_letter(record, "settlement-conflict", f"{event.settlement_id} came before: {changed}")
        return
    key = (settlement.account, settlement.item_id)
    if settlement.status == "waiting" and key in items:
        if items[key].currency != settlement.currency:
            batch.dead_letter(record, "currency-mismatch", f"the bill is in {items[key].currency}")
            return
        _apply(batch, record, settlement, items[key], pools[settlement.account])


def _apply(
    batch: Batch[BillIssued] | Batch[BillSettled],
    record: Record[BillIssued] | Record[BillSettled],
    settlement: Settlement,
    item: OpenItem,
    pool: Pool,
) -> None:
    """The item in the pool is the one that counts; a settled one is not loaded with it."""
    item = pool.items.get(item.item_id, item)
    posted, notices = settle(settlement, item, pool, batch.now)
    batch.count("bill-settlement", settlement.paid_from)
    if posted is not None:
        bill = SettledBill(item.item_id, settlement.settled, item.outstanding)
        publish(batch, posted, pool, record, bill)
    publish_notices(batch, notices, pool, record)


def _item(event: BillIssued) -> OpenItem:
    return OpenItem(
        event.bill_id,
        event.kind,
        event.amount.currency,
        event.amount.minor,
        event.issued_on,
        event.due_on,
        overdraft_billed=event.overdraft_billed.minor if event.overdraft_billed is not None else 0,
    )


def _told(item: OpenItem) -> dict[str, object]:
    return {
        "kind": item.kind,
        "currency": item.currency,
        "amount": item.amount,
        "overdraft_billed": item.overdraft_billed,
        "due_on": item.due_on,
    }


def _settlement(event: BillSettled) -> Settlement:
    return Settlement(
        event.settlement_id,
        event.account,
        event.bill_id,
        event.amount.currency,
        event.amount.minor,
        event.paid_from,
        event.settled_on,
    )


def _asked(settlement: Settlement) -> dict[str, object]:
    return {
        "account": settlement.account,
        "bill": settlement.item_id,
        "currency": settlement.currency,
        "amount": settlement.asked,
        "paid_from": settlement.paid_from,
    }
