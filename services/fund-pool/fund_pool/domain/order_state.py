"""What fund-pool knows of an order, and what an answer to it consists of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final, Literal

from contracts.order import Reason
from contracts.order_decided import Explanation, OrderOutcome

from fund_pool.domain.books import BookShare
from fund_pool.domain.pool import Posted
from fund_pool.domain.quota import Notice
from fund_pool.domain.walk import LineAmount, LinePaid, Walk

PAID_FROM_ACCOUNT: Final = "account"
FINGERPRINT_BYTES: Final = 16
PARKED_MAX: Final = 64
PARKED_BYTES_MAX: Final = 8 * 1024 * 1024

Status = Literal["new", "accepted", "declined", "pending-approval", "cancelled", "recalled", "closed"]
Standing = Literal["next", "repeat", "conflict", "early"]
LIVING: Final = ("accepted", "closed")
"""The states in which an order may have money."""


@dataclass(frozen=True, slots=True)
class Parked:
    """A check that came before its predecessor: its JSON and the hash of what was received."""

    body: bytes
    fingerprint: bytes


@dataclass(slots=True)
class LineHeld:
    """What one hold sets aside for one line, in minor units."""

    hold_id: str
    account: str
    account_type: str
    line_id: str
    amount: int
    voucher_id: str | None = None


@dataclass(slots=True)
class OrderState:
    """An order as fund-pool keeps it; amounts in minor units, `paid` and `refunded` over its whole life.

    `fingerprints` holds one hash per applied check, so that a repeat is told from a conflict for good.
    `final` is what is walked at the first delivery notice or on request; `released` what a close gave up, to be
    paid again when the order is reopened, and `total_before` the total it had. `shares` are the parts of the
    payments that came out of transfer books. `returns` and `notices` name the documents that were applied.
    """

    source: str
    order_id: str
    account: str
    status: Status = "new"
    check_number: int = 0
    order_revision: int = 0
    currency: str | None = None
    customer: str | None = None
    business_organisation: str | None = None
    settlement_organisation: str | None = None
    payment_method: str | None = None
    total: int = 0
    due_date: date | None = None
    paid: int = 0
    refunded: int = 0
    payments: list[LinePaid] = field(default_factory=list)
    fingerprints: bytes = b""
    parked: dict[int, Parked] = field(default_factory=dict)
    sequel: int = 0
    holds: list[LineHeld] = field(default_factory=list)
    hold_expires_at: datetime | None = None
    final: list[LineAmount] = field(default_factory=list)
    released: list[LineAmount] = field(default_factory=list)
    total_before: int = 0
    materials: list[LineAmount] = field(default_factory=list)
    shares: list[BookShare] = field(default_factory=list)
    returns: dict[str, dict[str, int]] = field(default_factory=dict)
    return_revisions: dict[str, int] = field(default_factory=dict)
    notices: dict[str, int] = field(default_factory=dict)

    @property
    def left_paid(self) -> int:
        return self.paid - self.refunded

    @property
    def held(self) -> int:
        return sum(one.amount for one in self.holds)

    @property
    def final_amount(self) -> int:
        return sum(line.amount for line in self.final)

    def standing(self, check_number: int, fingerprint: bytes) -> Standing:
        """Where a check stands in the order's numbering."""
        if check_number == self.check_number + 1:
            return "next"
        if check_number > self.check_number:
            return "early"
        start = (check_number - 1) * FINGERPRINT_BYTES
        return "repeat" if self.fingerprints[start : start + FINGERPRINT_BYTES] == fingerprint else "conflict"

    def park(self, check_number: int, parked: Parked) -> bool:
        """Keeps an early check until its predecessors came; False when there is no room for it."""
        held = sum(len(other.body) for other in self.parked.values())
        if check_number in self.parked:
            return self.parked[check_number].fingerprint == parked.fingerprint
        if len(self.parked) >= PARKED_MAX or held + len(parked.body) > PARKED_BYTES_MAX:
            return False
        self.parked[check_number] = parked
        return True

    def next_parked(self) -> Parked | None:
        """Takes the check out whose turn has come."""
        return self.parked.pop(self.check_number + 1, None)


@dataclass(slots=True)
class Assessment:
    """Whether and how a pool pays an order; `reasons` say why not, `final` is what is left for later."""

    reasons: list[Reason]
    explanation: Explanation
    walk: Walk | None = None
    final: list[LineAmount] = field(default_factory=list)


@dataclass(slots=True)
class Effects:
    """What was posted for an order, the own account's entry first, and what only holds have changed."""

    posted: list[Posted] = field(default_factory=list)
    notices: Mapping[str, list[Notice]] = field(default_factory=dict)


@dataclass(slots=True)
class Decision:
    """The answer to one check and what was posted for it."""

    outcome: OrderOutcome
    reasons: list[Reason]
    explanation: Explanation
    effects: Effects | None = None

    @property
    def posted(self) -> Posted | None:
        """The entry in the books of the paying account, or the first one."""
        return self.effects.posted[0] if self.effects is not None and self.effects.posted else None
