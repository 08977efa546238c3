"""Orders under lock, and what was decided about them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson
from chassis.arrays import Columns
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from fund_pool.domain.books import BookShare
from fund_pool.domain.order_state import LineHeld, OrderState, Parked
from fund_pool.domain.pool import Pool
from fund_pool.domain.walk import LineAmount, LinePaid
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
    "details",
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
        where account = any(array(
            select account from held
            union select unnest(cast(:named as text[]))
            union select management_account from common_line
            where member_account = any(array(select account from held))
               or member_account = any(cast(:named as text[]))))
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
    order_details="bytea",
)
DECISIONS: Final = Columns(
    decision_accounts="text",
    decision_sources="text",
    decision_orders="text",
    decision_checks="bigint",
    decision_sequels="int",
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
            payments = n.payments, fingerprints = n.fingerprints, parked = n.parked, details = n.details,
            changed_at = cast(:written_at as timestamptz)
        from unnest({ORDERS.sql})
            as n ({", ".join(ORDER_COLUMNS)})
        where o.source = n.source and o.order_id = n.order_id)
    insert into decision (account, source, order_id, check_number, sequel, outcome, entry_number, body, decided_at)
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
    sequel: int = 0


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
        .order_by(decision.c.check_number, decision.c.sequel)
    )
    return [KeptDecision(*row) for row in await connection.execute(wanted)]


def _order(row: Sequence[Any]) -> OrderState:
    """An order out of ORDER_COLUMNS, which stand in the order of its fields."""
    *plain, payments, fingerprints, parked, details = row[:ORDER_COLUMN_COUNT]
    paid = [] if payments is None else [LinePaid(*payment) for payment in orjson.loads(payments)]
    early = {} if parked is None else _unpacked(parked)
    order = OrderState(*(*plain, paid, fingerprints, early))
    if details is not None:
        _add_details(order, orjson.loads(details))
    return order


def _orders(orders: Collection[OrderState]) -> dict[str, Any]:
    return ORDERS.parameters(map(_order_row, orders))


def _order_row(order: OrderState) -> tuple[Any, ...]:
    payments = [
        [paid.account, paid.account_type, paid.line_id, paid.amount]
        if paid.voucher_id is None
        else [paid.account, paid.account_type, paid.line_id, paid.amount, paid.voucher_id]
        for paid in order.payments
    ]
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
        _details(order),
    )


def _details(order: OrderState) -> bytes | None:
    """What few orders have: holds, a rest to be paid, returns, notices, parts out of transfer books."""
    told = {
        "sequel": order.sequel,
        "holds": [
            [held.hold_id, held.account, held.account_type, held.line_id, held.amount, held.voucher_id]
            for held in order.holds
        ],
        "hold_expires_at": order.hold_expires_at,
        "final": _lines(order.final),
        "released": _lines(order.released),
        "total_before": order.total_before,
        "materials": _lines(order.materials),
        "shares": [[share.giver, share.amount] for share in order.shares],
        "returns": order.returns,
        "return_revisions": order.return_revisions,
        "notices": order.notices,
    }
    kept = {name: value for name, value in told.items() if value}
    return orjson.dumps(kept) if kept else None


def _lines(lines: Sequence[LineAmount]) -> list[list[Any]]:
    return [[line.line_id, line.amount, line.material, line.material_group] for line in lines]


def _add_details(order: OrderState, told: dict[str, Any]) -> None:
    order.sequel = told.get("sequel", 0)
    order.holds = [LineHeld(*held) for held in told.get("holds", ())]
    expires_at = told.get("hold_expires_at")
    order.hold_expires_at = None if expires_at is None else datetime.fromisoformat(expires_at)
    order.final = [LineAmount(*line) for line in told.get("final", ())]
    order.released = [LineAmount(*line) for line in told.get("released", ())]
    order.total_before = told.get("total_before", 0)
    order.materials = [LineAmount(*line) for line in told.get("materials", ())]
    order.shares = [BookShare(*share) for share in told.get("shares", ())]
    order.returns = told.get("returns", {})
    order.return_revisions = told.get("return_revisions", {})
    order.notices = told.get("notices", {})


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
            (
                row.account,
                row.source,
                row.order_id,
                row.check_number,
                row.sequel,
                row.outcome,
                row.entry_number,
                row.body,
            )
            for row in decisions
        ),
    )
