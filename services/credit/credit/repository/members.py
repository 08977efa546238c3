"""Enterprises, members' limits, their changes, and relationships."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from contracts.relationship_changed import RelationshipChanged
from contracts.relationship_end_requested import RelationshipEndRequested
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from credit.domain.members import Change, Enterprise, Member, MemberKey

SYNC_CREDIT: Final = "sync-credit-identity"
VIEW_FINANCES: Final = "view-financial-information"


async def locked_enterprises(
    connection: AsyncConnection, keys: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], Enterprise]:
    """Enterprises by (management account, currency), locked in that order, with what their members have."""
    wanted = sorted(set(keys))
    parameters = {"accounts": [key[0] for key in wanted], "currencies": [key[1] for key in wanted]}
    await connection.execute(text(LOCK_ENTERPRISES), parameters)
    return await enterprises(connection, wanted)


LOCK_ENTERPRISES: Final = """
    select from enterprise
    where (management_account, currency) in (
        select * from unnest(cast(:accounts as text[]), cast(:currencies as text[])))
    order by management_account, currency for update
"""


async def enterprises(
    connection: AsyncConnection, keys: Collection[tuple[str, str]]
) -> dict[tuple[str, str], Enterprise]:
    """Enterprises by (management account, currency)."""
    rows = await connection.execute(
        text(
            """
            select management_account, currency, mode, limit_minor,
                   (select coalesce(sum(own_minor + allocated_minor), 0) from member_limit m
                    where m.management_account = e.management_account and m.currency = e.currency) as committed
            from enterprise e
            where (management_account, currency) in (
                select * from unnest(cast(:accounts as text[]), cast(:currencies as text[])))
            """
        ),
        {"accounts": [key[0] for key in keys], "currencies": [key[1] for key in keys]},
    )
    return {(row[0], row[1]): Enterprise(row[0], row[1], row[2], row[3], int(row[4])) for row in rows}


async def lock_accounts(connection: AsyncConnection, accounts: Iterable[str]) -> None:
    """Locks every enterprise of these management accounts, in the order of their keys."""
    await connection.execute(
        text(
            "select from enterprise where management_account = any(cast(:accounts as text[])) "
            "order by management_account, currency for update"
        ),
        {"accounts": sorted(set(accounts))},
    )


async def enterprise_row(
    connection: AsyncConnection, management_account: str, currency: str
) -> Row[Any] | None:
    rows = await connection.execute(
        text(
            "select version, mode, limit_minor, reason, changed_by, changed_at from enterprise "
            "where management_account = :account and currency = :currency"
        ),
        {"account": management_account, "currency": currency},
    )
    return rows.first()


async def set_enterprise(
    connection: AsyncConnection, enterprise: Enterprise, reason: str, person: str, now: datetime
) -> None:
    """Makes or changes an enterprise's credit and keeps the version."""
    await connection.execute(
        text(
            """
            with changed as (
                insert into enterprise as old (management_account, currency, version, mode, limit_minor, reason,
                                               changed_by, changed_at)
                values (:account, :currency, 1, :mode, :limit, :reason, :person, :now)
                on conflict (management_account, currency) do update
                set version = old.version + 1, mode = excluded.mode, limit_minor = excluded.limit_minor,
                    reason = excluded.reason, changed_by = excluded.changed_by, changed_at = excluded.changed_at
                returning *)
            insert into enterprise_version select management_account, currency, version, mode, limit_minor, reason,
                                                  changed_by, changed_at from changed
            """
        ),
        {
            "account": enterprise.management_account,
            "currency": enterprise.currency,
            "mode": enterprise.mode,
            "limit": enterprise.limit,
            "reason": reason,
            "person": person,
            "now": now,
        },
    )


async def members(
    connection: AsyncConnection, keys: Collection[MemberKey], *, lock: bool = False
) -> dict[MemberKey, Member]:
    """Members' limits by key, those that there are."""
    rows = await connection.execute(
        text(
            """
            select account, currency, management_account, own_minor, allocated_minor, limit_version, pending_version
            from member_limit
            where (account, currency) in (
                select * from unnest(cast(:accounts as text[]), cast(:currencies as text[])))
            order by account, currency
            """
            + ("for update" if lock else "")
        ),
        {"accounts": [key.account for key in keys], "currencies": [key.currency for key in keys]},
    )
    return {MemberKey(row[0], row[1]): _member(row) for row in rows}


def _member(row: Row[Any]) -> Member:
    key = MemberKey(row.account, row.currency)
    return Member(
        key,
        row.management_account,
        row.own_minor,
        row.allocated_minor,
        row.limit_version,
        row.pending_version,
    )


async def members_after(
    connection: AsyncConnection,
    management_account: str,
    currency: str,
    place: tuple[str] | None,
    rows_max: int,
) -> list[Member]:
    """The members of an enterprise, by account."""
    rows = await connection.execute(
        text(
            """
            select account, currency, management_account, own_minor, allocated_minor, limit_version, pending_version
            from member_limit
            where management_account = :management_account and currency = :currency and account > :after
            order by account limit :rows_max
            """
        ),
        {
            "management_account": management_account,
            "currency": currency,
            "after": place[0] if place else "",
            "rows_max": rows_max,
        },
    )
    return [_member(row) for row in rows]


async def limits_between(
    connection: AsyncConnection, pairs: Collection[tuple[str, str]]
) -> dict[tuple[str, str], list[Member]]:
    """By (management account, member account): the limits that are not zero or under change."""
    rows = await connection.execute(
        text(
            """
            select account, currency, management_account, own_minor, allocated_minor, limit_version, pending_version
            from member_limit
            where (management_account, account) in (
                      select * from unnest(cast(:managers as text[]), cast(:accounts as text[])))
              and (own_minor + allocated_minor > 0 or pending_version is not null)
            order by account, currency
            """
        ),
        {"managers": [pair[0] for pair in pairs], "accounts": [pair[1] for pair in pairs]},
    )
    found: dict[tuple[str, str], list[Member]] = {}
    for row in rows:
        found.setdefault((row.management_account, row.account), []).append(_member(row))
    return found


async def save_members(connection: AsyncConnection, changed: Collection[Member]) -> None:
    """Writes members' limits, at most one per key."""
    if not changed:
        return
    ordered = sorted(changed, key=lambda member: member.key)
    await connection.execute(
        text(
            """
            insert into member_limit as old (account, currency, management_account, own_minor, allocated_minor,
                                             limit_version, pending_version)
            select * from unnest(cast(:accounts as text[]), cast(:currencies as text[]), cast(:managers as text[]),
                                 cast(:own as bigint[]), cast(:allocated as bigint[]), cast(:versions as integer[]),
                                 cast(:pending as integer[]))
            on conflict (account, currency) do update
            set management_account = excluded.management_account, own_minor = excluded.own_minor,
                allocated_minor = excluded.allocated_minor, limit_version = excluded.limit_version,
                pending_version = excluded.pending_version
            """
        ),
        {
            "accounts": [member.key.account for member in ordered],
            "currencies": [member.key.currency for member in ordered],
            "managers": [member.management_account for member in ordered],
            "own": [member.own for member in ordered],
            "allocated": [member.allocated for member in ordered],
            "versions": [member.limit_version for member in ordered],
            "pending": [member.pending for member in ordered],
        },
    )


async def insert_change(connection: AsyncConnection, change: Change, now: datetime) -> None:
    await connection.execute(
        text(
            """
            insert into member_limit_change (account, currency, limit_version, record_id, management_account, operation,
                                             amount_minor, own_minor, allocated_minor, limit_before_minor, remark,
                                             requested_by, requested_at, result, recorded_at)
            values (:account, :currency, :limit_version, :record_id, :management_account, :operation, :amount, :own,
                    :allocated, :before, :remark, :requested_by, :requested_at, :result, :recorded_at)
            """
        ),
        {
            "account": change.key.account,
            "currency": change.key.currency,
            "limit_version": change.limit_version,
            "record_id": change.record_id,
            "management_account": change.management_account,
            "operation": change.operation,
            "amount": change.amount,
            "own": change.own,
            "allocated": change.allocated,
            "before": change.limit_before,
            "remark": change.remark,
            "requested_by": change.requested_by,
            "requested_at": change.requested_at,
            "result": change.result,
            "recorded_at": None if change.result == "pending" else now,
        },
    )


async def changes(
    connection: AsyncConnection, keys: Collection[tuple[MemberKey, int]]
) -> dict[tuple[MemberKey, int], Change]:
    """Changes by (member, limit version), those that there are."""
    rows = await connection.execute(
        text(
            """
            select account, currency, limit_version, cast(record_id as text) as record_id, management_account,
                   operation, amount_minor, own_minor, allocated_minor, limit_before_minor, remark, requested_by,
                   requested_at, result
            from member_limit_change
            where (account, currency, limit_version) in (
                select * from unnest(cast(:accounts as text[]), cast(:currencies as text[]),
                                     cast(:versions as integer[])))
            """
        ),
        {
            "accounts": [key.account for key, _ in keys],
            "currencies": [key.currency for key, _ in keys],
            "versions": [version for _, version in keys],
        },
    )
    return {
        (MemberKey(row.account, row.currency), row.limit_version): Change(
            row.record_id,
            MemberKey(row.account, row.currency),
            row.management_account,
            row.limit_version,
            row.operation,
            row.amount_minor,
            row.own_minor,
            row.allocated_minor,
            row.limit_before_minor,
            row.remark,
            row.requested_by,
            row.requested_at,
            row.result,
        )
        for row in rows
    }


@dataclass(frozen=True, slots=True)
class Ended:
    """A change whose outcome is known; `smallest` is the smallest limit that fund-pool would have let pass."""

    change: Change
    refusal: str | None = None
    smallest: int | None = None


async def end_changes(connection: AsyncConnection, ended: Collection[Ended], now: datetime) -> None:
    """Writes the outcomes of changes that waited."""
    if not ended:
        return
    await connection.execute(
        text(
            """
            update member_limit_change c
            set result = n.result, refusal = n.refusal, smallest_limit_minor = n.smallest, recorded_at = :now
            from unnest(cast(:ids as uuid[]), cast(:results as text[]), cast(:refusals as text[]),
                        cast(:smallest as bigint[])) as n (record_id, result, refusal, smallest)
            where c.record_id = n.record_id and c.result = 'pending'
            """
        ),
        {
            "ids": [each.change.record_id for each in ended],
            "results": [each.change.result for each in ended],
            "refusals": [each.refusal for each in ended],
            "smallest": [each.smallest for each in ended],
            "now": now,
        },
    )


async def changes_after(
    connection: AsyncConnection,
    management_account: str,
    currency: str,
    place: tuple[str] | None,
    rows_max: int,
    member: str | None,
) -> Sequence[Row[Any]]:
    """The changes of an enterprise's members, newest first."""
    rows = await connection.execute(
        text(
            """
            select cast(record_id as text) as record_id, account, currency, limit_version, operation, amount_minor,
                   own_minor, allocated_minor, limit_before_minor, remark, requested_by, requested_at, result, refusal,
                   smallest_limit_minor, recorded_at
            from member_limit_change
            where management_account = :management_account and currency = :currency
              and (cast(:member as text) is null or account = :member)
              and (cast(:before as uuid) is null or record_id < cast(:before as uuid))
            order by member_limit_change.record_id desc limit :rows_max
            """
        ),
        {
            "management_account": management_account,
            "currency": currency,
            "member": member,
            "before": place[0] if place else None,
            "rows_max": rows_max,
        },
    )
    return rows.all()


@dataclass(frozen=True, slots=True)
class Standing:
    """How a management account and a member stand to each other."""

    active: bool
    permitted: bool
    frozen_by: str | None


async def standing(connection: AsyncConnection, management_account: str, member_account: str) -> Standing:
    """The pair's relationships together, locked: active in any of them, frozen by a request to end any."""
    rows = await connection.execute(
        text(
            """
            select state, permissions, frozen_by from relationship
            where management_account = :management_account and member_account = :member_account
            order by relationship_id for update
            """
        ),
        {"management_account": management_account, "member_account": member_account},
    )
    found = rows.all()
    active = [row for row in found if row.state == "active"]
    return Standing(
        active=bool(active),
        permitted=any({SYNC_CREDIT, VIEW_FINANCES} <= set(row.permissions) for row in active),
        frozen_by=next((row.frozen_by for row in found if row.frozen_by is not None), None),
    )


async def save_relationships(connection: AsyncConnection, events: Collection[RelationshipChanged]) -> None:
    """The newest state of each relationship, one event each."""
    ordered = sorted(events, key=lambda event: event.relationship_id)
    await connection.execute(
        text(
            """
            insert into relationship as old (relationship_id, relationship_version, kind, management_account,
                                             member_account, state, permissions)
            select id, version, kind, manager, member, state, string_to_array(permissions, ' ')
            from unnest(cast(:ids as text[]), cast(:versions as integer[]), cast(:kinds as text[]),
                        cast(:managers as text[]), cast(:members as text[]), cast(:states as text[]),
                        cast(:permissions as text[]))
                 as r (id, version, kind, manager, member, state, permissions)
            on conflict (relationship_id) do update
            set relationship_version = excluded.relationship_version, kind = excluded.kind, state = excluded.state,
                permissions = excluded.permissions
            where old.relationship_version < excluded.relationship_version
            """
        ),
        {
            "ids": [event.relationship_id for event in ordered],
            "versions": [event.relationship_version for event in ordered],
            "kinds": [event.kind for event in ordered],
            "managers": [event.management_account for event in ordered],
            "members": [event.member_account for event in ordered],
            "states": [event.state for event in ordered],
            "permissions": [
                " ".join(each.name for each in event.permissions if each.state == "accepted")
                for event in ordered
            ],
        },
    )


async def lock_relationships(
    connection: AsyncConnection, requests: Collection[RelationshipEndRequested]
) -> None:
    """Upserts and so locks the relationships that requests speak of, sorted."""
    firsts = {request.relationship_id: request for request in requests}
    await connection.execute(
        text(
            """
            insert into relationship as old (relationship_id, relationship_version, management_account, member_account,
                                             permissions)
            select id, 0, manager, member, '{}'
            from unnest(cast(:ids as text[]), cast(:managers as text[]), cast(:members as text[]))
                 as r (id, manager, member)
            on conflict (relationship_id) do update set frozen_by = old.frozen_by
            """
        ),
        {
            "ids": sorted(firsts),
            "managers": [firsts[each].management_account for each in sorted(firsts)],
            "members": [firsts[each].member_account for each in sorted(firsts)],
        },
    )


async def freeze_pairs(connection: AsyncConnection, agreed: Collection[tuple[str, str]]) -> None:
    """Freezes relationships by (relationship, request), unless the request is over already."""
    if not agreed:
        return
    await connection.execute(
        text(
            """
            update relationship r set frozen_by = n.request
            from unnest(cast(:ids as text[]), cast(:requests as text[])) as n (id, request)
            where r.relationship_id = n.id and r.ended_request is distinct from n.request
            """
        ),
        {"ids": [each for each, _ in agreed], "requests": [request for _, request in agreed]},
    )


async def end_requests(connection: AsyncConnection, requests: dict[str, str]) -> None:
    """Requests that are over by relationship: remembered, and unfrozen whichever version told so."""
    if not requests:
        return
    await connection.execute(
        text(
            """
            update relationship r
            set ended_request = n.request, frozen_by = case when r.frozen_by = n.request then null else r.frozen_by end
            from unnest(cast(:ids as text[]), cast(:requests as text[])) as n (id, request)
            where r.relationship_id = n.id
            """
        ),
        {"ids": list(requests), "requests": list(requests.values())},
    )
