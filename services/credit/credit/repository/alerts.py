"""Alert plans, their episodes, and what has changed since they were last looked at."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any, Final, Literal

from pydantic import TypeAdapter
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from credit.domain.alerts import Open, Plan, Reading
from credit.domain.terms import PLAIN
from credit.repository.bodies import terms_of

Mark = Literal["usage", "checks"]

SWEEP_LOCK: Final = 4_201_302
PROFILES_MAX: Final = 1_000
CHECKS_MAX: Final = 500
OVERLAP: Final = timedelta(seconds=60)
"""A row shows up only when its transaction commits; none lasts longer than half of this."""

PLAN: Final = TypeAdapter(Plan)


@dataclass(frozen=True, slots=True)
class Episode:
    """An episode as it begins; `event` is what was told, `tasks` are (task id, kind, addressee kind, addressee)."""

    episode_id: str
    kind: str
    plan_id: str | None
    object_type: str
    object_id: str
    profile_id: str | None
    order: tuple[str, str, int] | None
    event: bytes
    tasks: list[tuple[str, str, str, str]]


TASKS: Final = TypeAdapter(list[tuple[str, str, str, str]])


async def try_lock(connection: AsyncConnection) -> bool:
    """Lets one instance at a time look."""
    rows = await connection.execute(text("select pg_try_advisory_xact_lock(:lock)"), {"lock": SWEEP_LOCK})
    return bool(rows.scalar_one())


async def save_plan(
    connection: AsyncConnection, plan: Plan, active: bool, person: str, now: datetime
) -> None:
    """Makes or replaces a plan; every profile is looked at anew."""
    await connection.execute(
        text(
            """
            with anew as (update alert_mark set seen_until = null where mark = 'usage')
            insert into alert_plan as old (plan_id, version, active, body, changed_by, changed_at)
            values (:plan_id, 1, :active, cast(:body as jsonb), :person, :now)
            on conflict (plan_id) do update
            set version = old.version + 1, active = excluded.active, body = excluded.body,
                changed_by = excluded.changed_by, changed_at = excluded.changed_at
            """
        ),
        {
            "plan_id": plan.plan_id,
            "active": active,
            "body": PLAN.dump_json(plan).decode(),
            "person": person,
            "now": now,
        },
    )


async def active_plans(connection: AsyncConnection) -> list[Plan]:
    """The plans that are switched on."""
    rows = await connection.execute(
        text("select cast(body as text) from alert_plan where active order by plan_id")
    )
    return [PLAN.validate_json(body) for (body,) in rows]


async def plan_row(connection: AsyncConnection, plan_id: str) -> Row[Any]:
    """One plan that is there."""
    rows = await connection.execute(
        text(
            "select plan_id, version, active, cast(body as text) as body, changed_by, changed_at from alert_plan "
            "where plan_id = :plan_id"
        ),
        {"plan_id": plan_id},
    )
    return rows.one()


async def plans_after(
    connection: AsyncConnection, place: tuple[str] | None, rows_max: int
) -> Sequence[Row[Any]]:
    """Plans by id."""
    rows = await connection.execute(
        text(
            """
            select plan_id, version, active, cast(body as text) as body, changed_by, changed_at from alert_plan
            where plan_id > :after order by plan_id limit :rows_max
            """
        ),
        {"after": place[0] if place else "", "rows_max": rows_max},
    )
    return rows.all()


async def since(connection: AsyncConnection, mark: Mark) -> datetime | None:
    """From when on changes have not been looked at for certain; None = never looked."""
    rows = await connection.execute(
        text("select seen_until from alert_mark where mark = :mark for update"), {"mark": mark}
    )
    seen: datetime | None = rows.scalar_one()
    return seen - OVERLAP if seen is not None else None


async def set_mark(connection: AsyncConnection, mark: Mark, now: datetime) -> None:
    await connection.execute(
        text("update alert_mark set seen_until = :now where mark = :mark"), {"mark": mark, "now": now}
    )


async def touched_profiles(connection: AsyncConnection, from_time: datetime | None) -> list[str]:
    """Profiles whose use or limits have changed since, and those of open episodes; all of them at first."""
    if from_time is None:
        rows = await connection.execute(
            text("select cast(profile_id as text) from credit_profile order by profile_id")
        )
        return [row[0] for row in rows]
    rows = await connection.execute(
        text(
            """
            select cast(profile_id as text) from (
                select profile_id from occupancy_entry where recorded_at >= :from_time
                union select profile_id from credit_profile_version where changed_at >= :from_time) changed
            order by profile_id
            """
        ),
        {"from_time": from_time},
    )
    return [row[0] for row in rows]


def chunks(profile_ids: Sequence[str]) -> Iterator[list[str]]:
    """A thousand at a time."""
    waiting = iter(profile_ids)
    while chunk := list(islice(waiting, PROFILES_MAX)):
        yield chunk


async def readings(connection: AsyncConnection, profile_ids: Sequence[str], today: date) -> list[Reading]:
    """The figures of profiles; the grace days of their check rules count."""
    rows = await connection.execute(
        text(
            """
            select cast(p.profile_id as text) as profile_id, scope, scope_id, object_type, object_id, currency,
                   credit_limit_minor, used_minor, coalesce(o.overdue, 0) as overdue, coalesce(o.days, 0) as days, terms
            from credit_profile p
            left join check_rule r on r.rule_id = p.check_rule
            left join lateral (
                select sum(amount_minor) as overdue, max(cast(:today as date) - due_date) as days
                from document_occupancy d
                where d.profile_id = p.profile_id and d.stage = 'receivable' and d.amount_minor > 0
                  and d.due_date < cast(:today as date)
                       - cast(coalesce(cast(convert_from(r.body, 'UTF8') as jsonb) ->> 'grace_days', '0') as integer)
                ) o on true
            where p.profile_id = any(cast(:ids as uuid[])) order by p.profile_id
            """
        ),
        {"ids": list(profile_ids), "today": today},
    )
    return [_reading(row, today) for row in rows]


def _reading(row: Row[Any], today: date) -> Reading:
    held = PLAIN if row.terms is None else terms_of(bytes(row.terms))
    ends = [one.valid_to for one in held.temporary if one.holds_on(today)]
    return Reading(
        row.profile_id,
        row.scope,
        row.scope_id,
        row.object_type,
        row.object_id,
        row.currency,
        limit if isinstance(limit := held.credit_limit(row.credit_limit_minor, today), int) else None,
        row.used_minor,
        int(row.overdue),
        row.days,
        min(ends, default=None),
        held.valid_to,
    )


async def open_of_profiles(connection: AsyncConnection, profile_ids: Sequence[str]) -> list[Open]:
    """The open episodes of profiles."""
    rows = await connection.execute(
        text(
            """
            select plan_id, cast(profile_id as text), kind from alert_episode
            where plan_id is not null and source is null and state = 'open'
              and profile_id = any(cast(:ids as uuid[]))
            """
        ),
        {"ids": list(profile_ids)},
    )
    return [Open(*row) for row in rows]


async def insert_episodes(
    connection: AsyncConnection, episodes: Collection[Episode], now: datetime
) -> set[str]:
    """Opens episodes; the ids of those that were not open, or told of, before."""
    if not episodes:
        return set()
    ordered = list(episodes)
    rows = await connection.execute(
        text(
            """
            insert into alert_episode (episode_id, kind, plan_id, state, object_type, object_id, profile_id, source,
                                       order_id, check_number, opened_event, tasks, opened_at)
            select id, kind, plan_id, 'open', object_type, object_id, profile_id, source, order_id, check_number,
                   event, cast(tasks as jsonb), :now
            from unnest(cast(:ids as uuid[]), cast(:kinds as text[]), cast(:plans as text[]), cast(:types as text[]),
                        cast(:objects as text[]), cast(:profiles as uuid[]), cast(:sources as text[]),
                        cast(:orders as text[]), cast(:numbers as bigint[]), cast(:events as bytea[]),
                        cast(:tasks as text[]))
                 as e (id, kind, plan_id, object_type, object_id, profile_id, source, order_id, check_number, event,
                       tasks)
            on conflict do nothing
            returning cast(episode_id as text)
            """
        ),
        {
            "ids": [each.episode_id for each in ordered],
            "kinds": [each.kind for each in ordered],
            "plans": [each.plan_id for each in ordered],
            "types": [each.object_type for each in ordered],
            "objects": [each.object_id for each in ordered],
            "profiles": [each.profile_id for each in ordered],
            "sources": [each.order[0] if each.order else None for each in ordered],
            "orders": [each.order[1] if each.order else None for each in ordered],
            "numbers": [each.order[2] if each.order else None for each in ordered],
            "events": [each.event for each in ordered],
            "tasks": [TASKS.dump_json(each.tasks).decode() for each in ordered],
            "now": now,
        },
    )
    return {row[0] for row in rows}


EPISODE_COLUMNS: Final = """
    cast(e.episode_id as text) as episode_id, e.kind, e.plan_id, e.state, e.object_type, e.object_id,
    cast(e.profile_id as text) as profile_id, e.source, e.order_id, e.check_number, e.opened_event,
    cast(e.tasks as text) as tasks, e.opened_at, e.resolved_at, e.resolved_by
"""


async def resolve_of_profiles(
    connection: AsyncConnection, ended: Collection[Open], now: datetime
) -> Sequence[Row[Any]]:
    """Ends episodes of plans on profiles; returns them."""
    if not ended:
        return []
    rows = await connection.execute(
        text(
            f"""
            update alert_episode e set state = 'resolved', resolved_at = :now
            where state = 'open' and (plan_id, profile_id, kind) in (
                select * from unnest(cast(:plans as text[]), cast(:profiles as uuid[]), cast(:kinds as text[])))
            returning {EPISODE_COLUMNS}
            """
        ),
        {
            "plans": [each.plan_id for each in ended],
            "profiles": [each.profile_id for each in ended],
            "kinds": [each.kind for each in ended],
            "now": now,
        },
    )
    return rows.all()


async def resolve_orders(connection: AsyncConnection, now: datetime) -> Sequence[Row[Any]]:
    """Ends the episodes of orders that wait no longer, or whose failed check was followed by one that passed."""
    rows = await connection.execute(
        text(
            f"""
            update alert_episode e set state = 'resolved', resolved_at = :now
            where e.state = 'open' and (
                e.kind in ('order-held', 'check-failed') and exists (
                    select from sales_order s where s.source = e.source and s.order_id = e.order_id
                    and s.status not in ('pending', 'declined'))
                or e.kind = 'order-held' and not exists (
                    select from pending_order p where p.source = e.source and p.order_id = e.order_id
                    and p.check_number = e.check_number and p.state = 'pending'))
            returning {EPISODE_COLUMNS}
            """
        ),
        {"now": now},
    )
    return rows.all()


async def failed_checks(
    connection: AsyncConnection, place: tuple[datetime, str, str, int]
) -> Sequence[Row[Any]]:
    """Checks after a place that declined or held an order, and were not told of yet."""
    rows = await connection.execute(
        text(
            """
            select c.source, c.order_id, c.check_number, c.order_revision, c.outcome, c.findings, c.body,
                   c.body_version, c.checked_at, p.customer, p.currency, p.total_minor, p.due_at, p.state as wait
            from credit_check c
            left join pending_order p using (source, order_id, check_number)
            where c.outcome in ('declined', 'pending-approval')
              and c.checked_at >= :moment
              and (c.checked_at, c.source, c.order_id, c.check_number) > (:moment, :source, :order_id, :number)
              and not exists (select from alert_episode e
                              where e.source = c.source and e.order_id = c.order_id
                                and e.check_number = c.check_number)
            order by c.checked_at, c.source, c.order_id, c.check_number
            limit :rows_max
            """
        ),
        {
            **dict(zip(("moment", "source", "order_id", "number"), place, strict=True)),
            "rows_max": CHECKS_MAX,
        },
    )
    return rows.all()


async def episode_row(connection: AsyncConnection, episode_id: str, *, lock: bool = False) -> Row[Any] | None:
    rows = await connection.execute(
        text(
            f"select {EPISODE_COLUMNS} from alert_episode e where episode_id = :episode_id"
            + (" for update" if lock else "")
        ),
        {"episode_id": episode_id},
    )
    return rows.first()


async def settle(connection: AsyncConnection, episode_id: str, person: str, now: datetime) -> None:
    """A person ends an episode."""
    await connection.execute(
        text(
            """
            update alert_episode set state = 'resolved', resolved_at = :now, resolved_by = :person
            where episode_id = :episode_id
            """
        ),
        {"episode_id": episode_id, "person": person, "now": now},
    )


async def episodes_after(
    connection: AsyncConnection,
    place: tuple[str] | None,
    rows_max: int,
    *,
    state: str | None,
    kind: str | None,
    object_id: str | None,
) -> Sequence[Row[Any]]:
    """Episodes, newest first."""
    rows = await connection.execute(
        text(
            f"""
            select {EPISODE_COLUMNS} from alert_episode e
            where (cast(:before as uuid) is null or episode_id < cast(:before as uuid))
              and (cast(:state as text) is null or state = :state)
              and (cast(:kind as text) is null or kind = :kind)
              and (cast(:object_id as text) is null or object_id = :object_id)
            order by e.episode_id desc limit :rows_max
            """
        ),
        {
            "before": place[0] if place else None,
            "state": state,
            "kind": kind,
            "object_id": object_id,
            "rows_max": rows_max,
        },
    )
    return rows.all()


async def untold_documents(connection: AsyncConnection) -> Sequence[Row[Any]]:
    """Documents that wait, or wait no longer, without their to-do having been opened or ended."""
    rows = await connection.execute(
        text(
            """
            select document_type, source, document_id, number, state, customer, currency, total_minor, findings,
                   held_at, due_at, person, opened_told_at, ended_at
            from pending_document
            where opened_told_at is null or (ended_at is not null and ended_told_at is null)
            order by held_at, document_type, source, document_id, number limit :rows_max
            """
        ),
        {"rows_max": CHECKS_MAX},
    )
    return rows.all()


async def mark_documents_told(connection: AsyncConnection, told: Sequence[Row[Any]], now: datetime) -> None:
    await connection.execute(
        text(
            """
            update pending_document p
            set opened_told_at = coalesce(p.opened_told_at, :now),
                ended_told_at = case when n.is_ended then :now end
            from unnest(cast(:types as text[]), cast(:sources as text[]), cast(:ids as text[]),
                        cast(:numbers as bigint[]), cast(:ended as boolean[]))
                as n (document_type, source, document_id, number, is_ended)
            where p.document_type = n.document_type and p.source = n.source and p.document_id = n.document_id
              and p.number = n.number
            """
        ),
        {
            "types": [row.document_type for row in told],
            "sources": [row.source for row in told],
            "ids": [row.document_id for row in told],
            "numbers": [row.number for row in told],
            "ended": [row.ended_at is not None for row in told],
            "now": now,
        },
    )
