"""Reasons of deviations, and what earlier rounds said of later periods."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from cashplan.domain.control import Slot
from cashplan.repository.control import SLOT_NAMES

SAVE_REASON: Final = text(
    f"""
    insert into deviation_reason ({SLOT_NAMES}, reason, measures, given_by, given_at)
    values (:system_id, :filing_type, :entity, :item, :period, :currency, :members, :fields, :reason, :measures,
            :given_by, :now)
    on conflict ({SLOT_NAMES}) do update
    set reason = excluded.reason, measures = excluded.measures, given_by = excluded.given_by,
        given_at = excluded.given_at
    """
)

REASONS: Final = text(
    """
    select * from deviation_reason
    where system_id = :system_id and filing_type = :filing_type and entity = any(cast(:entities as text[]))
    """
)

FILED_ROUNDS: Final = text(
    """
    select f.entity, r.first_day, g.filed
    from plan_round r
    join filing f using (system_id, round_id)
    join filing_figures g using (filing_id)
    where r.system_id = :system_id and r.filing_type = :filing_type and f.state = 'effective'
      and f.entity = any(cast(:entities as text[])) and r.first_day >= :first_day and r.first_day <= :last_day
    order by f.entity, r.first_day
    limit :rows_max
    """
)

MISSING: Final = text(
    """
    select distinct f.entity
    from plan_round r
    join filing f using (system_id, round_id)
    where r.system_id = :system_id and r.filing_type = :filing_type and f.state <> 'effective'
      and f.entity = any(cast(:entities as text[])) and r.first_day <= :last_day and r.last_day >= :first_day
    order by f.entity
    """
)


async def save_reason(
    connection: AsyncConnection, slot: Slot, reason: str, measures: str | None, given_by: str, now: datetime
) -> None:
    values = {
        "system_id": slot.system,
        "filing_type": slot.filing_type,
        "entity": slot.entity,
        "item": slot.item,
        "period": slot.period,
        "currency": slot.currency,
        "members": slot.members,
        "fields": slot.fields,
        "reason": reason,
        "measures": measures,
        "given_by": given_by,
        "now": now,
    }
    await connection.execute(SAVE_REASON, values)


async def reasons(
    connection: AsyncConnection, system_id: str, filing_type: str, entities: Sequence[str]
) -> dict[tuple[str, str, str, str, str], Row[*tuple[Any, ...]]]:
    """The reasons given, by entity, item, period, currency and members."""
    parameters = {"system_id": system_id, "filing_type": filing_type, "entities": list(entities)}
    rows = await connection.execute(REASONS, parameters)
    return {(row.entity, row.item, row.period, row.currency, row.members): row for row in rows}


async def filed_rounds(
    connection: AsyncConnection,
    system_id: str,
    filing_type: str,
    entities: Sequence[str],
    first_day: date,
    last_day: date,
    rows_max: int,
) -> list[Row[*tuple[Any, ...]]]:
    """What effective rounds of a range filed, by entity and round."""
    parameters = {
        "system_id": system_id,
        "filing_type": filing_type,
        "entities": list(entities),
        "first_day": first_day,
        "last_day": last_day,
        "rows_max": rows_max,
    }
    return list(await connection.execute(FILED_ROUNDS, parameters))


async def missing_entities(
    connection: AsyncConnection,
    system_id: str,
    filing_type: str,
    entities: Sequence[str],
    first_day: date,
    last_day: date,
) -> list[str]:
    """The entities with a filing of a round in the range that is not effective."""
    parameters = {
        "system_id": system_id,
        "filing_type": filing_type,
        "entities": list(entities),
        "first_day": first_day,
        "last_day": last_day,
    }
    return [row.entity for row in await connection.execute(MISSING, parameters)]
