"""Voucher pools, and the vouchers, coupons and cards that accounts may draw on."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from fund_pool.domain.voucher_pools import VoucherPool
from fund_pool.domain.vouchers import Voucher

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

POOLS: Final = text(
    """
    select pool_id, account, currency, amount, made, expired, valid_from, valid_until, materials, material_groups
    from voucher_pool where account = :account order by pool_id
    """
)

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

USABLE: Final = text(
    """
    select v.voucher_id, v.kind, v.owner, v.pool_id, v.currency, v.amount, v.remaining, v.valid_from, v.valid_until,
           v.issued_on, v.materials, v.material_groups, v.minimum_order,
           array(select m.account from voucher_member m where m.voucher_id = v.voucher_id order by 1) as members
    from voucher v
    where (v.owner = :account or v.voucher_id in (select voucher_id from voucher_member where account = :account))
      and (cast(:kind as text) is null or v.kind = :kind)
      and (not :usable or ((v.valid_until is null or v.valid_until >= :today) and v.remaining > 0
                           and (v.kind <> 'coupon' or v.remaining = v.amount)))
      and v.voucher_id > :after
    order by v.voucher_id
    limit :rows
    """
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which vouchers of an account a list shows."""

    account: str
    kind: str | None
    usable_on: date | None


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


async def pools_of(connection: AsyncConnection, account: str) -> list[VoucherPool]:
    """The voucher pools of a management account."""
    return [_pool(row) for row in await connection.execute(POOLS, {"account": account})]


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


async def vouchers(connection: AsyncConnection, wanted: Wanted, after: str, rows: int) -> list[Voucher]:
    """The vouchers, coupons and cards of an account, by id."""
    parameters = {
        "account": wanted.account,
        "kind": wanted.kind,
        "usable": wanted.usable_on is not None,
        "today": wanted.usable_on or date.min,
        "after": after,
        "rows": rows,
    }
    return [_voucher(row) for row in await connection.execute(USABLE, parameters)]


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


def _voucher(row: Row[Any]) -> Voucher:
    return Voucher(
        voucher_id=row.voucher_id,
        kind=row.kind,
        owner=row.owner,
        currency=row.currency,
        amount=row.amount,
        remaining=row.remaining,
        valid_from=row.valid_from,
        valid_until=row.valid_until,
        issued_on=row.issued_on,
        materials=frozenset(row.materials),
        material_groups=frozenset(row.material_groups),
        minimum_order=row.minimum_order,
        pool_id=row.pool_id,
        members=frozenset(row.members),
    )
