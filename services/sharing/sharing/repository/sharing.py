"""What management accounts share: dated facts, and how far they have been told."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from sharing.domain.dated import (
    AcceptedType,
    Binding,
    Fact,
    Membership,
    Resource,
    SharedType,
    Span,
    Trusteeship,
)
from sharing.domain.sharing import Sharing
from sharing.domain.telling import Told


@dataclass(frozen=True, slots=True)
class Sharer:
    """A management account's row, under lock."""

    told: Told
    change_number: int
    has_trustees: bool


LOCK: Final = text(
    """
    insert into sharer (management_account, told_until, change_number)
    select account, :now, 0 from unnest(cast(:accounts as text[])) as a (account) order by account
    on conflict (management_account) do update set change_number = sharer.change_number
    returning management_account, told_until, told_part, change_number,
        exists (select from trusteeship t
                where t.management_account = sharer.management_account
                    and (t.ends_at is null or t.ends_at >= sharer.told_until)) as has_trustees
    """
)


async def locked_sharers(
    connection: AsyncConnection, accounts: Collection[str], now: datetime
) -> dict[str, Sharer]:
    """A row per account, made where there is none, locked in the order of their ids."""
    rows = await connection.execute(LOCK, {"accounts": sorted(accounts), "now": now})
    return {
        row.management_account: Sharer(
            Told(row.told_until, row.told_part), row.change_number, row.has_trustees
        )
        for row in rows
    }


FACTS: Final = """
    select 'trusteeship' as kind, management_account as owner, account as a, null as b, starts_at, ends_at,
        cast(null as timestamptz) as valid_from, cast(null as timestamptz) as valid_until
    from trusteeship where {owned} {and_account}
    union all
    select 'over-owner', account, management_account, null, starts_at, ends_at, null, null
    from trusteeship where account = any(cast(:owners as text[])) {alive}
    union all
    select 'shared-type', management_account, resource_type, null, starts_at, ends_at, null, null
    from shared_type where {owned} {and_type}
    union all
    select 'accepted-type', management_account, account, resource_type, starts_at, ends_at, null, null
    from accepted_type where {owned} {and_account} {and_type}
    union all
    select 'membership', management_account, account, group_id, starts_at, ends_at, null, null
    from membership where {owned} {and_account}
"""
ALIVE: Final = "and (cast(:since as timestamptz) is null or ends_at is null or ends_at >= :since)"
EVERYTHING: Final = text(
    FACTS.format(
        owned=f"management_account = any(cast(:owners as text[])) {ALIVE}",
        alive=ALIVE,
        and_account="",
        and_type="",
    )
    + f"""
    union all
    select 'binding', management_account, resource_id, group_id, starts_at, ends_at, null, null
    from binding where management_account = any(cast(:owners as text[])) {ALIVE}
    union all
    select 'resource', owner, resource_id, resource_type, starts_at, ends_at, valid_from, valid_until
    from resource where owner = any(cast(:owners as text[])) {ALIVE}
    """
)
HELD: Final = "and starts_at <= :at and (ends_at is null or ends_at > :at)"
ABOUT_ONE: Final = text(
    FACTS.format(
        owned=f"management_account = any(cast(:owners as text[])) {HELD}",
        alive=HELD,
        and_account="and account = :account",
        and_type="and resource_type = :resource_type",
    )
    + f"""
    union all
    select 'binding', management_account, resource_id, group_id, starts_at, ends_at, null, null
    from binding where management_account = any(cast(:owners as text[])) {HELD} and resource_id = :resource
    union all
    (select 'confining', b.management_account, b.resource_id, b.group_id, b.starts_at, b.ends_at,
        r.valid_from, r.valid_until
    from membership m
    join binding b on b.group_id = m.group_id and b.starts_at <= :at and (b.ends_at is null or b.ends_at > :at)
    join resource r on r.resource_id = b.resource_id and r.starts_at <= :at
        and (r.ends_at is null or r.ends_at > :at)
        and r.valid_from <= :at and (r.valid_until is null or r.valid_until > :at)
    where m.management_account = any(cast(:owners as text[])) and m.account = :account
        and m.starts_at <= :at and (m.ends_at is null or m.ends_at > :at)
    limit 1)
    """
)


async def sharings(
    connection: AsyncConnection, owners: Collection[str], since: datetime | None
) -> dict[str, Sharing]:
    """What each of these accounts owns and shares; without facts that had ended before `since`."""
    rows = await connection.execute(EVERYTHING, {"owners": list(owners), "since": since})
    facts: dict[str, list[Fact]] = defaultdict(list)
    over: dict[str, list[Trusteeship]] = defaultdict(list)
    for kind, owner, a, b, starts_at, ends_at, valid_from, valid_until in rows:
        span = Span(starts_at, ends_at)
        if kind == "resource":
            facts[owner].append(Resource(a, b, owner, span, Span(valid_from, valid_until)))
        elif kind == "over-owner":
            over[owner].append(Trusteeship(owner, span))
        else:
            facts[owner].append(_setting(kind, a, b, span))
    return {owner: Sharing(owner, facts[owner], over[owner]) for owner in owners}


async def sharing(connection: AsyncConnection, owner: str, since: datetime | None = None) -> Sharing:
    return (await sharings(connection, [owner], since))[owner]


async def about_one(connection: AsyncConnection, resource: Resource, account: str, at: datetime) -> Sharing:
    """No more than decides whether one account may use one resource at a moment."""
    rows = await connection.execute(
        ABOUT_ONE,
        {
            "owners": [resource.owner],
            "account": account,
            "resource": resource.resource,
            "resource_type": resource.resource_type,
            "at": at,
        },
    )
    facts: list[Fact] = [resource]
    over: list[Trusteeship] = []
    for row in rows:
        span = Span(row.starts_at, row.ends_at)
        if row.kind == "over-owner":
            over.append(Trusteeship(row.owner, span))
        elif row.kind == "confining":
            facts.append(Binding(row.a, row.b, span))
            if row.a != resource.resource:
                valid = Span(row.valid_from, row.valid_until)
                facts.append(Resource(row.a, resource.resource_type, row.owner, span, valid))
        else:
            facts.append(_setting(row.kind, row.a, row.b, span))
    return Sharing(resource.owner, list(dict.fromkeys(facts)), over)


def _setting(kind: str, a: str, b: str, span: Span) -> Fact:
    match kind:
        case "trusteeship":
            return Trusteeship(a, span)
        case "shared-type":
            return SharedType(a, span)
        case "accepted-type":
            return AcceptedType(a, b, span)
        case "membership":
            return Membership(a, b, span)
        case "binding":
            return Binding(a, b, span)
    raise AssertionError(kind)


Table = Literal["trusteeship", "shared_type", "accepted_type", "membership", "binding"]
COLUMNS: Final[Mapping[Table, tuple[str, ...]]] = {
    "trusteeship": ("account",),
    "shared_type": ("resource_type",),
    "accepted_type": ("account", "resource_type"),
    "membership": ("account", "group_id"),
    "binding": ("resource_id", "group_id"),
}
KEYS: Final[Mapping[Table, tuple[str, ...]]] = {**COLUMNS, "membership": ("account",)}


def _save_statement(table: Table) -> str:
    columns = ", ".join(COLUMNS[table])
    arrays = ", ".join(f"cast(:{table}_{name} as text[])" for name in COLUMNS[table])
    return f"""
    insert into {table} (management_account, {columns}, starts_at, ends_at)
    select :owner, {columns}, starts_at, ends_at
    from unnest({arrays}, cast(:{table}_starts as timestamptz[]), cast(:{table}_ends as timestamptz[]))
        as f ({columns}, starts_at, ends_at)
    on conflict (management_account, {", ".join(KEYS[table])}, starts_at) do update
        set ends_at = excluded.ends_at
    returning 1
    """


SAVE: Final = text(
    "with " + ", ".join(f"saved_{table} as ({_save_statement(table)})" for table in COLUMNS) + " select 1"
)
"""Every kind of fact in one statement."""


async def save_facts(connection: AsyncConnection, owner: str, facts: Iterable[Fact]) -> None:
    """Stores facts, or the new end of those that stand; resources have a repository of their own."""
    rows: dict[Table, list[tuple[tuple[str, ...], Span]]] = {table: [] for table in COLUMNS}
    for fact in facts:
        table, values = _row_of(fact)
        rows[table].append((values, fact.span))
    parameters: dict[str, Any] = {"owner": owner}
    for table, columns in COLUMNS.items():
        for at, name in enumerate(columns):
            parameters[f"{table}_{name}"] = [values[at] for values, _ in rows[table]]
        parameters[f"{table}_starts"] = [span.start for _, span in rows[table]]
        parameters[f"{table}_ends"] = [span.end for _, span in rows[table]]
    await connection.execute(SAVE, parameters)


def _row_of(fact: Fact) -> tuple[Table, tuple[str, ...]]:
    match fact:
        case Trusteeship(account):
            return "trusteeship", (account,)
        case SharedType(resource_type):
            return "shared_type", (resource_type,)
        case AcceptedType(account, resource_type):
            return "accepted_type", (account, resource_type)
        case Membership(account, group):
            return "membership", (account, group)
        case Binding(resource, group):
            return "binding", (resource, group)
    raise AssertionError(f"{type(fact).__name__} is not a setting")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRecord:
    """One change of what is shared, as people made it."""

    change_number: int
    changed_at: datetime
    side: str
    changed_by: str
    change: dict[str, Any]


async def save_change(connection: AsyncConnection, owner: str, record: ChangeRecord) -> None:
    await connection.execute(
        text(
            """
            with numbered as (
                update sharer set change_number = :change_number where management_account = :owner)
            insert into sharing_change (management_account, change_number, changed_at, side, changed_by, change)
            values (:owner, :change_number, :changed_at, :side, :changed_by, cast(:change as jsonb))
            """
        ),
        {
            "owner": owner,
            "change_number": record.change_number,
            "changed_at": record.changed_at,
            "side": record.side,
            "changed_by": record.changed_by,
            "change": orjson.dumps(record.change).decode(),
        },
    )


async def changes_before(
    connection: AsyncConnection, owner: str, before_number: int | None, rows_max: int
) -> list[ChangeRecord]:
    """The changes below a number, newest first."""
    rows = await connection.execute(
        text(
            """
            select change_number, changed_at, side, changed_by, cast(change as text) as change from sharing_change
            where management_account = :owner and (cast(:before as int) is null or change_number < :before)
            order by change_number desc limit :rows_max
            """
        ),
        {"owner": owner, "before": before_number, "rows_max": rows_max},
    )
    return [ChangeRecord(**{**row, "change": orjson.loads(row["change"])}) for row in rows.mappings()]


async def save_told(connection: AsyncConnection, told: Mapping[str, Told]) -> None:
    """How far each of these accounts' sharing has been told."""
    await connection.execute(
        text(
            """
            update sharer s set told_until = n.told_until, told_part = n.told_part
            from unnest(cast(:owners as text[]), cast(:until as timestamptz[]), cast(:parts as int[]))
                as n (owner, told_until, told_part)
            where s.management_account = n.owner
            """
        ),
        {
            "owners": list(told),
            "until": [each.until for each in told.values()],
            "parts": [each.part for each in told.values()],
        },
    )


async def managed_by(connection: AsyncConnection, managers: Collection[str], account: str) -> bool:
    """Whether one of these accounts has the account under its trusteeship now."""
    rows = await connection.execute(
        text(
            """
            select 1 from trusteeship
            where account = :account and ends_at is null and management_account = any(cast(:managers as text[]))
            """
        ),
        {"account": account, "managers": sorted(managers)},
    )
    return rows.first() is not None


async def manager_of(connection: AsyncConnection, account: str, at: datetime | None = None) -> str | None:
    """The management account under whose trusteeship an account is, or was at a moment."""
    rows = await connection.execute(
        text(
            """
            select management_account from trusteeship
            where account = :account and (ends_at is null or ends_at > :at)
                and (cast(:at as timestamptz) is null or starts_at <= :at)
                and (cast(:at as timestamptz) is not null or ends_at is null)
            order by starts_at desc limit 1
            """
        ),
        {"account": account, "at": at},
    )
    found: str | None = rows.scalar_one_or_none()
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A user group of a management account."""

    group_id: str
    name: str
    created_at: datetime
    dissolved_at: datetime | None


async def insert_group(
    connection: AsyncConnection, owner: str, group_id: str, name: str, created_at: datetime
) -> bool:
    """False when another group of the account has this name."""
    rows = await connection.execute(
        text(
            """
            insert into user_group (group_id, management_account, name, created_at)
            values (:group_id, :owner, :name, :created_at) on conflict do nothing returning 1
            """
        ),
        {"group_id": group_id, "owner": owner, "name": name, "created_at": created_at},
    )
    return rows.first() is not None


async def rename_group(connection: AsyncConnection, group_id: str, name: str) -> None:
    await connection.execute(
        text("update user_group set name = :name where group_id = :group_id"),
        {"group_id": group_id, "name": name},
    )


async def dissolve_group(connection: AsyncConnection, group_id: str, at: datetime) -> None:
    await connection.execute(
        text("update user_group set dissolved_at = :at where group_id = :group_id"),
        {"group_id": group_id, "at": at},
    )


async def groups(connection: AsyncConnection, owner: str, at: datetime | None = None) -> Sequence[Group]:
    """The groups that exist, or existed at a moment, by name."""
    rows = await connection.execute(
        text(
            """
            select group_id, name, created_at, dissolved_at from user_group
            where management_account = :owner
                and case when cast(:at as timestamptz) is null then dissolved_at is null
                    else created_at <= :at and (dissolved_at is null or dissolved_at > :at) end
            order by name, group_id
            """
        ),
        {"owner": owner, "at": at},
    )
    return [Group(**row) for row in rows.mappings()]
