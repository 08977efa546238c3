"""From an event to what notify announces: its kind, its place in a thread, and whom it names."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from contracts.addressee import Addressee
from contracts.event import Event

from contracts import (
    AllocationRecorded,
    CashGapForecast,
    CreditAlerted,
    PaymentOverdue,
    PlanDue,
    PlanExceeded,
    QuotaLow,
    TaskChanged,
)
from notify.domain.places import COMPANY, entity_place

NOTICE_VALID: Final = timedelta(hours=24)
"""A notice that could not go out for so long is stale: it would flood people with what is past."""
NOTHING_TOLD: Final = -1
RESOLVED_STEP: Final = 1_000_000
SUPERSEDED_STEP: Final = 1_000_001
QUOTA_LOW: Final = "quota-low"
PAYMENT_OVERDUE: Final = "payment-overdue"
VERIFICATION_CODE: Final = "verification-code"
VERIFICATION: Final = "verification"
DIGEST: Final = "digest"
ENDING_FAMILIES: Final = frozenset(
    {QUOTA_LOW, PAYMENT_OVERDUE, "credit-alerted", "plan-due", "cash-gap", "task"}
)
"""Their threads are open until their producer says that they have ended; what other families tell has happened."""
NUMBERED_FAMILIES: Final = frozenset({QUOTA_LOW, "plan-due"})
"""Their events carry a reminder number, so that notify repeats none of them by itself."""


@dataclass(frozen=True, slots=True)
class ThreadKey:
    """What belongs together: the notices of one episode."""

    place: str
    family: str
    currency: str
    episode_id: str

    @property
    def row(self) -> tuple[str, str, str, str]:
        return self.place, self.family, self.currency, self.episode_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """What an event calls for.

    `kind` None tells nobody and only moves the thread. `step` is the place in the thread: what comes behind a later
    step is overtaken. `ends` is why what the thread has not sent yet is not sent any more. `about` is the account
    that the notice speaks of, where the people who are told are not its own. `facts` are what a rule's conditions see.
    """

    thread: ThreadKey
    kind: str | None
    step: int
    business_key: str
    occurred_at: datetime
    ends: str | None = None
    about: str | None = None
    addressees: Sequence[Addressee] = ()
    facts: Mapping[str, str | int] = field(default_factory=dict)
    event_type: str = ""
    data: bytes = b"{}"

    @property
    def place(self) -> str:
        return self.thread.place

    @property
    def family(self) -> str:
        return self.thread.family


def announcement(event: Event, source: str) -> Announcement:
    """What an event of any kind calls for; `source` is the service that it came from."""
    return MAKERS[type(event)](event, source)


def _quota_low(event: QuotaLow, _: str) -> Announcement:
    steps = {
        "opened": 0,
        "reminder": event.reminder_number,
        "resolved": RESOLVED_STEP,
        "superseded": SUPERSEDED_STEP,
    }
    is_end = event.kind in ("resolved", "superseded")
    step = steps[event.kind]
    return Announcement(
        thread=ThreadKey(event.account, QUOTA_LOW, event.currency, event.episode_id),
        kind=None if event.kind == "superseded" else f"quota-low-{event.kind}",
        step=step,
        business_key=f"{QUOTA_LOW}/{event.currency}/{event.episode_id}/{step}",
        occurred_at=event.occurred_at,
        ends=f"episode-{event.kind}" if is_end else None,
        about=event.account,
        facts={
            "currency": event.currency,
            "quota": event.quota.minor,
            "threshold": event.threshold.minor,
            "reminder_number": event.reminder_number,
        },
        event_type=event.contract.type,
        data=event.to_json(),
    )


def _payment_overdue(event: PaymentOverdue, _: str) -> Announcement:
    is_end = event.kind == "cleared"
    step = RESOLVED_STEP if is_end else 0
    return Announcement(
        thread=ThreadKey(event.account, PAYMENT_OVERDUE, event.currency, event.episode_id),
        kind=f"payment-overdue-{event.kind}",
        step=step,
        business_key=f"{PAYMENT_OVERDUE}/{event.currency}/{event.episode_id}/{step}",
        occurred_at=event.occurred_at,
        ends="episode-cleared" if is_end else None,
        about=event.account,
        facts={"currency": event.currency, "overdue": event.overdue.minor},
        event_type=event.contract.type,
        data=event.to_json(),
    )


def _credit_alerted(event: CreditAlerted, _: str) -> Announcement:
    is_end = event.state == "resolved"
    step = RESOLVED_STEP if is_end else 0
    return Announcement(
        thread=ThreadKey(COMPANY, "credit-alerted", event.currency or "", event.episode_id),
        kind="credit-resolved" if is_end else f"credit-{event.kind}",
        step=step,
        business_key=f"credit-alerted/{event.episode_id}/{step}",
        occurred_at=event.occurred_at,
        ends="episode-resolved" if is_end else None,
        about=event.account,
        addressees=event.addressees,
        facts={
            "alert": event.kind,
            "object_type": event.object_type,
            "object_id": event.object_id,
            "scope": event.scope or "",
        },
        event_type=event.contract.type,
        data=event.to_json(),
    )


PLAN_KINDS: Final = {
    "before-cut-off": "plan-due-before",
    "after-cut-off": "plan-due-after",
    "asked": "plan-due-asked",
    "sent-back": "plan-due-sent-back",
    "extended": "plan-due-extended",
}


def _plan_due(event: PlanDue, _: str) -> Announcement:
    is_end = event.kind == "settled"
    step = RESOLVED_STEP if is_end else event.reminder_number
    return Announcement(
        thread=ThreadKey(entity_place(event.entity), "plan-due", "", f"{event.system_id}/{event.filing_id}"),
        kind=PLAN_KINDS.get(event.kind),
        step=step,
        business_key=f"plan-due/{event.system_id}/{event.filing_id}/{step}",
        occurred_at=event.occurred_at,
        ends="episode-settled" if is_end else None,
        addressees=event.addressees,
        facts={"system_id": event.system_id, "entity": event.entity, "notice": event.kind},
        event_type=event.contract.type,
        data=event.to_json(),
    )


def _plan_exceeded(event: PlanExceeded, _: str) -> Announcement:
    key = f"{event.system_id}/{event.check_id}"
    return Announcement(
        thread=ThreadKey(entity_place(event.entity), "plan-exceeded", event.amount.currency, key),
        kind="plan-exceeded",
        step=0,
        business_key=f"plan-exceeded/{key}",
        occurred_at=event.occurred_at,
        addressees=event.addressees,
        facts={
            "outcome": event.outcome,
            "reason": event.reason,
            "direction": event.direction,
            "entity": event.entity,
            "item": event.item,
            "currency": event.amount.currency,
            "amount": event.amount.minor,
            "excess": event.excess.minor,
        },
        event_type=event.contract.type,
        data=event.to_json(),
    )


def _cash_gap(event: CashGapForecast, _: str) -> Announcement:
    is_end = event.kind == "closed"
    return Announcement(
        thread=ThreadKey(entity_place(event.entity), "cash-gap", event.currency, event.episode_id),
        kind=f"cash-gap-{event.kind}",
        step=RESOLVED_STEP if is_end else event.notice_number,
        business_key=f"cash-gap/{event.currency}/{event.episode_id}/{event.notice_number}",
        occurred_at=event.occurred_at,
        ends="episode-closed" if is_end else None,
        addressees=event.addressees,
        facts={"entity": event.entity, "currency": event.currency, "gap": event.gap.minor},
        event_type=event.contract.type,
        data=event.to_json(),
    )


def _allocation(event: AllocationRecorded, source: str) -> Announcement:
    return Announcement(
        thread=ThreadKey(
            event.member_account, "allocation", event.amount.currency, f"{source}/{event.record_id}"
        ),
        kind="allocation-recorded" if event.result == "succeeded" else "allocation-refused",
        step=0,
        business_key=f"allocation/{source}/{event.record_id}",
        occurred_at=event.recorded_at,
        about=event.member_account,
        facts={
            "method": event.method,
            "operation": event.operation,
            "currency": event.amount.currency,
            "amount": event.amount.minor,
            "management_account": event.management_account,
        },
        event_type=event.contract.type,
        data=event.to_json(),
    )


def _task(event: TaskChanged, source: str) -> Announcement:
    place = entity_place(event.entity)
    key = f"{source}/{event.task_id}"
    is_open = event.state == "opened"
    assignee = Addressee(kind=event.assignee_kind, id=event.assignee, entity=event.entity)
    return Announcement(
        thread=ThreadKey(place, "task", "", key),
        kind="task-opened" if is_open else None,
        step=event.task_version,
        business_key=f"task/{key}/{event.task_version}",
        occurred_at=event.changed_at,
        ends=None if is_open else f"task-{event.state}",
        about=event.account,
        addressees=[assignee],
        facts={"task": event.kind, "assignee": event.assignee, "producer": source},
        event_type=event.contract.type,
        data=event.to_json(),
    )


MAKERS: Final[Mapping[type[Event], Callable[[Any, str], Announcement]]] = {
    QuotaLow: _quota_low,
    PaymentOverdue: _payment_overdue,
    CreditAlerted: _credit_alerted,
    PlanDue: _plan_due,
    PlanExceeded: _plan_exceeded,
    CashGapForecast: _cash_gap,
    AllocationRecorded: _allocation,
    TaskChanged: _task,
}
ANNOUNCED: Final = tuple(MAKERS)
