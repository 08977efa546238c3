"""Loads a gate under lock and writes back what it decided: a constant number of statements per batch.

Locks are taken in one order everywhere: order rows by key, then profile rows by id. Whatever an order's lock
guards is read in a later statement than the one that waited for it, so that it is seen as of the lock.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, get_args

from chassis.arrays import KEYS, key_arrays, literal, plain, quoted
from contracts.order import Order
from contracts.order_cancelled import OrderCancelled
from contracts.order_changed import OrderChanged
from contracts.order_returned import OrderReturned
from contracts.order_status_changed import OrderStatusChanged, StatusOperation
from contracts.order_submitted import OrderSubmitted
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from credit.domain.arrivals import (
    Alteration,
    Arrival,
    Cancellation,
    Expiry,
    Judgement,
    OrderKey,
    Origin,
    Settlement,
    Submission,
)
from credit.domain.book import Book
from credit.domain.changes import Periods
from credit.domain.checks import held_metrics
from credit.domain.desk import Desk
from credit.domain.documents import SALES_ORDER, Document, DocumentKey, order_parties
from credit.domain.gate import Gate
from credit.domain.matching import CUSTOMER, ObjectKey, line_objects, party_objects
from credit.domain.order_state import CheckFact, OrderState
from credit.repository import documents
from credit.repository.bodies import findings, stored_in_turn, stored_order
from credit.repository.facts import facts_of
from credit.repository.locking import locked_profiles


async def locked_gate(
    connection: AsyncConnection, arrivals: Sequence[Arrival], now: datetime, periods: Periods
) -> Gate:
    """The orders that the arrivals name, and every profile and customer that deciding them can touch."""
    orders = await locked_orders(connection, {arrival.key for arrival in arrivals})
    await _load_parked(connection, orders)
    await _load_checks(connection, orders, _needed_checks(orders, arrivals))
    await _load_occupancy(connection, orders)
    checked, held = _wanted_profiles(orders, arrivals)
    chained = [key for key, order in orders.items() if order.has_documents]
    if chained:
        return await _chained_gate(connection, orders, checked, held, now, periods)
    profiles, customers = await locked_profiles(connection, wanted_objects(checked), held)
    known = await facts_of(connection, profiles, *_spoken_of(checked), now)
    return Gate(orders.values(), profiles, customers, now, periods, known)


async def _chained_gate(
    connection: AsyncConnection,
    orders: dict[OrderKey, OrderState],
    checked: list[Order],
    held: set[str],
    now: datetime,
    periods: Periods,
) -> Gate:
    """A gate whose orders hang together with documents: these are loaded too, and so is what they occupy."""
    keys = {DocumentKey(SALES_ORDER, *key) for key, order in orders.items() if order.has_documents}
    book = await documents.locked_book(connection, keys, ())
    await lock_more_orders(connection, orders, book)
    return await gate_of(connection, orders, book, checked, held, now, periods)


async def lock_more_orders(
    connection: AsyncConnection, orders: dict[OrderKey, OrderState], book: Book
) -> None:
    """Locks the orders that hang together with these and are not locked yet; loads their occupancy."""
    named = {
        (key.source, key.document_id)
        for key in book.component(book.states)
        if key.document_type == SALES_ORDER
    }
    more = named - orders.keys()
    if more:
        found = await locked_orders(connection, more)
        await _load_occupancy(connection, found)
        orders.update(found)
    for key in named:
        orders[key].has_documents = True


async def gate_of(
    connection: AsyncConnection,
    orders: dict[OrderKey, OrderState],
    book: Book,
    checked: list[Order],
    held: set[str],
    now: datetime,
    periods: Periods,
    more: Iterable[Document] = (),
    *,
    locked: bool = True,
) -> Gate:
    """A gate over orders and documents, with a desk that keeps them in step."""
    await load_contents(connection, orders)
    standing = [*checked, *(content for order in orders.values() for content in order.contents.values())]
    papers = [*more, *(state.document for state in book.states.values() if state.document is not None)]
    objects = wanted_objects(standing)
    for paper in papers:
        objects.update(party_objects(paper.parties))
        for line in paper.lines:
            objects.update(line_objects(paper.parties.customer, line.material, line.material_group))
    customers_of_chain = {key[1] for key in objects if key[0] == CUSTOMER}
    for customer in customers_of_chain:
        for line in (line for paper in papers for line in paper.lines):
            objects.update(line_objects(customer, line.material, line.material_group))
    occupied = held | {place[1] for place in book.stored}
    occupied |= {name for order in orders.values() for name in order.occupancy.profile_ids()}
    profiles, customers = await locked_profiles(connection, objects, occupied, locked=locked)
    organisations = {order.sales_organisation for order in standing} | {
        paper.parties.sales_organisation for paper in papers if paper.parties.sales_organisation is not None
    }
    currencies = {order.currency for order in standing} | {paper.currency for paper in papers}
    known = await facts_of(connection, profiles, organisations, currencies, now)
    gate = Gate(orders.values(), profiles, customers, now, periods, known)
    gate.desk = Desk(gate, book)
    return gate


async def locked_desk(
    connection: AsyncConnection, papers: Sequence[Document], now: datetime, periods: Periods
) -> Gate:
    """A gate for documents: their chains are locked by their orders and customers, then their profiles."""
    keys = {paper.key for paper in papers} | {link.key for paper in papers for link in paper.links}
    return await _desk_of(connection, keys, papers, now, periods)


async def locked_desk_of(
    connection: AsyncConnection,
    keys: Collection[DocumentKey],
    now: datetime,
    periods: Periods,
    profile_ids: Collection[str] = (),
) -> Gate:
    """A gate for documents that are known already, and for these profiles besides."""
    return await _desk_of(connection, set(keys), (), now, periods, profile_ids)


async def read_desk_of(
    connection: AsyncConnection,
    keys: Collection[DocumentKey],
    now: datetime,
    periods: Periods,
    profile_ids: Collection[str],
) -> Gate:
    """A gate for documents as of a snapshot; nothing may be saved from it."""
    book = await documents.read_book(connection, keys)
    members = {*book.component([*book.states, *keys]), *keys}
    named = sorted((key.source, key.document_id) for key in members if key.document_type == SALES_ORDER)
    orders = _orders((await connection.execute(ORDERS, key_arrays(named))).all()) if named else {}
    await _load_occupancy(connection, orders)
    for order in orders.values():
        order.has_documents = True
    return await gate_of(connection, orders, book, [], set(profile_ids), now, periods, locked=False)


async def _desk_of(
    connection: AsyncConnection,
    keys: set[DocumentKey],
    papers: Sequence[Document],
    now: datetime,
    periods: Periods,
    profile_ids: Collection[str] = (),
) -> Gate:
    members = await documents.component(connection, keys)
    named = {(key.source, key.document_id) for key in members | keys if key.document_type == SALES_ORDER}
    orders = await locked_orders(connection, named) if named else {}
    await _load_occupancy(connection, orders)
    book = await documents.locked_book(connection, keys, {paper.parties.customer for paper in papers})
    await lock_more_orders(connection, orders, book)
    for order in orders.values():
        order.has_documents = True
    return await gate_of(connection, orders, book, [], set(profile_ids), now, periods, papers)


CONTENTS: Final = text(
    f"""
    select k.source, k.order_id, k.number, s.body, s.body_version, s.operation
    from unnest({KEYS}, {plain("numbers", "bigint")}) as k (source, order_id, number)
    join credit_check c on c.source = k.source and c.order_id = k.order_id and c.check_number = k.number
    join sales_order o on o.source = k.source and o.order_id = k.order_id
    join credit_check s on s.source = k.source and s.order_id = k.order_id and s.body is not null
      and s.operation in ('submit', 'change')
      and case when c.operation in ('submit', 'change') then s.order_revision = c.order_revision
               else s.check_number = o.order_check end
    """
)


async def load_contents(connection: AsyncConnection, orders: Mapping[OrderKey, OrderState]) -> None:
    """The orders of the live checks of those that documents take from."""
    wanted = [
        (key, number)
        for key, order in orders.items()
        if order.has_documents
        for number in order.occupancy.checks or _standing_check(order)
        if number not in order.contents
    ]
    if not wanted:
        return
    rows = await connection.execute(
        CONTENTS,
        {**key_arrays([key for key, _ in wanted]), "numbers": literal(number for _, number in wanted)},
    )
    for source, order_id, number, body, version, operation in rows:
        orders[source, order_id].contents[number] = stored_order(body, version, EVENT_OF[operation])


def _standing_check(order: OrderState) -> Collection[int]:
    """The check whose order stands, of an order that occupies nothing: a delivery notice needs its lines."""
    return () if order.order_check is None else (order.order_check,)


def _spoken_of(orders: Iterable[Order]) -> tuple[set[str], set[str]]:
    """The sales organisations and the currencies of orders."""
    return {order.sales_organisation for order in orders}, {order.currency for order in orders}


async def unlocked_gate(connection: AsyncConnection, order: Order, now: datetime, periods: Periods) -> Gate:
    """What a dry run of an order needs, as of its snapshot; nothing may be saved from it."""
    key = (order.source, order.order_id)
    rows = await connection.execute(ORDERS, key_arrays([key]))
    orders = _orders(rows.all()) or {key: OrderState(*key)}
    await _load_occupancy(connection, orders)
    profiles, customers = await locked_profiles(connection, wanted_objects([order]), set(), locked=False)
    known = await facts_of(connection, profiles, *_spoken_of([order]), now)
    return Gate(orders.values(), profiles, customers, now, periods, known)


ORDER_COLUMNS: Final = """
    source, order_id, status, paying_account, last_revision, answered_ahead, parked, checks, open_check, order_check,
    documents, is_audited, standing, open_operation
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
        (
            source,
            order_id,
            status,
            account,
            last_revision,
            ahead,
            parked,
            checks,
            open_check,
            order_check,
            documented,
            is_audited,
            standing,
            open_operation,
        ) = row
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
            has_documents=documented,
            is_audited=is_audited,
            standing=standing,
            open_operation=open_operation,
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
    select p.source, p.order_id, p.order_revision, p.event_source, p.event_id, p.digest, p.body, p.body_version,
           p.event_name
    from unnest({KEYS}) as k (source, order_id)
    join parked_revision p using (source, order_id)
    """
)


async def _load_parked(connection: AsyncConnection, orders: Mapping[OrderKey, OrderState]) -> None:
    keys = [key for key, order in orders.items() if order.stored_parked]
    if not keys:
        return
    for row in await connection.execute(PARKED, key_arrays(keys)):
        event_type = f"{row.event_name}.v{row.body_version}"
        origin = Origin(row.event_source, row.event_id, event_type, row.digest, row.body)
        orders[row.source, row.order_id].parked[row.order_revision] = stored_in_turn(origin)


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
            case Submission() | Alteration() | Cancellation():
                if order.has_answered(arrival.revision):
                    needed.revisions.add((order.key, arrival.revision))
            case Settlement():
                if not order.awaits_decision(arrival.check_number) and arrival.check_number <= order.checks:
                    needed.add(order.key, arrival.check_number, with_content=False)
        if order.order_check is not None and (
            order.stored_parked or isinstance(arrival, Alteration | Cancellation | Expiry | Judgement)
        ):
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
        order.order = stored_order(row.body, row.body_version, EVENT_OF[row.operation])
        order.held = held_metrics(findings(row.findings).metrics)


def _origin(row: Row[Any], operation: str) -> Origin:
    event_type = f"{EVENT_OF[operation]}.v{row.body_version}"
    return Origin(row.event_source, row.event_id, event_type, row.digest, row.body)


EVENT_OF: Final[dict[str, str]] = {
    "submit": OrderSubmitted.contract.name,
    "change": OrderChanged.contract.name,
    "cancel": OrderCancelled.contract.name,
    "return": OrderReturned.contract.name,
    **dict.fromkeys(get_args(StatusOperation), OrderStatusChanged.contract.name),
}
"""The order event of each operation."""

OCCUPANCY: Final = text(
    f"""
    select o.source, o.order_id, o.check_number, cast(o.profile_id as text), o.amount_minor, o.settled
    from unnest({KEYS}) as k (source, order_id)
    join occupancy o using (source, order_id)
    """
)


async def _load_occupancy(connection: AsyncConnection, orders: Mapping[OrderKey, OrderState]) -> None:
    keys = [key for key, order in orders.items() if order.status in ("undecided", "accepted", "closed")]
    if not keys:
        return
    for source, order_id, number, profile_id, amount, settled in await connection.execute(
        OCCUPANCY, key_arrays(keys)
    ):
        order = orders[source, order_id]
        order.stored[number, profile_id] = settled
        order.stored_amounts[number, profile_id] = amount
        order.occupancy.checks.setdefault(number, {})[profile_id] = amount
        if settled:
            order.occupancy.settled_check = number


def _wanted_profiles(
    orders: Mapping[OrderKey, OrderState], arrivals: Iterable[Arrival]
) -> tuple[list[Order], set[str]]:
    """The orders that are checked, whose profiles are wanted, and the profiles that orders occupy, by id."""
    submitted = [arrival.order for arrival in arrivals if isinstance(arrival, Submission)]
    submitted += [arrival.order for arrival in arrivals if isinstance(arrival, Alteration) and arrival.order]
    for order in orders.values():
        submitted += [waiting.order for waiting in order.parked.values() if waiting.order is not None]
        if order.order is not None:
            submitted.append(order.order)
    held = {profile_id for order in orders.values() for profile_id in order.occupancy.profile_ids()}
    return submitted, held


def wanted_objects(orders: Iterable[Order]) -> set[ObjectKey]:
    """The objects of credit that orders can hit, but for customer groups, which their customers name."""
    wanted: set[ObjectKey] = set()
    for order in orders:
        wanted.update(party_objects(order_parties(order)))
        for line in order.lines:
            wanted.update(line_objects(order.customer, line.material, line.material_group))
    return wanted
