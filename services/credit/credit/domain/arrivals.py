"""What comes to the gate, and what goes out of it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from contracts.codec import decode
from contracts.credit_checked import CreditOperation, CreditOutcome, MetricResult
from contracts.document_posted import DocumentOperation
from contracts.order import DeliveryNotice, Order, Reason, ReturnDocument, Stance
from contracts.order_decided import OrderOutcome

from credit.domain.documents import OPERATION_RANK, Document, DocumentKey

OrderKey = tuple[str, str]
"""Source and order id."""

WaitKind = Literal["parked", "pending"]


# What is made for every record is not frozen: freezing triples the price of making it.


@dataclass(slots=True)
class Origin:
    """The order event that a check answers: its CloudEvents coordinates, its type and its bytes as they came."""

    event_source: str
    event_id: str
    event_type: str
    digest: bytes
    body: bytes

    def says_the_same(self, other: "Origin") -> bool:
        """Whether two order events have the same content, however it is written."""
        if self.digest == other.digest:
            return True
        return decode(self.event_type, self.body) == decode(other.event_type, other.body)


@dataclass(slots=True)
class Submission:
    """An order handed in, at first or anew."""

    order: Order
    origin: Origin

    @property
    def key(self) -> OrderKey:
        return self.order.source, self.order.order_id

    @property
    def revision(self) -> int:
        return self.order.order_revision


@dataclass(slots=True)
class Cancellation:
    """An order taken back; it applies at once, whatever has come before."""

    key: OrderKey
    revision: int
    paying_account: str
    reason: str
    origin: Origin


@dataclass(slots=True)
class Alteration:
    """What an order system asks or tells of an order that was handed in before."""

    key: OrderKey
    revision: int
    operation: CreditOperation
    stance: Stance
    paying_account: str
    origin: Origin
    order: Order | None = None
    """The whole order as it is to be, of a change."""
    returned: ReturnDocument | None = None
    reason: str = ""


@dataclass(slots=True)
class Settlement:
    """fund-pool's answer to one check."""

    key: OrderKey
    check_number: int
    outcome: OrderOutcome
    event_id: str


@dataclass(frozen=True, slots=True)
class Expiry:
    """A wait that has lasted too long: `number` is the parked revision or the pending check."""

    kind: WaitKind
    key: OrderKey
    number: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """An approver's yes or no to a pending order."""

    key: OrderKey
    approve: bool
    person: str
    reason: str


Arrival = Submission | Alteration | Cancellation | Settlement | Expiry | Judgement
InTurn = Submission | Alteration
"""What is answered in the turn of its revision."""


@dataclass(slots=True)
class Posting:
    """A document as an ERP asks or tells of it; `document` is how it stands after the operation."""

    document: Document
    operation: DocumentOperation
    stance: Stance
    party: str
    event_id: str
    digest: bytes
    body: bytes

    @property
    def rank(self) -> tuple[int, int]:
        """Which of two postings of a document is the later one, whenever they came."""
        return self.document.revision, OPERATION_RANK[self.operation]


@dataclass(frozen=True, slots=True)
class Lapse:
    """The time is over in which a granted request had to be confirmed by its fact."""

    key: DocumentKey
    revision: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Something that must not last for ever."""

    kind: WaitKind
    key: OrderKey
    number: int
    due_at: datetime


@dataclass(slots=True)
class Answer:
    """One numbered check of an order, to be passed on; `origin` is absent when no order event caused it."""

    key: OrderKey
    revision: int
    check_number: int
    paying_account: str
    operation: CreditOperation
    outcome: CreditOutcome
    reasons: list[Reason]
    metrics: list[MetricResult]
    order: Order | None
    origin: Origin | None
    person: str | None = None
    stance: Stance | None = None
    returned: ReturnDocument | None = None
    delivered: DeliveryNotice | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """An arrival that gets no answer: it contradicts what is known, and is put on record."""

    reason: str
    detail: str


@dataclass(slots=True)
class DocumentAnswer:
    """What an ERP is told of a document that it asked about."""

    posting: Posting
    outcome: Literal["approved", "warned", "declined", "pending-approval", "lapsed"]
    reasons: list[Reason]
    metrics: list[MetricResult]


@dataclass(slots=True)
class Effect:
    """What one arrival led to."""

    documents: list[DocumentAnswer] = field(default_factory=list)
    granted: list[tuple[DocumentKey, int, datetime]] = field(default_factory=list)
    confirmed: list[tuple[DocumentKey, int]] = field(default_factory=list)
    known: bool = False
    """Of a document that was known with the same content."""
    held: list[tuple[DocumentKey, int, datetime]] = field(default_factory=list)
    """Documents that begin to wait for special approval: key, number of the check, and until when."""

    answers: list[Answer] = field(default_factory=list)
    refusal: Refusal | None = None
    began: list[Wait] = field(default_factory=list)
    ended: list[tuple[WaitKind, OrderKey, int]] = field(default_factory=list)
