"""Relationships as they stand, as they stood, and every change of them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, Select, Subquery, Table, or_, select, text
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from sharing.domain.relationships import Change, Kind, Relationship, Side, State
from sharing.tables import relationship, relationship_history

STATE: Final = (
    "relationship_id, version, kind, management_account, member_account, state, offered, accepted, refused, "
    "display_name, invoice_status, changed_at, ending"
)
VALUES: Final = ", ".join(f":{name}" for name in STATE.split(", "))
CHANGE: Final = "step, side, changed_by"

INSERT: Final = text(
    f"""
    with added as (
        insert into relationship ({STATE}) values ({VALUES})
        on conflict (member_account, kind) where state in ('invited', 'active') do nothing
        returning *
    )
    insert into relationship_history ({STATE}, {CHANGE})
    select {STATE}, :step, :side, :changed_by from added
    returning version
    """
)

UPDATE: Final = text(
    f"""
    with changed as (
        update relationship
        set version = :version, state = :state, accepted = :accepted, refused = :refused,
            display_name = :display_name, invoice_status = :invoice_status, changed_at = :changed_at,
            ending = :ending
        where relationship_id = :relationship_id and version = :version - 1
        returning *
    )
    insert into relationship_history ({STATE}, {CHANGE})
    select {STATE}, :step, :side, :changed_by from changed
    returning version
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RelationshipFilter:
    """Which relationships of an account to show; None means any."""

    account: str
    side: Side | None = None
    kind: Kind | None = None
    state: State | None = None


async def insert(connection: AsyncConnection, change: Change) -> bool:
    """Stores an invitation; False when the member has a live relationship of this kind already.

    Waits while another transaction is inviting the same member.
    """
    return (await connection.execute(INSERT, _values(change))).first() is not None


async def update(connection: AsyncConnection, change: Change) -> None:
    """Stores the next version of a locked relationship with its step."""
    (await connection.execute(UPDATE, _values(change))).one()


def _values(change: Change) -> dict[str, Any]:
    after = change.relationship
    return {
        "relationship_id": after.relationship_id,
        "version": after.version,
        "kind": after.kind,
        "management_account": after.management_account,
        "member_account": after.member_account,
        "state": after.state,
        "offered": list(after.offered),
        "accepted": sorted(after.accepted),
        "refused": sorted(after.refused),
        "display_name": after.display_name,
        "invoice_status": after.invoice_status,
        "changed_at": after.changed_at,
        "ending": after.ending,
        "step": change.step,
        "side": change.side,
        "changed_by": change.changed_by,
    }


async def locked(connection: AsyncConnection, relationship_id: str) -> Relationship | None:
    """The relationship as it stands, locked."""
    query = select(relationship).where(relationship.c.relationship_id == relationship_id).with_for_update()
    row = (await connection.execute(query)).first()
    return _relationship(row) if row else None


async def locked_many(connection: AsyncConnection, ids: Collection[str]) -> dict[str, Relationship]:
    """These relationships as they stand, locked in the order of their ids."""
    query = (
        select(relationship)
        .where(text("relationship_id = any(cast(:ids as text[]))"))
        .order_by(relationship.c.relationship_id)
        .with_for_update()
    )
    rows = await connection.execute(query, {"ids": list(ids)})
    return {row.relationship_id: _relationship(row) for row in rows}


async def locked_financial(
    connection: AsyncConnection, members: Collection[str], management_account: str | None = None
) -> dict[str, Relationship]:
    """The active financial relationship of each of these members, locked; with one management account, or any."""
    query = (
        select(relationship)
        .where(
            text("member_account = any(cast(:members as text[]))"),
            relationship.c.kind == "financial",
            relationship.c.state == "active",
        )
        .order_by(relationship.c.relationship_id)
        .with_for_update()
    )
    if management_account is not None:
        query = query.where(relationship.c.management_account == management_account)
    rows = await connection.execute(query, {"members": list(members)})
    return {row.member_account: _relationship(row) for row in rows}


async def update_many(connection: AsyncConnection, changes: Sequence[Change]) -> None:
    """Stores the next versions of locked relationships, each with its step."""
    if changes:
        await connection.execute(UPDATE, [_values(change) for change in changes])


async def live(connection: AsyncConnection, member_account: str, kind: Kind) -> Relationship | None:
    """The live relationship of a member, of which there is one per kind."""
    columns = relationship.c
    query = select(relationship).where(
        columns.member_account == member_account,
        columns.kind == kind,
        columns.state.in_(("invited", "active")),
    )
    row = (await connection.execute(query)).first()
    return _relationship(row) if row else None


async def by_id(
    connection: AsyncConnection, relationship_id: str, as_of: datetime | None
) -> Relationship | None:
    """The relationship as it stands, or as it stood at a moment."""
    standing = _standing(as_of, relationship_history.c.relationship_id == relationship_id)
    row = (
        await connection.execute(select(standing).where(standing.c.relationship_id == relationship_id))
    ).first()
    return _relationship(row) if row else None


async def of_account_after(
    connection: AsyncConnection,
    chosen: RelationshipFilter,
    as_of: datetime | None,
    after_id: str,
    rows_max: int,
) -> list[Relationship]:
    """The relationships of an account behind an id, oldest first, as they stand or stood at a moment."""
    history = relationship_history.c
    standing = _standing(
        as_of, or_(history.member_account == chosen.account, history.management_account == chosen.account)
    )
    query = _filtered(standing, chosen).where(standing.c.relationship_id > after_id)
    rows = await connection.execute(query.order_by(standing.c.relationship_id).limit(rows_max))
    return [_relationship(row) for row in rows]


def _standing(as_of: datetime | None, wanted: Any) -> Table | Subquery:
    """Where to read relationships from: the table, or the last change of each until a moment."""
    if as_of is None:
        return relationship
    history = relationship_history.c
    return (
        select(relationship_history)
        .ext(distinct_on(history.relationship_id))
        .where(wanted, history.changed_at <= as_of)
        .order_by(history.relationship_id, history.version.desc())
        .subquery()
    )


def _filtered(standing: Table | Subquery, chosen: RelationshipFilter) -> Select[Any]:
    sides = {
        "management": standing.c.management_account == chosen.account,
        "member": standing.c.member_account == chosen.account,
    }
    query = select(standing).where(sides[chosen.side] if chosen.side in sides else or_(*sides.values()))
    if chosen.kind is not None:
        query = query.where(standing.c.kind == chosen.kind)
    if chosen.state is not None:
        query = query.where(standing.c.state == chosen.state)
    return query


async def history_after(
    connection: AsyncConnection, relationship_id: str, after_version: int, rows_max: int
) -> list[Change]:
    """The changes of a relationship behind a version, oldest first."""
    history = relationship_history.c
    rows = await connection.execute(
        select(relationship_history)
        .where(history.relationship_id == relationship_id, history.version > after_version)
        .order_by(history.version)
        .limit(rows_max)
    )
    return [_change(row) for row in rows]


def _change(row: Row[*tuple[Any, ...]]) -> Change:
    return Change(relationship=_relationship(row), step=row.step, side=row.side, changed_by=row.changed_by)


def _relationship(row: Row[*tuple[Any, ...]]) -> Relationship:
    return Relationship(
        relationship_id=row.relationship_id,
        version=row.version,
        kind=row.kind,
        management_account=row.management_account,
        member_account=row.member_account,
        state=row.state,
        offered=tuple(row.offered),
        accepted=frozenset(row.accepted),
        refused=frozenset(row.refused),
        display_name=row.display_name,
        invoice_status=row.invoice_status,
        changed_at=row.changed_at,
        ending=row.ending,
    )
