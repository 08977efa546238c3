"""What is over for long enough is deleted, a bounded number at a time; what is still open is never touched."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from notify.domain.announcements import ENDING_FAMILIES

NOTICES: Final = text(
    """
    with old as (
        select n.account, n.id
        from notice n
        where n.received_at < :before
          and not exists (select from delivery d
                          where d.account = n.account and d.notice_id = n.id
                            and (d.ended_at is null or d.ended_at >= :before))
          and not exists (select from delivery d join delivery carried on carried.carried_by = d.id
                          where d.account = n.account and d.notice_id = n.id)
          and not exists (select from episode e
                          where (e.account, e.family, e.currency, e.episode_id)
                                = (n.account, n.family, n.currency, n.episode_id)
                            and e.family = any(cast(:ending_families as text[]))
                            and (e.ended_at is null or e.ended_at >= :before))
        order by n.received_at
        limit :rows_max
        for update of n skip locked
    ), told as (
        select d.account, d.id from delivery d join old on d.account = old.account and d.notice_id = old.id
    ), contents as (
        delete from delivery_content c using told where c.account = told.account and c.delivery_id = told.id
    ), reports as (
        delete from delivery_report r using told where r.account = told.account and r.delivery_id = told.id
    ), histories as (
        delete from delivery_history h using told where h.account = told.account and h.delivery_id = told.id
    ), deliveries as (
        delete from delivery d using told where d.account = told.account and d.id = told.id
    )
    delete from notice n using old where n.account = old.account and n.id = old.id
    """
)

EPISODES: Final = text(
    """
    delete from episode e
    using (
        select account, family, currency, episode_id
        from episode o
        where o.changed_at < :before
          and (o.ended_at < :before or o.family <> all(cast(:ending_families as text[])))
          and not exists (select from notice n
                          where n.episode_id = o.episode_id
                            and (n.account, n.family, n.currency) = (o.account, o.family, o.currency))
        order by o.changed_at
        limit :rows_max
        for update skip locked
    ) as old
    where (e.account, e.family, e.currency, e.episode_id)
          = (old.account, old.family, old.currency, old.episode_id)
    """
)

TASKS: Final = text(
    """
    delete from task t
    using (
        select source, task_id from task
        where state <> 'opened' and changed_at < :before
        order by changed_at
        limit :rows_max
        for update skip locked
    ) as old
    where (t.source, t.task_id) = (old.source, old.task_id)
    """
)

VERIFICATIONS: Final = text(
    """
    delete from verification v
    using (
        select account, id from verification where requested_at < :before
        order by requested_at
        limit :rows_max
        for update skip locked
    ) as old
    where (v.account, v.id) = (old.account, old.id)
    """
)

SILENCES: Final = text(
    """
    delete from silence s
    using (
        select id from silence where ends < :before order by ends limit :rows_max for update skip locked
    ) as old
    where s.id = old.id
    """
)

PRUNED: Final[Mapping[str, TextClause]] = {
    "notices": NOTICES,
    "episodes": EPISODES,
    "tasks": TASKS,
    "verifications": VERIFICATIONS,
    "silences": SILENCES,
}
WITH_FAMILIES: Final = frozenset({"notices", "episodes"})


async def prune(connection: AsyncConnection, what: str, before: datetime, rows_max: int) -> int:
    """Deletes what has been over since before this moment, oldest first; returns how many rows of `what`."""
    parameters = {"before": before, "rows_max": rows_max}
    if what in WITH_FAMILIES:
        parameters |= {"ending_families": sorted(ENDING_FAMILIES)}
    return (await connection.execute(PRUNED[what], parameters)).rowcount
