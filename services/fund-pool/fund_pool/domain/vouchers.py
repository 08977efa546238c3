"""Vouchers that members share, coupons that are used once, and stored value cards."""

from dataclasses import dataclass, field
from datetime import date
from typing import Literal

VoucherKind = Literal["voucher", "coupon", "card"]


@dataclass(slots=True)
class Voucher:
    """What is left to spend of a voucher, a coupon or a card, in minor units.

    `owner` is the management account that made a voucher, or the account that has the coupon or card. Without
    materials and material groups it pays every line. A coupon counts while nothing has been taken of it.
    """

    voucher_id: str
    kind: VoucherKind
    owner: str
    currency: str
    amount: int
    remaining: int
    held: int = 0
    valid_from: date | None = None
    valid_until: date | None = None
    issued_on: date = date.min
    materials: frozenset[str] = field(default_factory=frozenset)
    material_groups: frozenset[str] = field(default_factory=frozenset)
    minimum_order: int = 0
    pool_id: str | None = None
    members: frozenset[str] = field(default_factory=frozenset)

    @property
    def usable(self) -> int:
        """What an order could take of it, its validity aside."""
        free = max(0, self.remaining - self.held)
        if self.kind == "coupon" and (self.held or self.remaining != self.amount):
            return 0
        return free

    def is_valid(self, day: date) -> bool:
        begun = self.valid_from is None or self.valid_from <= day
        return begun and (self.valid_until is None or day <= self.valid_until)

    def covers(self, material: str, material_group: str | None) -> bool:
        """Whether it pays a line of this material."""
        if not self.materials and not self.material_groups:
            return True
        return material in self.materials or material_group in self.material_groups

    @property
    def turn(self) -> tuple[date, date, str]:
        """Which is used first: soonest to expire, then oldest, then by id."""
        return (self.valid_until or date.max, self.issued_on, self.voucher_id)
