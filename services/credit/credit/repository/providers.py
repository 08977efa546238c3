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
BODIES: Final = """(
    select document_type, source, document_id, customer, phase, cast(convert_from(body, 'UTF8') as jsonb) as body
    from document)"""


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
    "on-time-payment-rate": QueryProvider(
        f"Percent of the money that receipts of the last {DECISION_DAYS} days settled receivables with that came by "
        "their due date.",
        f"""
        select customer, round(100 * coalesce(sum(amount) filter (where paid_on <= due_on), 0) / sum(amount), 2)
        from (
            select p.customer, cast(p.body ->> 'document_date' as date) as paid_on,
                   coalesce(cast(r.body ->> 'due_date' as date), cast(r.body ->> 'document_date' as date)) as due_on,
                   cast(coalesce(link #>> '{{amount,amount}}', line #>> '{{amount,amount}}') as numeric) as amount
            from {BODIES} p
            cross join lateral jsonb_array_elements(p.body -> 'lines') as line
            cross join lateral jsonb_array_elements(coalesce(line -> 'upstream', '[]')) as link
            join {BODIES} r
              on r.document_type = 'receivable' and r.source = coalesce(link ->> 'source', p.source)
                 and r.document_id = link ->> 'document_id' and link ->> 'document_type' = 'receivable'
            where p.document_type = 'receipt' and p.phase = 'audited' and r.phase <> 'reversed'
              and p.customer = any(cast(:ids as text[]))
              and cast(p.body ->> 'document_date' as date) > cast(:today as date) - {DECISION_DAYS}) paid
        where amount > 0 group by customer
        """,
    ),
    "turnover": QueryProvider(
        f"Receivables of the last {DECISION_DAYS} days, in the currency in which the customer has most of them.",
        f"""
        select distinct on (customer) customer, turnover
        from (
            select customer, body ->> 'currency' as currency,
                   sum(cast(body #>> '{{total,amount}}' as numeric)) as turnover, count(*) as receivables
            from {BODIES} d
            where document_type = 'receivable' and phase in ('audited', 'closed')
              and customer = any(cast(:ids as text[]))
              and cast(body ->> 'document_date' as date) > cast(:today as date) - {DECISION_DAYS}
            group by customer, body ->> 'currency') sums
        order by customer, receivables desc, currency
        """,
    ),
    "overdue-days": QueryProvider(
        "Days by which the customer's oldest open receivable is past its due date; 0 when none is.",
        """
        select d.customer, greatest(coalesce(max(cast(:today as date) - o.due_date)
                                             filter (where o.amount_minor > 0), 0), 0)
        from document d
        left join document_occupancy o
          on o.document_type = d.document_type and o.source = d.source and o.document_id = d.document_id
             and o.stage = 'receivable'
        where d.document_type = 'receivable' and d.customer = any(cast(:ids as text[]))
        group by d.customer
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
