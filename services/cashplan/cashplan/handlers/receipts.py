"""Decided orders: what each leaves to be received."""

from cashplan.domain.collection import order_collected, order_fact
from cashplan.domain.pool import flaw, next_item, order_key
from cashplan.flows.pool import PoolDesk, PoolNews
from cashplan.repository import settings as setting_rows
from chassis import Batch, Record
from contracts import OrderDecided


async def collect_receipts(batch: Batch[OrderDecided]) -> None:
    """Keeps one receipt to come per decided order, following the highest check number."""
    sound = [record for record in batch if _is_sound(batch, record)]
    if not sound:
        return
    rules = await setting_rows.collection_rules(batch.connection)
    desk = PoolDesk(batch)
    await desk.load([order_key(record.event) for record in sound], [])
    for record in sound:
        batch.count("receipt", _apply(desk, record, rules))
    await desk.save()


def _is_sound(batch: Batch[OrderDecided], record: Record[OrderDecided]) -> bool:
    fault = flaw(record.event)
    if fault is not None:
        batch.dead_letter(record, "position-misstated", fault)
    return fault is None


def _apply(desk: PoolDesk, record: Record[OrderDecided], rules: setting_rows.Rules) -> str:
    decision = record.event
    item = next_item(desk.items.get(order_key(decision)), decision)
    if item is None:
        return "known-already"
    fact = order_fact(item, decision.operation, decision.outcome, decision.decided_at.date())
    if not order_collected(item, rules) and item.key not in desk.items:
        return "not-collected"
    return desk.apply(PoolNews(fact, record.id, decision.decided_at))
