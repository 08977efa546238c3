"""What the cash position forecast is computed from, and the gaps that were told."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from cashplan.domain.forecast import HeldFlow, PlanFlow, PoolFlow

HELD: Final = text(
    """
    select h.source, h.document_type, h.document_id, h.item, h.period, h.members, h.day, c.direction,
           h.pre_occupied_minor, h.actual_minor
    from control_holding h
    join plan_cell c using (system_id, filing_type, entity, item, period, currency, members, fields)
    where h.system_id = :system_id and h.filing_type = :filing_type and h.entity = :entity
      and h.currency = :currency and h.fields = '' and c.direction <> 'none'
      and (h.pre_occupied_minor > 0 or h.day > :today)
    """
)

POOL: Final = text(
    """
    select i.source, i.document_type, i.document_id, i.due_date, i.direction, i.amount_minor,
           s.item, s.period, s.members
    from pool_item i
    left join pool_source s
      on (s.document_type, s.source, s.document_id) = (i.document_type, i.source, i.document_id)
     and s.system_id = :system_id and s.filing_type = :filing_type and s.entity = :entity
    where i.entity = any(cast(:names as text[])) and i.currency = :currency and not i.is_closed
      and i.due_date <= :last_day
    """
)

PLAN: Final = text(
    """
    select item, period, members, first_day, last_day, direction, effective_minor, pre_occupied_minor,
           actual_minor
    from plan_cell
    where system_id = :system_id and filing_type = :filing_type and entity = :entity and currency = :currency
      and fields = '' and is_planned and direction <> 'none' and last_day >= :today and first_day <= :last_day
    """
)

EPISODES: Final = text("select * from gap_episode where system_id = :system_id for update")

SAVE_EPISODE: Final = text(
    """
    insert into gap_episode (system_id, entity, currency, episode_id, notice_number, gap_minor, changed_at)
    values (:system_id, :entity, :currency, :episode_id, :notice_number, :gap_minor, :now)
    on conflict (system_id, entity, currency) do update
    set episode_id = excluded.episode_id, notice_number = excluded.notice_number,
        gap_minor = excluded.gap_minor, changed_at = excluded.changed_at
    """
)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Whose flows, under which plan, up to which day; `names` are the entity's and its organisation's."""

    system_id: str
    filing_type: str
    entity: str
    names: Sequence[str]
    currency: str
    today: date
    last_day: date

    def parameters(self) -> dict[str, Any]:
        return {
            "system_id": self.system_id,
            "filing_type": self.filing_type,
            "entity": self.entity,
            "names": list(self.names),
            "currency": self.currency,
            "today": self.today,
            "last_day": self.last_day,
        }


def _cell(item: str, period: str, members: str) -> str:
    return f"{item}\t{period}\t{members}"


async def held_flows(connection: AsyncConnection, wanted: Wanted) -> list[HeldFlow]:
    """What documents hold: everything pre-occupied, and actuals of days to come."""
    rows = await connection.execute(HELD, wanted.parameters())
    return [
        HeldFlow(
            (document_type, source, document_id),
            _cell(item, period, members),
            day,
            direction,
            pre_occupied,
            actual,
        )
        for source, document_type, document_id, item, period, members, day, direction, pre_occupied, actual in rows
    ]


async def pool_flows(connection: AsyncConnection, wanted: Wanted) -> list[PoolFlow]:
    """Open items with the plan cell that holds them, if any."""
    rows = await connection.execute(POOL, wanted.parameters())
    return [
        PoolFlow(
            (document_type, source, document_id),
            None if item is None else _cell(item, period, members),
            due_date,
            direction,
            minor,
        )
        for source, document_type, document_id, due_date, direction, minor, item, period, members in rows
    ]


async def plan_flows(connection: AsyncConnection, wanted: Wanted) -> list[PlanFlow]:
    """Effective cells of periods that have not ended."""
    rows = await connection.execute(PLAN, wanted.parameters())
    return [
        PlanFlow(
            _cell(item, period, members), first_day, last_day, direction, effective, pre_occupied, actual
        )
        for item, period, members, first_day, last_day, direction, effective, pre_occupied, actual in rows
    ]


async def locked_episodes(
    connection: AsyncConnection, system_id: str
) -> dict[tuple[str, str], Row[*tuple[Any, ...]]]:
    rows = await connection.execute(EPISODES, {"system_id": system_id})
    return {(row.entity, row.currency): row for row in rows}


async def save_episode(
    connection: AsyncConnection,
    system_id: str,
    entity: str,
    currency: str,
    episode_id: str,
    notice_number: int,
    gap_minor: int,
    now: datetime,
) -> None:
    values = {
        "system_id": system_id,
        "entity": entity,
        "currency": currency,
        "episode_id": episode_id,
        "notice_number": notice_number,
        "gap_minor": gap_minor,
        "now": now,
    }
    await connection.execute(SAVE_EPISODE, values)
