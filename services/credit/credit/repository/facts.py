"""What a check has to know beside profiles: organisations, parameters, rules in force, rates, overdue receivables."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Final

from chassis.arrays import literal, plain, quoted
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from credit.domain.directory import Facts
from credit.domain.matching import Organisations
from credit.domain.profiles import Overdue, Profile
from credit.domain.rules import PRESET, CheckRule
from credit.repository.bodies import Parameters, parameters_of, rule_of

RULES_KEPT_MAX: Final = 1024


async def facts_of(
    connection: AsyncConnection,
    profiles: Sequence[Profile],
    sales_organisations: Collection[str],
    currencies: Collection[str],
    now: datetime,
) -> Facts:
    """What the check of these profiles needs; sets each profile's rule, and its overdue receivables if they count.

    Without a currency nothing is checked, and nothing is asked.
    """
    if not currencies:
        return Facts()
    facts = await _first_facts(connection, sales_organisations)
    await set_rules(connection, profiles)
    await _set_overdue(connection, profiles, now.date())
    rates = await rates_on(connection, currencies, {profile.currency for profile in profiles}, now.date())
    return replace(facts, rates=rates)


ORGANISATIONS: Final = text(
    f"""
    with recursive upwards as (
        select organisation_id as asked, organisation_id, organisation_type, parent, time_zone, 0 as steps
        from organisation where organisation_id = any({plain("organisations", "text")})
        union all
        select u.asked, o.organisation_id, o.organisation_type, o.parent, o.time_zone, u.steps + 1
        from upwards u join organisation o on o.organisation_id = u.parent
        where u.organisation_type <> 'legal' and u.steps < 20)
    select u.asked, max(u.time_zone) filter (where u.steps = 0) as time_zone,
           max(u.organisation_id) filter (where u.organisation_type = 'legal') as legal,
           null as body
    from upwards u group by u.asked
    union all
    select null, null, null, body from parameter
    """
)


async def _first_facts(connection: AsyncConnection, sales_organisations: Collection[str]) -> Facts:
    rows = await connection.execute(ORGANISATIONS, {"organisations": quoted(sorted(sales_organisations))})
    legal: dict[str, str] = {}
    zones: dict[str, str] = {}
    parameters = Parameters()
    for asked, zone, above, body in rows:
        if body is not None:
            parameters = parameters_of(body)
            continue
        zones[asked] = zone
        if above is not None:
            legal[asked] = above
    return Facts(
        Organisations(legal, zones),
        scopes=parameters.scopes,
        objects=parameters.objects,
        no_profile=parameters.no_profile,
    )


@lru_cache(maxsize=RULES_KEPT_MAX)
def _rule(rule_id: str, version: int, body: bytes) -> CheckRule:
    return rule_of(rule_id, version, body)


async def set_rules(connection: AsyncConnection, profiles: Iterable[Profile]) -> None:
    """Gives each profile the check rule that it names, as it is in force."""
    named = [profile for profile in profiles if profile.check_rule.version == 0]
    if not named:
        return
    rows = await connection.execute(
        text("select rule_id, version, body from check_rule where rule_id = any(cast(:ids as text[]))"),
        {"ids": sorted({profile.check_rule.rule_id for profile in named})},
    )
    rules = {rule_id: _rule(rule_id, version, bytes(body)) for rule_id, version, body in rows}
    for profile in named:
        profile.check_rule = rules.get(profile.check_rule.rule_id, PRESET)


OVERDUE: Final = text(
    f"""
    select cast(p.profile_id as text), coalesce(sum(o.amount_minor), 0) as open_minor,
           coalesce(sum(o.amount_minor) filter (where o.due_date + p.grace < cast(:today as date)), 0) as overdue_minor,
           coalesce(max(cast(:today as date) - o.due_date), 0) as days
    from unnest({plain("profile_ids", "uuid")}, {plain("graces", "integer")}) as p (profile_id, grace)
    join document_occupancy o on o.profile_id = p.profile_id and o.stage = 'receivable' and o.amount_minor > 0
    group by p.profile_id
    """
)


async def _set_overdue(connection: AsyncConnection, profiles: Sequence[Profile], today: date) -> None:
    looking = [
        profile
        for profile in profiles
        if profile.terms.looks_at_receivables or profile.check_rule.looks_at_receivables
    ]
    if not looking:
        return
    rows = await connection.execute(
        OVERDUE,
        {
            "profile_ids": literal(profile.profile_id for profile in looking),
            "graces": literal(profile.check_rule.grace_days for profile in looking),
            "today": today,
        },
    )
    found = {
        profile_id: Overdue(int(overdue), int(total), max(days, 0))
        for profile_id, total, overdue, days in rows
    }
    for profile in looking:
        profile.overdue = found.get(profile.profile_id, profile.overdue)


RATES: Final = text(
    """
    select distinct on (currency_from, currency_to) currency_from, currency_to, rate
    from exchange_rate
    where currency_from = any(cast(:sources as text[])) and currency_to = any(cast(:targets as text[]))
      and rate_date <= cast(:day as date)
    order by currency_from, currency_to, rate_date desc
    """
)


async def rates_on(
    connection: AsyncConnection, sources: Collection[str], targets: Collection[str], day: date
) -> dict[tuple[str, str], Fraction]:
    """The newest rate of each pair up to a day; asks only where currencies differ."""
    if not sources or not targets or (len(targets) == 1 and set(sources) == set(targets)):
        return {}
    rows = await connection.execute(
        RATES, {"sources": sorted(sources), "targets": sorted(targets), "day": day}
    )
    return {(source, target): Fraction(Decimal(rate)) for source, target, rate in rows}
