"""Rules, silences and rates: what the company has set about its notices."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from notify.domain.delivery import Channel
from notify.domain.noise import Silence

STORED: Final = text("select id, version, body, changed_at, changed_by from rule order by id")

SAVE: Final = text(
    """
    insert into rule (id, version, body, changed_at, changed_by)
    values (:id, 1, cast(:body as jsonb), :now, :by)
    on conflict (id) do update
    set version = rule.version + 1, body = excluded.body, changed_at = excluded.changed_at,
        changed_by = excluded.changed_by
    returning version
    """
)

REMOVE: Final = text("delete from rule where id = :id")
COUNT: Final = text("select count(*) from rule where id <> :id")
LOCK: Final = text("select pg_advisory_xact_lock(hashtext('notify-rules'))")

SILENCES: Final = text(
    """
    select id, place, family, recipient, begins, ends, reason, made_by, made_at from silence
    where ends > :now
    order by begins, id
    """
)

INSERT_SILENCE: Final = text(
    """
    insert into silence (id, place, family, recipient, begins, ends, reason, made_by, made_at)
    values (:id, :place, :family, :recipient, :begins, :ends, :reason, :by, :now)
    """
)

END_SILENCE: Final = text(
    """
    update silence set ends = greatest(cast(:now as timestamptz), begins + interval '1 microsecond')
    where id = :id and ends > :now
    """
)

ARRIVALS: Final = text(
    """
    select account, person, channel, arrival from recipient_rate
    where account = any(cast(:places as text[])) and arrival > :now
    """
)

SAVE_ARRIVALS: Final = text(
    """
    insert into recipient_rate (account, person, channel, arrival)
    select * from unnest(cast(:places as text[]), cast(:persons as text[]), cast(:channels as text[]),
                         cast(:arrivals as timestamptz[])) as r (account, person, channel, arrival)
    order by account, person, channel
    on conflict (account, person, channel) do update set arrival = greatest(recipient_rate.arrival, excluded.arrival)
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSilence:
    """A silence as it is entered."""

    silence: Silence
    reason: str
    made_by: str


async def stored(connection: AsyncConnection) -> list[Row[Any]]:
    """The rules that were entered, with their versions."""
    return list(await connection.execute(STORED))


async def save(connection: AsyncConnection, id: str, body: Mapping[str, Any], by: str, now: datetime) -> int:
    """Stores a rule; returns its version."""
    values = {"id": id, "body": orjson.dumps(body).decode(), "by": by, "now": now}
    return int((await connection.execute(SAVE, values)).scalar_one())


async def count_others(connection: AsyncConnection, id: str) -> int:
    """How many other rules there are; holds off whoever else wants to add one."""
    await connection.execute(LOCK)
    return int((await connection.execute(COUNT, {"id": id})).scalar_one())


async def remove(connection: AsyncConnection, id: str) -> bool:
    return (await connection.execute(REMOVE, {"id": id})).rowcount == 1


async def silences(connection: AsyncConnection, now: datetime) -> list[Row[Any]]:
    """The silences that are not over, first the earliest."""
    return list(await connection.execute(SILENCES, {"now": now}))


def silence_of(row: Row[Any]) -> Silence:
    return Silence(
        id=row.id,
        place=row.place,
        family=row.family,
        recipient=row.recipient,
        begins=row.begins,
        ends=row.ends,
    )


async def insert_silence(connection: AsyncConnection, new: NewSilence, now: datetime) -> None:
    silence = new.silence
    values = {
        "id": silence.id,
        "place": silence.place,
        "family": silence.family,
        "recipient": silence.recipient,
        "begins": silence.begins,
        "ends": silence.ends,
        "reason": new.reason,
        "by": new.made_by,
        "now": now,
    }
    await connection.execute(INSERT_SILENCE, values)


async def end_silence(connection: AsyncConnection, id: UUID, now: datetime) -> bool:
    """Ends a silence now; False when it is over or was never made."""
    return (await connection.execute(END_SILENCE, {"id": id, "now": now})).rowcount == 1


async def arrivals(
    connection: AsyncConnection, places: Collection[str], now: datetime
) -> dict[tuple[str, str, Channel], datetime]:
    """How far ahead of its rate each recipient of these places is."""
    rows = await connection.execute(ARRIVALS, {"places": sorted(places), "now": now})
    return {(row.account, row.person, Channel(row.channel)): row.arrival for row in rows}


async def save_arrivals(
    connection: AsyncConnection, arrivals: Mapping[tuple[str, str, Channel], datetime]
) -> None:
    if not arrivals:
        return
    await connection.execute(
        SAVE_ARRIVALS,
        {
            "places": [place for place, _, _ in arrivals],
            "persons": [person for _, person, _ in arrivals],
            "channels": [channel for _, _, channel in arrivals],
            "arrivals": list(arrivals.values()),
        },
    )
