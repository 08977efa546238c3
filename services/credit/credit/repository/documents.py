"""Documents, how they hang together, and what they occupy: loaded under lock, and written back."""

from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime
from fractions import Fraction
from typing import Any, Final, cast

import orjson
from chassis.errors import Refused
from contracts.document_posted import DocumentPosted
from contracts.money import decimals
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from credit.domain.book import Book, DocumentState
from credit.domain.changes import Changes
from credit.domain.documents import (
    PHASE_AFTER,
    SALES_ORDER,
    Document,
    DocumentKey,
    Line,
    Link,
    Parties,
    Phase,
)
from credit.domain.orders import FACTOR_DECIMALS, scaled
from credit.repository.bodies import findings_body

EVENT_TYPE: Final = f"{DocumentPosted.contract.name}.v{DocumentPosted.contract.version}"
CHAINS_DOCUMENTS_MAX: Final = 100_000
"""Of all chains that one transaction touches; beyond it the transaction is refused, never cut short."""

KEYS: Final = "cast(:types as text[]), cast(:sources as text[]), cast(:ids as text[])"


def key_arrays(keys: Iterable[DocumentKey]) -> dict[str, list[str]]:
    """Document keys as the parameters `types`, `sources` and `ids`."""
    ordered = sorted(keys)
    return {
        "types": [key.document_type for key in ordered],
        "sources": [key.source for key in ordered],
        "ids": [key.document_id for key in ordered],
    }


COMPONENT: Final = text(
    f"""
    with recursive chain (document_type, source, document_id) as (
        select * from unnest({KEYS})
        union
        select e.to_type, e.to_source, e.to_id
        from chain c join document_edge e using (document_type, source, document_id))
    select * from chain limit {CHAINS_DOCUMENTS_MAX + 1}
    """
)


async def component(connection: AsyncConnection, keys: Collection[DocumentKey]) -> set[DocumentKey]:
    """Every document that hangs together with these, orders among them."""
    if not keys:
        return set()
    rows = (await connection.execute(COMPONENT, key_arrays(keys))).all()
    if len(rows) > CHAINS_DOCUMENTS_MAX:
        detail = f"the chains that hang together here have more than {CHAINS_DOCUMENTS_MAX} documents"
        raise Refused("chain-too-long", detail)
    return {DocumentKey(*row) for row in rows} | set(keys)


async def locked_book(
    connection: AsyncConnection, keys: Collection[DocumentKey], customers: Collection[str]
) -> Book:
    """The chains of these documents; their customers' rows are locked, so that nobody else touches them meanwhile."""
    members = await component(connection, keys)
    await _lock_customers(connection, members, customers)
    members = await component(connection, keys)
    book = Book()
    for key in members:
        if key.document_type != SALES_ORDER:
            book.states[key] = DocumentState(key)
    await _load(connection, book, members)
    await _load_what_changes(connection, book, members)
    return book


async def read_book(connection: AsyncConnection, keys: Collection[DocumentKey]) -> Book:
    """The chains of these documents as of a snapshot; nothing may be saved from it."""
    members = await component(connection, keys)
    book = Book()
    for key in members:
        if key.document_type != SALES_ORDER:
            book.states[key] = DocumentState(key)
    await _load(connection, book, members)
    return book


async def _lock_customers(
    connection: AsyncConnection, members: Collection[DocumentKey], customers: Collection[str]
) -> None:
    await connection.execute(
        text(
            f"""
            select customer_id from customer
            where customer_id = any(cast(:customers as text[])) or customer_id in (
                select d.customer from unnest({KEYS}) as k (document_type, source, document_id)
                join document d using (document_type, source, document_id))
            order by customer_id for update
            """
        ),
        {**key_arrays(members), "customers": sorted(customers)},
    )


async def _load(connection: AsyncConnection, book: Book, members: Collection[DocumentKey]) -> None:
    arrays = key_arrays(members)
    documents = await connection.execute(
        text(
            f"""
            select d.*
            from unnest({KEYS}) as k (document_type, source, document_id)
            join document d using (document_type, source, document_id)
            """
        ),
        arrays,
    )
    for row in documents:
        _take(book.states[DocumentKey(row.document_type, row.source, row.document_id)], row)
    occupied = await connection.execute(
        text(
            f"""
            select document_type, source, document_id, cast(profile_id as text), stage, amount_minor
            from unnest({KEYS}) as k (document_type, source, document_id)
            join document_occupancy o using (document_type, source, document_id)
            """
        ),
        arrays,
    )
    for *key, profile_id, stage, amount in occupied:
        book.stored[DocumentKey(*key), profile_id, stage] = amount
    rates = await connection.execute(
        text(
            f"""
            select document_type, source, document_id, cast(profile_id as text), rate
            from unnest({KEYS}) as k (document_type, source, document_id)
            join document_rate r using (document_type, source, document_id)
            """
        ),
        arrays,
    )
    for *key, profile_id, rate in rates:
        book.rates[DocumentKey(*key), profile_id] = Fraction(rate)


async def _load_what_changes(
    connection: AsyncConnection, book: Book, members: Collection[DocumentKey]
) -> None:
    """How often each document was checked, and what notices drew: what only matters where something is decided."""
    arrays = key_arrays(members)
    checked = await connection.execute(
        text(
            f"""
            select document_type, source, document_id, count(*)
            from unnest({KEYS}) as k (document_type, source, document_id)
            join document_check c using (document_type, source, document_id)
            group by document_type, source, document_id
            """
        ),
        arrays,
    )
    for *key, number in checked:
        book.states[DocumentKey(*key)].checks = number
    drawn = await connection.execute(
        text(
            f"""
            select notice_source, notice_id, n.source, n.order_id, line_id, quantity_millionths
            from unnest({KEYS}) as k (document_type, source, order_id)
            join notice_draw n using (source, order_id)
            where k.document_type = 'sales-order'
            """
        ),
        arrays,
    )
    for notice_source, notice_id, source, order_id, line_id, quantity in drawn:
        place = (
            DocumentKey("delivery-notice", notice_source, notice_id),
            DocumentKey(SALES_ORDER, source, order_id),
        )
        book.drawn.setdefault(place, {})[line_id] = quantity


def _take(state: DocumentState, row: Row[Any]) -> None:
    state.document = stored_document(row.body, row.phase)
    state.operation, state.confirmed = row.operation, row.confirmed
    state.digest, state.body = row.digest, row.body
    state.previous_body = row.previous_body
    if row.previous_body is not None:
        state.previous = stored_document(row.previous_body, None)
    state.is_new = False


def stored_document(body: bytes, phase: Phase | None) -> Document:
    """A document as it was stored; its phase is that of its operation unless another is given.

    Read without the contract's validation, which it has passed before it was stored: chains are read far more often
    than they are written.
    """
    said = orjson.loads(body)
    source, places = said["source"], decimals(said["currency"])
    due = said.get("due_date")
    return Document(
        key=DocumentKey(said["document_type"], source, said["document_id"]),
        revision=said["document_revision"],
        phase=phase or PHASE_AFTER[said["operation"]],
        parties=Parties(
            said["customer"],
            said.get("sales_organisation"),
            said.get("salesperson"),
            said.get("sales_group"),
            said.get("sales_department"),
        ),
        currency=said["currency"],
        document_date=date.fromisoformat(said["document_date"]),
        lines=tuple(_stored_line(line, source, places) for line in said["lines"]),
        sub_type=said.get("sub_type"),
        due_date=None if due is None else date.fromisoformat(due),
        final=said.get("final", False),
    )


def _stored_line(line: dict[str, Any], source: str, places: int) -> Line:
    quantity, links = line.get("quantity"), line.get("upstream")
    return Line(
        line_id=line["line_id"],
        amount=scaled(line["amount"]["amount"], places),
        quantity=None if quantity is None else scaled(quantity, FACTOR_DECIMALS),
        material=line.get("material"),
        material_group=line.get("material_group"),
        links=tuple(_stored_link(link, source, places) for link in links) if links else (),
    )


def _stored_link(link: dict[str, Any], source: str, places: int) -> Link:
    quantity, amount = link.get("quantity"), link.get("amount")
    return Link(
        key=DocumentKey(link["document_type"], link.get("source") or source, link["document_id"]),
        line_id=link.get("line_id"),
        quantity=None if quantity is None else scaled(quantity, FACTOR_DECIMALS),
        amount=None if amount is None else scaled(amount["amount"], places),
    )


DOCUMENTS: Final = text(
    """
    insert into document as d (document_type, source, document_id, customer, revision, operation, phase, confirmed,
                               digest, body, previous_body, due_at, changed_at)
    select n.*, cast(:now as timestamptz)
    from unnest(cast(:types as text[]), cast(:sources as text[]), cast(:ids as text[]), cast(:customers as text[]),
                cast(:revisions as integer[]), cast(:operations as text[]), cast(:phases as text[]),
                cast(:confirmed as boolean[]), cast(:digests as bytea[]), cast(:bodies as bytea[]),
                cast(:previous as bytea[]), cast(:due as timestamptz[])) as n
    on conflict (document_type, source, document_id) do update
    set customer = excluded.customer, revision = excluded.revision, operation = excluded.operation,
        phase = excluded.phase, confirmed = excluded.confirmed, digest = excluded.digest, body = excluded.body,
        previous_body = excluded.previous_body, due_at = excluded.due_at, changed_at = excluded.changed_at
    """
)
EDGES: Final = text(
    """
    with edges as (
        insert into document_edge
        select * from unnest(cast(:types as text[]), cast(:sources as text[]), cast(:ids as text[]),
                             cast(:to_types as text[]), cast(:to_sources as text[]), cast(:to_ids as text[]))
        on conflict do nothing)
    update sales_order set documents = true
    where not documents and (source, order_id) in (
        select to_source, to_id from unnest(cast(:to_types as text[]), cast(:to_sources as text[]),
                                            cast(:to_ids as text[])) as t (to_type, to_source, to_id)
        where to_type = 'sales-order')
    """
)
PLACES: Final = text(
    """
    with places as (
        select * from unnest(cast(:types as text[]), cast(:sources as text[]), cast(:ids as text[]),
                             cast(:profiles as uuid[]), cast(:stages as text[]), cast(:amounts as bigint[]),
                             cast(:due as date[]))
            as p (document_type, source, document_id, profile_id, stage, amount_minor, due_date)),
    gone as (
        delete from document_occupancy o using places p
        where p.amount_minor = 0 and o.document_type = p.document_type and o.source = p.source
          and o.document_id = p.document_id and o.profile_id = p.profile_id and o.stage = p.stage)
    insert into document_occupancy as o
    select * from places where amount_minor <> 0
    on conflict (document_type, source, document_id, profile_id, stage) do update
    set amount_minor = excluded.amount_minor, due_date = excluded.due_date
    """
)
DOCUMENT_CHECKS: Final = text(
    """
    insert into document_check (document_type, source, document_id, number, revision, operation, stance, outcome,
                                is_exception, customer, findings, event_id, checked_at)
    select n.*, cast(:now as timestamptz)
    from unnest(cast(:types as text[]), cast(:sources as text[]), cast(:ids as text[]), cast(:numbers as bigint[]),
                cast(:revisions as integer[]), cast(:operations as text[]), cast(:stances as text[]),
                cast(:outcomes as text[]), cast(:exceptions as boolean[]), cast(:customers as text[]),
                cast(:findings as bytea[]), cast(:events as text[])) as n
    """
)
FREEZES: Final = text(
    """
    with frozen as (
        update credit_profile set frozen = true where profile_id = any(cast(:profiles as uuid[])) and not frozen
        returning profile_id)
    insert into profile_freeze (profile_id, number, frozen_at, frozen_by, reason)
    select f.profile_id, (select coalesce(max(number), 0) + 1 from profile_freeze h where h.profile_id = f.profile_id),
           cast(:now as timestamptz), :person, n.reason
    from frozen f
    join unnest(cast(:profiles as uuid[]), cast(:reasons as text[])) as n (profile_id, reason) using (profile_id)
    """
)
AMOUNTS: Final = text(
    """
    update occupancy o set amount_minor = n.amount_minor
    from unnest(cast(:sources as text[]), cast(:ids as text[]), cast(:numbers as bigint[]),
                cast(:profiles as uuid[]), cast(:amounts as bigint[]))
        as n (source, order_id, check_number, profile_id, amount_minor)
    where o.source = n.source and o.order_id = n.order_id and o.check_number = n.check_number
      and o.profile_id = n.profile_id
    """
)


async def save_documents(connection: AsyncConnection, changes: Changes, book: Book, now: datetime) -> None:
    """Documents, their links, and what they occupy."""
    states = [changes.documents[key] for key in sorted(changes.documents)]
    if states:
        await connection.execute(DOCUMENTS, {"now": now, **_document_columns(states)})
        await _save_edges(connection, states)
    await _save_places(connection, changes)
    await _save_drawn(connection, changes)
    await _save_rates(connection, book)
    await _save_checks(connection, changes, now)


async def save_freezes(connection: AsyncConnection, changes: Changes, person: str, now: datetime) -> None:
    """Profiles that failed metrics froze, with why."""
    if changes.freezes:
        reasons = {freeze.profile_id: freeze.reason for freeze in changes.freezes}
        await connection.execute(
            FREEZES,
            {"profiles": list(reasons), "reasons": list(reasons.values()), "person": person, "now": now},
        )


def _document_columns(states: Sequence[DocumentState]) -> dict[str, list[Any]]:
    documents = [cast(Document, state.document) for state in states]
    return {
        **key_arrays(state.key for state in states),
        "customers": [document.parties.customer for document in documents],
        "revisions": [document.revision for document in documents],
        "operations": [state.operation for state in states],
        "phases": [document.phase for document in documents],
        "confirmed": [state.confirmed for state in states],
        "digests": [state.digest for state in states],
        "bodies": [state.body for state in states],
        "previous": [state.previous_body for state in states],
        "due": [None for _ in states],
    }


async def _save_edges(connection: AsyncConnection, states: Sequence[DocumentState]) -> None:
    edges: set[tuple[DocumentKey, DocumentKey]] = set()
    for state in states:
        for link in cast(Document, state.document).links:
            edges |= {(state.key, link.key), (link.key, state.key)}
    if not edges:
        return
    ordered = sorted(edges)
    await connection.execute(
        EDGES,
        {
            "types": [one.document_type for one, _ in ordered],
            "sources": [one.source for one, _ in ordered],
            "ids": [one.document_id for one, _ in ordered],
            "to_types": [other.document_type for _, other in ordered],
            "to_sources": [other.source for _, other in ordered],
            "to_ids": [other.document_id for _, other in ordered],
        },
    )


async def _save_places(connection: AsyncConnection, changes: Changes) -> None:
    if not changes.places:
        return
    places = sorted(changes.places.items())
    await connection.execute(
        PLACES,
        {
            "types": [place[0].document_type for place, _ in places],
            "sources": [place[0].source for place, _ in places],
            "ids": [place[0].document_id for place, _ in places],
            "profiles": [place[1] for place, _ in places],
            "stages": [place[2] for place, _ in places],
            "amounts": [amount for _, amount in places],
            "due": [changes.due.get(place[0]) for place, _ in places],
        },
    )


async def _save_drawn(connection: AsyncConnection, changes: Changes) -> None:
    rows = [
        (notice.source, notice.document_id, order.source, order.document_id, line_id, quantity)
        for (notice, order), lines in sorted(changes.drawn.items())
        for line_id, quantity in sorted(lines.items())
    ]
    if not rows:
        return
    names = ("notice_sources", "notice_ids", "sources", "order_ids", "line_ids", "quantities")
    await connection.execute(
        text(
            """
            insert into notice_draw (notice_source, notice_id, source, order_id, line_id, quantity_millionths)
            select * from unnest(cast(:notice_sources as text[]), cast(:notice_ids as text[]),
                                 cast(:sources as text[]), cast(:order_ids as text[]), cast(:line_ids as text[]),
                                 cast(:quantities as bigint[]))
            on conflict (source, order_id, notice_source, notice_id, line_id) do update
            set quantity_millionths = excluded.quantity_millionths
            """
        ),
        dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)),
    )


async def _save_rates(connection: AsyncConnection, book: Book) -> None:
    kept = {place: rate for place, rate in book.new_rates.items() if place[0].document_type != SALES_ORDER}
    if not kept:
        return
    places = sorted(kept)
    await connection.execute(
        text(
            """
            insert into document_rate
            select * from unnest(cast(:types as text[]), cast(:sources as text[]), cast(:ids as text[]),
                                 cast(:profiles as uuid[]), cast(:rates as text[]))
            on conflict do nothing
            """
        ),
        {
            "types": [key.document_type for key, _ in places],
            "sources": [key.source for key, _ in places],
            "ids": [key.document_id for key, _ in places],
            "profiles": [profile_id for _, profile_id in places],
            "rates": [str(kept[place]) for place in places],
        },
    )


async def save_order_rates(connection: AsyncConnection, changes: Changes) -> None:
    """The rates of orders' last checks: whatever is released of an order later counts by them."""
    if not changes.order_rates:
        return
    places = sorted(changes.order_rates)
    await connection.execute(
        text(
            """
            insert into document_rate (document_type, source, document_id, profile_id, rate)
            select 'sales-order', * from unnest(cast(:sources as text[]), cast(:ids as text[]),
                                                cast(:profiles as uuid[]), cast(:rates as text[]))
            on conflict (document_type, source, document_id, profile_id) do update set rate = excluded.rate
            """
        ),
        {
            "sources": [key[0] for key, _ in places],
            "ids": [key[1] for key, _ in places],
            "profiles": [profile_id for _, profile_id in places],
            "rates": [str(changes.order_rates[place]) for place in places],
        },
    )


async def _save_checks(connection: AsyncConnection, changes: Changes, now: datetime) -> None:
    checks = changes.document_checks
    if not checks:
        return
    await connection.execute(
        DOCUMENT_CHECKS,
        {
            "now": now,
            "types": [check.key.document_type for check in checks],
            "sources": [check.key.source for check in checks],
            "ids": [check.key.document_id for check in checks],
            "numbers": [check.number for check in checks],
            "revisions": [check.revision for check in checks],
            "operations": [check.operation for check in checks],
            "stances": [check.stance for check in checks],
            "outcomes": [check.outcome for check in checks],
            "exceptions": [check.is_exception for check in checks],
            "customers": [check.customer for check in checks],
            "findings": [findings_body(check.reasons, check.metrics) for check in checks],
            "events": [check.event_id for check in checks],
        },
    )


async def save_amounts(connection: AsyncConnection, changes: Changes) -> None:
    """What orders occupy less or more by what others took from them."""
    rows = [
        (order.source, order.order_id, number, profile_id, amount)
        for order in changes.orders.values()
        if order.has_documents or order.status == "closed"
        for number, amounts in order.occupancy.checks.items()
        for profile_id, amount in amounts.items()
        if order.stored_amounts.get((number, profile_id), amount) != amount
    ]
    if not rows:
        return
    sources, ids, numbers, profiles, amounts = zip(*rows, strict=True)
    await connection.execute(
        AMOUNTS,
        {
            "sources": list(sources),
            "ids": list(ids),
            "numbers": list(numbers),
            "profiles": list(profiles),
            "amounts": list(amounts),
        },
    )


async def documents_of(connection: AsyncConnection, customer: str, rows_max: int) -> set[DocumentKey]:
    """The documents of a customer, at most `rows_max`."""
    rows = await connection.execute(
        text(
            """
            select document_type, source, document_id from document where customer = :customer
            order by document_type, source, document_id limit :rows_max
            """
        ),
        {"customer": customer, "rows_max": rows_max},
    )
    return {DocumentKey(*row) for row in rows}
