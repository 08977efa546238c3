"""What a transaction at the gate leaves to be written."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from fractions import Fraction

from contracts.credit_checked import MetricResult
from contracts.order import Order, Reason

from credit.domain.arrivals import Answer, InTurn, OrderKey, Posting, Settlement
from credit.domain.book import DocumentState, Place
from credit.domain.documents import DocumentKey
from credit.domain.order_state import OrderState
from credit.domain.profiles import Entry, Profile


@dataclass(frozen=True, slots=True)
class Periods:
    """How long a revision stays parked, and an order pending."""

    parked: timedelta
    pending: timedelta
    unconfirmed: timedelta = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Parked:
    """A revision that waits for what goes before it."""

    submission: InTurn
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


@dataclass(frozen=True, slots=True)
class Freeze:
    """A profile that a failed metric freezes."""

    profile_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class DocumentCheck:
    """What was found of one operation on a document; an exception is a fact that broke something."""

    key: DocumentKey
    number: int
    revision: int
    operation: str
    stance: str
    outcome: str
    is_exception: bool
    customer: str
    reasons: list[Reason]
    metrics: list[MetricResult]
    event_id: str


@dataclass(frozen=True, slots=True)
class DocumentHold:
    """A document's request that begins to wait for special approval, by the number of its check."""

    posting: Posting
    number: int
    reasons: list[Reason]
    metrics: list[MetricResult]
    due_at: datetime


@dataclass(frozen=True, slots=True)
class DocumentHoldEnd:
    """How a document's wait ended: approved, rejected, expired, or superseded by what came after."""

    key: DocumentKey
    state: str
    person: str | None = None
    reason: str | None = None


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
    documents: dict[DocumentKey, DocumentState] = field(default_factory=dict)
    places: dict[Place, int] = field(default_factory=dict)
    due: dict[DocumentKey, date] = field(default_factory=dict)
    document_checks: list[DocumentCheck] = field(default_factory=list)
    freezes: list[Freeze] = field(default_factory=list)
    document_holds: list[DocumentHold] = field(default_factory=list)
    order_rates: dict[tuple[OrderKey, str], Fraction] = field(default_factory=dict)
    """The rate by which an order's last check counts in a profile of another currency."""
    drawn: dict[tuple[DocumentKey, DocumentKey], dict[str, int]] = field(default_factory=dict)
    document_hold_ends: list[DocumentHoldEnd] = field(default_factory=list)
