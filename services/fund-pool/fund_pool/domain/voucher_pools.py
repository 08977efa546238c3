"""Making vouchers out of a pool that the operator granted, coupons and cards."""

from dataclasses import dataclass, field
from datetime import date, datetime

from fund_pool.domain.ledger import VOUCHERS_GRANTED, Document
from fund_pool.domain.pool import Pool, Posted, VoucherMove
from fund_pool.domain.vouchers import Voucher


@dataclass(slots=True)
class VoucherPool:
    """What an operator granted to a management account, and how much of it has been made into vouchers."""

    pool_id: str
    account: str
    currency: str
    amount: int
    made: int = 0
    expired: int = 0
    valid_from: date | None = None
    valid_until: date | None = None
    materials: frozenset[str] = field(default_factory=frozenset)
    material_groups: frozenset[str] = field(default_factory=frozenset)

    @property
    def left(self) -> int:
        return self.amount - self.made


def issue(voucher: Voucher, owner: Pool, document_type: str, now: datetime) -> Posted:
    """Fills a new voucher, coupon or card in the books of its owner."""
    voucher.remaining = 0
    owner.vouchers[voucher.voucher_id] = voucher
    move = VoucherMove(voucher, voucher.amount, VOUCHERS_GRANTED)
    return owner.post(Document(document_type, "", voucher.voucher_id), [move], owner.today(now), now)
