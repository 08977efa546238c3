"""What stands against the end of a relationship as far as money is concerned, and what stays with the member.

Trusteeship ends with no order pending (seed 000, Financial relationships).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from contracts.money import Money
from contracts.relationship_end_answered import ITEMS_MAX, Obstacle, Staying

from contracts import RelationshipEndAnswered, RelationshipEndRequested


@dataclass(frozen=True, slots=True)
class Balance:
    """What lies in one fund account."""

    account_type: str
    currency: str
    minor: int


@dataclass(frozen=True, slots=True)
class PastDue:
    """What a member owes and should have paid before today."""

    item_id: str
    currency: str
    minor: int
    due_on: date


@dataclass(slots=True)
class MemberMoney:
    """A member's orders that wait, the first of them by name, what is past due, and its balances above zero."""

    pending_count: int = 0
    pending: list[str] = field(default_factory=list)
    balances: Sequence[Balance] = ()
    past_due: Sequence[PastDue] = ()


def answer(request: RelationshipEndRequested, money: MemberMoney, now: datetime) -> RelationshipEndAnswered:
    """Refuses while a bill is past due and, for trusteeship, while an order waits; always says what stays."""
    waiting = money.pending_count if request.kind == "trusteeship" else 0
    obstacles = [_past_due(item) for item in money.past_due] + [
        Obstacle(code="pending-order", text=f"Order {order} waits for special approval.", reference=order)
        for order in money.pending[: min(waiting, ITEMS_MAX)]
    ]
    count = len(money.past_due) + waiting
    return RelationshipEndAnswered(
        request_id=request.request_id,
        relationship_id=request.relationship_id,
        relationship_version=request.relationship_version,
        management_account=request.management_account,
        member_account=request.member_account,
        answered_by="fund-pool",
        outcome="refused" if count else "agreed",
        obstacles=obstacles[:ITEMS_MAX],
        obstacles_count=count,
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


def _past_due(item: PastDue) -> Obstacle:
    amount = Money.of(item.minor, item.currency)
    text = f"{amount.amount} {amount.currency} of {item.item_id} is past due since {item.due_on}."
    return Obstacle(code="past-due-bill", text=text, reference=item.item_id, amount=amount)
