"""Documents under control: their states, what they hold, the cells that they fill, and what was decided."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from chassis.arrays import Columns
from chassis.errors import Overtaken
from sqlalchemy import Row, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from cashplan.domain.control import Book, Cell, Held, Holdings, Slot, Unmapped
from cashplan.domain.documents import DocumentKey, DocumentState, Posted
from cashplan.domain.rates import Rates
from cashplan.domain.rounds import RoundBody
from cashplan.repository.codec import dump_state, load, load_state

SLOT_NAMES: Final = "system_id, filing_type, entity, item, period, currency, members, fields"
UNIQUE_VIOLATION: Final = "23505"
SLOT_ARRAYS: Final = """
    cast(:systems as text[]), cast(:types as text[]), cast(:entities as text[]), cast(:items as text[]),
    cast(:periods as text[]), cast(:currencies as text[]), cast(:members as text[]), cast(:fields as text[])
"""

KEYS: Final = Columns(sources="text", types="text", ids="text")

LOCKED_DOCUMENTS: Final = text(
    f"""
    select d.source, d.document_type, d.document_id, d.state, d.confirmed_state, d.parked
    from control_document d
    join unnest({KEYS.sql}) as k (source, document_type, document_id) using (source, document_type, document_id)
    order by 1, 2, 3
    for update of d
    """
)

HOLDINGS: Final = text(
    f"""
    select h.source, h.document_type, h.document_id, {SLOT_NAMES}, pre_occupied_minor, actual_minor
    from unnest({KEYS.sql}) as k (source, document_type, document_id)
    join control_holding h using (source, document_type, document_id)
    """
)

ENTITIES: Final = Columns(systems="text", entities="text")

LOCK_ENTITIES: Final = text(
    f"""
    select e.system_id, e.entity
    from plan_entity e
    join unnest({ENTITIES.sql}) as k (system_id, entity) using (system_id, entity)
    order by 1, 2
    for no key update of e
    """
)

ADD_ENTITIES: Final = text(
    f"""
    insert into plan_entity (system_id, entity)
    select system_id, entity
    from unnest({ENTITIES.sql}) as k (system_id, entity)
    order by system_id, entity
    on conflict (system_id, entity) do update set entity = excluded.entity
    """
)

GROUPS: Final = Columns(systems="text", types="text", entities="text", items="text")

CELLS: Final = text(
    f"""
    select {SLOT_NAMES}, first_day, is_planned and is_binding as is_planned,
           case when is_binding then effective_minor else 0 end as effective_minor,
           pre_occupied_minor, actual_minor
    from unnest({GROUPS.sql}) as k (system_id, filing_type, entity, item)
    join plan_cell using (system_id, filing_type, entity, item)
    where first_day between :first_day and :last_day
    """
)

SLOT_KINDS: Final[dict[str, str]] = {
    "system_id": "text",
    "filing_type": "text",
    "entity": "text",
    "item": "text",
    "period": "text",
    "currency": "text",
    "members": "text",
    "fields": "text",
}


def _columns(prefix: str, **kinds: str) -> Columns:
    return Columns(**{f"{prefix}_{name}": kind for name, kind in kinds.items()})


DOCUMENT_KINDS: Final = {"source": "text", "type": "text", "id": "text"}
DOCUMENTS: Final = _columns(
    "d", **DOCUMENT_KINDS, revision="int", parked="int", new="boolean", state="bytea", confirmed="bytea"
)
HELD: Final = _columns("h", **DOCUMENT_KINDS, **SLOT_KINDS, day="date", pre="bigint", actual="bigint")
GONE: Final = _columns("g", **DOCUMENT_KINDS, **SLOT_KINDS)
ENTRIES: Final = _columns(
    "e",
    **DOCUMENT_KINDS,
    **SLOT_KINDS,
    revision="int",
    operation="text",
    stance="text",
    pre="bigint",
    actual="bigint",
)
CHANGES: Final = _columns(
    "c",
    **SLOT_KINDS,
    first="date",
    last="date",
    direction="text",
    new="boolean",
    pre="bigint",
    actual="bigint",
)
CHECKS: Final = _columns(
    "k",
    **DOCUMENT_KINDS,
    revision="int",
    operation="text",
    stance="text",
    check_id="text",
    entity="text",
    outcome="text",
    approval="text",
    body="bytea",
)
DOCUMENT_NAMES: Final = "source, document_type, document_id"

INSERT_CHECKS: Final = f"""
    insert into plan_check ({DOCUMENT_NAMES}, revision, operation, stance, check_id, entity, outcome, approval_id,
                            body, checked_at)
    select *, :now from unnest({CHECKS.sql})
    on conflict ({DOCUMENT_NAMES}, revision, operation, stance) do update
    set check_id = excluded.check_id, outcome = excluded.outcome, approval_id = excluded.approval_id,
        body = excluded.body, checked_at = excluded.checked_at
"""
SAVE_CHECKS: Final = text(INSERT_CHECKS)

SAVE: Final = text(
    f"""
    with document as materialized (
        select * from unnest({DOCUMENTS.sql}) as d ({DOCUMENT_NAMES}, revision, parked, is_new, state, confirmed)
    ), added as (
        insert into control_document ({DOCUMENT_NAMES}, revision, parked, state, confirmed_state, changed_at)
        select {DOCUMENT_NAMES}, revision, parked, state, confirmed, :now from document where is_new
    ), changed as (
        update control_document c
        set revision = d.revision, parked = d.parked, state = d.state, confirmed_state = d.confirmed,
            changed_at = :now
        from document d
        where not d.is_new
          and (c.source, c.document_type, c.document_id) = (d.source, d.document_type, d.document_id)
    ), gone as (
        delete from control_holding h
        using unnest({GONE.sql}) as g ({DOCUMENT_NAMES}, {SLOT_NAMES})
        where (h.source, h.document_type, h.document_id) = (g.source, g.document_type, g.document_id)
          and (h.system_id, h.filing_type, h.entity, h.item, h.period, h.currency, h.members, h.fields)
            = (g.system_id, g.filing_type, g.entity, g.item, g.period, g.currency, g.members, g.fields)
    ), held as (
        insert into control_holding ({DOCUMENT_NAMES}, {SLOT_NAMES}, day, pre_occupied_minor, actual_minor)
        select * from unnest({HELD.sql})
        on conflict ({DOCUMENT_NAMES}, {SLOT_NAMES}) do update
        set day = excluded.day, pre_occupied_minor = excluded.pre_occupied_minor,
            actual_minor = excluded.actual_minor
    ), change as materialized (
        select * from unnest({CHANGES.sql})
            as c ({SLOT_NAMES}, first_day, last_day, direction, is_new, pre_occupied_minor, actual_minor)
    ), opened as (
        insert into plan_cell ({SLOT_NAMES}, first_day, last_day, direction, is_planned, is_binding,
                               filed_minor, effective_minor, adjusted_minor, pre_occupied_minor, actual_minor)
        select {SLOT_NAMES}, first_day, last_day, direction, false, false, 0, 0, 0, pre_occupied_minor, actual_minor
        from change
        where is_new
    ), moved as (
        update plan_cell p
        set pre_occupied_minor = p.pre_occupied_minor + c.pre_occupied_minor,
            actual_minor = p.actual_minor + c.actual_minor
        from change c
        where not c.is_new
          and (p.system_id, p.filing_type, p.entity, p.item, p.period, p.currency, p.members, p.fields)
            = (c.system_id, c.filing_type, c.entity, c.item, c.period, c.currency, c.members, c.fields)
    ), checked as ({INSERT_CHECKS})
    insert into occupancy_entry ({DOCUMENT_NAMES}, {SLOT_NAMES}, revision, operation, stance, pre_occupied_minor,
                                 actual_minor, recorded_at)
    select *, :now from unnest({ENTRIES.sql})
    """
)

KNOWN_CHECKS: Final = text(
    """
    select c.source, c.document_type, c.document_id, c.revision, c.operation, c.outcome, c.body
    from unnest(cast(:sources as text[]), cast(:types as text[]), cast(:ids as text[]),
                cast(:revisions as int[]), cast(:operations as text[]))
         as k (source, type, id, revision, operation)
    join plan_check c
      on (c.source, c.document_type, c.document_id, c.revision, c.operation)
       = (k.source, k.type, k.id, k.revision, k.operation) and c.stance = 'request'
     and c.outcome in ('passed', 'flagged', 'warned', 'tolerated', 'held')
    """
)

FORGET_ANSWERS: Final = text(
    """
    update plan_check c
    set outcome = 'lapsed'
    from unnest(cast(:sources as text[]), cast(:types as text[]), cast(:ids as text[]),
                cast(:revisions as int[])) as k (source, type, id, revision)
    where (c.source, c.document_type, c.document_id, c.revision) = (k.source, k.type, k.id, k.revision)
      and c.stance = 'request'
    """
)

SAVE_UNMAPPED: Final = text(
    """
    insert into unmapped (system_id, source, document_type, document_id, line_id, dimension, tried, seen_at)
    select *, :now
    from unnest(cast(:systems as text[]), cast(:sources as text[]), cast(:types as text[]),
                cast(:ids as text[]), cast(:lines as text[]), cast(:dimensions as text[]),
                cast(:tried as text[]))
    on conflict (system_id, source, document_type, document_id, line_id, dimension) do update
    set tried = excluded.tried, seen_at = excluded.seen_at
    """
)

RATES: Final = text(
    """
    select distinct on (r.system_id) r.system_id, r.body
    from plan_round r
    join filing f using (system_id, round_id)
    where r.system_id = any(cast(:systems as text[])) and f.state = 'effective'
    order by r.system_id, r.first_day desc
    """
)


@dataclass(slots=True)
class KnownDocument:
    """A document's state, and the one that was last confirmed where a grant still waits for its fact.

    `parked` counts the operations that wait for an earlier one; `is_stored` says that it has a row.
    """

    state: DocumentState
    confirmed: DocumentState | None = None
    parked: int = 0
    is_stored: bool = True


@dataclass(slots=True)
class Entry:
    """One line of the execution record: what an operation changed in one slot."""

    posted: Posted
    slot: Slot
    change: Held


@dataclass(slots=True, kw_only=True)
class CheckRow:
    """What was decided about one operation, as it was answered."""

    key: DocumentKey
    revision: int
    operation: str
    stance: str
    check_id: str
    entity: str
    outcome: str
    approval_id: str | None
    body: bytes


@dataclass(slots=True, kw_only=True)
class CellFrame:
    """A slot's days and direction; `is_new` where it has no cell yet, because nobody has planned it."""

    first_day: date
    last_day: date
    direction: str
    is_new: bool


def slot_of(row: Row[*tuple[Any, ...]]) -> Slot:
    return Slot(
        row.system_id,
        row.filing_type,
        row.entity,
        row.item,
        row.period,
        row.currency,
        row.members,
        row.fields,
    )


def slot_arrays(slots: Sequence[Slot], prefix: str = "") -> dict[str, list[str]]:
    names = ("systems", "types", "entities", "items", "periods", "currencies", "members", "fields")
    columns = list(zip(*slots, strict=True)) or [()] * len(names)
    return {f"{prefix}{name}": list(column) for name, column in zip(names, columns, strict=True)}


def key_arrays(keys: Sequence[DocumentKey], prefix: str = "") -> dict[str, list[str]]:
    return {
        f"{prefix}sources": [key.source for key in keys],
        f"{prefix}types": [key.document_type for key in keys],
        f"{prefix}ids": [key.document_id for key in keys],
    }


async def locked_documents(
    connection: AsyncConnection, keys: Collection[DocumentKey]
) -> dict[DocumentKey, KnownDocument]:
    """The states of documents, locked in key order.

    One without a row has an empty state and no lock: whoever stores it second is told so by its key (`save`).
    """
    found = {key: KnownDocument(DocumentState(key=key), is_stored=False) for key in keys}
    for source, document_type, document_id, state, confirmed, parked in await connection.execute(
        LOCKED_DOCUMENTS, KEYS.parameters(sorted(keys))
    ):
        key = DocumentKey(source, document_type, document_id)
        found[key] = KnownDocument(
            load_state(key, state), load_state(key, confirmed) if confirmed else None, parked
        )
    return found


async def holdings_of(
    connection: AsyncConnection, keys: Sequence[DocumentKey]
) -> dict[DocumentKey, Holdings]:
    """What these documents hold, as it is stored."""
    found: dict[DocumentKey, Holdings] = {key: {} for key in keys}
    if not keys:
        return found
    for row in await connection.execute(HOLDINGS, KEYS.parameters(keys)):
        held = Held(row.pre_occupied_minor, row.actual_minor)
        found[DocumentKey(row.source, row.document_type, row.document_id)][slot_of(row)] = held
    return found


async def lock_entities(connection: AsyncConnection, places: Collection[tuple[str, str]]) -> None:
    """Locks the plans of entities, by system and entity in order: whoever reads or moves their cells does."""
    if not places:
        return
    rows = await connection.execute(LOCK_ENTITIES, ENTITIES.parameters(sorted(places)))
    missing = set(places) - {(system, entity) for system, entity in rows}
    if missing:
        await connection.execute(ADD_ENTITIES, ENTITIES.parameters(sorted(missing)))


async def book(
    connection: AsyncConnection,
    groups: Collection[tuple[str, str, str, str]],
    first_day: date,
    last_day: date,
) -> Book:
    """The cells of these (system, filing type, entity, item) whose periods begin in a range."""
    found = Book()
    if not groups:
        return found
    parameters = {**GROUPS.parameters(sorted(groups)), "first_day": first_day, "last_day": last_day}
    for *slot, first, is_planned, effective, pre_occupied, actual in await connection.execute(
        CELLS, parameters
    ):
        cell = Cell(
            effective=effective,
            pre_occupied=pre_occupied,
            actual=actual,
            is_planned=is_planned,
            first_day=first,
            is_stored=True,
        )
        found.put(Slot(*slot), cell)
    return found


async def save(
    connection: AsyncConnection,
    *,
    documents: Mapping[DocumentKey, KnownDocument],
    holdings: Mapping[DocumentKey, Holdings],
    stored: Mapping[DocumentKey, Holdings],
    entries: Sequence[Entry],
    changes: Mapping[Slot, Held],
    frames: Mapping[Slot, CellFrame],
    checks: Sequence[CheckRow],
    now: datetime,
) -> None:
    """Stores documents, what they hold, the execution record, the cells and the checks in one statement.

    `stored` is what the documents held before. Errors: Overtaken, where another transaction has stored one of the
    new documents meanwhile.
    """
    if not documents and not checks:
        return
    held, gone = _holding_rows(documents, holdings, stored)
    parameters = {
        "now": now,
        **DOCUMENTS.parameters(_document_row(key, documents[key]) for key in sorted(documents)),
        **HELD.parameters(held),
        **GONE.parameters(gone),
        **ENTRIES.parameters(_entry_row(entry) for entry in entries),
        **CHANGES.parameters(_change_row(slot, changes[slot], frames[slot]) for slot in sorted(changes)),
        **CHECKS.parameters(_check_rows(checks)),
    }
    try:
        await connection.execute(SAVE, parameters)
    except IntegrityError as error:
        if getattr(error.orig, "sqlstate", None) == UNIQUE_VIOLATION:
            raise Overtaken("documents under control") from error
        raise


def _document_row(key: DocumentKey, document: KnownDocument) -> tuple[Any, ...]:
    state, confirmed = document.state, document.confirmed
    return (
        *key,
        state.revision,
        document.parked,
        not document.is_stored,
        dump_state(state),
        dump_state(confirmed) if confirmed is not None and confirmed.is_known else None,
    )


def _holding_rows(
    documents: Mapping[DocumentKey, KnownDocument],
    holdings: Mapping[DocumentKey, Holdings],
    stored: Mapping[DocumentKey, Holdings],
) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """What documents hold now, and what they hold no more."""
    held: list[tuple[Any, ...]] = []
    gone: list[tuple[Any, ...]] = []
    for key in sorted(holdings):
        now, before, state = holdings[key], stored.get(key, {}), documents[key].state
        for slot, holding in now.items():
            held.append((*key, *slot, _day(state, holding), *holding))
        gone += [(*key, *slot) for slot in before.keys() - now.keys()]
    held.sort()
    return held, gone


def _entry_row(entry: Entry) -> tuple[Any, ...]:
    posted = entry.posted
    return (*posted.key, *entry.slot, posted.revision, posted.operation, posted.stance, *entry.change)


def _change_row(slot: Slot, change: Held, frame: CellFrame) -> tuple[Any, ...]:
    return (*slot, frame.first_day, frame.last_day, frame.direction, frame.is_new, *change)


def _check_rows(checks: Sequence[CheckRow]) -> list[tuple[Any, ...]]:
    """The last decision on each operation."""
    last = {(*check.key, check.revision, check.operation, check.stance): check for check in checks}
    return [
        (*place, check.check_id, check.entity, check.outcome, check.approval_id, check.body)
        for place, check in sorted(last.items(), key=lambda each: each[0])
    ]


def _day(state: DocumentState, holding: Held) -> date:
    return state.day if holding.actual else state.due_day


async def save_checks(connection: AsyncConnection, checks: Sequence[CheckRow], now: datetime) -> None:
    """Stores what was decided; a later decision on the same operation replaces the earlier one."""
    if checks:
        await connection.execute(SAVE_CHECKS, {**CHECKS.parameters(_check_rows(checks)), "now": now})


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was answered: its outcome, and the event."""

    outcome: str
    body: bytes


async def standing_answers(
    connection: AsyncConnection, asked: Sequence[Posted]
) -> dict[tuple[DocumentKey, int, str], Answer]:
    """The answers to these requests that still stand; what was declined is checked anew."""
    if not asked:
        return {}
    parameters = {
        **key_arrays([posted.key for posted in asked]),
        "revisions": [posted.revision for posted in asked],
        "operations": [posted.operation for posted in asked],
    }
    rows = await connection.execute(KNOWN_CHECKS, parameters)
    return {
        (DocumentKey(row.source, row.document_type, row.document_id), row.revision, row.operation): Answer(
            row.outcome, row.body
        )
        for row in rows
    }


async def forget_answers(connection: AsyncConnection, lapsed: Mapping[DocumentKey, int]) -> None:
    """Marks the grants of these revisions as lapsed, so that a new request is checked anew."""
    keys = sorted(lapsed)
    if keys:
        revisions = [lapsed[key] for key in keys]
        await connection.execute(FORGET_ANSWERS, {**key_arrays(keys), "revisions": revisions})


async def save_unmapped(connection: AsyncConnection, found: Iterable[Unmapped], now: datetime) -> None:
    rows = sorted({(each.system, each.key, each.line_id, each.dimension): each for each in found}.items())
    if not rows:
        return
    each = [row for _, row in rows]
    await connection.execute(
        SAVE_UNMAPPED,
        {
            "systems": [row.system for row in each],
            **key_arrays([row.key for row in each]),
            "lines": [row.line_id for row in each],
            "dimensions": [row.dimension for row in each],
            "tried": [row.tried for row in each],
            "now": now,
        },
    )


async def rates_by_system(
    connection: AsyncConnection, system_ids: Collection[str]
) -> dict[tuple[str, str, str], Decimal]:
    """The rates of each system's newest effective round, by system and pair."""
    rows = await connection.execute(RATES, {"systems": sorted(system_ids)})
    found: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    for row in rows:
        for (currency, target), rate in Rates.of(load(RoundBody, row.body).rates).by_pair.items():
            found[row.system_id, currency, target] = rate
    return dict(found)
