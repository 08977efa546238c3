"""The cash position forecast of an entity, and the notices of gaps that appear, worsen or close."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from chassis.work import CausedBy, derived_id
from contracts.money import Money, SignedMoney
from sqlalchemy.ext.asyncio import AsyncConnection

from cashplan.domain.forecast import Forecast, flows_of, forecast, notice
from cashplan.domain.organisations import local_date
from cashplan.domain.position import AccountBalance, Place
from cashplan.domain.systems import PlanningSystem
from cashplan.repository import forecast as forecast_rows
from cashplan.repository import position as position_rows
from cashplan.repository import systems as system_rows
from cashplan.repository.forecast import Wanted
from chassis import UnitOfWork
from contracts import CashGapForecast

GAPS_DUE: Final = "cash-gap-forecast"
DAYS_DEFAULT: Final = 90
DAYS_MAX: Final = 366
EVERY: Final = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class EntityForecast:
    """One entity's forecast in one currency, with the accounts that its balance comes from."""

    entity: str
    currency: str
    today: date
    balance: int
    accounts: Sequence[AccountBalance]
    forecast: Forecast


async def entity_forecast(
    connection: AsyncConnection,
    system: PlanningSystem,
    filing_type: str,
    entity: str,
    currency: str,
    today: date,
    days: int,
) -> EntityForecast:
    """Balances of the entity's own accounts, what documents hold, open items, and what is left of the plan."""
    organisation = system.entity_by_id[entity].organisation
    names = sorted({entity, organisation or entity})
    wanted = Wanted(
        system_id=system.id,
        filing_type=filing_type,
        entity=entity,
        names=names,
        currency=currency,
        today=today,
        last_day=today + timedelta(days=days - 1),
    )
    places = {Place(name, currency): today for name in names}
    by_place = await position_rows.balances_by_place(connection, places)
    accounts = [account for found in by_place.values() for account in found]
    flows = flows_of(
        await forecast_rows.held_flows(connection, wanted),
        await forecast_rows.pool_flows(connection, wanted),
        await forecast_rows.plan_flows(connection, wanted),
        today,
        system.basics.rest_of_plan,
    )
    balance = sum(account.balance_minor or 0 for account in accounts)
    kept = sum(account.minimum_minor for account in accounts)
    return EntityForecast(
        entity=entity,
        currency=currency,
        today=today,
        balance=balance,
        accounts=accounts,
        forecast=forecast(balance, kept, flows, today, days),
    )


def look_again(work: UnitOfWork, system_id: str, cause: CausedBy | None = None) -> None:
    """Has the gaps of a system looked at within the minute; many changes of one minute are looked at once."""
    due = work.now.replace(second=0, microsecond=0) + timedelta(minutes=1)
    work.set_timer(GAPS_DUE, system_id, due, cause)


async def tell_gaps(work: UnitOfWork, system_id: str, cause: CausedBy) -> int:
    """Looks at every entity that has accounts of its own, and tells what is new about its gaps."""
    system = await system_rows.system_by_id(work.connection, system_id)
    if system is None or not system.basics.active or not system.filing_types:
        return 0
    today = local_date(work.now, system.basics.time_zone)
    episodes = await forecast_rows.locked_episodes(work.connection, system_id)
    told = 0
    for entity, currency in await _places(work.connection, system):
        filing_type = system.filing_types[0].id
        found = await entity_forecast(
            work.connection, system, filing_type, entity, currency, today, DAYS_DEFAULT
        )
        episode = episodes.get((entity, currency))
        kind = notice(int(episode.gap_minor) if episode else 0, found.forecast.gap)
        if kind is not None:
            number = 1 if kind == "appeared" or episode is None else int(episode.notice_number) + 1
            episode_id = (
                derived_id("coffer/cashplan", cause.id, "gap", told)
                if kind == "appeared" or episode is None
                else str(episode.episode_id)
            )
            former = int(episode.gap_minor) if episode else 0
            work.emit(_event(system, found, kind, episode_id, number, former, work.now), cause)
            await forecast_rows.save_episode(
                work.connection, system_id, entity, currency, episode_id, number, found.forecast.gap, work.now
            )
            told += 1
    work.set_timer(GAPS_DUE, system_id, work.now + EVERY, cause)
    return told


async def _places(connection: AsyncConnection, system: PlanningSystem) -> list[tuple[str, str]]:
    """The entities of a system and the currencies in which they, or their organisations, have accounts."""
    names = {entity.id: entity.id for entity in system.entities}
    names |= {entity.organisation: entity.id for entity in system.entities if entity.organisation}
    places = await position_rows.places_with_accounts(connection, sorted(names))
    return sorted({(names[place.entity], place.currency) for place in places})


def _event(
    system: PlanningSystem,
    found: EntityForecast,
    kind: str,
    episode_id: str,
    number: int,
    former: int,
    now: datetime,
) -> CashGapForecast:
    told, currency = found.forecast, found.currency
    return CashGapForecast(
        entity=found.entity,
        entity_name=system.entity_by_id[found.entity].name,
        currency=currency,
        kind="appeared" if kind == "appeared" else "worsened" if kind == "worsened" else "closed",
        episode_id=episode_id,
        notice_number=number,
        first_day=told.first_day_below if kind != "closed" else None,
        lowest_day=told.lowest.day,
        lowest_balance=SignedMoney.of(told.lowest.closing, currency),
        kept_balance=Money.of(told.kept, currency),
        gap=Money.of(told.gap, currency),
        former_gap=Money.of(former, currency) if former else None,
        horizon=told.days[-1].day,
        addressees=[],
        occurred_at=now,
    )
