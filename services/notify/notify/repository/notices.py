"""Notices and the episodes that they belong to."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from notify.domain.planning import NOTHING_TOLD
from notify.domain.status import Origin

EpisodeKey = tuple[str, str, str]
"""Account, currency, episode id."""

LOCKED_STEPS: Final = text(
    """
    insert into episode (account, currency, episode_id, step, changed_at)
    select account, currency, episode_id, :nothing_told, :now
    from unnest(cast(:accounts as text[]), cast(:currencies as text[]), cast(:episodes as text[]))
        as e (account, currency, episode_id)
    order by account, currency, episode_id
    on conflict (account, currency, episode_id) do update set changed_at = episode.changed_at
    returning account, currency, episode_id, step
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
        update episode e set step = m.step, changed_at = :now
        from unnest(cast(:episode_accounts as text[]), cast(:episode_currencies as text[]),
                    cast(:episode_ids as text[]), cast(:episode_steps as int[]))
            as m (account, currency, episode_id, step)
        where (e.account, e.currency, e.episode_id) = (m.account, m.currency, m.episode_id) and e.step < m.step
    )
    insert into notice (account, id, kind, business_key, currency, episode_id, event_source, event_id, event_type,
                        data, occurred_at, expires_at, received_at, correlation_id, traceparent)
    select account, id, kind, business_key, currency, episode_id, event_source, event_id, event_type,
           data, occurred_at, expires_at, :now, correlation_id, traceparent
    from unnest(
        cast(:accounts as text[]), cast(:ids as uuid[]), cast(:kinds as text[]), cast(:business_keys as text[]),
        cast(:currencies as text[]), cast(:episodes as text[]), cast(:sources as text[]), cast(:event_ids as text[]),
        cast(:types as text[]), cast(:bodies as bytea[]), cast(:occurred as timestamptz[]),
        cast(:expire as timestamptz[]), cast(:correlations as text[]), cast(:traces as text[])
    ) as n (account, id, kind, business_key, currency, episode_id, event_source, event_id, event_type, data,
            occurred_at, expires_at, correlation_id, traceparent)
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewNotice:
    """Something that people are told, stored once per business key."""

    account: str
    id: UUID
    kind: str
    business_key: str
    currency: str | None
    episode_id: str | None
    origin: Origin
    data: bytes
    occurred_at: datetime
    expires_at: datetime


async def locked_steps(
    connection: AsyncConnection, keys: Collection[EpisodeKey], now: datetime
) -> dict[EpisodeKey, int]:
    """How far each episode has got, locked in key order; an episode never seen begins here."""
    ordered = sorted(keys)
    rows = await connection.execute(
        LOCKED_STEPS,
        {
            "accounts": [account for account, _, _ in ordered],
            "currencies": [currency for _, currency, _ in ordered],
            "episodes": [episode for _, _, episode in ordered],
            "nothing_told": NOTHING_TOLD,
            "now": now,
        },
    )
    return {(row.account, row.currency, row.episode_id): row.step for row in rows}


async def known_keys(connection: AsyncConnection, keys: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of these (account, business key) that have been noticed before."""
    parameters = {"accounts": [account for account, _ in keys], "keys": [key for _, key in keys]}
    rows = await connection.execute(KNOWN_KEYS, parameters)
    return {(row.account, row.business_key) for row in rows}


async def insert_notices(
    connection: AsyncConnection, made: Sequence[NewNotice], steps: Mapping[EpisodeKey, int], now: datetime
) -> None:
    """Stores new notices and how far their episodes have got, in one statement."""
    await connection.execute(
        INSERT,
        {
            "episode_accounts": [account for account, _, _ in steps],
            "episode_currencies": [currency for _, currency, _ in steps],
            "episode_ids": [episode for _, _, episode in steps],
            "episode_steps": list(steps.values()),
            "accounts": [notice.account for notice in made],
            "ids": [notice.id for notice in made],
            "kinds": [notice.kind for notice in made],
            "business_keys": [notice.business_key for notice in made],
            "currencies": [notice.currency for notice in made],
            "episodes": [notice.episode_id for notice in made],
            "sources": [notice.origin.source for notice in made],
            "event_ids": [notice.origin.id for notice in made],
            "types": [notice.origin.type for notice in made],
            "bodies": [notice.data for notice in made],
            "occurred": [notice.occurred_at for notice in made],
            "expire": [notice.expires_at for notice in made],
            "correlations": [notice.origin.correlation_id for notice in made],
            "traces": [notice.origin.traceparent for notice in made],
            "now": now,
        },
    )
