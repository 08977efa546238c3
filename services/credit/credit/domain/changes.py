"""What a transaction at the gate leaves to be written."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from contracts.order import Order

from credit.domain.arrivals import Answer, OrderKey, Settlement, Submission
from credit.domain.order_state import OrderState
from credit.domain.profiles import Entry, Profile


@dataclass(frozen=True, slots=True)
class Periods:
    """How long a revision stays parked, and an order pending."""

    parked: timedelta
    pending: timedelta


@dataclass(frozen=True, slots=True)
class Parked:
    """A revision that waits for what goes before it."""

    submission: Submission
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Hold:
    """An order that begins to wait for special approval."""

    answer: Answer
    order: Order
    due_at: datetime


@dataclass(frozen=True, slots=True)
class HoldEnd:
    """How a hold ended: approved, rejected, expired or cancelled, and the check that says so."""

    key: OrderKey
    check_number: int
    outcome: str
    person: str | None
    reason: str | None
    result_check: int


@dataclass(slots=True)
class Changes:
    """What is to be written: appended rows only; orders, profiles and occupancy are compared by the repository."""

    answers: list[Answer] = field(default_factory=list)
    decisions: list[Settlement] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    parked: list[Parked] = field(default_factory=list)
    unparked: list[tuple[OrderKey, int]] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    hold_ends: list[HoldEnd] = field(default_factory=list)
    orders: dict[OrderKey, OrderState] = field(default_factory=dict)
    profiles: dict[str, Profile] = field(default_factory=dict)
