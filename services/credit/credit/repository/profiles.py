"""Credit profiles: what is set, its history, and what is used."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from credit.domain.profiles import UNLIMITED, Limit, Profile, ProfileKey, Rule
from credit.domain.rules import PRESET, CheckRule
from credit.domain.terms import PLAIN, Temporary
from credit.repository.bodies import TERMS, terms_of

PROFILE_COLUMNS: Final = """
    cast(profile_id as text) as profile_id, scope, scope_id, object_type, object_id, currency,
    credit_limit_minor, credit_limit_unlimited, credit_limit_enforcement,
    single_document_limit_minor, single_document_limit_unlimited, single_document_limit_enforcement,
    used_minor, settled_minor, entries, check_rule, terms, frozen
"""

NAMED_RULE: Final = 0
"""The version of a rule that a profile names and that is not loaded yet."""


def profile_of(columns: Sequence[Any]) -> Profile:
    """A profile from its `PROFILE_COLUMNS`."""
    (
        profile_id,
        scope,
        scope_id,
        object_type,
        object_id,
        currency,
        credit_limit,
        is_unlimited,
        enforcement,
        single_limit,
        is_single_unlimited,
        single_enforcement,
        used,
        settled,
        entries,
        check_rule,
        terms,
        frozen,
        *_,
    ) = columns
    return Profile(
        profile_id=profile_id,
        scope=scope,
        scope_id=scope_id,
        object_type=object_type,
        object_id=object_id,
        currency=currency,
        rules=(
            Rule("credit-limit", UNLIMITED if is_unlimited else credit_limit, enforcement),
            Rule(
                "single-document-limit",
                UNLIMITED if is_single_unlimited else single_limit,
                single_enforcement,
            ),
        ),
        used=used,
        settled=settled,
        entries=entries,
        terms=PLAIN if terms is None else terms_of(bytes(terms)),
        check_rule=PRESET if check_rule is None else CheckRule(check_rule, NAMED_RULE, {}),
        frozen=frozen,
    )


async def locked_version(
    connection: AsyncConnection, scope: str, scope_id: str, key: ProfileKey
) -> tuple[str, int] | None:
    """The id and version of a profile, locked; None when there is none."""
    row = await connection.execute(
        text(
            """
            select cast(profile_id as text), version from credit_profile
            where object_type = :object_type and object_id = :object_id and currency = :currency
              and scope = :scope and scope_id = :scope_id
            for update
            """
        ),
        {"scope": scope, "scope_id": scope_id, **_key(key)},
    )
    found = row.first()
    return (found[0], found[1]) if found is not None else None


async def create(
    connection: AsyncConnection, profile_id: str, scope: str, scope_id: str, key: ProfileKey, now: datetime
) -> bool:
    """Makes an empty profile at version 0 of its limits; False when another transaction made it first."""
    result = await connection.execute(
        text(
            """
            insert into credit_profile (profile_id, scope, scope_id, object_type, object_id, currency, version,
                                        credit_limit_unlimited, credit_limit_enforcement,
                                        single_document_limit_unlimited, single_document_limit_enforcement,
                                        used_minor, settled_minor, entries, changed_at, grade)
            values (:profile_id, :scope, :scope_id, :object_type, :object_id, :currency, 1, false, 'reject', false,
                    'reject', 0, 0, 0, :now,
                    (select g.grade from credit_grade g
                     where (g.scope, g.scope_id, g.object_type, g.object_id)
                           = (:scope, :scope_id, :object_type, :object_id)))
            on conflict do nothing
            """
        ),
        {"profile_id": profile_id, "scope": scope, "scope_id": scope_id, "now": now, **_key(key)},
    )
    return result.rowcount == 1


async def set_limits(
    connection: AsyncConnection,
    profile_id: str,
    version: int,
    rules: Sequence[Rule],
    *,
    reason: str,
    person: str,
    now: datetime,
    own: tuple[str | None, bytes | None] | None = None,
) -> None:
    """Sets what a profile limits, and keeps the version for its history.

    `own` are its check rule and its terms; left out, they stay as they are.
    """
    check_rule, terms = own or (None, None)
    kept = {"check_rule": check_rule, "terms": terms, "keeps": own is None}
    values = {"profile_id": profile_id, "version": version, "now": now, **kept, **_limits(rules)}
    await connection.execute(SET_LIMITS, {**values, "reason": reason, "person": person})


SET_LIMITS: Final = text(
    """
    with changed as (
        update credit_profile
        set version = :version, changed_at = :now,
            credit_limit_minor = :credit_limit, credit_limit_unlimited = :credit_limit_unlimited,
            credit_limit_enforcement = :credit_limit_enforcement,
            single_document_limit_minor = :single_document_limit,
            single_document_limit_unlimited = :single_document_limit_unlimited,
            single_document_limit_enforcement = :single_document_limit_enforcement,
            check_rule = case when :keeps then check_rule else cast(:check_rule as text) end,
            terms = case when :keeps then terms else cast(:terms as bytea) end
        where profile_id = :profile_id
        returning *)
    insert into credit_profile_version (profile_id, version, credit_limit_minor, credit_limit_unlimited,
                                        credit_limit_enforcement, single_document_limit_minor,
                                        single_document_limit_unlimited, single_document_limit_enforcement,
                                        check_rule, terms, grade, reason, changed_by, changed_at)
    select profile_id, version, credit_limit_minor, credit_limit_unlimited, credit_limit_enforcement,
           single_document_limit_minor, single_document_limit_unlimited, single_document_limit_enforcement,
           check_rule, terms, grade, :reason, :person, :now
    from changed
    """
)


def _limits(rules: Sequence[Rule]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for rule in rules:
        name = rule.metric.replace("-", "_")
        values[name] = rule.limit if isinstance(rule.limit, int) else None
        values[f"{name}_unlimited"] = rule.limit == UNLIMITED
        values[f"{name}_enforcement"] = rule.enforcement
    return values


def limit_of(minor: int | None, is_unlimited: bool) -> Limit:
    return UNLIMITED if is_unlimited else minor


def _key(key: ProfileKey) -> dict[str, str]:
    object_type, object_id, currency = key
    return {"object_type": object_type, "object_id": object_id, "currency": currency}


LIST_COLUMNS: Final = f"{PROFILE_COLUMNS}, version, changed_at, grade"


async def profile_row(connection: AsyncConnection, profile_id: str) -> Row[Any] | None:
    """One profile with its version."""
    rows = await connection.execute(
        text(f"select {LIST_COLUMNS} from credit_profile where profile_id = :profile_id"),
        {"profile_id": profile_id},
    )
    return rows.first()


async def profiles_after(
    connection: AsyncConnection,
    place: tuple[str] | None,
    rows_max: int,
    *,
    object_id: str | None = None,
    currency: str | None = None,
) -> Sequence[Row[Any]]:
    """Profiles by id from a place on, all or those of one object or currency."""
    rows = await connection.execute(
        text(
            f"""
            select {LIST_COLUMNS} from credit_profile
            where (cast(:after as uuid) is null or profile_id > cast(:after as uuid))
              and (cast(:object_id as text) is null or object_id = :object_id)
              and (cast(:currency as text) is null or currency = :currency)
            order by profile_id
            limit :rows_max
            """
        ),
        {
            "after": place[0] if place else None,
            "object_id": object_id,
            "currency": currency,
            "rows_max": rows_max,
        },
    )
    return rows.all()


async def versions_after(
    connection: AsyncConnection, profile_id: str, place: tuple[int] | None, rows_max: int
) -> Sequence[Row[Any]]:
    """What a profile's limits were, newest first."""
    rows = await connection.execute(
        text(
            """
            select v.*, p.currency from credit_profile_version v join credit_profile p using (profile_id)
            where v.profile_id = :profile_id and (cast(:before as integer) is null or v.version < :before)
            order by v.version desc
            limit :rows_max
            """
        ),
        {"profile_id": profile_id, "before": place[0] if place else None, "rows_max": rows_max},
    )
    return rows.all()


async def entries_after(
    connection: AsyncConnection, profile_id: str, place: tuple[int] | None, rows_max: int
) -> Sequence[Row[Any]]:
    """The history of what is used, newest first."""
    rows = await connection.execute(
        text(
            """
            select e.*, p.currency from occupancy_entry e join credit_profile p using (profile_id)
            where e.profile_id = :profile_id and (cast(:before as bigint) is null or e.entry_number < :before)
            order by e.entry_number desc
            limit :rows_max
            """
        ),
        {"profile_id": profile_id, "before": place[0] if place else None, "rows_max": rows_max},
    )
    return rows.all()


async def occupancy_after(
    connection: AsyncConnection, profile_id: str, place: tuple[str, str] | None, rows_max: int
) -> Sequence[Row[Any]]:
    """The orders that occupy a profile at this moment, and how much each."""
    rows = await connection.execute(
        text(
            """
            select o.source, o.order_id, s.status, p.currency, max(o.amount_minor) as occupied_minor,
                   coalesce(max(o.amount_minor) filter (where o.settled), 0) as settled_minor
            from occupancy o
            join credit_profile p using (profile_id)
            join sales_order s using (source, order_id)
            where o.profile_id = :profile_id and (o.source, o.order_id) > (:after_source, :after_order_id)
            group by o.source, o.order_id, s.status, p.currency
            order by o.source, o.order_id
            limit :rows_max
            """
        ),
        {
            "profile_id": profile_id,
            "after_source": place[0] if place else "",
            "after_order_id": place[1] if place else "",
            "rows_max": rows_max,
        },
    )
    return rows.all()


async def pending_on(
    connection: AsyncConnection, customer: str, currency: str, rows_max: int
) -> tuple[int, int, Sequence[Row[Any]]]:
    """How many of a customer's orders wait for approval, their sum in minor units, and the oldest of them."""
    rows = await connection.execute(
        text(
            """
            select *, count(*) over () as orders, sum(total_minor) over () as total_all from pending_order
            where state = 'pending' and customer = :customer and currency = :currency
            order by held_at, source, order_id
            limit :rows_max
            """
        ),
        {"customer": customer, "currency": currency, "rows_max": rows_max},
    )
    found = rows.all()
    return (found[0].orders, int(found[0].total_all), found) if found else (0, 0, [])


async def add_temporary(connection: AsyncConnection, profile_id: str, temporary: Temporary) -> None:
    """Lets temporary credit count; what has ended long ago is dropped from the terms, not from its document."""
    row = await connection.execute(
        text("select terms from credit_profile where profile_id = :id for update"), {"id": profile_id}
    )
    stored = row.scalar_one()
    terms = PLAIN if stored is None else terms_of(bytes(stored))
    kept = [one for one in terms.temporary if one.valid_to >= temporary.valid_from]
    changed = replace(terms, temporary=(*kept, temporary))
    await connection.execute(
        text("update credit_profile set terms = :terms where profile_id = :id"),
        {"terms": TERMS.dump_json(changed), "id": profile_id},
    )


async def freeze(
    connection: AsyncConnection, profile_id: str, person: str, reason: str, now: datetime
) -> bool:
    """Freezes a profile by hand; false when it is frozen already, or unknown."""
    result = await connection.execute(
        text(
            """
            with frozen as (
                update credit_profile set frozen = true where profile_id = :profile_id and not frozen
                returning profile_id)
            insert into profile_freeze (profile_id, number, frozen_at, frozen_by, reason)
            select profile_id, (select coalesce(max(number), 0) + 1 from profile_freeze h
                                where h.profile_id = frozen.profile_id), :now, :person, :reason
            from frozen
            """
        ),
        {"profile_id": profile_id, "person": person, "reason": reason, "now": now},
    )
    return bool(result.rowcount)


async def unfreeze(
    connection: AsyncConnection, profile_id: str, person: str, reason: str, now: datetime
) -> bool:
    """Ends a freeze; false when there is none."""
    result = await connection.execute(
        text(
            """
            with thawed as (
                update credit_profile set frozen = false where profile_id = :profile_id and frozen
                returning profile_id)
            update profile_freeze h
            set unfrozen_at = :now, unfrozen_by = :person, unfreeze_reason = :reason
            from thawed where h.profile_id = thawed.profile_id and h.unfrozen_at is null
            """
        ),
        {"profile_id": profile_id, "person": person, "reason": reason, "now": now},
    )
    return bool(result.rowcount)


async def used_by_stage(connection: AsyncConnection, profile_id: str) -> dict[str, int | Fraction]:
    """What each stage uses of a profile, in minor units."""
    rows = await connection.execute(
        text(
            """
            select 'sales-order' as stage, coalesce(sum(occupied), 0) as amount
            from (select max(amount_minor) as occupied from occupancy
                  where profile_id = :profile_id group by source, order_id) o
            union all
            select stage, sum(amount_minor) from document_occupancy where profile_id = :profile_id group by stage
            """
        ),
        {"profile_id": profile_id},
    )
    return {stage: int(amount) for stage, amount in rows}


async def document_exceptions_before(
    connection: AsyncConnection,
    place: tuple[datetime, str, str, str, int] | None,
    rows_max: int,
    *,
    customer: str | None,
) -> Sequence[Row[Any]]:
    """Documents that failed, newest first."""
    names = ("at", "type", "source", "id", "number")
    rows = await connection.execute(
        text(
            """
            select * from document_check
            where is_exception and (cast(:customer as text) is null or customer = :customer)
              and (cast(:at as timestamptz) is null
                   or (checked_at, document_type, source, document_id, number)
                      < (cast(:at as timestamptz), cast(:type as text), cast(:source as text), cast(:id as text),
                         cast(:number as bigint)))
            order by checked_at desc, document_type desc, source desc, document_id desc, number desc
            limit :rows_max
            """
        ),
        {
            **dict(zip(names, place or (None,) * len(names), strict=True)),
            "customer": customer,
            "rows_max": rows_max,
        },
    )
    return rows.all()
