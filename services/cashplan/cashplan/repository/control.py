"""Documents under control: their states, what they hold, the cells that they fill, and what was decided."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from cashplan.domain.control import Book, Cell, Held, Holdings, Slot, Unmapped
from cashplan.domain.documents import DocumentKey, DocumentState, Posted
from cashplan.domain.rates import Rates
from cashplan.domain.rounds import RoundBody
from cashplan.repository.codec import dump, load

SLOT_NAMES: Final = "system_id, filing_type, entity, item, period, currency, members, fields"
SLOT_ARRAYS: Final = """
    cast(:systems as text[]), cast(:types as text[]), cast(:entities as text[]), cast(:items as text[]),
    cast(:periods as text[]), cast(:currencies as text[]), cast(:members as text[]), cast(:fields as text[])
"""

LOCKED_DOCUMENTS: Final = text(
    """
    insert into control_document (source, document_type, document_id, revision, state, changed_at)
    select source, type, id, 0, '', :now
    from unnest(cast(:sources as text[]), cast(:types as text[]), cast(:ids as text[])) as k (source, type, id)
    order by source, type, id
    on conflict (source, document_type, document_id) do update set revision = control_document.revision
    returning source, document_type, document_id, state, confirmed_state
    """
)

HOLDINGS: Final = text(
    f"""
    select h.source, h.document_type, h.document_id, {SLOT_NAMES}, pre_occupied_minor, actual_minor
    from unnest(cast(:sources as text[]), cast(:types as text[]), cast(:ids as text[]))
         as k (source, document_type, document_id)
    join control_holding h using (source, document_type, document_id)
    """
)

LOCK_ENTITIES: Final = text(
    """
    insert into plan_entity (system_id, entity)
    select system_id, entity
    from unnest(cast(:systems as text[]), cast(:entities as text[])) as k (system_id, entity)
    order by system_id, entity
    on conflict (system_id, entity) do update set entity = excluded.entity
    """
)

CELLS: Final = text(
    f"""
    select {SLOT_NAMES}, first_day, is_planned and is_binding as is_planned,
           case when is_binding then effective_minor else 0 end as effective_minor,
           pre_occupied_minor, actual_minor
    from unnest(cast(:systems as text[]), cast(:types as text[]), cast(:entities as text[]),
                cast(:items as text[])) as k (system_id, filing_type, entity, item)
    join plan_cell using (system_id, filing_type, entity, item)
    where first_day between :first_day and :last_day
    """
)

SAVE: Final = text(
    f"""
    with document as (
        insert into control_document (source, document_type, document_id, revision, state, confirmed_state,
                                      changed_at)
        select source, type, id, revision, state, confirmed, :now
        from unnest(cast(:d_sources as text[]), cast(:d_types as text[]), cast(:d_ids as text[]),
                    cast(:d_revisions as int[]), cast(:d_states as bytea[]), cast(:d_confirmed as bytea[]))
             as d (source, type, id, revision, state, confirmed)
        on conflict (source, document_type, document_id) do update
        set revision = excluded.revision, state = excluded.state,
            confirmed_state = excluded.confirmed_state, changed_at = excluded.changed_at
    ), held as (
        select * from unnest(
            cast(:h_sources as text[]), cast(:h_types as text[]), cast(:h_ids as text[]),
            cast(:h_days as date[]), cast(:h_pre as bigint[]), cast(:h_actual as bigint[]), {SLOT_ARRAYS}
        ) as h (source, document_type, document_id, day, pre_occupied_minor, actual_minor, {SLOT_NAMES})
    ), gone as (
        delete from control_holding c
        using unnest(cast(:g_sources as text[]), cast(:g_types as text[]), cast(:g_ids as text[]))
              as d (source, document_type, document_id)
        where (c.source, c.document_type, c.document_id) = (d.source, d.document_type, d.document_id)
          and not exists (
              select from held h
              where (h.source, h.document_type, h.document_id) = (c.source, c.document_type, c.document_id)
                and (h.system_id, h.filing_type, h.entity, h.item, h.period, h.currency, h.members, h.fields)
                  = (c.system_id, c.filing_type, c.entity, c.item, c.period, c.currency, c.members, c.fields))
    ), kept as (
        insert into control_holding (source, document_type, document_id, day, pre_occupied_minor,
                                     actual_minor, {SLOT_NAMES})
        select * from held
        on conflict (source, document_type, document_id, {SLOT_NAMES}) do update
        set day = excluded.day, pre_occupied_minor = excluded.pre_occupied_minor,
            actual_minor = excluded.actual_minor
    ), change as (
        select * from unnest(
            cast(:c_systems as text[]), cast(:c_types as text[]), cast(:c_entities as text[]),
            cast(:c_items as text[]), cast(:c_periods as text[]), cast(:c_currencies as text[]),
            cast(:c_members as text[]), cast(:c_fields as text[]), cast(:c_first as date[]),
            cast(:c_last as date[]), cast(:c_directions as text[]), cast(:c_pre as bigint[]),
            cast(:c_actual as bigint[])
        ) as c ({SLOT_NAMES}, first_day, last_day, direction, pre_occupied_minor, actual_minor)
    ), cell as (
        insert into plan_cell ({SLOT_NAMES}, first_day, last_day, direction, is_planned, is_binding,
                               filed_minor, effective_minor, adjusted_minor, pre_occupied_minor, actual_minor)
        select {SLOT_NAMES}, first_day, last_day, direction, false, false, 0, 0, 0, 0, 0
        from change
        order by {SLOT_NAMES}
        on conflict ({SLOT_NAMES}) do nothing
    )
    insert into occupancy_entry (recorded_at, source, document_type, document_id, {SLOT_NAMES}, revision,
                                 operation, stance, pre_occupied_minor, actual_minor)
    select :now, source, document_type, document_id, {SLOT_NAMES}, revision, operation, stance, pre, actual
    from unnest(
        cast(:e_sources as text[]), cast(:e_types as text[]), cast(:e_ids as text[]),
        cast(:e_systems as text[]), cast(:e_filing_types as text[]), cast(:e_entities as text[]),
        cast(:e_items as text[]), cast(:e_periods as text[]), cast(:e_currencies as text[]),
        cast(:e_members as text[]), cast(:e_fields as text[]), cast(:e_revisions as int[]),
        cast(:e_operations as text[]), cast(:e_stances as text[]), cast(:e_pre as bigint[]),
        cast(:e_actual as bigint[])
    ) as e (source, document_type, document_id, {SLOT_NAMES}, revision, operation, stance, pre, actual)
    """
)

MOVE_CELLS: Final = text(
    f"""
    update plan_cell p
    set pre_occupied_minor = p.pre_occupied_minor + c.pre, actual_minor = p.actual_minor + c.actual
    from unnest({SLOT_ARRAYS}, cast(:pre as bigint[]), cast(:actual as bigint[]))
         as c ({SLOT_NAMES}, pre, actual)
    where (p.system_id, p.filing_type, p.entity, p.item, p.period, p.currency, p.members, p.fields)
        = (c.system_id, c.filing_type, c.entity, c.item, c.period, c.currency, c.members, c.fields)
    """
)

SAVE_CHECKS: Final = text(
    """
    insert into plan_check (source, document_type, document_id, revision, operation, stance, check_id, entity,
                            outcome, approval_id, body, checked_at)
    select *, :now
    from unnest(cast(:sources as text[]), cast(:types as text[]), cast(:ids as text[]),
                cast(:revisions as int[]), cast(:operations as text[]), cast(:stances as text[]),
                cast(:checks as text[]), cast(:entities as text[]), cast(:outcomes as text[]),
                cast(:approvals as text[]), cast(:bodies as bytea[]))
    on conflict (source, document_type, document_id, revision, operation, stance) do update
    set check_id = excluded.check_id, outcome = excluded.outcome, approval_id = excluded.approval_id,
        body = excluded.body, checked_at = excluded.checked_at
    """
)

KNOWN_CHECKS: Final = text(
    """
    select c.source, c.document_type, c.document_id, c.revision, c.operation, c.body
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


@dataclass(frozen=True, slots=True)
class KnownDocument:
    """A document's state, and the one that was last confirmed where a grant still waits for its fact."""

    state: DocumentState
    confirmed: DocumentState | None


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of the execution record: what an operation changed in one slot."""

    posted: Posted
    slot: Slot
    change: Held


@dataclass(frozen=True, kw_only=True)
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


@dataclass(frozen=True, kw_only=True)
class CellFrame:
    """A slot's days and direction, for a cell that nobody has planned."""

    first_day: date
    last_day: date
    direction: str


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
    connection: AsyncConnection, keys: Collection[DocumentKey], now: datetime
) -> dict[DocumentKey, KnownDocument]:
    """The states of documents, locked in key order; an unknown one is locked with an empty state."""
    rows = await connection.execute(LOCKED_DOCUMENTS, {**key_arrays(sorted(keys)), "now": now})
    return {DocumentKey(row.source, row.document_type, row.document_id): _known(row) for row in rows}


def _known(row: Row[*tuple[Any, ...]]) -> KnownDocument:
    key = DocumentKey(row.source, row.document_type, row.document_id)
    state = load(DocumentState, row.state) if row.state else DocumentState(key=key)
    confirmed = load(DocumentState, row.confirmed_state) if row.confirmed_state else None
    return KnownDocument(state, confirmed)


async def holdings_of(
    connection: AsyncConnection, keys: Sequence[DocumentKey]
) -> dict[DocumentKey, Holdings]:
    """What these documents hold, as it is stored."""
    found: dict[DocumentKey, Holdings] = {key: {} for key in keys}
    if not keys:
        return found
    for row in await connection.execute(HOLDINGS, key_arrays(keys)):
        held = Held(row.pre_occupied_minor, row.actual_minor)
        found[DocumentKey(row.source, row.document_type, row.document_id)][slot_of(row)] = held
    return found


async def lock_entities(connection: AsyncConnection, places: Collection[tuple[str, str]]) -> None:
    """Locks the plans of entities, by system and entity in order: whoever reads or moves their cells does."""
    ordered = sorted(places)
    if ordered:
        arrays = {"systems": [place[0] for place in ordered], "entities": [place[1] for place in ordered]}
        await connection.execute(LOCK_ENTITIES, arrays)


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
    ordered = sorted(groups)
    arrays = {
        "systems": [group[0] for group in ordered],
        "types": [group[1] for group in ordered],
        "entities": [group[2] for group in ordered],
        "items": [group[3] for group in ordered],
        "first_day": first_day,
        "last_day": last_day,
    }
    for row in await connection.execute(CELLS, arrays):
        cell = Cell(
            effective=row.effective_minor,
            pre_occupied=row.pre_occupied_minor,
            actual=row.actual_minor,
            is_planned=row.is_planned,
            first_day=row.first_day,
        )
        found.put(slot_of(row), cell)
    return found


async def save(
    connection: AsyncConnection,
    *,
    states: Mapping[DocumentKey, KnownDocument],
    holdings: Mapping[DocumentKey, Holdings],
    holders: Collection[DocumentKey],
    entries: Sequence[Entry],
    changes: Mapping[Slot, Held],
    frames: Mapping[Slot, CellFrame],
    now: datetime,
) -> None:
    """Stores documents, what they hold, the execution record and the cells, in two statements.

    `holders` are those that held something before; only they can have holdings to take away.
    """
    if not states:
        return
    keys = sorted(states)
    held = [(key, slot, holding) for key in keys for slot, holding in sorted(holdings.get(key, {}).items())]
    slots = sorted(changes)
    await connection.execute(
        SAVE,
        {
            "now": now,
            **key_arrays(keys, "d_"),
            **key_arrays(sorted(states.keys() & set(holders)), "g_"),
            "d_revisions": [states[key].state.revision for key in keys],
            "d_states": [dump(DocumentState, states[key].state) for key in keys],
            "d_confirmed": [_dumped(states[key].confirmed) for key in keys],
            **key_arrays([key for key, _, _ in held], "h_"),
            "h_days": [_day(states[key].state, holding) for key, _, holding in held],
            "h_pre": [holding.pre_occupied for _, _, holding in held],
            "h_actual": [holding.actual for _, _, holding in held],
            **slot_arrays([slot for _, slot, _ in held]),
            **slot_arrays(slots, "c_"),
            "c_first": [frames[slot].first_day for slot in slots],
            "c_last": [frames[slot].last_day for slot in slots],
            "c_directions": [frames[slot].direction for slot in slots],
            "c_pre": [changes[slot].pre_occupied for slot in slots],
            "c_actual": [changes[slot].actual for slot in slots],
            **_entry_arrays(entries),
        },
    )
    if slots:
        moved = {
            **slot_arrays(slots),
            "pre": [changes[slot].pre_occupied for slot in slots],
            "actual": [changes[slot].actual for slot in slots],
        }
        await connection.execute(MOVE_CELLS, moved)


def _day(state: DocumentState, holding: Held) -> date:
    return state.day if holding.actual else state.due_day


def _dumped(state: DocumentState | None) -> bytes | None:
    return dump(DocumentState, state) if state is not None else None


def _entry_arrays(entries: Sequence[Entry]) -> dict[str, Any]:
    slots = slot_arrays([entry.slot for entry in entries], "e_")
    return {
        **slots,
        **key_arrays([entry.posted.key for entry in entries], "e_"),
        "e_filing_types": [entry.slot.filing_type for entry in entries],
        "e_revisions": [entry.posted.revision for entry in entries],
        "e_operations": [entry.posted.operation for entry in entries],
        "e_stances": [entry.posted.stance for entry in entries],
        "e_pre": [entry.change.pre_occupied for entry in entries],
        "e_actual": [entry.change.actual for entry in entries],
    }


async def save_checks(connection: AsyncConnection, checks: Sequence[CheckRow], now: datetime) -> None:
    """Stores what was decided; a later decision on the same operation replaces the earlier one."""
    last = {(check.key, check.revision, check.operation, check.stance): check for check in checks}
    if not last:
        return
    rows = [last[place] for place in sorted(last)]
    await connection.execute(
        SAVE_CHECKS,
        {
            **key_arrays([row.key for row in rows]),
            "revisions": [row.revision for row in rows],
            "operations": [row.operation for row in rows],
            "stances": [row.stance for row in rows],
            "checks": [row.check_id for row in rows],
            "entities": [row.entity for row in rows],
            "outcomes": [row.outcome for row in rows],
            "approvals": [row.approval_id for row in rows],
            "bodies": [row.body for row in rows],
            "now": now,
        },
    )


async def standing_answers(
    connection: AsyncConnection, asked: Sequence[Posted]
) -> dict[tuple[DocumentKey, int, str], bytes]:
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
        (DocumentKey(row.source, row.document_type, row.document_id), row.revision, row.operation): row.body
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
