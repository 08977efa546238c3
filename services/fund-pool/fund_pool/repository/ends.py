"""Requests to end relationships: which wait, what they are answered by, and what an answer freezes."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final

from contracts.relationship_end_answered import ITEMS_MAX
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from contracts import RelationshipEndRequested
from fund_pool.domain.ends import Balance, MemberMoney, PastDue, WaitingOrder
from fund_pool.repository.arrays import columns

WAITING_MAX: Final = 64
"""Requests that wait for one relationship's version."""

LOCK: Final = text(
    """
    insert into relationship (relationship_id, version, kind, management_account, member_account, state,
                              permissions, display_name, invoice_status)
    select relationship_id, 0, kind, management, member, 'unknown', '{}', member, 'none'
    from unnest(cast(:ids as text[]), cast(:kinds as text[]), cast(:managements as text[]), cast(:members as text[]))
        as n (relationship_id, kind, management, member)
    order by relationship_id
    on conflict (relationship_id) do update set version = relationship.version
    returning relationship_id, version
    """
)
UNDECIDED: Final = text(
    """
    with waiting as (
        select account as member, source, order_id, status from order_state
        where account = any(cast(:members as text[])) and status in ('new', 'pending-approval')
        union all
        select m.account, o.source, o.order_id, o.status
        from unnest(cast(:members as text[]), cast(:managements as text[])) as pair (member, management)
        join account m on m.account = pair.member
        join account p on p.account = pair.management and p.customer <> m.customer
        join order_state o on o.account = p.account and o.customer = m.customer
            and o.status in ('new', 'pending-approval'))
    select member, order_id, status, orders from (
        select member, order_id, status, count(*) over (partition by member) as orders,
            row_number() over (partition by member order by order_id, source) as place
        from waiting) numbered
    where place <= :items_max
    order by member, place
    """
)
BALANCES: Final = text(
    """
    select account, account_type, currency, balance from fund_account
    where account = any(cast(:accounts as text[])) and balance > 0
    order by account, account_type, currency
    """
)
PAST_DUE: Final = text(
    """
    select account, item_id, currency, minor, due_on, items from (
        select i.account, i.item_id, i.currency, i.amount - i.settled as minor, i.due_on,
            count(*) over (partition by i.account) as items,
            row_number() over (partition by i.account order by i.due_on, i.item_id) as place
        from open_item i
        join account a on a.account = i.account
        left join organisation o on o.organisation = a.settlement_organisation
        where i.account = any(cast(:accounts as text[])) and i.settled < i.amount
          and i.kind in ('bill', 'reversal-debt')
          and i.due_on < cast(cast(:now as timestamptz) at time zone coalesce(o.time_zone, 'UTC') as date)) late
    where place <= :items_max
    order by account, place
    """
)
FREEZE: Final = text(
    """
    update relationship r set frozen_by = n.request_id
    from unnest(cast(:relationships as text[]), cast(:versions as bigint[]), cast(:requests as text[]))
        as n (relationship_id, version, request_id)
    where r.relationship_id = n.relationship_id and r.version = n.version
    """
)
UNFREEZE: Final = text(
    """
    update relationship r set frozen_by = null
    from unnest(cast(:relationships as text[]), cast(:requests as text[])) as n (relationship_id, request_id)
    where r.relationship_id = n.relationship_id and r.frozen_by = n.request_id
    """
)
COUNT: Final = text(
    """
    update relationship r set version = n.version
    from (select relationship_id, max(version) as version
          from unnest(cast(:relationships as text[]), cast(:versions as bigint[])) as a (relationship_id, version)
          group by relationship_id) as n
    where r.relationship_id = n.relationship_id and r.version < n.version
    """
)
EXPIRE: Final = text(
    """
    delete from waiting_end_request
    where relationship_id = any(cast(:relationships as text[])) and answer_by < :now
    """
)
HELD: Final = text(
    """
    select relationship_id, request_id from waiting_end_request
    where relationship_id = any(cast(:relationships as text[]))
    """
)
PARK: Final = text(
    """
    insert into waiting_end_request (relationship_id, request_id, relationship_version, answer_by, body)
    select * from unnest(cast(:relationships as text[]), cast(:requests as text[]), cast(:versions as bigint[]),
                         cast(:answer_by as timestamptz[]), cast(:bodies as bytea[]))
    on conflict (relationship_id, request_id) do nothing
    """
)
WAITING: Final = text(
    """
    select w.body, r.version from waiting_end_request w
    join relationship r on r.relationship_id = w.relationship_id
    where w.relationship_id = any(cast(:relationships as text[]))
    order by w.relationship_id, w.relationship_version, w.request_id
    """
)
FORGET: Final = text(
    """
    delete from waiting_end_request
    where (relationship_id, request_id) in
        (select * from unnest(cast(:relationships as text[]), cast(:requests as text[])))
    """
)


async def locked_versions(
    connection: AsyncConnection, requests: Collection[RelationshipEndRequested]
) -> dict[str, int]:
    """The version of each relationship that requests name, locked; 0 for one that is not known yet."""
    named = {request.relationship_id: request for request in requests}
    rows = (
        (request.relationship_id, request.kind, request.management_account, request.member_account)
        for request in named.values()
    )
    found = await connection.execute(LOCK, columns(("ids", "kinds", "managements", "members"), rows))
    return {row.relationship_id: row.version for row in found}


async def park(
    connection: AsyncConnection, requests: Sequence[RelationshipEndRequested], now: datetime
) -> set[str]:
    """Keeps early requests, as many as may wait for a relationship; returns the ids of those that are kept."""
    if not requests:
        return set()
    named = {"relationships": sorted({request.relationship_id for request in requests})}
    await connection.execute(EXPIRE, {**named, "now": now})
    held = {(row.relationship_id, row.request_id) for row in await connection.execute(HELD, named)}
    counts = Counter(relationship_id for relationship_id, _ in held)
    kept: dict[tuple[str, str], RelationshipEndRequested] = {}
    for request in requests:
        key = request.relationship_id, request.request_id
        if key in held or key in kept:
            continue
        counts[request.relationship_id] += 1
        if counts[request.relationship_id] <= WAITING_MAX:
            kept[key] = request
    names = ("relationships", "requests", "versions", "answer_by", "bodies")
    rows = (
        (*key, request.relationship_version, request.answer_by, request.to_json())
        for key, request in kept.items()
    )
    await connection.execute(PARK, columns(names, rows))
    return {request_id for _, request_id in held | kept.keys()}


async def waiting(
    connection: AsyncConnection, relationships: Collection[str]
) -> list[tuple[RelationshipEndRequested, int]]:
    """The requests that wait for these relationships, in their order, with the version that is known now."""
    rows = await connection.execute(WAITING, {"relationships": sorted(relationships)})
    return [(RelationshipEndRequested.adapter.validate_json(body), version) for body, version in rows]


async def forget(connection: AsyncConnection, requests: Collection[RelationshipEndRequested]) -> None:
    """Takes out requests that wait no more."""
    if requests:
        keys = ((request.relationship_id, request.request_id) for request in requests)
        await connection.execute(FORGET, columns(("relationships", "requests"), keys))


async def money_of(
    connection: AsyncConnection,
    accounts: Collection[str],
    trustees: Collection[tuple[str, str]],
    now: datetime,
) -> Mapping[str, MemberMoney]:
    """The balances of these accounts; for trustees (account, management account) also what is undecided or late."""
    found: dict[str, MemberMoney] = defaultdict(MemberMoney)
    for row in await connection.execute(BALANCES, {"accounts": sorted(accounts)}):
        found[row.account].balances.append(Balance(row.account_type, row.currency, row.balance))
    if trustees:
        pairs = columns(("members", "managements"), sorted(trustees))
        for row in await connection.execute(UNDECIDED, {**pairs, "items_max": ITEMS_MAX}):
            found[row.member].waiting_count = row.orders
            found[row.member].waiting.append(WaitingOrder(row.order_id, row.status))
        wanted = {"accounts": pairs["members"], "now": now, "items_max": ITEMS_MAX}
        for row in await connection.execute(PAST_DUE, wanted):
            found[row.account].past_due_count = row.items
            found[row.account].past_due.append(PastDue(row.item_id, row.currency, row.minor, row.due_on))
    return found


async def freeze(connection: AsyncConnection, requests: Collection[RelationshipEndRequested]) -> None:
    """Lets nothing new begin within these relationships until the request's outcome is told.

    A relationship that is beyond the request's version already knows the outcome.
    """
    if requests:
        names = ("relationships", "versions", "requests")
        rows = (
            (request.relationship_id, request.relationship_version, request.request_id)
            for request in requests
        )
        await connection.execute(FREEZE, columns(names, rows))


async def unfreeze(connection: AsyncConnection, told: Collection[tuple[str, str | None]]) -> None:
    """Ends what these requests had frozen, by (relationship, request)."""
    over = [(relationship, request) for relationship, request in told if request is not None]
    if over:
        await connection.execute(UNFREEZE, columns(("relationships", "requests"), over))


async def count_requests(connection: AsyncConnection, requests: Collection[RelationshipEndRequested]) -> None:
    """A request to end is a version of its relationship."""
    if requests:
        rows = ((request.relationship_id, request.relationship_version) for request in requests)
        await connection.execute(COUNT, columns(("relationships", "versions"), rows))
