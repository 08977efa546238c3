"""Documents that give credit, and the temporary credit that they have given."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from credit.domain.temporary import TemporaryCredit

COLUMNS: Final = """
    d.document_id, d.kind, cast(d.profile_id as text) as profile_id, d.state, cast(d.body as text) as body,
    d.profile_version, d.reason, d.made_by, d.made_at, d.decided_by, d.decided_at, d.decision_reason, p.currency,
    p.scope, p.scope_id, p.object_type, p.object_id
"""


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A document as somebody submits it; `body` is JSON."""

    document_id: str
    kind: str
    profile_id: str
    body: str
    profile_version: int
    reason: str
    made_by: str


async def insert_document(connection: AsyncConnection, document: NewDocument, now: datetime) -> bool:
    """Keeps a document; False when its id is taken."""
    result = await connection.execute(
        text(
            """
            insert into credit_document (document_id, kind, profile_id, state, body, profile_version, reason, made_by,
                                         made_at)
            values (:document_id, :kind, :profile_id, 'submitted', cast(:body as jsonb), :profile_version, :reason,
                    :made_by, :now)
            on conflict do nothing
            """
        ),
        {
            "document_id": document.document_id,
            "kind": document.kind,
            "profile_id": document.profile_id,
            "body": document.body,
            "profile_version": document.profile_version,
            "reason": document.reason,
            "made_by": document.made_by,
            "now": now,
        },
    )
    return result.rowcount == 1


async def document_row(
    connection: AsyncConnection, document_id: str, *, lock: bool = False
) -> Row[Any] | None:
    """One document with its profile's place."""
    rows = await connection.execute(
        text(
            f"select {COLUMNS} from credit_document d join credit_profile p using (profile_id) "
            "where d.document_id = :document_id" + (" for update of d" if lock else "")
        ),
        {"document_id": document_id},
    )
    return rows.first()


async def documents_after(
    connection: AsyncConnection,
    place: tuple[str] | None,
    rows_max: int,
    *,
    profile_id: str | None,
    state: str | None,
    kind: str | None,
) -> Sequence[Row[Any]]:
    """Documents by id."""
    rows = await connection.execute(
        text(
            f"""
            select {COLUMNS} from credit_document d join credit_profile p using (profile_id)
            where d.document_id > :after
              and (cast(:profile_id as uuid) is null or d.profile_id = cast(:profile_id as uuid))
              and (cast(:state as text) is null or d.state = :state)
              and (cast(:kind as text) is null or d.kind = :kind)
            order by d.document_id limit :rows_max
            """
        ),
        {
            "after": place[0] if place else "",
            "profile_id": profile_id,
            "state": state,
            "kind": kind,
            "rows_max": rows_max,
        },
    )
    return rows.all()


async def decide_document(
    connection: AsyncConnection, document_id: str, state: str, person: str, reason: str, now: datetime
) -> None:
    await connection.execute(
        text(
            """
            update credit_document
            set state = :state, decided_by = :person, decided_at = :now, decision_reason = :reason
            where document_id = :document_id
            """
        ),
        {"document_id": document_id, "state": state, "person": person, "reason": reason, "now": now},
    )


async def locked_profile(connection: AsyncConnection, profile_id: str) -> Row[Any] | None:
    """What a credit change looks at in a profile, locked."""
    rows = await connection.execute(
        text(
            """
            select cast(profile_id as text) as profile_id, version, scope, scope_id, object_type, object_id, currency,
                   credit_limit_minor, credit_limit_unlimited
            from credit_profile where profile_id = :profile_id for update
            """
        ),
        {"profile_id": profile_id},
    )
    return rows.first()


async def insert_temporary(
    connection: AsyncConnection, document_id: str, profile_id: str, given: TemporaryCredit, now: datetime
) -> None:
    await connection.execute(
        text(
            """
            insert into temporary_credit (document_id, profile_id, amount_minor, valid_from, valid_to, mode,
                                          approved_at)
            values (:document_id, :profile_id, :amount, :valid_from, :valid_to, :mode, :now)
            """
        ),
        {
            "document_id": document_id,
            "profile_id": profile_id,
            "amount": given.amount,
            "valid_from": given.valid_from,
            "valid_to": given.valid_to,
            "mode": given.mode,
            "now": now,
        },
    )


async def temporary_credits(
    connection: AsyncConnection, profile_ids: Collection[str], from_day: date
) -> dict[str, list[TemporaryCredit]]:
    """By profile: the temporary credit that has not ended before a day."""
    rows = await connection.execute(
        text(
            """
            select cast(profile_id as text), amount_minor, valid_from, valid_to, mode from temporary_credit
            where profile_id = any(cast(:ids as uuid[])) and valid_to >= :from_day
            order by profile_id, valid_from, document_id
            """
        ),
        {"ids": list(profile_ids), "from_day": from_day},
    )
    found: dict[str, list[TemporaryCredit]] = {}
    for profile_id, amount, valid_from, valid_to, mode in rows:
        found.setdefault(profile_id, []).append(TemporaryCredit(amount, valid_from, valid_to, mode))
    return found


async def zone_of(connection: AsyncConnection, scope: str, scope_id: str) -> str:
    """The time zone of a scope's organisation; of the whole group that of its organisation, or UTC without one."""
    rows = await connection.execute(
        text(
            """
            select time_zone from organisation
            where organisation_id = :scope_id or :scope = 'group' and organisation_type = 'group' and active
            order by organisation_id = :scope_id desc, organisation_id limit 1
            """
        ),
        {"scope": scope, "scope_id": scope_id},
    )
    return rows.scalar_one_or_none() or "UTC"
