"""Voucher pools that an operator grants, the vouchers made of them, coupons and stored value cards."""

from datetime import date
from secrets import token_bytes
from typing import Annotated, Any, Literal

from chassis.http import (
    LOADED,
    CurrentAccess,
    CurrentPrincipal,
    Policy,
    Problem,
    Work,
)
from contracts.money import Amount, Money
from contracts.text import Id
from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from contracts import AllocationRecorded
from fund_pool.api.common import (
    MAKERS,
    Body,
    locked_pool_or_404,
    require_money,
    router,
)
from fund_pool.domain.ids import RANDOM_BYTES, uuid7
from fund_pool.domain.pool import Pool
from fund_pool.domain.voucher_pools import VoucherPool, issue
from fund_pool.domain.vouchers import Voucher
from fund_pool.publishing import publish
from fund_pool.repository import allocations as allocation_rows
from fund_pool.repository import ledger as ledger_rows
from fund_pool.repository import pools as pool_rows
from fund_pool.repository import vouchers as voucher_rows
from fund_pool.repository.allocations import Record

MEMBERS_MAX = 1_000

vouchers = router("vouchers")
Names = Annotated[list[Id], Field(max_length=1000)]


class Scope(Body):
    """When and for what it may be used; without materials and groups it pays every line."""

    amount: Amount
    valid_from: date | None = None
    valid_until: date | None = None
    materials: Names = Field(default_factory=list)
    material_groups: Names = Field(default_factory=list)


class PoolBody(Scope):
    """A pool that the operator grants to a management account."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "pool_id": "VP-2026",
                    "account": "A-1001",
                    "amount": {"amount": "10000.00", "currency": "CNY"},
                    "valid_until": "2026-12-31",
                }
            ]
        },
    )

    pool_id: Id
    account: Id


class VoucherBody(Scope):
    """A voucher of a pool, for one or more named members, who share what remains of it."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "voucher_id": "V-3",
                    "amount": {"amount": "120.00", "currency": "CNY"},
                    "members": ["A-1002", "A-1003"],
                    "valid_until": "2026-12-01",
                }
            ]
        },
    )

    voucher_id: Id
    members: Annotated[list[Id], Field(min_length=1, max_length=MEMBERS_MAX)]


class IssueBody(Scope):
    """A coupon, used once and from a minimum order on, or a stored value card."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "voucher_id": "C-1",
                    "kind": "coupon",
                    "amount": {"amount": "20.00", "currency": "CNY"},
                    "minimum_order": {"amount": "180.00", "currency": "CNY"},
                    "valid_until": "2026-06-30",
                }
            ]
        },
    )

    voucher_id: Id
    kind: Literal["coupon", "card"]
    minimum_order: Amount | None = None


class PoolView(BaseModel):
    """A voucher pool: what was granted, made into vouchers, and came back after their end."""

    pool_id: str
    account: str
    amount: Money
    made: Money
    left: Money
    expired: Money
    valid_from: date | None
    valid_until: date | None


class VoucherView(BaseModel):
    """A voucher, coupon or card."""

    voucher_id: str
    kind: str
    owner: str
    pool_id: str | None
    amount: Money
    remaining: Money
    minimum_order: Money
    valid_from: date | None
    valid_until: date | None
    issued_on: date
    materials: list[str]
    material_groups: list[str]
    members: list[str]


@vouchers.post("/voucher-pools", policy=Policy("voucher-pool:grant", MAKERS), status_code=201)
async def grant_pool(body: PoolBody, work: Work, principal: CurrentPrincipal, response: Response) -> PoolView:
    """Grants a voucher pool to a management account."""
    require_money(body.amount)
    await locked_pool_or_404(work.connection, body.account)
    pool = VoucherPool(
        body.pool_id,
        body.account,
        body.amount.currency,
        body.amount.minor,
        valid_from=body.valid_from,
        valid_until=body.valid_until,
        materials=frozenset(body.materials),
        material_groups=frozenset(body.material_groups),
    )
    if not await voucher_rows.add_pool(work.connection, pool, principal.subject, work.now):
        raise Problem.conflict("voucher-pool-exists", f"There is a voucher pool {body.pool_id} already.")
    return _pool_view(pool)


@vouchers.post(
    "/voucher-pools/{pool_id}/vouchers", policy=Policy("voucher:make", MAKERS, LOADED), status_code=201
)
async def make_voucher(
    pool_id: Id, body: VoucherBody, work: Work, access: CurrentAccess, principal: CurrentPrincipal
) -> VoucherView:
    """Makes a voucher of a pool for members; the sum of all never exceeds the pool."""
    found = await voucher_rows.pool_by_id(work.connection, pool_id)
    await access.require(found.account if found is not None else "")
    if found is None:
        raise Problem.not_found(f"There is no voucher pool {pool_id}.")
    require_money(body.amount)
    pools = await pool_rows.locked_pools(work.connection, {found.account, *body.members}, now=work.now)
    pool = await voucher_rows.pool_by_id(work.connection, pool_id, lock=True)
    assert pool is not None
    _require_within(pool, body, pools)
    voucher = _voucher(body, "voucher", pool.account, pools[pool.account], work, frozenset(body.members))
    voucher.pool_id = pool_id
    voucher.valid_until = body.valid_until or pool.valid_until
    voucher.materials = voucher.materials or pool.materials
    voucher.material_groups = voucher.material_groups or pool.material_groups
    pool.made += voucher.amount
    await voucher_rows.save_made(work.connection, pool)
    await _issue(work, voucher, pools[pool.account], principal.subject)
    await _record(work, voucher, pools[pool.account], principal.subject)
    return _view(voucher)


@vouchers.post("/accounts/{account}/vouchers", policy=Policy("voucher:issue", MAKERS), status_code=201)
async def issue_voucher(account: Id, body: IssueBody, work: Work, principal: CurrentPrincipal) -> VoucherView:
    """Gives an account a coupon or a stored value card."""
    require_money(body.amount)
    pool = await locked_pool_or_404(work.connection, account)
    if body.minimum_order is not None and body.minimum_order.currency != body.amount.currency:
        raise Problem.invalid(
            [{"field": "minimum_order.currency", "message": f"must be {body.amount.currency}"}]
        )
    voucher = _voucher(body, body.kind, account, pool, work, frozenset({account}))
    voucher.minimum_order = body.minimum_order.minor if body.minimum_order is not None else 0
    await _issue(work, voucher, pool, principal.subject)
    return _view(voucher)


def _require_within(pool: VoucherPool, body: VoucherBody, pools: dict[str, Pool]) -> None:
    if body.amount.currency != pool.currency:
        raise Problem.invalid([{"field": "amount.currency", "message": f"must be {pool.currency}"}])
    if body.amount.minor > pool.left:
        left = Money.of(pool.left, pool.currency)
        raise Problem.conflict(
            "beyond-voucher-pool", f"The pool has {left.amount} {left.currency} left to make vouchers of."
        )
    unknown = sorted(set(body.members) - set(pools))
    if unknown:
        raise Problem.invalid([{"field": "members", "message": f"there is no account {unknown[0]}"}])
    if pool.valid_until is not None and (body.valid_until or pool.valid_until) > pool.valid_until:
        raise Problem.invalid(
            [{"field": "valid_until", "message": f"must not be after the pool's end, {pool.valid_until}"}]
        )


def _voucher(
    body: VoucherBody | IssueBody,
    kind: Literal["voucher", "coupon", "card"],
    owner: str,
    pool: Pool,
    work: Work,
    members: frozenset[str],
) -> Voucher:
    return Voucher(
        voucher_id=body.voucher_id,
        kind=kind,
        owner=owner,
        currency=body.amount.currency,
        amount=body.amount.minor,
        remaining=0,
        valid_from=body.valid_from,
        valid_until=body.valid_until,
        issued_on=pool.today(work.now),
        materials=frozenset(body.materials),
        material_groups=frozenset(body.material_groups),
        members=members,
    )


async def _issue(work: Work, voucher: Voucher, owner: Pool, made_by: str) -> None:
    if not await voucher_rows.add(work.connection, voucher, made_by, work.now):
        raise Problem.conflict("voucher-exists", f"There is a voucher {voucher.voucher_id} already.")
    publish(work, issue(voucher, owner, f"{voucher.kind}-issue", work.now), owner)
    await ledger_rows.save(work.connection, [owner], work.now)
    work.count("voucher", voucher.kind)


async def _record(work: Work, voucher: Voucher, owner: Pool, made_by: str) -> None:
    """A voucher is allocated to each of its members; they share its amount."""
    for member in sorted(voucher.members):
        record_id = uuid7(work.now, token_bytes(RANDOM_BYTES))
        values: dict[str, Any] = {
            "method": "voucher",
            "operation": "allocate",
            "management_account": owner.account,
            "member_account": member,
            "result": "succeeded",
            "voucher_id": voucher.voucher_id,
            "remark": None,
            "requested_by": made_by,
            "requested_at": work.now,
            "recorded_at": work.now,
        }
        kept = Record(
            record_id=record_id,
            currency=voucher.currency,
            amount=voucher.amount,
            reason_code=None,
            reason=None,
            batch_id=None,
            entry_number=owner.last_entry_number,
            **values,
        )
        await allocation_rows.record(work.connection, [kept])
        amount = Money.of(voucher.amount, voucher.currency)
        work.emit(
            AllocationRecorded(
                record_id=str(record_id),
                disbursing_account=owner.account,
                receiving_account=member,
                amount=amount,
                total=amount,
                reasons=[],
                **values,
            )
        )


def _pool_view(pool: VoucherPool) -> PoolView:
    return PoolView(
        pool_id=pool.pool_id,
        account=pool.account,
        amount=Money.of(pool.amount, pool.currency),
        made=Money.of(pool.made, pool.currency),
        left=Money.of(pool.left, pool.currency),
        expired=Money.of(pool.expired, pool.currency),
        valid_from=pool.valid_from,
        valid_until=pool.valid_until,
    )


def _view(voucher: Voucher) -> VoucherView:
    return VoucherView(
        voucher_id=voucher.voucher_id,
        kind=voucher.kind,
        owner=voucher.owner,
        pool_id=voucher.pool_id,
        amount=Money.of(voucher.amount, voucher.currency),
        remaining=Money.of(voucher.remaining, voucher.currency),
        minimum_order=Money.of(voucher.minimum_order, voucher.currency),
        valid_from=voucher.valid_from,
        valid_until=voucher.valid_until,
        issued_on=voucher.issued_on,
        materials=sorted(voucher.materials),
        material_groups=sorted(voucher.material_groups),
        members=sorted(voucher.members),
    )
