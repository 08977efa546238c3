"""Events and timers of credit: load under lock, decide, save, pass on."""

from hashlib import blake2b
from typing import Final, cast

from contracts.document_posted import DocumentPosted
from contracts.master_data_changed import MasterDataChanged
from contracts.order_cancelled import OrderCancelled
from contracts.order_changed import OrderChanged
from contracts.order_decided import OrderDecided
from contracts.order_returned import OrderReturned
from contracts.order_status_changed import OrderStatusChanged
from contracts.order_submitted import OrderSubmitted

from chassis import Batch, Record, TimerBatch
from credit import approval_desk
from credit.domain.arrivals import (
    Arrival,
    Cancellation,
    Expiry,
    Lapse,
    Origin,
    Posting,
    Settlement,
    WaitKind,
)
from credit.domain.desk import Desk
from credit.domain.documents import DocumentFault, DocumentKey, NotOfCredit, document_of
from credit.domain.masterdata import MasterRecord, Table, Version
from credit.publishing import publish
from credit.repository import gate as gates
from credit.repository import masterdata, saving
from credit.repository.bodies import in_turn
from credit.settings import periods

OrderEvent = (
    OrderSubmitted | OrderChanged | OrderReturned | OrderStatusChanged | OrderCancelled | OrderDecided
)

DIGEST_BYTES: Final = 16
TABLES: Final[tuple[Table, ...]] = ("organisation", "customer", "reference")


async def apply_orders(batch: Batch[OrderEvent]) -> None:
    """Order events and fund-pool's decisions, in log order: they lock the same rows, so they are one batch."""
    records = [record for record in batch if not is_sequel(record.event)]
    arrivals = [arrival_of(record) for record in records]
    gate = await gates.locked_gate(batch.connection, arrivals, batch.now, periods())
    for record, arrival in zip(records, arrivals, strict=True):
        effect = gate.apply(arrival)
        if effect.refusal is not None:
            batch.dead_letter(record, effect.refusal.reason, effect.refusal.detail)
        publish(batch, effect, record)
    await saving.save(batch.connection, gate, batch.now)


async def end_waits(batch: TimerBatch) -> None:
    """Revisions that were parked too long, and orders that nobody approved in time."""
    arrivals = [expiry_of(timer.key) for timer in batch]
    gate = await gates.locked_gate(batch.connection, arrivals, batch.now, periods())
    for timer, arrival in zip(batch, arrivals, strict=True):
        publish(batch, gate.apply(arrival), timer)
    await saving.save(batch.connection, gate, batch.now)


async def take_master_data(batch: Batch[MasterDataChanged]) -> None:
    """Organisations, customers and references from the ERP; a lower version than the known one is ignored."""
    records = [MasterRecord.of(record.event, record.source) for record in batch]
    known: dict[tuple[Table, str], Version] = {}
    for table in TABLES:
        ids = {record.record_id for record in records if record is not None and record.table == table}
        versions = await masterdata.locked_versions(batch.connection, table, ids)
        known |= {(table, record_id): version for record_id, version in versions.items()}
    newest: dict[tuple[Table, str], MasterRecord] = {}
    for source, record in zip(batch, records, strict=True):
        if record is None:
            continue
        place = record.table, record.record_id
        standing = record.standing(known.get(place))
        if standing == "newer":
            newest[place] = record
            known[place] = record.version, record.digest
        elif standing == "conflict":
            detail = f"version {record.version} of {record.table} {record.record_id} came before with another content"
            batch.dead_letter(source, "version-conflict", detail)
    for table in TABLES:
        await masterdata.save(batch.connection, table, [row for row in newest.values() if row.table == table])


async def apply_documents(batch: Batch[DocumentPosted]) -> None:
    """What an ERP asks and tells of its documents, in log order."""
    postings: list[tuple[Record[DocumentPosted], Posting]] = []
    for record in batch:
        try:
            postings.append((record, posting_of(record)))
        except NotOfCredit:
            continue
        except DocumentFault as fault:
            batch.dead_letter(record, fault.code, fault.text)
    if not postings:
        return
    papers = [posting.document for _, posting in postings]
    gate = await gates.locked_desk(batch.connection, papers, batch.now, periods())
    assert isinstance(gate.desk, Desk)
    for record, posting in postings:
        effect = gate.desk.post(posting)
        if effect.refusal is not None:
            batch.dead_letter(record, effect.refusal.reason, effect.refusal.detail)
        publish(batch, effect, record)
    await saving.save(batch.connection, gate, batch.now)


async def end_grants(batch: TimerBatch) -> None:
    """Granted requests that no fact confirmed in time."""
    lapses = [lapse_of(timer.key) for timer in batch]
    gate = await gates.locked_desk_of(batch.connection, {lapse.key for lapse in lapses}, batch.now, periods())
    assert isinstance(gate.desk, Desk)
    for timer, lapse in zip(batch, lapses, strict=True):
        publish(batch, gate.desk.lapse(lapse), timer)
    await saving.save(batch.connection, gate, batch.now)


async def end_document_waits(batch: TimerBatch) -> None:
    """Documents that nobody approved in time."""
    for timer in batch:
        lapse = lapse_of(timer.key)
        held = await approval_desk.locked_hold(batch, lapse.key)
        if held is not None and held.number == lapse.revision:
            publish(batch, held.desk.refuse(held.posting, "expired", None, None), timer)
            await saving.save(batch.connection, held.gate, batch.now)


def posting_of(record: Record[DocumentPosted]) -> Posting:
    """What a document's event is to the gate."""
    event = record.event
    body = event.to_json()
    digest = blake2b(body, digest_size=DIGEST_BYTES).digest()
    return Posting(document_of(event), event.operation, event.stance, event.party, record.id, digest, body)


def lapse_of(timer_key: str) -> Lapse:
    """The grant that a timer ends."""
    document_type, source, document_id, revision = timer_key.split(" ")
    return Lapse(DocumentKey(document_type, source, document_id), int(revision))


def is_sequel(event: OrderEvent) -> bool:
    """Whether fund-pool tells what came of a decision later; that moves money only."""
    return isinstance(event, OrderDecided) and event.sequel is not None


def arrival_of(record: Record[OrderEvent]) -> Arrival:
    """What an order event is to the gate."""
    event = record.event
    if isinstance(event, OrderDecided):
        return Settlement((event.source, event.order_id), event.check_number, event.outcome, record.id)
    origin = Origin(record.source, record.id, record.type, record.hash, body_of(record))
    if not isinstance(event, OrderCancelled):
        return in_turn(origin, event)
    key = (event.source, event.order_id)
    return Cancellation(key, event.order_revision, event.paying_account, event.reason, origin)


def body_of(record: Record[OrderEvent]) -> bytes:
    """The event as it came; out of a structured CloudEvent, which wraps it, written anew."""
    value = record.raw.value
    if value is not None and blake2b(value, digest_size=DIGEST_BYTES).digest() == record.hash:
        return value
    return record.event.to_json()


def expiry_of(timer_key: str) -> Expiry:
    """The wait that a timer ends."""
    kind, source, order_id, number = timer_key.split(" ")
    return Expiry(cast(WaitKind, kind), (source, order_id), int(number))
