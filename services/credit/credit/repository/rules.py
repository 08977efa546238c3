"""Check rules with their versions, parameters and exchange rates."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection


async def rule_row(connection: AsyncConnection, rule_id: str, *, locked: bool = False) -> Row[Any] | None:
    """One check rule as it is in force."""
    locking = "for update" if locked else ""
    rows = await connection.execute(
        text(f"select * from check_rule where rule_id = :id {locking}"), {"id": rule_id}
    )
    return rows.first()


async def rules_after(
    connection: AsyncConnection, place: tuple[str] | None, rows_max: int
) -> Sequence[Row[Any]]:
    rows = await connection.execute(
        text(
            """
            select * from check_rule where rule_id > coalesce(cast(:after as text), '')
            order by rule_id limit :rows_max
            """
        ),
        {"after": place[0] if place else None, "rows_max": rows_max},
    )
    return rows.all()


async def set_rule(
    connection: AsyncConnection,
    rule_id: str,
    name: str,
    body: bytes,
    *,
    reason: str,
    person: str,
    now: datetime,
) -> int:
    """Makes or replaces a rule; returns its version, which is kept for good."""
    rows = await connection.execute(
        text(
            """
            with changed as (
                insert into check_rule as r (rule_id, name, body, version, changed_by, changed_at)
                values (:rule_id, :name, :body, 1, :person, :now)
                on conflict (rule_id) do update
                set name = excluded.name, body = excluded.body, version = r.version + 1,
                    changed_by = excluded.changed_by, changed_at = excluded.changed_at
                returning *)
            insert into check_rule_version (rule_id, name, body, reason, version, changed_by, changed_at)
            select rule_id, name, body, :reason, version, changed_by, changed_at from changed
            returning version
            """
        ),
        {"rule_id": rule_id, "name": name, "body": body, "reason": reason, "person": person, "now": now},
    )
    return int(rows.scalar_one())


async def parameter_row(connection: AsyncConnection) -> Row[Any] | None:
    """The parameters, if anybody has set them."""
    return (await connection.execute(text("select * from parameter"))).first()


async def set_parameters(connection: AsyncConnection, body: bytes, person: str, now: datetime) -> None:
    await connection.execute(
        text(
            """
            insert into parameter as p (one, body, version, changed_by, changed_at)
            values (true, :body, 1, :person, :now)
            on conflict (one) do update
            set body = excluded.body, version = p.version + 1, changed_by = excluded.changed_by,
                changed_at = excluded.changed_at
            """
        ),
        {"body": body, "person": person, "now": now},
    )


async def set_rate(
    connection: AsyncConnection, source: str, target: str, day: date, rate: str, person: str, now: datetime
) -> None:
    """Sets the rate of a pair from a day on."""
    await connection.execute(
        text(
            """
            insert into exchange_rate (currency_from, currency_to, rate_date, rate, changed_by, changed_at)
            values (:source, :target, :day, cast(cast(:rate as text) as numeric), :person, :now)
            on conflict (currency_from, currency_to, rate_date) do update
            set rate = excluded.rate, changed_by = excluded.changed_by, changed_at = excluded.changed_at
            """
        ),
        {"source": source, "target": target, "day": day, "rate": rate, "person": person, "now": now},
    )


async def rates_after(
    connection: AsyncConnection, place: tuple[str, str, date] | None, rows_max: int
) -> Sequence[Row[Any]]:
    rows = await connection.execute(
        text(
            """
            select * from exchange_rate
            where cast(:source as text) is null
               or (currency_from, currency_to, rate_date)
                  > (cast(:source as text), cast(:target as text), cast(:day as date))
            order by currency_from, currency_to, rate_date limit :rows_max
            """
        ),
        {
            "source": place[0] if place else None,
            "target": place[1] if place else None,
            "day": place[2] if place else None,
            "rows_max": rows_max,
        },
    )
    return rows.all()
