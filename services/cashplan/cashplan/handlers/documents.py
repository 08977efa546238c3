"""Documents of the ERP: facts go to the pool, requests and facts to execution control."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from cashplan.domain.collection import fact_of
from cashplan.domain.control import Controller
from cashplan.domain.documents import Posted
from cashplan.domain.readings import flaw, posted_of
from cashplan.flows.control import Arrival, ControlDesk
from cashplan.flows.pool import PoolDesk, PoolNews
from cashplan.repository import settings as setting_rows
from cashplan.repository import systems as system_rows
from chassis import Batch, Record
from contracts import DocumentPosted

OWN: Final = frozenset({"payment-request", "payment"})
"""Documents that are cashplan's to answer; a request for another is credit's, unless a plan controls its type."""


async def control_documents(batch: Batch[DocumentPosted]) -> None:
    """Checks and occupies what documents ask and tell, and keeps what they leave to be received and paid."""
    sound = [record for record in batch if _is_sound(batch, record)]
    await _control(batch, sound)
    await _collect(batch, [record for record in sound if record.event.stance == "fact"])


def _is_sound(batch: Batch[DocumentPosted], record: Record[DocumentPosted]) -> bool:
    fault = flaw(record.event)
    if fault is not None:
        batch.dead_letter(record, "document-misstated", fault)
    return fault is None


async def _control(batch: Batch[DocumentPosted], records: Sequence[Record[DocumentPosted]]) -> None:
    systems = [each for each in await system_rows.systems(batch.connection) if each.basics.active]
    types = {timing.document_type for system in systems for timing in system.timings}
    arrivals = [
        Arrival(_controlled(posted_of(record.event), types), record)
        for record in records
        if record.event.document_type in types or record.event.document_type in OWN
    ]
    await ControlDesk(batch, Controller(systems)).decide_all(arrivals)


def _controlled(posted: Posted, types: set[str]) -> Posted:
    """The document without what its lines come from where no plan looks at that."""
    if all(each.key.document_type in types for line in posted.lines for each in line.upstream):
        return posted
    lines = tuple(
        replace(line, upstream=tuple(each for each in line.upstream if each.key.document_type in types))
        for line in posted.lines
    )
    return replace(posted, lines=lines)


async def _collect(batch: Batch[DocumentPosted], records: Sequence[Record[DocumentPosted]]) -> None:
    if not records:
        return
    rules = await setting_rows.collection_rules(batch.connection)
    news = [PoolNews(fact_of(record.event, rules), record.id, record.event.posted_at) for record in records]
    desk = PoolDesk(batch)
    upstream = [link.key for each in news for link in each.fact.chain.upstream]
    await desk.load([each.fact.key for each in news], upstream)
    for each in news:
        batch.count("pool", desk.apply(each))
    await desk.save()
