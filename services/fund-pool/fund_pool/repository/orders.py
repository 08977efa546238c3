"""Orders under lock, and what was decided about them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson
from chassis.arrays import Columns
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from fund_pool.domain.order import OrderState, Parked
from fund_pool.domain.pool import Pool
from fund_pool.domain.walk import LinePaid
from fund_pool.repository import extras, ledger
from fund_pool.tables import decision, order_state

OrderKey = tuple[str, str]

ORDER_COLUMNS: Final = (
    "source",
    "order_id",
    "account",
    "status",
    "check_number",
    "order_revision",
    "currency",
    "customer",
    "business_organisation",
    "settlement_organisation",
    "payment_method",
    "total",
    "due_date",
    "paid",
    "refunded",
    "payments",
    "fingerprints",
    "parked",
)
ORDER_COLUMN_COUNT: Final = len(ORDER_COLUMNS)
CHECKS: Final = Columns(sources="text", order_ids="text", accounts="text")
LOCKED_ORDERS: Final = text(
    f"""
    with held as (
        insert into order_state (source, order_id, account)
        select * from unnest({CHECKS.sql})
        on conflict (source, order_id) do update set account = order_state.account
        returning {", ".join(ORDER_COLUMNS)}),
    pool as materialized (
        select account from account
        where account = any(array(select account from held union select unnest(cast(:named as text[]))))
        order by account
        for update)
    select held.*, (select count(*) from pool) as pools from held
    """
)

ORDERS: Final = Columns(
    order_sources="text",
    order_ids="text",
    order_accounts="text",
    order_statuses="text",
    order_checks="bigint",
    order_revisions="int",
    order_currencies="text",
    order_customers="text",
    order_businesses="text",
    order_settlements="text",
    order_methods="text",
    order_totals="bigint",
    order_due_dates="date",
    order_paid="bigint",
    order_refunded="bigint",
    order_payments="bytea",
    order_fingerprints="bytea",
    order_parked="bytea",
)
DECISIONS: Final = Columns(
    decision_accounts="text",
    decision_sources="text",
    decision_orders="text",
    decision_checks="bigint",
    decision_outcomes="text",
    decision_entries="bigint",
    decision_bodies="bytea",
)
SAVE: Final = text(
    f"""
    with {ledger.PARTS},
    orders as (
        update order_state o
        set account = n.account, status = n.status, check_number = n.check_number,
            order_revision = n.order_revision, currency = n.currency, customer = n.customer,
            business_organisation = n.business_organisation,
            settlement_organisation = n.settlement_organisation, payment_method = n.payment_method,
            total = n.total, due_date = n.due_date, paid = n.paid, refunded = n.refunded,
            payments = n.payments, fingerprints = n.fingerprints, parked = n.parked,
            changed_at = cast(:written_at as timestamptz)
        from unnest({ORDERS.sql})
            as n ({", ".join(ORDER_COLUMNS)})
        where o.source = n.source and o.order_id = n.order_id)
    insert into decision (account, source, order_id, check_number, outcome, entry_number, body, decided_at)
    select n.*, cast(:written_at as timestamptz) from unnest({DECISIONS.sql}) as n
    """
)


@dataclass(slots=True)
class DecisionRow:
    """One decision as it is kept: `body` is the order-decided event in JSON."""

    account: str
    source: str
    order_id: str
    check_number: int
    outcome: str
    entry_number: int | None
    body: bytes


@dataclass(frozen=True, slots=True)
class KeptDecision:
    """One decision as it was kept."""

    body: bytes
    decided_at: datetime
    entry_number: int | None


async def locked_orders(
    connection: AsyncConnection, named: Collection[tuple[OrderKey, str]]
) -> dict[OrderKey, OrderState]:
    """Upserts and so locks the orders, then the accounts that they and their checks name; each in one order.

    `named`: each check's order with the account that the check names.
    """
    paying: dict[OrderKey, str] = {}
    for key, account in named:
        paying.setdefault(key, account)
    ordered = sorted(paying)
    rows = await connection.execute(
        LOCKED_ORDERS,
        {
            **CHECKS.parameters((*key, paying[key]) for key in ordered),
            "named": sorted({account for _, account in named}),
        },
    )
    orders = [_order(row) for row in rows]
    return {(order.source, order.order_id): order for order in orders}


async def save(
    connection: AsyncConnection,
    orders: Collection[OrderState],
    decisions: Sequence[DecisionRow],
    pools: Sequence[Pool],
    now: datetime,
) -> None:
    """Writes the orders, the decisions and all that was posted for them, in one statement."""
    await connection.execute(
        SAVE, {**ledger.parameters(pools, now), **_orders(orders), **_decisions(decisions)}
    )
    await extras.save(connection, pools, now)


async def order(connection: AsyncConnection, source: str, order_id: str) -> OrderState | None:
    """One order without a lock."""
    wanted = select(*(order_state.c[name] for name in ORDER_COLUMNS)).where(
        order_state.c.source == source, order_state.c.order_id == order_id
    )
    row = (await connection.execute(wanted)).one_or_none()
    return None if row is None else _order(row)


async def decisions(connection: AsyncConnection, source: str, order_id: str) -> list[KeptDecision]:
    """Every decision about an order, in the order of their checks."""
    wanted = (
        select(decision.c.body, decision.c.decided_at, decision.c.entry_number)
        .where(decision.c.source == source, decision.c.order_id == order_id)
        .order_by(decision.c.check_number)
    )
    return [KeptDecision(*row) for row in await connection.execute(wanted)]


def _order(row: Sequence[Any]) -> OrderState:
    """An order out of ORDER_COLUMNS, which stand in the order of its fields."""
    *plain, payments, fingerprints, parked = row[:ORDER_COLUMN_COUNT]
    paid = [] if payments is None else [LinePaid(*payment) for payment in orjson.loads(payments)]
    early = {} if parked is None else _unpacked(parked)
    return OrderState(*(*plain, paid, fingerprints, early))


def _orders(orders: Collection[OrderState]) -> dict[str, Any]:
    return ORDERS.parameters(map(_order_row, orders))


def _order_row(order: OrderState) -> tuple[Any, ...]:
    payments = [[paid.account, paid.account_type, paid.line_id, paid.amount] for paid in order.payments]
    return (
        order.source,
        order.order_id,
        order.account,
        order.status,
        order.check_number,
        order.order_revision,
        order.currency,
        order.customer,
        order.business_organisation,
        order.settlement_organisation,
        order.payment_method,
        order.total,
        order.due_date,
        order.paid,
        order.refunded,
        orjson.dumps(payments) if payments else None,
        order.fingerprints,
        _packed(order.parked) if order.parked else None,
    )


def _packed(parked: dict[int, Parked]) -> bytes:
    return orjson.dumps(
        [[number, early.fingerprint.hex(), early.body.decode()] for number, early in parked.items()]
    )


def _unpacked(packed: bytes) -> dict[int, Parked]:
    return {
        number: Parked(body.encode(), bytes.fromhex(fingerprint))
        for number, fingerprint, body in orjson.loads(packed)
    }


def _decisions(decisions: Sequence[DecisionRow]) -> dict[str, Any]:
    return DECISIONS.parameters(
        (
            (row.account, row.source, row.order_id, row.check_number, row.outcome, row.entry_number, row.body)
            for row in decisions
        ),
    )
