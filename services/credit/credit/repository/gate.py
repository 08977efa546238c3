"""Loads a gate under lock and writes back what it decided: a constant number of statements per batch.

Locks are taken in one order everywhere: order rows by key, then profile rows by id. Whatever an order's lock
guards is read in a later statement than the one that waited for it, so that it is seen as of the lock.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from chassis.arrays import KEYS, key_arrays, literal, plain, quoted
from contracts.order import Order
from contracts.order_cancelled import OrderCancelled
from contracts.order_submitted import OrderSubmitted
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from credit.domain.arrivals import (
    Arrival,
    Cancellation,
    Expiry,
    Judgement,
    OrderKey,
    Origin,
    Settlement,
    Submission,
)
from credit.domain.changes import Periods
from credit.domain.checks import held_metrics
from credit.domain.customers import Customer
from credit.domain.gate import Gate
from credit.domain.order_state import CheckFact, OrderState
from credit.domain.profiles import CUSTOMER, Profile, ProfileKey
from credit.repository.bodies import findings, stored_order
from credit.repository.profiles import PROFILE_COLUMNS, profile_of


async def locked_gate(
    connection: AsyncConnection, arrivals: Sequence[Arrival], now: datetime, periods: Periods
) -> Gate:
    """The orders that the arrivals name, and every profile and customer that deciding them can touch."""
    orders = await locked_orders(connection, {arrival.key for arrival in arrivals})
    await _load_parked(connection, orders)
    await _load_checks(connection, orders, _needed_checks(orders, arrivals))
    await _load_occupancy(connection, orders)
    wanted, held = _wanted_profiles(orders, arrivals)
    profiles, customers = await locked_profiles(connection, wanted, held)
    return Gate(orders.values(), profiles, customers, now, periods)


async def unlocked_gate(connection: AsyncConnection, order: Order, now: datetime, periods: Periods) -> Gate:
    """What a dry run of an order needs, as of its snapshot; nothing may be saved from it."""
    key = (order.source, order.order_id)
    rows = await connection.execute(ORDERS, key_arrays([key]))
    orders = _orders(rows.all()) or {key: OrderState(*key)}
    await _load_occupancy(connection, orders)
    wanted: set[ProfileKey] = {(CUSTOMER, order.customer, order.currency)}
    profiles, customers = await locked_profiles(connection, wanted, set(), locked=False)
    return Gate(orders.values(), profiles, customers, now, periods)


ORDER_COLUMNS: Final = """
    source, order_id, status, paying_account, last_revision, answered_ahead, parked, checks, open_check, order_check
"""
ORDERS: Final = text(
    f"""
    select {ORDER_COLUMNS} from sales_order
    where (source, order_id) in (select * from unnest({KEYS}))
    """
)
LOCKED_ORDERS: Final = text(
    f"""
    insert into sales_order as o (source, order_id, status, last_revision, answered_ahead, parked, checks)
    select source, order_id, 'new', 0, '{{}}', '{{}}', 0
    from unnest({KEYS}) with ordinality as k (source, order_id, place)
    order by place
    on conflict (source, order_id) do update set status = o.status
    returning {ORDER_COLUMNS}
    """
)


async def locked_orders(
    connection: AsyncConnection, keys: Collection[OrderKey]
) -> dict[OrderKey, OrderState]:
    """The rows of these orders, locked in sorted order and made where they are new."""
    return _orders(await connection.execute(LOCKED_ORDERS, key_arrays(sorted(keys))))


def _orders(rows: Iterable[Sequence[Any]]) -> dict[OrderKey, OrderState]:
    orders: dict[OrderKey, OrderState] = {}
    for row in rows:
        source, order_id, status, account, last_revision, ahead, parked, checks, open_check, order_check = row
        orders[source, order_id] = OrderState(
            source=source,
            order_id=order_id,
            status=status,
            paying_account=account,
            last_revision=last_revision,
            answered_ahead=set(ahead),
            checks=checks,
            open_check=open_check,
            order_check=order_check,
            stored_parked=set(parked),
        )
    return orders


async def has_come(connection: AsyncConnection, key: OrderKey) -> bool:
    """Whether an order has ever come to the gate; asked before its row would be made."""
    rows = await connection.execute(
        text("select 1 from sales_order where source = :source and order_id = :order_id"),
        {"source": key[0], "order_id": key[1]},
    )
    return rows.first() is not None


PARKED: Final = text(
    f"""
    select p.source, p.order_id, p.order_revision, p.event_source, p.event_id, p.digest, p.body, p.body_version
    from unnest({KEYS}) as k (source, order_id)
    join parked_revision p using (source, order_id)
    """
)


async def _load_parked(connection: AsyncConnection, orders: Mapping[OrderKey, OrderState]) -> None:
    keys = [key for key, order in orders.items() if order.stored_parked]
    if not keys:
        return
    for row in await connection.execute(PARKED, key_arrays(keys)):
        order = stored_order(row.body, row.body_version)
        origin = _origin(row, "submit")
        orders[row.source, row.order_id].parked[row.order_revision] = Submission(order, origin)


@dataclass(slots=True)
class NeededChecks:
    """Earlier checks that the arrivals look back at: by number, with or without content, and by revision."""

    numbers: dict[tuple[OrderKey, int], bool] = field(default_factory=dict)
    revisions: set[tuple[OrderKey, int]] = field(default_factory=set)

    def add(self, key: OrderKey, number: int, *, with_content: bool) -> None:
        self.numbers[key, number] = self.numbers.get((key, number), False) or with_content


def _needed_checks(orders: Mapping[OrderKey, OrderState], arrivals: Iterable[Arrival]) -> NeededChecks:
    needed = NeededChecks()
    for arrival in arrivals:
        order = orders[arrival.key]
        match arrival:
            case Submission() | Cancellation():
                if order.has_answered(arrival.revision):
                    needed.revisions.add((order.key, arrival.revision))
            case Settlement():
                if not order.awaits_decision(arrival.check_number) and arrival.check_number <= order.checks:
                    needed.add(order.key, arrival.check_number, with_content=False)
        if order.order_check is not None and isinstance(arrival, Cancellation | Expiry | Judgement):
            needed.add(order.key, order.order_check, with_content=True)
    return needed


CHECKS: Final = text(
    f"""
    with wanted as (
        select c.source, c.order_id, c.check_number, k.with_content
        from unnest({KEYS}, {plain("numbers", "bigint")},
                    {plain("contents", "boolean")}) as k (source, order_id, check_number, with_content)
        join credit_check c using (source, order_id, check_number)
        union all
        select c.source, c.order_id, c.check_number, true
        from unnest({plain("revised_sources", "text")}, {plain("revised_order_ids", "text")},
                    {plain("revisions", "integer")}) as k (source, order_id, order_revision)
        join credit_check c using (source, order_id, order_revision)
        where c.digest is not null)
    select c.source, c.order_id, c.check_number, c.order_revision, c.operation, c.outcome, c.event_source,
           c.event_id, c.digest, c.body_version, d.outcome as decided,
           case when w.with_content then c.body end as body,
           case when w.with_content then c.findings end as findings
    from wanted w
    join credit_check c using (source, order_id, check_number)
    left join check_decision d using (source, order_id, check_number)
    """
)


async def _load_checks(
    connection: AsyncConnection, orders: Mapping[OrderKey, OrderState], needed: NeededChecks
) -> None:
    if not needed.numbers and not needed.revisions:
        return
    revisions = list(needed.revisions)
    rows = await connection.execute(
        CHECKS,
        {
            **key_arrays([key for key, _ in needed.numbers]),
            "numbers": literal(number for _, number in needed.numbers),
            "contents": literal(needed.numbers.values()),
            "revised_sources": quoted([key[0] for key, _ in revisions]),
            "revised_order_ids": quoted([key[1] for key, _ in revisions]),
            "revisions": literal(revision for _, revision in revisions),
        },
    )
    for row in rows:
        _take_check(orders[row.source, row.order_id], row)


def _take_check(order: OrderState, row: Row[Any]) -> None:
    order.facts[row.check_number] = CheckFact(row.operation, row.outcome, row.decided)
    if row.body is None:
        return
    order.origins[row.order_revision] = _origin(row, row.operation)
    if row.check_number == order.order_check:
        order.order = stored_order(row.body, row.body_version)
        order.held = held_metrics(findings(row.findings).metrics)


def _origin(row: Row[Any], operation: str) -> Origin:
    event_type = f"{EVENT_OF[operation]}.v{row.body_version}"
    return Origin(row.event_source, row.event_id, event_type, row.digest, row.body)


EVENT_OF: Final = {"submit": OrderSubmitted.contract.name, "cancel": OrderCancelled.contract.name}
"""The order event of each operation."""

OCCUPANCY: Final = text(
    f"""
    select o.source, o.order_id, o.check_number, cast(o.profile_id as text), o.amount_minor, o.settled
    from unnest({KEYS}) as k (source, order_id)
    join occupancy o using (source, order_id)
    """
)


async def _load_occupancy(connection: AsyncConnection, orders: Mapping[OrderKey, OrderState]) -> None:
    keys = [key for key, order in orders.items() if order.status in ("undecided", "accepted")]
    if not keys:
        return
    for source, order_id, number, profile_id, amount, settled in await connection.execute(
        OCCUPANCY, key_arrays(keys)
    ):
        order = orders[source, order_id]
        order.stored[number, profile_id] = settled
        order.occupancy.checks.setdefault(number, {})[profile_id] = amount
        if settled:
            order.occupancy.settled_check = number


def _wanted_profiles(
    orders: Mapping[OrderKey, OrderState], arrivals: Iterable[Arrival]
) -> tuple[set[ProfileKey], set[str]]:
    """The profiles that orders can hit, by key, and those that they occupy, by id."""
    submitted = [arrival.order for arrival in arrivals if isinstance(arrival, Submission)]
    for order in orders.values():
        submitted += [submission.order for submission in order.parked.values()]
        if order.order is not None:
            submitted.append(order.order)
    wanted = {(CUSTOMER, order.customer, order.currency) for order in submitted}
    held = {profile_id for order in orders.values() for profile_id in order.occupancy.profile_ids()}
    return wanted, held


def _profiles(locking: str) -> str:
    """The SQL of `locked_profiles`: customers beside their profiles, profiles that are only occupied alone."""
    return f"""
    with wanted as materialized (
        select p.profile_id
        from unnest({plain("object_types", "text")}, {plain("object_ids", "text")}, {plain("currencies", "text")})
            as k (object_type, object_id, currency)
        join credit_profile p using (object_type, object_id, currency)
        union
        select unnest({plain("profile_ids", "uuid")})),
    held as materialized (
        select {PROFILE_COLUMNS}, case when object_type = 'customer' then object_id end as of_customer
        from credit_profile
        where profile_id in (select profile_id from wanted)
        order by credit_profile.profile_id
        {locking})
    select c.customer_id, c.credit_managed, c.active,
           held.profile_id is not null or exists (
               select from credit_profile p where p.object_type = 'customer' and p.object_id = c.customer_id)
               as has_profile,
           held.*
    from (select * from customer
          where customer_id = any({plain("customers", "text")})) c
    full join held on held.of_customer = c.customer_id
    """


LOCKED_PROFILES: Final = text(_profiles("for update"))
PROFILES: Final = text(_profiles(""))


async def locked_profiles(
    connection: AsyncConnection,
    keys: Collection[ProfileKey],
    profile_ids: Collection[str],
    *,
    locked: bool = True,
) -> tuple[list[Profile], dict[str, Customer]]:
    """Profiles by key and by id, locked in sorted order, and the customers among the keys' objects."""
    if not keys and not profile_ids:
        return [], {}
    ordered = sorted(keys)
    rows = await connection.execute(
        LOCKED_PROFILES if locked else PROFILES,
        {
            "object_types": literal(key[0] for key in ordered),
            "object_ids": quoted([key[1] for key in ordered]),
            "currencies": literal(key[2] for key in ordered),
            "customers": quoted(list({key[1] for key in ordered if key[0] == CUSTOMER})),
            "profile_ids": literal(sorted(profile_ids)),
        },
    )
    profiles: list[Profile] = []
    customers: dict[str, Customer] = {}
    for row in rows:
        customer_id, credit_managed, active, has_profile, *columns = row
        if customer_id is not None:
            customers[customer_id] = Customer(customer_id, credit_managed, active, has_profile)
        if columns[0] is not None:
            profiles.append(profile_of(columns))
    return profiles, customers
