"""What several routes answer with."""

from datetime import datetime
from typing import Any, Literal

from contracts.credit_checked import CreditOperation, CreditOutcome, MetricResult
from contracts.money import Money
from contracts.order import Reason
from pydantic import BaseModel, Field
from sqlalchemy import Row

PendingState = Literal["pending", "approved", "rejected", "expired", "cancelled"]


class PendingOrder(BaseModel):
    """An order that waits, or waited, for special approval by check `check_number`."""

    source: str
    order_id: str
    order_revision: int
    check_number: int
    state: PendingState
    paying_account: str
    customer: str
    total: Money
    held_at: datetime
    due_at: datetime = Field(description="Declined then, if nobody has approved it.")
    person: str | None = Field(description="Who approved or rejected it.")
    reason: str | None
    ended_at: datetime | None
    result_check: int | None = Field(description="The check that said how it ended.")


class PendingOrderDetail(PendingOrder):
    """A pending order with what it waits for."""

    reasons: list[Reason]
    metrics: list[MetricResult]


class Check(BaseModel):
    """One numbered check of an order: what was found, and what fund-pool made of it."""

    check_number: int
    order_revision: int
    operation: CreditOperation
    outcome: CreditOutcome
    reasons: list[Reason]
    metrics: list[MetricResult]
    person: str | None = Field(description="Who approved or rejected, where a person did.")
    event_source: str | None = Field(
        description="Of the order event that the check answers, if it answers one."
    )
    event_id: str | None
    checked_at: datetime
    decided: str | None = Field(description="fund-pool's outcome, null until it is known.")
    decided_at: datetime | None


def pending_order(row: Row[Any]) -> PendingOrder:
    """A row of the list of pending orders."""
    return PendingOrder(**pending_fields(row))


def pending_fields(row: Row[Any]) -> dict[str, Any]:
    names = set(PendingOrder.model_fields) - {"total"}
    return {
        **{name: row._mapping[name] for name in names},
        "total": Money.of(row.total_minor, row.currency),
    }
