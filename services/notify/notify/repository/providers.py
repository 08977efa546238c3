"""How the providers are doing, as all instances see it: those at rest, and which turns are booked."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from notify.domain.breaker import Breaker
from notify.domain.delivery import Channel

LOCKED: Final = text(
    """
    insert into provider (channel, faults)
    select channel, 0 from unnest(cast(:channels as text[])) as c (channel)
    order by channel
    on conflict (channel) do update set faults = provider.faults
    returning channel, arrival, faults, open_until
    """
)

STATES: Final = text(
    """
    select channel, arrival, faults, open_until from provider
    where channel = any(cast(:channels as text[]))
    """
)

SAVE: Final = text(
    """
    update provider set arrival = :arrival, faults = :faults, open_until = :open_until where channel = :channel
    """
)


@dataclass(frozen=True, slots=True)
class Provider:
    """One channel's provider; `arrival` is when its next turn is free."""

    channel: Channel
    arrival: datetime | None
    breaker: Breaker


async def locked(connection: AsyncConnection, channels: Collection[Channel]) -> dict[Channel, Provider]:
    """The providers of these channels, locked."""
    rows = await connection.execute(LOCKED, {"channels": sorted(channels)})
    return {provider.channel: provider for provider in map(_provider, rows)}


async def states(connection: AsyncConnection, channels: Collection[Channel]) -> dict[Channel, Provider]:
    """The providers that were ever of note, as they are."""
    rows = await connection.execute(STATES, {"channels": sorted(channels)})
    return {provider.channel: provider for provider in map(_provider, rows)}


async def save(connection: AsyncConnection, provider: Provider) -> None:
    await connection.execute(
        SAVE,
        {
            "channel": provider.channel,
            "arrival": provider.arrival,
            "faults": provider.breaker.faults,
            "open_until": provider.breaker.open_until,
        },
    )


def _provider(row: Row[Any]) -> Provider:
    return Provider(Channel(row.channel), row.arrival, Breaker(row.faults, row.open_until))
