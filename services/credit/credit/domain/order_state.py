"""The row of one order at the gate: how far it has come, and what waits for it."""

from dataclasses import dataclass, field
from typing import Final, Literal

from contracts.credit_checked import CreditOperation, CreditOutcome
from contracts.order import Order

from credit.domain.arrivals import InTurn, OrderKey, Origin
from credit.domain.checks import NOTHING_HELD, Held
from credit.domain.occupancy import Occupancy

PASSED: Final = ("approved", "warned", "not-checked-yet")
SETTLED_BY: Final[dict[str, str]] = {
    "submit": "accepted",
    "change": "changed",
    "audit": "audited",
    "reopen": "reopened",
    "un-terminate": "reopened",
}
"""What fund-pool answers to a check that it follows; every other answer undoes what the check occupied."""

Status = Literal["new", "undecided", "pending", "accepted", "declined", "cancelled", "closed"]
"""`undecided` waits for fund-pool's decision, `pending` for special approval; `cancelled` is for good."""


@dataclass(slots=True)
class CheckFact:
    """What is known of an earlier check: its outcome, and what fund-pool has decided, if it has."""

    operation: CreditOperation
    outcome: CreditOutcome
    decided: str | None

    def contradicts(self, outcome: str) -> bool:
        """Whether fund-pool cannot have decided `outcome` on this check."""
        if self.decided is not None:
            return self.decided != outcome
        passed = self.outcome in PASSED
        if outcome in SETTLED_BY.values():
            return not (passed and SETTLED_BY.get(self.operation) == outcome)
        held = self.operation == "submit" and self.outcome == "pending-approval"
        return outcome == "pending-approval" and not held


@dataclass(slots=True)
class OrderState:
    """One order under lock.

    Revisions up to `last_revision` are answered without a gap, those in `answered_ahead` beyond it; `checks`
    is the number of the last check. `open_check` waits for its decision or approval; `order_check` is the
    check whose submission is the order as it stands, `order` that submission where it was loaded. `origins`
    and `facts` hold what was loaded of earlier revisions and checks; `held` what the pending check waits for;
    `stored` is the occupancy that is written down, as (check, profile) and whether it is settled,
    `stored_amounts` how much of it, and `stored_parked` the parked revisions. `standing` is how the order stands if its
    open check, of `open_operation`, is declined. `has_documents`: later documents
    take from the order, so that it occupies what they leave; `contents` are the orders of its live checks then.
    """

    source: str
    order_id: str
    status: Status = "new"
    paying_account: str | None = None
    last_revision: int = 0
    answered_ahead: set[int] = field(default_factory=set)
    checks: int = 0
    open_check: int | None = None
    order_check: int | None = None
    order: Order | None = None
    occupancy: Occupancy = field(default_factory=Occupancy)
    parked: dict[int, InTurn] = field(default_factory=dict)
    origins: dict[int, Origin] = field(default_factory=dict)
    facts: dict[int, CheckFact] = field(default_factory=dict)
    held: Held = NOTHING_HELD
    stored: dict[tuple[int, str], bool] = field(default_factory=dict)
    stored_parked: set[int] = field(default_factory=set)
    stored_amounts: dict[tuple[int, str], int] = field(default_factory=dict)
    has_documents: bool = False
    is_audited: bool = True
    standing: Status = "declined"
    open_operation: str = "submit"
    contents: dict[int, Order] = field(default_factory=dict)

    @property
    def key(self) -> OrderKey:
        return self.source, self.order_id

    def awaits_decision(self, check_number: int) -> bool:
        """Whether this is the check that fund-pool has not decided yet."""
        return self.status == "undecided" and self.open_check == check_number

    def has_answered(self, revision: int) -> bool:
        return revision <= self.last_revision or revision in self.answered_ahead

    def origin(self, revision: int) -> Origin | None:
        """The order event by which a revision came before, answered or parked."""
        if revision in self.parked:
            return self.parked[revision].origin
        return self.origins.get(revision)

    def takes(self, revision: int) -> bool:
        """Whether a submission of this revision can be answered now, or has to wait for what goes before it.

        A cancelled order refuses every revision at once. A revision after one that fund-pool has not decided
        waits for the decision: only that says whether the order may be submitted anew.
        """
        if self.status == "cancelled":
            return True
        return revision == self.last_revision + 1 and self.status != "undecided"

    def next_ready(self) -> int | None:
        """The parked revision that can be answered now."""
        if self.status == "cancelled":
            return min(self.parked, default=None)
        revision = self.last_revision + 1
        return revision if revision in self.parked and self.takes(revision) else None

    def mark_answered(self, revision: int, origin: Origin) -> None:
        """Counts a revision as answered; those answered ahead of it follow."""
        self.origins[revision] = origin
        if revision != self.last_revision + 1:
            self.answered_ahead.add(revision)
            return
        self.last_revision = revision
        while self.last_revision + 1 in self.answered_ahead:
            self.last_revision += 1
            self.answered_ahead.discard(self.last_revision)
