"""Payments under lock, and those that nobody could place."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from fund_pool.domain.payment import Payment, Reversal
from fund_pool.domain.pool import Pool
from fund_pool.repository import extras, ledger

LOCKED_PAYMENTS: Final = text(
    """
    with held as (
        insert into payment (payment_id, payer, account, account_type, currency, amount, instrument,
                             received_on, reference, top_up_id, cashes, status, recorded_at)
        select n.*, 'new', cast(:recorded_at as timestamptz) from unnest(
            cast(:payment_ids as text[]), cast(:payers as text[]), cast(:accounts as text[]),
            cast(:account_types as text[]), cast(:currencies as text[]), cast(:amounts as bigint[]),
            cast(:instruments as text[]), cast(:received_on as date[]), cast(:references as text[]),
            cast(:top_ups as text[]), cast(:cashed as text[])) as n
        on conflict (payment_id) do update set status = payment.status
        returning payment_id, payer, account, account_type, currency, amount, instrument, received_on,
                  reference, status, reason, entry_number, top_up_id, cashes, reversed),
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
    update payment p set status = n.status, reason = n.reason, entry_number = n.entry_number,
                         account = n.account, account_type = n.account_type, reversed = n.reversed
    from unnest(cast(:payment_ids as text[]), cast(:payment_statuses as text[]), cast(:payment_reasons as text[]),
                cast(:payment_entries as bigint[]), cast(:payment_accounts as text[]),
                cast(:payment_types as text[]), cast(:payment_reversed as bigint[]))
        as n (payment_id, status, reason, entry_number, account, account_type, reversed)
    where p.payment_id = n.payment_id
    """
)

BY_IDS: Final = text(
    """
    select payment_id, payer, account, account_type, currency, amount, instrument, received_on, reference,
           status, reason, entry_number, top_up_id, cashes, reversed
    from payment
    where payment_id = any(cast(:payment_ids as text[]))
    order by payment_id
    for update
    """
)

LOCK_NAMES: Final = text(
    """
    select pg_advisory_xact_lock(hashtextextended(payment_id, 4))
    from (select payment_id from unnest(cast(:payment_ids as text[])) as n (payment_id) order by payment_id) o
    """
)

REVERSAL: Final = "reversal_id, payment_id, currency, amount, reversed_on, status, entry_number, debt"

KEPT_REVERSALS: Final = text(
    f"""
    insert into payment_reversal (reversal_id, payment_id, currency, amount, reversed_on, status, recorded_at)
    select n.*, 'waiting', cast(:recorded_at as timestamptz) from unnest(
        cast(:ids as text[]), cast(:payments as text[]), cast(:currencies as text[]),
        cast(:amounts as bigint[]), cast(:days as date[])) as n
    on conflict (reversal_id) do update set status = payment_reversal.status
    returning {REVERSAL}
    """
)

WAITING_REVERSALS: Final = text(
    f"""
    select {REVERSAL} from payment_reversal
    where payment_id = any(cast(:payment_ids as text[])) and status = 'waiting'
    order by reversal_id
    """
)

SAVE_REVERSALS: Final = text(
    """
    update payment_reversal r set status = n.status, entry_number = n.entry_number, debt = n.debt
    from unnest(cast(:ids as text[]), cast(:statuses as text[]), cast(:entries as bigint[]),
                cast(:debts as bigint[])) as n (reversal_id, status, entry_number, debt)
    where r.reversal_id = n.reversal_id
    """
)


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
    names = (
        "payment_ids",
        "payment_statuses",
        "payment_reasons",
        "payment_entries",
        "payment_accounts",
        "payment_types",
        "payment_reversed",
    )
    outcomes = (
        (
            paid.payment_id,
            paid.status,
            paid.reason,
            paid.entry_number,
            paid.account,
            paid.account_type,
            paid.reversed,
        )
        for paid in payments
    )
    await connection.execute(SAVE, {**ledger.parameters(pools, now), **ledger.columns(names, outcomes)})
    await extras.save(connection, pools, now)


async def by_ids(connection: AsyncConnection, payment_ids: Collection[str]) -> dict[str, Payment]:
    """The known ones among these payments, locked in one order."""
    rows = await connection.execute(BY_IDS, {"payment_ids": sorted(payment_ids)})
    return {row.payment_id: _payment(row) for row in rows}


async def lock_names(connection: AsyncConnection, payment_ids: Collection[str]) -> None:
    """Locks the ids themselves, so that a payment and its reversal see each other whichever is first."""
    await connection.execute(LOCK_NAMES, {"payment_ids": sorted(payment_ids)})


async def kept_reversals(
    connection: AsyncConnection, reversals: Sequence[Reversal], now: datetime
) -> dict[str, Reversal]:
    """The first telling of each reversal, under lock; one that is new is kept."""
    names = ("ids", "payments", "currencies", "amounts", "days")
    told = sorted(reversals, key=lambda one: one.reversal_id)
    rows = ((one.reversal_id, one.payment_id, one.currency, one.amount, one.reversed_on) for one in told)
    found = await connection.execute(KEPT_REVERSALS, {**ledger.columns(names, rows), "recorded_at": now})
    return {row.reversal_id: Reversal(*row) for row in found}


async def waiting_reversals(connection: AsyncConnection, payment_ids: Collection[str]) -> list[Reversal]:
    """Reversals that came before these payments."""
    found = await connection.execute(WAITING_REVERSALS, {"payment_ids": list(payment_ids)})
    return [Reversal(*row) for row in found]


async def save_reversals(connection: AsyncConnection, reversals: Collection[Reversal]) -> None:
    """Writes what became of reversals."""
    names = ("ids", "statuses", "entries", "debts")
    rows = ((one.reversal_id, one.status, one.entry_number, one.debt) for one in reversals)
    await connection.execute(SAVE_REVERSALS, ledger.columns(names, rows))


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
        "top_ups",
        "cashed",
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
                paid.top_up_id,
                paid.cashes,
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
        top_up_id=row.top_up_id,
        cashes=row.cashes,
        reversed=row.reversed,
    )
