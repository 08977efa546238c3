"""Voucher pools, and the vouchers, coupons and cards that accounts may draw on."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from fund_pool.domain.voucher_pools import VoucherPool
from fund_pool.domain.vouchers import Voucher
from fund_pool.repository.arrays import columns

ADD_POOL: Final = text(
    """
    insert into voucher_pool (pool_id, account, currency, amount, valid_from, valid_until, materials,
                              material_groups, granted_by, granted_at)
    values (:pool_id, :account, :currency, :amount, :valid_from, :valid_until, :materials, :material_groups,
            :granted_by, :granted_at)
    on conflict (pool_id) do nothing
    returning pool_id
    """
)

POOL: Final = """
    select pool_id, account, currency, amount, made, expired, valid_from, valid_until, materials, material_groups
    from voucher_pool where pool_id = :pool_id
"""

MADE: Final = text("update voucher_pool set made = :made where pool_id = :pool_id")

ADD: Final = text(
    """
    with kept as (
        insert into voucher (voucher_id, kind, owner, pool_id, currency, amount, remaining, valid_from, valid_until,
                             issued_on, materials, material_groups, minimum_order, made_by, made_at)
        values (:voucher_id, :kind, :owner, :pool_id, :currency, :amount, 0, :valid_from, :valid_until,
                :issued_on, :materials, :material_groups, :minimum_order, :made_by, :made_at)
        on conflict (voucher_id) do nothing
        returning voucher_id),
    members as (
        insert into voucher_member (account, voucher_id)
        select account, voucher_id from unnest(cast(:members as text[])) as m (account) cross join kept),
    marked as (
        update account set extras = true
        where account = any(cast(:members as text[])) and not extras and exists (select from kept))
    select voucher_id from kept
    """
)


KNOWN: Final = text("select voucher_id from voucher where voucher_id = any(cast(:voucher_ids as text[]))")

SEPARATOR: Final = "\x1f"
ADD_MANY: Final = text(
    """
    with n as materialized (
        select * from unnest(
            cast(:ids as text[]), cast(:kinds as text[]), cast(:owners as text[]), cast(:currencies as text[]),
            cast(:amounts as bigint[]), cast(:froms as date[]), cast(:untils as date[]), cast(:issued as date[]),
            cast(:materials as text[]), cast(:material_groups as text[]), cast(:minimums as bigint[]))
            as n (voucher_id, kind, owner, currency, amount, valid_from, valid_until, issued_on, materials,
                  material_groups, minimum_order)),
    kept as (
        insert into voucher (voucher_id, kind, owner, currency, amount, remaining, valid_from, valid_until, issued_on,
                             materials, material_groups, minimum_order, made_by, made_at)
        select voucher_id, kind, owner, currency, amount, 0, valid_from, valid_until, issued_on,
               string_to_array(materials, :separator), string_to_array(material_groups, :separator),
               minimum_order, :made_by, cast(:made_at as timestamptz)
        from n),
    marked as (update account set extras = true where account in (select owner from n) and not extras)
    insert into voucher_member (account, voucher_id) select owner, voucher_id from n
    """
)


async def known(connection: AsyncConnection, voucher_ids: Sequence[str]) -> set[str]:
    """Those of these ids that vouchers have already."""
    found = await connection.execute(KNOWN, {"voucher_ids": list(voucher_ids)})
    return {row.voucher_id for row in found}


async def add_many(connection: AsyncConnection, made: Sequence[Voucher], made_by: str, now: datetime) -> None:
    """Keeps new coupons and cards at nothing, each for its owner; an id that is taken meanwhile is an error."""
    names = (
        "ids",
        "kinds",
        "owners",
        "currencies",
        "amounts",
        "froms",
        "untils",
        "issued",
        "materials",
        "material_groups",
        "minimums",
    )
    rows = (
        (
            one.voucher_id,
            one.kind,
            one.owner,
            one.currency,
            one.amount,
            one.valid_from,
            one.valid_until,
            one.issued_on,
            SEPARATOR.join(sorted(one.materials)),
            SEPARATOR.join(sorted(one.material_groups)),
            one.minimum_order,
        )
        for one in made
    )
    parameters = {**columns(names, rows), "made_by": made_by, "made_at": now, "separator": SEPARATOR}
    await connection.execute(ADD_MANY, parameters)


async def add_pool(connection: AsyncConnection, pool: VoucherPool, granted_by: str, now: datetime) -> bool:
    """Keeps a granted pool; False when its id is taken."""
    found = await connection.execute(
        ADD_POOL,
        {
            "pool_id": pool.pool_id,
            "account": pool.account,
            "currency": pool.currency,
            "amount": pool.amount,
            "valid_from": pool.valid_from,
            "valid_until": pool.valid_until,
            "materials": sorted(pool.materials),
            "material_groups": sorted(pool.material_groups),
            "granted_by": granted_by,
            "granted_at": now,
        },
    )
    return found.one_or_none() is not None


async def pool_by_id(connection: AsyncConnection, pool_id: str, *, lock: bool = False) -> VoucherPool | None:
    """A voucher pool; its account is locked before it is."""
    query = text(f"{POOL} for update" if lock else POOL)
    row = (await connection.execute(query, {"pool_id": pool_id})).one_or_none()
    return None if row is None else _pool(row)


async def save_made(connection: AsyncConnection, pool: VoucherPool) -> None:
    await connection.execute(MADE, {"pool_id": pool.pool_id, "made": pool.made})


async def add(connection: AsyncConnection, voucher: Voucher, made_by: str, now: datetime) -> bool:
    """Keeps a new voucher at nothing, to be filled by an entry; False when its id is taken."""
    found = await connection.execute(
        ADD,
        {
            "voucher_id": voucher.voucher_id,
            "kind": voucher.kind,
            "owner": voucher.owner,
            "pool_id": voucher.pool_id,
            "currency": voucher.currency,
            "amount": voucher.amount,
            "valid_from": voucher.valid_from,
            "valid_until": voucher.valid_until,
            "issued_on": voucher.issued_on,
            "materials": sorted(voucher.materials),
            "material_groups": sorted(voucher.material_groups),
            "minimum_order": voucher.minimum_order,
            "made_by": made_by,
            "made_at": now,
            "members": sorted(voucher.members),
        },
    )
    return found.one_or_none() is not None


def _pool(row: Row[Any]) -> VoucherPool:
    return VoucherPool(
        row.pool_id,
        row.account,
        row.currency,
        row.amount,
        row.made,
        row.expired,
        row.valid_from,
        row.valid_until,
        frozenset(row.materials),
        frozenset(row.material_groups),
    )
