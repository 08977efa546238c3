"""Coupons and stored value cards out of a file: what becomes of each row."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from fund_pool.domain.opening import RowFault
from fund_pool.domain.pool import Pool
from fund_pool.domain.vouchers import Voucher


@dataclass(frozen=True, slots=True)
class VoucherRow:
    """One row; `unreadable` names the column that cannot be read, and says why. Amounts in minor units."""

    number: int
    account: str
    voucher_id: str
    kind: str
    currency: str
    amount: int
    minimum_order: int = 0
    valid_from: date | None = None
    valid_until: date | None = None
    materials: frozenset[str] = frozenset()
    material_groups: frozenset[str] = frozenset()
    unreadable: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class JudgedVoucher:
    """A row with why it cannot be posted; None where it can."""

    row: VoucherRow
    fault: RowFault | None


def judge(
    rows: Sequence[VoucherRow], pools: Mapping[str, Pool], taken: Collection[str]
) -> list[JudgedVoucher]:
    """The fate of each row; `taken` are the ids that vouchers have already."""
    seen: set[str] = set()
    judged = []
    for row in rows:
        fault = _unreadable(row) or _repeated(row, seen, taken) or _unpostable(row, pools.get(row.account))
        seen.add(row.voucher_id)
        judged.append(JudgedVoucher(row, fault))
    return judged


def voucher_of(row: VoucherRow, pool: Pool, now: datetime) -> Voucher:
    """The coupon or card that a row without fault becomes."""
    kind: Literal["coupon", "card"] = "coupon" if row.kind == "coupon" else "card"
    return Voucher(
        voucher_id=row.voucher_id,
        kind=kind,
        owner=row.account,
        currency=row.currency,
        amount=row.amount,
        remaining=0,
        valid_from=row.valid_from,
        valid_until=row.valid_until,
        issued_on=pool.today(now),
        materials=row.materials,
        material_groups=row.material_groups,
        minimum_order=row.minimum_order,
        members=frozenset({row.account}),
    )


def _unreadable(row: VoucherRow) -> RowFault | None:
    return None if row.unreadable is None else RowFault("unreadable", *row.unreadable)


def _repeated(row: VoucherRow, seen: Collection[str], taken: Collection[str]) -> RowFault | None:
    if row.voucher_id in seen:
        return RowFault("repeated-in-import", "voucher_id", "an earlier row has the same id")
    if row.voucher_id in taken:
        return RowFault("voucher-exists", "voucher_id", f"there is a voucher {row.voucher_id} already")
    return None


def _unpostable(row: VoucherRow, pool: Pool | None) -> RowFault | None:
    if pool is None:
        return RowFault("unknown-account", "account", f"there is no account {row.account}")
    if not pool.active:
        return RowFault("account-inactive", "account", f"account {row.account} is closed")
    if row.kind not in ("coupon", "card"):
        return RowFault("unknown-kind", "kind", f"{row.kind!r} is neither coupon nor card")
    if not row.amount:
        return RowFault("amount-missing", "amount", "the amount is more than 0")
    if row.minimum_order and row.kind != "coupon":
        return RowFault("minimum-not-possible", "minimum_order", "only a coupon has a minimum order")
    if row.valid_from and row.valid_until and row.valid_until < row.valid_from:
        return RowFault("validity-turned-round", "valid_until", "must not be before valid_from")
    return None
