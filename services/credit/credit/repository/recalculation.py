"""Runs of recalculation: which piece is next, what was found, and why it differs."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from credit.domain.desk import Difference
from credit.domain.documents import SALES_ORDER, DocumentKey
from credit.repository.documents import KEYS, key_arrays

PIECE_DOCUMENTS_MAX: Final = 2_000
RUN_LOCK: Final = 4_201_303
DOCUMENTS: Final = "documents"
ORDERS: Final = "orders"
PROFILES: Final = "profiles"
NO_ID: Final = "00000000-0000-0000-0000-000000000000"
PROFILE: Final = "credit-profile"
"""Stands as the type of a document where a profile itself is wrong."""

COLUMNS: Final = """
    cast(run_id as text) as run_id, state, place, pieces, documents, orders, differences, reason, started_by,
    started_at, compared_at, applied_by, applied_at
"""


@dataclass(frozen=True, slots=True)
class Piece:
    """The documents of one step, and the place where the next one begins; None = nothing comes after it."""

    keys: set[DocumentKey]
    place: list[str] | None
    profile_ids: Sequence[str] = ()


async def start_run(
    connection: AsyncConnection, run_id: str, reason: str, person: str, now: datetime
) -> bool:
    """Begins a run; False while another one is under way."""
    result = await connection.execute(
        text(
            """
            insert into recalculation_run (run_id, state, place, reason, started_by, started_at)
            values (:run_id, 'comparing', array['documents', '', '', '', ''], :reason, :person, :now)
            on conflict do nothing
            """
        ),
        {"run_id": run_id, "reason": reason, "person": person, "now": now},
    )
    return bool(result.rowcount)


async def run_row(connection: AsyncConnection, run_id: str, *, lock: bool = False) -> Row[Any] | None:
    locking = "for update" if lock else ""
    rows = await connection.execute(
        text(f"select {COLUMNS} from recalculation_run where run_id = :run_id {locking}"), {"run_id": run_id}
    )
    return rows.first()


async def runs_after(
    connection: AsyncConnection, place: tuple[str] | None, rows_max: int
) -> Sequence[Row[Any]]:
    """Runs, newest first."""
    rows = await connection.execute(
        text(
            f"""
            select {COLUMNS} from recalculation_run r
            where (cast(:before as uuid) is null or r.run_id < cast(:before as uuid))
            order by r.run_id desc limit :rows_max
            """
        ),
        {"before": place[0] if place else None, "rows_max": rows_max},
    )
    return rows.all()


async def current_run(connection: AsyncConnection) -> Row[Any] | None:
    """The run that is under way, for this instance alone; None when there is none or another instance has it."""
    locked = await connection.execute(text("select pg_try_advisory_xact_lock(:lock)"), {"lock": RUN_LOCK})
    if not locked.scalar_one():
        return None
    rows = await connection.execute(
        text(f"select {COLUMNS} from recalculation_run where state in ('comparing', 'applying')")
    )
    return rows.first()


async def next_piece(connection: AsyncConnection, place: Sequence[str]) -> Piece:
    """What comes after a place: documents by customer, then orders without documents, then profiles as a whole."""
    if place[0] == DOCUMENTS:
        rows = await connection.execute(
            text(
                """
                select customer, document_type, source, document_id from document
                where (customer, document_type, source, document_id) > (:customer, :type, :source, :id)
                order by customer, document_type, source, document_id limit :rows_max
                """
            ),
            {
                **dict(zip(("customer", "type", "source", "id"), place[1:], strict=True)),
                "rows_max": PIECE_DOCUMENTS_MAX,
            },
        )
        found = rows.all()
        following = [DOCUMENTS, *found[-1]] if len(found) == PIECE_DOCUMENTS_MAX else [ORDERS, "", "", "", ""]
        return Piece({DocumentKey(*row[1:]) for row in found}, following)
    if place[0] == PROFILES:
        return await _profiles_after(connection, place[1])
    rows = await connection.execute(
        text(
            """
            select source, order_id from sales_order
            where (source, order_id) > (:source, :id) and not documents
              and status in ('undecided', 'accepted', 'closed')
            order by source, order_id limit :rows_max
            """
        ),
        {"source": place[1], "id": place[2], "rows_max": PIECE_DOCUMENTS_MAX},
    )
    orders = rows.all()
    rest = (
        [ORDERS, *orders[-1], "", ""] if len(orders) == PIECE_DOCUMENTS_MAX else [PROFILES, NO_ID, "", "", ""]
    )
    return Piece({DocumentKey(SALES_ORDER, *row) for row in orders}, rest)


async def _profiles_after(connection: AsyncConnection, after: str) -> Piece:
    rows = await connection.execute(
        text(
            """
            select cast(p.profile_id as text) from credit_profile p
            where p.profile_id > cast(:after as uuid) order by p.profile_id limit :rows_max
            """
        ),
        {"after": after, "rows_max": PIECE_DOCUMENTS_MAX},
    )
    found = [row[0] for row in rows]
    following = [PROFILES, found[-1], "", "", ""] if len(found) == PIECE_DOCUMENTS_MAX else None
    return Piece(set(), following, found)


async def drifts(connection: AsyncConnection, profile_ids: Collection[str]) -> dict[str, tuple[int, int]]:
    """By profile, where it is not nothing: what is used and settled beyond what its orders and documents occupy."""
    rows = await connection.execute(
        text(
            """
            select cast(p.profile_id as text),
                   p.used_minor - coalesce(o.used, 0) - coalesce(d.amount, 0) as used,
                   p.settled_minor - coalesce(o.settled, 0) - coalesce(d.amount, 0) as settled
            from credit_profile p
            left join lateral (
                select sum(used) as used, sum(settled) as settled
                from (select max(amount_minor) as used, max(amount_minor) filter (where settled) as settled
                      from occupancy x where x.profile_id = p.profile_id
                      group by source, order_id) each_order) o on true
            left join lateral (
                select sum(amount_minor) as amount from document_occupancy x
                where x.profile_id = p.profile_id) d on true
            where p.profile_id = any(cast(:ids as uuid[]))
            """
        ),
        {"ids": sorted(profile_ids)},
    )
    return {row[0]: (int(row[1]), int(row[2])) for row in rows if row[1] or row[2]}


async def advance(
    connection: AsyncConnection, run_id: str, piece: Piece, differences: int, now: datetime
) -> None:
    """Counts a piece; after the last one the run is compared."""
    orders = sum(key.document_type == SALES_ORDER for key in piece.keys)
    await connection.execute(
        text(
            """
            update recalculation_run
            set pieces = pieces + 1, documents = documents + :documents, orders = orders + :orders,
                differences = differences + :differences,
                place = coalesce(cast(:place as text[]), place),
                state = case when cast(:place as text[]) is null then 'compared' else state end,
                compared_at = case when cast(:place as text[]) is null then cast(:now as timestamptz) end
            where run_id = :run_id
            """
        ),
        {
            "run_id": run_id,
            "documents": len(piece.keys) - orders,
            "orders": orders,
            "differences": differences,
            "place": piece.place,
            "now": now,
        },
    )


async def keep_differences(
    connection: AsyncConnection, run_id: str, found: Sequence[tuple[Difference, str]], now: datetime
) -> int:
    """Puts differences on record; returns how many were not on it before."""
    if not found:
        return 0
    result = await connection.execute(
        text(
            """
            insert into recalculation_difference (run_id, document_type, source, document_id, profile_id, stage,
                                                  stored_minor, right_minor, cause, found_at)
            select cast(:run_id as uuid), n.*, cast(:now as timestamptz)
            from unnest(cast(:types as text[]), cast(:sources as text[]), cast(:ids as text[]),
                        cast(:profiles as uuid[]), cast(:stages as text[]), cast(:stored as bigint[]),
                        cast(:rights as bigint[]), cast(:causes as text[])) as n
            on conflict do nothing
            """
        ),
        {
            "run_id": run_id,
            "now": now,
            "types": [one.key.document_type for one, _ in found],
            "sources": [one.key.source for one, _ in found],
            "ids": [one.key.document_id for one, _ in found],
            "profiles": [one.profile_id for one, _ in found],
            "stages": [one.stage for one, _ in found],
            "stored": [one.stored for one, _ in found],
            "rights": [one.right for one, _ in found],
            "causes": [cause for _, cause in found],
        },
    )
    return result.rowcount


async def begin_applying(connection: AsyncConnection, run_id: str, person: str, now: datetime) -> bool:
    """Lets what was compared be applied; False when another run is under way or this one is not compared."""
    result = await connection.execute(
        text(
            """
            update recalculation_run r set state = 'applying', applied_by = :person, applied_at = :now
            where run_id = :run_id and state = 'compared'
              and not exists (select from recalculation_run o where o.state in ('comparing', 'applying'))
            """
        ),
        {"run_id": run_id, "person": person, "now": now},
    )
    return bool(result.rowcount)


async def unapplied(connection: AsyncConnection, run_id: str) -> set[DocumentKey]:
    """Some of the documents whose differences are still to be put right."""
    rows = await connection.execute(
        text(
            """
            select distinct document_type, source, document_id from (
                select document_type, source, document_id from recalculation_difference
                where run_id = :run_id and applied_at is null
                order by document_type, source, document_id limit :rows_max) first_ones
            """
        ),
        {"run_id": run_id, "rows_max": PIECE_DOCUMENTS_MAX},
    )
    return {DocumentKey(*row) for row in rows}


async def mark_applied(
    connection: AsyncConnection, run_id: str, keys: Collection[DocumentKey], now: datetime
) -> None:
    await connection.execute(
        text(
            f"""
            update recalculation_difference d set applied_at = :now
            from unnest({KEYS}) as k (document_type, source, document_id)
            where d.run_id = :run_id and d.document_type = k.document_type and d.source = k.source
              and d.document_id = k.document_id
            """
        ),
        {"run_id": run_id, "now": now, **key_arrays(keys)},
    )


async def end_run(connection: AsyncConnection, run_id: str) -> None:
    await connection.execute(
        text("update recalculation_run set state = 'applied' where run_id = :run_id"), {"run_id": run_id}
    )


async def differences_after(
    connection: AsyncConnection, run_id: str, place: tuple[str, str, str, str, str] | None, rows_max: int
) -> Sequence[Row[Any]]:
    """What a run found, by document."""
    names = ("type", "source", "id", "profile", "stage")
    rows = await connection.execute(
        text(
            """
            select d.document_type, d.source, d.document_id, cast(d.profile_id as text) as profile_id, d.stage,
                   d.stored_minor, d.right_minor, d.cause, d.found_at, d.applied_at, p.currency, p.object_type,
                   p.object_id
            from recalculation_difference d join credit_profile p using (profile_id)
            where d.run_id = :run_id
              and (cast(:type as text) is null
                   or (d.document_type, d.source, d.document_id, d.profile_id, d.stage)
                      > (cast(:type as text), cast(:source as text), cast(:id as text), cast(:profile as uuid),
                         cast(:stage as text)))
            order by d.document_type, d.source, d.document_id, d.profile_id, d.stage limit :rows_max
            """
        ),
        {
            **dict(zip(names, place or (None,) * len(names), strict=True)),
            "run_id": run_id,
            "rows_max": rows_max,
        },
    )
    return rows.all()


CAUSES: Final = text(
    f"""
    with papers as (
        select k.document_type, k.source, k.document_id, d.customer,
               coalesce(d.changed_at, (select max(c.checked_at) from credit_check c
                                       where c.source = k.source and c.order_id = k.document_id)) as changed_at
        from unnest({KEYS}) as k (document_type, source, document_id)
        left join document d using (document_type, source, document_id)),
    changes as (
        select a.document_type, a.source, a.document_id, a.profile_id, c.cause, c.at
        from (select p.*, q.profile_id, q.check_rule, q.changed_at as profile_changed_at
              from papers p
              join unnest({KEYS}, cast(:profiles as uuid[]))
                   as w (document_type, source, document_id, profile_id) using (document_type, source, document_id)
              join credit_profile q on q.profile_id = w.profile_id) a
        cross join lateral (
            select 'rule changed' as cause, r.changed_at as at from check_rule r where r.rule_id = a.check_rule
            union all select 'profile changed', a.profile_changed_at
            union all select 'parameters changed', changed_at from parameter
            union all select 'customer changed', c.changed_at from customer c where c.customer_id = a.customer) c
        where c.at > a.changed_at)
    select distinct on (document_type, source, document_id, profile_id)
           document_type, source, document_id, cast(profile_id as text), cause
    from changes order by document_type, source, document_id, profile_id, at
    """
)
"""The first change since the document was counted that can make its amount another one."""


async def causes(connection: AsyncConnection, found: Sequence[Difference]) -> list[tuple[Difference, str]]:
    """Each difference with its first cause; without any change since, the stored amount itself is wrong."""
    if not found:
        return []
    pairs = sorted({(one.key, one.profile_id) for one in found})
    rows = await connection.execute(
        CAUSES,
        {
            "types": [key.document_type for key, _ in pairs],
            "sources": [key.source for key, _ in pairs],
            "ids": [key.document_id for key, _ in pairs],
            "profiles": [profile_id for _, profile_id in pairs],
        },
    )
    known = {(DocumentKey(*row[:3]), row[3]): str(row[4]) for row in rows}
    return [(one, known.get((one.key, one.profile_id), "stored amount differs")) for one in found]
