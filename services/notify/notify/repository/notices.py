"""Notices and the threads that they belong to."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from notify.domain.announcements import NOTHING_TOLD, ThreadKey
from notify.domain.noise import Spell
from notify.domain.status import Origin

THREAD_KEYS: Final = """
    unnest(cast(:places as text[]), cast(:families as text[]), cast(:currencies as text[]), cast(:episodes as text[]))
        as k (account, family, currency, episode_id)
"""

LOCKED_THREADS: Final = text(
    f"""
    insert into episode (account, family, currency, episode_id, step, changed_at)
    select account, family, currency, episode_id, :nothing_told, :now
    from {THREAD_KEYS}
    order by account, family, currency, episode_id
    on conflict (account, family, currency, episode_id) do update set changed_at = episode.changed_at
    returning account, family, currency, episode_id, step, ended_at, acknowledged_at
    """
)

LOCKED_SPELLS: Final = text(
    """
    insert into spell (account, currency)
    select account, currency
    from unnest(cast(:accounts as text[]), cast(:currencies as text[])) as k (account, currency)
    order by account, currency
    on conflict (account, currency) do update set currency = spell.currency
    returning account, currency, episode_id, opened_at, cleared_at
    """
)

SAVE_SPELLS: Final = text(
    """
    update spell s set episode_id = n.episode_id, opened_at = n.opened_at, cleared_at = n.cleared_at
    from unnest(cast(:accounts as text[]), cast(:currencies as text[]), cast(:episodes as text[]),
                cast(:opened as timestamptz[]), cast(:cleared as timestamptz[]))
        as n (account, currency, episode_id, opened_at, cleared_at)
    where (s.account, s.currency) = (n.account, n.currency)
    """
)

KNOWN_KEYS: Final = text(
    """
    select account, business_key from notice
    where (account, business_key) in (
        select * from unnest(cast(:accounts as text[]), cast(:keys as text[])))
    """
)

INSERT: Final = text(
    """
    with moved as (
        update episode e set step = greatest(e.step, m.step), ended_at = coalesce(e.ended_at, m.ended_at),
                             changed_at = :now
        from unnest(cast(:thread_places as text[]), cast(:thread_families as text[]),
                    cast(:thread_currencies as text[]), cast(:thread_episodes as text[]),
                    cast(:thread_steps as int[]), cast(:thread_ends as timestamptz[]))
            as m (account, family, currency, episode_id, step, ended_at)
        where (e.account, e.family, e.currency, e.episode_id) = (m.account, m.family, m.currency, m.episode_id)
          and (e.step < m.step or (e.ended_at is null and m.ended_at is not null))
    )
    insert into notice (account, id, family, kind, business_key, currency, episode_id, event_source, event_id,
                        event_type, data, rule, template, reminder, about, occurred_at, expires_at, received_at,
                        correlation_id, traceparent)
    select account, id, family, kind, business_key, currency, episode_id, event_source, event_id, event_type, data,
           rule, template, reminder, about, occurred_at, expires_at, :now, correlation_id, traceparent
    from unnest(
        cast(:accounts as text[]), cast(:ids as uuid[]), cast(:families as text[]), cast(:kinds as text[]),
        cast(:business_keys as text[]), cast(:currencies as text[]), cast(:episodes as text[]),
        cast(:sources as text[]), cast(:event_ids as text[]), cast(:types as text[]), cast(:bodies as bytea[]),
        cast(:rules as text[]), cast(:templates as text[]), cast(:reminders as int[]), cast(:abouts as text[]),
        cast(:occurred as timestamptz[]), cast(:expire as timestamptz[]), cast(:correlations as text[]),
        cast(:traces as text[])
    ) as n (account, id, family, kind, business_key, currency, episode_id, event_source, event_id, event_type, data,
            rule, template, reminder, about, occurred_at, expires_at, correlation_id, traceparent)
    """
)

OPEN_QUOTA_THREADS: Final = text(
    """
    select account, family, currency, episode_id from episode
    where family = 'quota-low' and ended_at is null
      and (account, currency) in (select * from unnest(cast(:accounts as text[]), cast(:currencies as text[])))
    """
)

ACKNOWLEDGE: Final = text(
    """
    update episode set acknowledged_at = :now, acknowledged_by = :by, changed_at = :now
    where (account, family, currency, episode_id) = (:account, :family, :currency, :episode_id)
      and acknowledged_at is null
    """
)

BY_ACKNOWLEDGE_TOKEN: Final = text(
    """
    select n.account, n.family, n.kind, n.currency, n.episode_id, d.recipient, d.contact_place, c.language,
           e.acknowledged_at, e.ended_at
    from delivery_content c
    join delivery d on d.account = c.account and d.id = c.delivery_id
    join notice n on n.account = d.account and n.id = d.notice_id
    left join episode e
      on (e.account, e.family, e.currency, e.episode_id) = (n.account, n.family, n.currency, n.episode_id)
    where c.acknowledge_token = :token
    """
)

LATEST_OF_THREADS: Final = text(
    f"""
    select distinct on (n.account, n.family, n.currency, n.episode_id)
           n.account, n.id, n.family, n.kind, n.currency, n.episode_id, n.event_source, n.event_id, n.event_type,
           n.data, n.rule, n.template, n.reminder, n.about, n.occurred_at, n.correlation_id, n.traceparent,
           n.business_key, n.received_at,
           exists (select from delivery d where d.account = n.account and d.notice_id = n.id
                   and d.state in ('sent', 'delivered')) as has_arrived
    from notice n
    join {THREAD_KEYS}
      on (n.account, n.family, n.currency, n.episode_id) = (k.account, k.family, k.currency, k.episode_id)
    where n.kind <> 'digest'
    order by n.account, n.family, n.currency, n.episode_id, n.received_at desc, n.reminder desc
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewNotice:
    """Something that people are told, stored once per business key; `reminder` counts notify's own repeats."""

    account: str
    id: UUID
    family: str
    kind: str
    business_key: str
    currency: str | None
    episode_id: str | None
    origin: Origin
    data: bytes
    occurred_at: datetime
    expires_at: datetime
    rule: str | None = None
    template: str | None = None
    reminder: int = 0
    about: str | None = None


@dataclass(frozen=True, slots=True)
class Thread:
    """How far a thread has got, locked."""

    step: int
    ended_at: datetime | None
    acknowledged_at: datetime | None


def key_parameters(keys: Sequence[ThreadKey]) -> dict[str, Any]:
    return {
        "places": [key.place for key in keys],
        "families": [key.family for key in keys],
        "currencies": [key.currency for key in keys],
        "episodes": [key.episode_id for key in keys],
    }


async def locked_threads(
    connection: AsyncConnection, keys: Collection[ThreadKey], now: datetime
) -> dict[ThreadKey, Thread]:
    """How far each thread has got, locked in key order; a thread never seen begins here."""
    ordered = sorted(keys, key=lambda key: key.row)
    parameters = {**key_parameters(ordered), "nothing_told": NOTHING_TOLD, "now": now}
    return {
        ThreadKey(row.account, row.family, row.currency, row.episode_id): Thread(
            row.step, row.ended_at, row.acknowledged_at
        )
        for row in await connection.execute(LOCKED_THREADS, parameters)
    }


async def locked_spells(
    connection: AsyncConnection, keys: Collection[tuple[str, str]]
) -> dict[tuple[str, str], Spell]:
    """The last overdue spell of each (account, currency), locked in key order."""
    if not keys:
        return {}
    ordered = sorted(keys)
    parameters = {
        "accounts": [account for account, _ in ordered],
        "currencies": [currency for _, currency in ordered],
    }
    rows = await connection.execute(LOCKED_SPELLS, parameters)
    return {(row.account, row.currency): Spell(row.episode_id, row.opened_at, row.cleared_at) for row in rows}


async def open_quota_threads(
    connection: AsyncConnection, keys: Collection[tuple[str, str]]
) -> dict[tuple[str, str], list[ThreadKey]]:
    """The low spells of each (account, currency) that have not ended."""
    if not keys:
        return {}
    parameters = {
        "accounts": [account for account, _ in keys],
        "currencies": [currency for _, currency in keys],
    }
    found: dict[tuple[str, str], list[ThreadKey]] = {}
    for row in await connection.execute(OPEN_QUOTA_THREADS, parameters):
        key = ThreadKey(row.account, row.family, row.currency, row.episode_id)
        found.setdefault((row.account, row.currency), []).append(key)
    return found


async def save_spells(connection: AsyncConnection, spells: dict[tuple[str, str], Spell]) -> None:
    if not spells:
        return
    await connection.execute(
        SAVE_SPELLS,
        {
            "accounts": [account for account, _ in spells],
            "currencies": [currency for _, currency in spells],
            "episodes": [spell.episode_id for spell in spells.values()],
            "opened": [spell.opened_at for spell in spells.values()],
            "cleared": [spell.cleared_at for spell in spells.values()],
        },
    )


async def known_keys(connection: AsyncConnection, keys: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of these (place, business key) that have been noticed before."""
    parameters = {"accounts": [place for place, _ in keys], "keys": [key for _, key in keys]}
    rows = await connection.execute(KNOWN_KEYS, parameters)
    return {(row.account, row.business_key) for row in rows}


async def insert_notices(
    connection: AsyncConnection,
    made: Sequence[NewNotice],
    threads: dict[ThreadKey, tuple[int, datetime | None]],
    now: datetime,
) -> None:
    """Stores new notices and how far their threads have got (step, end), in one statement."""
    moved = key_parameters(list(threads))
    await connection.execute(
        INSERT,
        {
            **{f"thread_{name}": values for name, values in moved.items()},
            "thread_steps": [step for step, _ in threads.values()],
            "thread_ends": [ended_at for _, ended_at in threads.values()],
            "accounts": [notice.account for notice in made],
            "ids": [notice.id for notice in made],
            "families": [notice.family for notice in made],
            "kinds": [notice.kind for notice in made],
            "business_keys": [notice.business_key for notice in made],
            "currencies": [notice.currency for notice in made],
            "episodes": [notice.episode_id for notice in made],
            "sources": [notice.origin.source for notice in made],
            "event_ids": [notice.origin.id for notice in made],
            "types": [notice.origin.type for notice in made],
            "bodies": [notice.data for notice in made],
            "rules": [notice.rule for notice in made],
            "templates": [notice.template for notice in made],
            "reminders": [notice.reminder for notice in made],
            "abouts": [notice.about for notice in made],
            "occurred": [notice.occurred_at for notice in made],
            "expire": [notice.expires_at for notice in made],
            "correlations": [notice.origin.correlation_id for notice in made],
            "traces": [notice.origin.traceparent for notice in made],
            "now": now,
        },
    )


async def acknowledge(connection: AsyncConnection, key: ThreadKey, by: str, now: datetime) -> bool:
    """Notes that somebody has seen the thread; False when somebody had already."""
    parameters = {
        "account": key.place,
        "family": key.family,
        "currency": key.currency,
        "episode_id": key.episode_id,
        "by": by,
        "now": now,
    }
    return (await connection.execute(ACKNOWLEDGE, parameters)).rowcount == 1


async def by_acknowledge_token(connection: AsyncConnection, token: str) -> Any | None:
    """The thread, its recipient and whether it is acknowledged, of the link that bears this token."""
    return (await connection.execute(BY_ACKNOWLEDGE_TOKEN, {"token": token})).one_or_none()


async def latest_of_threads(connection: AsyncConnection, keys: Sequence[ThreadKey]) -> dict[ThreadKey, Any]:
    """The last notice of each thread, and whether it has arrived anywhere."""
    rows = await connection.execute(LATEST_OF_THREADS, key_parameters(keys))
    return {ThreadKey(row.account, row.family, row.currency, row.episode_id): row for row in rows}
