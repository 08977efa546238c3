"""What occupies: by stage, and by order and document."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

OCCUPYING: Final = """(
    select profile_id, 'sales-order' as document_type, source, order_id as document_id, 'sales-order' as stage,
           max(amount_minor) as amount_minor, cast(null as date) as due_date
    from occupancy group by profile_id, source, order_id
    union all
    select profile_id, document_type, source, document_id, stage, amount_minor, due_date from document_occupancy)"""


async def stages_after(
    connection: AsyncConnection,
    place: tuple[str, str] | None,
    rows_max: int,
    *,
    object_type: str | None,
    object_id: str | None,
    currency: str | None,
    stage: str | None,
) -> Sequence[Row[Any]]:
    """What each stage uses of each profile, by profile."""
    rows = await connection.execute(
        text(
            f"""
            select cast(p.profile_id as text) as profile_id, p.scope, p.scope_id, p.object_type, p.object_id,
                   p.currency, o.stage, sum(o.amount_minor) as amount_minor, count(*) as documents
            from credit_profile p join {OCCUPYING} o using (profile_id)
            where (cast(:profile as uuid) is null
                   or (p.profile_id, o.stage) > (cast(:profile as uuid), cast(:after_stage as text)))
              and (cast(:object_type as text) is null or p.object_type = :object_type)
              and (cast(:object_id as text) is null or p.object_id = :object_id)
              and (cast(:currency as text) is null or p.currency = :currency)
              and (cast(:stage as text) is null or o.stage = :stage)
            group by p.profile_id, o.stage order by p.profile_id, o.stage limit :rows_max
            """
        ),
        {
            "profile": place[0] if place else None,
            "after_stage": place[1] if place else None,
            "object_type": object_type,
            "object_id": object_id,
            "currency": currency,
            "stage": stage,
            "rows_max": rows_max,
        },
    )
    return rows.all()


async def occupying_after(
    connection: AsyncConnection,
    profile_id: str,
    place: tuple[str, str, str, str] | None,
    rows_max: int,
    *,
    stage: str | None,
) -> Sequence[Row[Any]]:
    """The orders and documents that occupy a profile, with how much each."""
    names = ("type", "source", "id", "after_stage")
    rows = await connection.execute(
        text(
            f"""
            select o.document_type, o.source, o.document_id, o.stage, o.amount_minor, o.due_date
            from {OCCUPYING} o
            where o.profile_id = :profile_id and o.amount_minor <> 0
              and (cast(:stage as text) is null or o.stage = :stage)
              and (cast(:type as text) is null
                   or (o.document_type, o.source, o.document_id, o.stage)
                      > (cast(:type as text), cast(:source as text), cast(:id as text), cast(:after_stage as text)))
            order by o.document_type, o.source, o.document_id, o.stage limit :rows_max
            """
        ),
        {
            **dict(zip(names, place or (None,) * len(names), strict=True)),
            "profile_id": profile_id,
            "stage": stage,
            "rows_max": rows_max,
        },
    )
    return rows.all()
