"""What stands against the end of a relationship as far as money is concerned, and what stays with the member.

Trusteeship ends with no order pending (seed 000, Financial relationships).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from contracts.money import Money
from contracts.relationship_end_answered import ITEMS_MAX, Obstacle, Staying

from contracts import RelationshipEndAnswered, RelationshipEndRequested


@dataclass(frozen=True, slots=True)
class Balance:
    """What lies in one fund account."""

    account_type: str
    currency: str
    minor: int


@dataclass(slots=True)
class MemberMoney:
    """A member's orders that wait, the first of them by name, and its balances above zero."""

    pending_count: int = 0
    pending: list[str] = field(default_factory=list)
    balances: Sequence[Balance] = ()


def answer(request: RelationshipEndRequested, money: MemberMoney, now: datetime) -> RelationshipEndAnswered:
    """Refuses the end of trusteeship while an order waits; always says what stays."""
    waiting = money.pending_count if request.kind == "trusteeship" else 0
    obstacles = [
        Obstacle(code="pending-order", text=f"Order {order} waits for special approval.", reference=order)
        for order in money.pending[: min(waiting, ITEMS_MAX)]
    ]
    return RelationshipEndAnswered(
        request_id=request.request_id,
        relationship_id=request.relationship_id,
        relationship_version=request.relationship_version,
        management_account=request.management_account,
        member_account=request.member_account,
        answered_by="fund-pool",
        outcome="refused" if waiting else "agreed",
        obstacles=obstacles,
        obstacles_count=waiting,
        staying=[
            Staying(
                account_type=each.account_type,
                amount=Money.of(each.minor, each.currency),
                text=f"Stays in the member's {each.account_type} account.",
            )
            for each in money.balances[:ITEMS_MAX]
        ],
        answered_at=now,
    )
