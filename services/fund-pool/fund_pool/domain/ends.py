"""What stands against the end of a relationship as far as money is concerned, and what stays with the member.

Trusteeship ends with no bill past due and no order undecided (seed 000, Financial relationships).
"""

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


@dataclass(frozen=True, slots=True)
class WaitingOrder:
    """An order that waits for special approval (`pending-approval`) or has not been decided yet (`new`)."""

    order_id: str
    status: str


@dataclass(slots=True)
class MemberMoney:
    """A member's orders that wait and what is past due, how many and the first of them; balances above zero."""

    waiting_count: int = 0
    waiting: list[WaitingOrder] = field(default_factory=list)
    past_due_count: int = 0
    past_due: list[PastDue] = field(default_factory=list)
    balances: list[Balance] = field(default_factory=list)


def is_early(request: RelationshipEndRequested, known_version: int) -> bool:
    """Whether a version that stands before the request has not come; an `end` counts as a version itself."""
    needed = request.relationship_version - 1 if request.purpose == "end" else request.relationship_version
    return known_version < needed


def answer(request: RelationshipEndRequested, money: MemberMoney, now: datetime) -> RelationshipEndAnswered:
    """Trusteeship does not end while a bill is past due or an order waits; what stays is always told."""
    obstacles: list[Obstacle] = []
    count = 0
    if request.kind == "trusteeship":
        obstacles = [*map(_past_due, money.past_due), *map(_waiting, money.waiting)]
        count = money.past_due_count + money.waiting_count
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


def _waiting(order: WaitingOrder) -> Obstacle:
    if order.status == "pending-approval":
        text = f"Order {order.order_id} waits for special approval."
        return Obstacle(code="pending-order", text=text, reference=order.order_id)
    text = f"Order {order.order_id} is not decided yet."
    return Obstacle(code="undecided-order", text=text, reference=order.order_id)
