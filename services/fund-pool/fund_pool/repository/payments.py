"""Payments under lock, and those that nobody could place."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from fund_pool.domain.payment import Payment
from fund_pool.domain.pool import Pool
from fund_pool.repository import extras, ledger

LOCKED_PAYMENTS: Final = text(
    """
    with held as (
        insert into payment (payment_id, payer, account, account_type, currency, amount, instrument,
                             received_on, reference, status, recorded_at)
        select n.*, 'new', cast(:recorded_at as timestamptz) from unnest(
            cast(:payment_ids as text[]), cast(:payers as text[]), cast(:accounts as text[]),
            cast(:account_types as text[]), cast(:currencies as text[]), cast(:amounts as bigint[]),
            cast(:instruments as text[]), cast(:received_on as date[]), cast(:references as text[])) as n
        on conflict (payment_id) do update set status = payment.status
        returning payment_id, payer, account, account_type, currency, amount, instrument, received_on,
                  reference, status, reason, entry_number),
    pool as materialized (
        select account from account
        where account = any(array(select account from held))
        order by account
        for update)
    select held.*, (select count(*) from pool) as pools from held
    """
)

SAVE: Final = text(
    f"""
    with {ledger.PARTS}
    update payment p set status = n.status, reason = n.reason, entry_number = n.entry_number
    from unnest(cast(:payment_ids as text[]), cast(:payment_statuses as text[]), cast(:payment_reasons as text[]),
                cast(:payment_entries as bigint[])) as n (payment_id, status, reason, entry_number)
    where p.payment_id = n.payment_id
    """
)

UNMATCHED: Final = text(
    """
    select payment_id, payer, account, account_type, currency, amount, instrument, received_on, reference,
           status, reason, entry_number, recorded_at
    from payment
    where status = 'unmatched'
      and (cast(:reason as text) is null or reason = :reason)
      and (cast(:after_time as timestamptz) is null or (recorded_at, payment_id) > (:after_time, :after_id))
    order by recorded_at, payment_id
    limit :rows
    """
)


@dataclass(frozen=True, slots=True)
class UnmatchedPayment:
    """A payment that waits for somebody to place it."""

    payment: Payment
    recorded_at: datetime


async def locked_payments(
    connection: AsyncConnection, payments: Collection[Payment], now: datetime
) -> dict[str, Payment]:
    """The first telling of each payment, under lock; one that is new is kept. Then locks the accounts named."""
    first: dict[str, Payment] = {}
    for payment in payments:
        first.setdefault(payment.payment_id, payment)
    rows = await connection.execute(
        LOCKED_PAYMENTS, {"recorded_at": now, **_told([first[key] for key in sorted(first)])}
    )
    return {row.payment_id: _payment(row) for row in rows}


async def save(
    connection: AsyncConnection, payments: Sequence[Payment], pools: Sequence[Pool], now: datetime
) -> None:
    """Writes what became of payments and what was posted for them, in one statement."""
    names = ("payment_ids", "payment_statuses", "payment_reasons", "payment_entries")
    outcomes = ((paid.payment_id, paid.status, paid.reason, paid.entry_number) for paid in payments)
    await connection.execute(SAVE, {**ledger.parameters(pools, now), **ledger.columns(names, outcomes)})
    await extras.save(connection, pools, now)


async def unmatched(
    connection: AsyncConnection, reason: str | None, after: tuple[datetime, str] | None, rows: int
) -> list[UnmatchedPayment]:
    """Unmatched payments, oldest first."""
    after_time, after_id = after or (None, None)
    found = await connection.execute(
        UNMATCHED, {"reason": reason, "after_time": after_time, "after_id": after_id, "rows": rows}
    )
    return [UnmatchedPayment(_payment(row), row.recorded_at) for row in found]


def _told(payments: Sequence[Payment]) -> dict[str, list[Any]]:
    names = (
        "payment_ids",
        "payers",
        "accounts",
        "account_types",
        "currencies",
        "amounts",
        "instruments",
        "received_on",
        "references",
    )
    return ledger.columns(
        names,
        (
            (
                paid.payment_id,
                paid.payer,
                paid.account,
                paid.account_type,
                paid.currency,
                paid.amount,
                paid.instrument,
                paid.received_on,
                paid.reference,
            )
            for paid in payments
        ),
    )


def _payment(row: Row[Any]) -> Payment:
    return Payment(
        payment_id=row.payment_id,
        payer=row.payer,
        account=row.account,
        account_type=row.account_type,
        currency=row.currency,
        amount=row.amount,
        instrument=row.instrument,
        received_on=row.received_on,
        reference=row.reference,
        status=row.status,
        reason=row.reason,
        entry_number=row.entry_number,
    )
