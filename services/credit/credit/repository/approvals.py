"""Rights to special approval, what they were used for, and documents that wait for it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from credit.domain.approvals import Need, Right, period_start
from credit.domain.changes import Changes, DocumentHold
from credit.domain.documents import DocumentKey
from credit.repository.bodies import findings_body

RIGHT_COLUMNS: Final = """
    approver, currency, version, ceiling_minor, period, metrics, valid_from, valid_to, active, reason, changed_by,
    changed_at
"""


@dataclass(frozen=True, slots=True)
class Given:
    """A document's special approval, as it is to be kept."""

    key: DocumentKey
    number: int
    customer: str
    approver: str
    reason: str
    day: date


def right_of(row: Row[Any]) -> Right:
    return Right(
        row.approver,
        row.currency,
        row.ceiling_minor,
        row.period,
        frozenset(row.metrics),
        row.valid_from,
        row.valid_to,
        row.active,
    )


async def locked_rights(
    connection: AsyncConnection, approver: str, currencies: Collection[str]
) -> dict[str, Right]:
    """An approver's rights by currency, locked after everything else, so that two approvals cannot share a rest."""
    rows = await connection.execute(
        text(
            f"""
            select {RIGHT_COLUMNS} from approval_right
            where approver = :approver and currency = any(cast(:currencies as text[]))
            order by currency for update
            """
        ),
        {"approver": approver, "currencies": sorted(currencies)},
    )
    return {row.currency: right_of(row) for row in rows}


async def consumed(connection: AsyncConnection, right: Right, day: date) -> int:
    """What a right was used for in the period of a day, without what was given back."""
    rows = await connection.execute(
        text(
            """
            select coalesce(sum(amount_minor), 0) from approval_grant
            where approver = :approver and currency = :currency and returned_at is null
              and given_on >= :first and given_on <= :day
            """
        ),
        {
            "approver": right.approver,
            "currency": right.currency,
            "first": period_start(day, right.period),
            "day": day,
        },
    )
    return int(rows.scalar_one())


async def keep_grants(
    connection: AsyncConnection, given: Given, needed: Sequence[Need], now: datetime
) -> None:
    await connection.execute(
        text(
            """
            insert into approval_grant (document_type, source, document_id, number, currency, approver, customer,
                                        amount_minor, metrics, reason, given_on, given_at)
            select :type, :source, :id, :number, currency, :approver, :customer, amount,
                   string_to_array(metrics, ' '), :reason, :day, :now
            from unnest(cast(:currencies as text[]), cast(:amounts as bigint[]), cast(:metrics as text[]))
                as n (currency, amount, metrics)
            """
        ),
        {
            "type": given.key.document_type,
            "source": given.key.source,
            "id": given.key.document_id,
            "number": given.number,
            "approver": given.approver,
            "customer": given.customer,
            "reason": given.reason,
            "day": given.day,
            "now": now,
            "currencies": [need.currency for need in needed],
            "amounts": [need.amount for need in needed],
            "metrics": [" ".join(need.metrics) for need in needed],
        },
    )


async def set_right(
    connection: AsyncConnection, right: Right, reason: str, person: str, now: datetime
) -> Row[Any]:
    """Makes or replaces a right; every version is kept."""
    rows = await connection.execute(
        text(
            f"""
            with changed as (
                insert into approval_right as old ({RIGHT_COLUMNS})
                values (:approver, :currency, 1, :ceiling, :period, cast(:metrics as text[]), :valid_from, :valid_to,
                        :active, :reason, :person, :now)
                on conflict (approver, currency) do update
                set version = old.version + 1, ceiling_minor = excluded.ceiling_minor, period = excluded.period,
                    metrics = excluded.metrics, valid_from = excluded.valid_from, valid_to = excluded.valid_to,
                    active = excluded.active, reason = excluded.reason, changed_by = excluded.changed_by,
                    changed_at = excluded.changed_at
                returning {RIGHT_COLUMNS}),
            kept as (insert into approval_right_version ({RIGHT_COLUMNS}) select * from changed)
            select * from changed
            """
        ),
        {
            "approver": right.approver,
            "currency": right.currency,
            "ceiling": right.ceiling,
            "period": right.period,
            "metrics": sorted(right.metrics),
            "valid_from": right.valid_from,
            "valid_to": right.valid_to,
            "active": right.active,
            "reason": reason,
            "person": person,
            "now": now,
        },
    )
    return rows.one()


async def rights_after(
    connection: AsyncConnection, place: tuple[str, str] | None, rows_max: int, *, approver: str | None
) -> Sequence[Row[Any]]:
    """Rights by approver and currency."""
    rows = await connection.execute(
        text(
            f"""
            select {RIGHT_COLUMNS} from approval_right
            where (approver, currency) > (:after_approver, :after_currency)
              and (cast(:approver as text) is null or approver = :approver)
            order by approver, currency limit :rows_max
            """
        ),
        {
            "after_approver": place[0] if place else "",
            "after_currency": place[1] if place else "",
            "approver": approver,
            "rows_max": rows_max,
        },
    )
    return rows.all()


async def grants_before(
    connection: AsyncConnection,
    place: tuple[datetime, str, str, str, int, str] | None,
    rows_max: int,
    *,
    approver: str | None,
    customer: str | None,
    since: date | None,
) -> Sequence[Row[Any]]:
    """Special approvals, newest first."""
    names = ("at", "type", "source", "id", "number", "currency")
    rows = await connection.execute(
        text(
            """
            select * from approval_grant
            where (cast(:approver as text) is null or approver = :approver)
              and (cast(:customer as text) is null or customer = :customer)
              and (cast(:since as date) is null or given_on >= cast(:since as date))
              and (cast(:at as timestamptz) is null
                   or (given_at, document_type, source, document_id, number, currency)
                      < (cast(:at as timestamptz), cast(:type as text), cast(:source as text), cast(:id as text),
                         cast(:number as bigint), cast(:currency as text)))
            order by given_at desc, document_type desc, source desc, document_id desc, number desc, currency desc
            limit :rows_max
            """
        ),
        {
            **dict(zip(names, place or (None,) * len(names), strict=True)),
            "approver": approver,
            "customer": customer,
            "since": since,
            "rows_max": rows_max,
        },
    )
    return rows.all()


async def pending_documents_after(
    connection: AsyncConnection,
    place: tuple[datetime, str, str, str, int] | None,
    rows_max: int,
    *,
    state: str,
    customer: str | None,
) -> Sequence[Row[Any]]:
    """Documents that wait for special approval, or waited, longest wait first."""
    names = ("at", "type", "source", "id", "number")
    rows = await connection.execute(
        text(
            """
            select * from pending_document
            where state = :state and (cast(:customer as text) is null or customer = :customer)
              and (cast(:at as timestamptz) is null
                   or (held_at, document_type, source, document_id, number)
                      > (cast(:at as timestamptz), cast(:type as text), cast(:source as text), cast(:id as text),
                         cast(:number as bigint)))
            order by held_at, document_type, source, document_id, number
            limit :rows_max
            """
        ),
        {
            **dict(zip(names, place or (None,) * len(names), strict=True)),
            "state": state,
            "customer": customer,
            "rows_max": rows_max,
        },
    )
    return rows.all()


async def last_hold(connection: AsyncConnection, key: DocumentKey) -> Row[Any] | None:
    """The last wait of a document."""
    rows = await connection.execute(
        text(
            """
            select * from pending_document
            where document_type = :type and source = :source and document_id = :id
            order by number desc limit 1
            """
        ),
        {"type": key.document_type, "source": key.source, "id": key.document_id},
    )
    return rows.first()


async def save_holds(connection: AsyncConnection, changes: Changes, now: datetime) -> None:
    """Documents that begin to wait, and those that wait no longer."""
    if changes.document_hold_ends:
        await connection.execute(END_HOLDS, {"now": now, **_end_columns(changes)})
    if changes.document_holds:
        await connection.execute(BEGIN_HOLDS, [_hold_row(hold, now) for hold in changes.document_holds])


END_HOLDS: Final = text(
    """
    update pending_document p
    set state = n.state, person = n.person, reason = n.reason, ended_at = cast(:now as timestamptz)
    from unnest(cast(:types as text[]), cast(:sources as text[]), cast(:ids as text[]), cast(:states as text[]),
                cast(:persons as text[]), cast(:reasons as text[]))
        as n (document_type, source, document_id, state, person, reason)
    where p.document_type = n.document_type and p.source = n.source and p.document_id = n.document_id
      and p.state = 'pending'
    """
)
BEGIN_HOLDS: Final = text(
    """
    insert into pending_document (document_type, source, document_id, number, state, revision, operation, customer,
                                  currency, total_minor, event_id, body, findings, held_at, due_at)
    values (:type, :source, :id, :number, 'pending', :revision, :operation, :customer, :currency, :total, :event_id,
            :body, :findings, :now, :due_at)
    """
)


def _end_columns(changes: Changes) -> dict[str, list[Any]]:
    ends = {end.key: end for end in changes.document_hold_ends}
    return {
        "types": [key.document_type for key in ends],
        "sources": [key.source for key in ends],
        "ids": [key.document_id for key in ends],
        "states": [end.state for end in ends.values()],
        "persons": [end.person for end in ends.values()],
        "reasons": [end.reason for end in ends.values()],
    }


def _hold_row(hold: DocumentHold, now: datetime) -> dict[str, Any]:
    posting = hold.posting
    document = posting.document
    return {
        "type": document.key.document_type,
        "source": document.key.source,
        "id": document.key.document_id,
        "number": hold.number,
        "revision": document.revision,
        "operation": posting.operation,
        "customer": document.parties.customer,
        "currency": document.currency,
        "total": document.amount,
        "event_id": posting.event_id,
        "body": posting.body,
        "findings": findings_body(hold.reasons, hold.metrics),
        "now": now,
        "due_at": hold.due_at,
    }
