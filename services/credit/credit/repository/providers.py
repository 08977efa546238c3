"""What the system knows for scoring: each provider gives one number per object, set-based."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final, Protocol

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

DECISION_DAYS: Final = 365
SUPPLIED: Final = "supplied"


class Provider(Protocol):
    """Feeds indicators; an object that it knows nothing of is left out, and its sheet stays incomplete."""

    @property
    def meaning(self) -> str: ...

    async def values(
        self, connection: AsyncConnection, indicator_id: str, objects: Sequence[str], today: date
    ) -> dict[str, Decimal]: ...


@dataclass(frozen=True, slots=True)
class QueryProvider:
    """A provider that is one query; it returns (object id, number) for `ids`, `indicator_id` and `today`."""

    meaning: str
    sql: str

    async def values(
        self, connection: AsyncConnection, indicator_id: str, objects: Sequence[str], today: date
    ) -> dict[str, Decimal]:
        parameters = {"ids": list(objects), "indicator_id": indicator_id, "today": today}
        statement = text(self.sql)
        wanted = {name: parameters[name] for name in statement.compile().params}
        rows = await connection.execute(statement, wanted)
        return {object_id: Decimal(value) for object_id, value in rows if value is not None}


PROVIDERS: Final[dict[str, Provider]] = {
    SUPPLIED: QueryProvider(
        "What another system has worked out and brought by PUT /indicator-values.",
        """
        select object_id, cast(value as numeric) from supplied_value
        where indicator_id = :indicator_id and object_id = any(cast(:ids as text[]))
        """,
    ),
    "credit-usage": QueryProvider(
        "Percent of the customer's credit limits that is used, the highest over its profiles.",
        """
        select object_id, max(round(100.0 * used_minor / nullif(credit_limit_minor, 0), 2)) from credit_profile
        where object_type = 'customer' and object_id = any(cast(:ids as text[])) and credit_limit_minor > 0
        group by object_id
        """,
    ),
    "held-orders": QueryProvider(
        f"Orders of the last {DECISION_DAYS} days that had to wait for special approval.",
        f"""
        select c.id, count(p.customer) from unnest(cast(:ids as text[])) as c (id)
        left join pending_order p on p.customer = c.id
             and p.held_at >= cast(cast(:today as date) - {DECISION_DAYS} as timestamptz)
        group by c.id
        """,
    ),
}
"""By the name that an indicator uses; whatever else is registered here can feed indicators too."""


async def fed_values(
    connection: AsyncConnection, wanted: Mapping[str, str], objects: Sequence[str], today: date
) -> dict[tuple[str, str], Decimal]:
    """By (object, indicator): what the providers give; `wanted` names the provider of each indicator."""
    found: dict[tuple[str, str], Decimal] = {}
    for indicator_id, provider in wanted.items():
        values = await PROVIDERS[provider].values(connection, indicator_id, objects, today)
        found |= {(object_id, indicator_id): value for object_id, value in values.items()}
    return found
