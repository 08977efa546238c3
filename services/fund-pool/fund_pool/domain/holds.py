"""Money that is set aside: taken in whole or in part later, given back, or free again at an exact time."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from fund_pool.domain.errors import HoldExceeded

HoldKind = Literal["order", "withdrawal"]
HoldChange = Literal["placed", "captured", "released", "expired"]


@dataclass(slots=True)
class Hold:
    """What is set aside on one fund account, or on one voucher, for one document, in minor units.

    `placed` = `amount` (what is left) + `captured` + `released`. From `expires_at` on it counts in no balance,
    whether or not anyone has looked.
    """

    hold_id: str
    kind: HoldKind
    account_type: str
    currency: str
    placed: int
    placed_at: datetime
    expires_at: datetime | None = None
    voucher_id: str | None = None
    captured: int = 0
    released: int = 0

    @property
    def amount(self) -> int:
        """What is left of it."""
        return self.placed - self.captured - self.released

    def is_live(self, now: datetime) -> bool:
        return self.amount > 0 and (self.expires_at is None or now < self.expires_at)

    def capture(self, amount: int) -> None:
        """Counts a part as taken; errors: HoldExceeded when so much is not left."""
        self._require(amount)
        self.captured += amount

    def release(self, amount: int) -> None:
        """Counts a part as given back; errors: HoldExceeded when so much is not left."""
        self._require(amount)
        self.released += amount

    def _require(self, amount: int) -> None:
        if not 0 < amount <= self.amount:
            raise HoldExceeded(self.hold_id, amount, self.amount)


@dataclass(frozen=True, slots=True)
class HoldEvent:
    """One change of a hold, as it is kept; `number` is what has been captured and released by then, so it rises."""

    hold_id: str
    change: HoldChange
    amount: int
    entry_number: int | None
    number: int = 0
