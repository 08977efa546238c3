"""Expense claims under lock."""

from collections.abc import Collection
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fund_pool.domain.expenses import Claim
from fund_pool.repository.arrays import columns

CLAIMS: Final = text(
    """
    select claim_id, revision, account, account_type, currency, amount, approved_on, credited
    from expense_claim
    where claim_id = any(cast(:claims as text[]))
    order by claim_id
    for update
    """
)

SAVE: Final = text(
    """
    insert into expense_claim (claim_id, revision, account, account_type, currency, amount, approved_on, credited,
                               changed_at)
    select n.*, cast(:now as timestamptz) from unnest(
        cast(:ids as text[]), cast(:revisions as int[]), cast(:accounts as text[]), cast(:types as text[]),
        cast(:currencies as text[]), cast(:amounts as bigint[]), cast(:days as date[]),
        cast(:credited as bigint[])) as n
    on conflict (claim_id) do update
    set revision = excluded.revision, amount = excluded.amount, approved_on = excluded.approved_on,
        credited = excluded.credited, changed_at = excluded.changed_at
    """
)


async def claims(connection: AsyncConnection, claim_ids: Collection[str]) -> dict[str, Claim]:
    """The known ones among these claims; their accounts are locked before them."""
    found = await connection.execute(CLAIMS, {"claims": sorted(claim_ids)})
    return {row.claim_id: Claim(*row) for row in found}


async def save(connection: AsyncConnection, kept: Collection[Claim], now: datetime) -> None:
    """Writes claims as their newest revision tells them."""
    names = ("ids", "revisions", "accounts", "types", "currencies", "amounts", "days", "credited")
    rows = (
        (
            claim.claim_id,
            claim.revision,
            claim.account,
            claim.account_type,
            claim.currency,
            claim.amount,
            claim.approved_on,
            claim.credited,
        )
        for claim in sorted(kept, key=lambda one: one.claim_id)
    )
    await connection.execute(SAVE, {**columns(names, rows), "now": now})
