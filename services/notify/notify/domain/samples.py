"""Sample events, one for every kind of notice: what a template is tried and shown with."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, get_args

from contracts.addressee import Addressee
from contracts.credit_alerted import AlertedDocument, AlertKind
from contracts.event import Event
from contracts.money import Money, SignedMoney
from contracts.order import Reason
from contracts.quota_low import QuotaTerms

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
from notify.domain.announcements import DIGEST, VERIFICATION_CODE, announcement

AT: Final = datetime(2026, 11, 7, 2, 0, tzinfo=UTC)
ACCOUNT_NAME: Final = "Huadong Trading, Shanghai"


def _money(amount: str) -> Money:
    return Money(amount, "CNY")


def _signed(amount: str) -> SignedMoney:
    return SignedMoney(amount, "CNY")


TERMS: Final = QuotaTerms(
    cash_balance=_signed("100.00"),
    bankers_acceptance=_money("10.00"),
    credit_limit=_money("500.00"),
    credit_refund=_money("5.00"),
    unsettled=_money("230.00"),
    outstanding_fees=_money("50.00"),
    negative_bill=_money("20.00"),
)


def quota_low(kind: Any, number: int = 0) -> QuotaLow:
    return QuotaLow(
        account="A-1001",
        currency="CNY",
        kind=kind,
        episode_id="E-2026-0042",
        reminder_number=number,
        quota=_signed("355.00" if kind != "resolved" else "1355.00"),
        threshold=_money("1000.00"),
        terms=TERMS,
        occurred_at=AT,
    )


def payment_overdue(kind: Any) -> PaymentOverdue:
    return PaymentOverdue(
        account="A-1001",
        currency="CNY",
        kind=kind,
        episode_id="E-2026-0043",
        quota=_signed("-1245.00" if kind == "opened" else "355.00"),
        overdue=_money("1245.00" if kind == "opened" else "0.00"),
        terms=TERMS,
        document_type="bill",
        document_id="BILL-2026-11-0007",
        opened_at=AT,
        occurred_at=AT,
    )


def credit_alerted(kind: Any, state: Any = "opened") -> CreditAlerted:
    return CreditAlerted(
        kind=kind,
        state=state,
        episode_id=f"alert/{kind}/C-1001",
        object_type="customer",
        object_id="C-1001",
        object_name=ACCOUNT_NAME,
        addressees=[Addressee(kind="role", id="credit-manager")],
        currency="CNY",
        limit=_money("100000.00"),
        used=_signed("90500.00"),
        usage_percent="90.5",
        threshold_percent="80",
        overdue=_money("12000.00"),
        overdue_limit=_money("10000.00"),
        overdue_days=12,
        overdue_days_limit=10,
        valid_until=date(2026, 12, 31),
        document=AlertedDocument(type="order", source="my-shop", id="SO-1001", amount=_money("12010.00")),
        reasons=[Reason(code="credit-limit-exceeded", text="12,010.00 is more than the 9,500.00 left.")],
        actions=["freeze"] if kind == "object-frozen" else [],
        decide_until=AT + timedelta(days=7),
        occurred_at=AT,
    )


def plan_due(kind: Any, number: int = 1) -> PlanDue:
    return PlanDue(
        system_id="SYS-1",
        system_name="Group cash plan",
        round_id="RND-2026-12",
        filing_id="FIL-2026-12-SH",
        entity="RE-SH",
        entity_name="Shanghai branch",
        period="2026-12",
        kind=kind,
        reminder_number=number,
        cut_off=AT + timedelta(days=3),
        addressees=[],
        asked_by="U-2",
        message="Please file today.",
        occurred_at=AT,
    )


def plan_exceeded() -> PlanExceeded:
    return PlanExceeded(
        check_id="payment-request/PR-7/2/submit",
        system_id="SYS-1",
        system_name="Group cash plan",
        entity="RE-SH",
        entity_name="Shanghai branch",
        item="PURCHASE",
        item_name="Purchases",
        period="2026-11",
        outcome="blocked",
        reason="exceeded",
        direction="payment",
        document_type="payment-request",
        document_id="PR-7",
        document_revision=2,
        amount=_money("120000.00"),
        effective=_signed("100000.00"),
        pre_occupied=_signed("40000.00"),
        actual=_signed("30000.00"),
        available=_signed("30000.00"),
        excess=_money("90000.00"),
        addressees=[],
        occurred_at=AT,
    )


def cash_gap(kind: Any, number: int = 1) -> CashGapForecast:
    return CashGapForecast(
        entity="RE-SH",
        entity_name="Shanghai branch",
        currency="CNY",
        kind=kind,
        episode_id="gap/RE-SH/CNY/7",
        notice_number=number,
        first_day=date(2026, 11, 20),
        lowest_day=date(2026, 11, 28),
        lowest_balance=_signed("-250000.00"),
        kept_balance=_money("100000.00"),
        gap=_money("350000.00"),
        former_gap=_money("120000.00"),
        horizon=date(2027, 2, 7),
        addressees=[],
        occurred_at=AT,
    )


def allocation(result: Any) -> AllocationRecorded:
    return AllocationRecorded(
        record_id="AL-1",
        method="funds",
        operation="allocate",
        management_account="A-1000",
        member_account="A-1001",
        disbursing_account="A-1000",
        receiving_account="A-1001",
        amount=_money("500.00"),
        total=_money("1500.00"),
        result=result,
        reasons=[]
        if result == "succeeded"
        else [Reason(code="not-enough", text="Only 300.00 can be given.")],
        requested_by="U-7",
        requested_at=AT,
        recorded_at=AT,
    )


def task(state: Any = "opened", version: int = 1) -> TaskChanged:
    return TaskChanged(
        task_id="held/my-shop/SO-1001/2",
        task_version=version,
        state=state,
        kind="approve-order",
        assignee_kind="role",
        assignee="credit-approver",
        account="A-1001",
        subject="Huadong Trading: order SO-1001",
        document_type="order",
        document_source="my-shop",
        document_id="SO-1001",
        amount=_money("12010.00"),
        message="12,010.00 is more than the 9,500.00 left.",
        due_at=AT + timedelta(days=7),
        opened_at=AT,
        changed_at=AT,
    )


EVENTS: Final[tuple[Event, ...]] = (
    quota_low("opened"),
    quota_low("reminder", 1),
    quota_low("resolved"),
    payment_overdue("opened"),
    payment_overdue("cleared"),
    *(credit_alerted(kind) for kind in get_args(AlertKind)),
    credit_alerted("usage-high", "resolved"),
    *(plan_due(kind) for kind in ("before-cut-off", "after-cut-off", "asked", "sent-back", "extended")),
    plan_exceeded(),
    cash_gap("appeared"),
    cash_gap("worsened", 2),
    cash_gap("closed", 3),
    allocation("succeeded"),
    allocation("refused"),
    task(),
)


def _samples() -> dict[str, tuple[str, bytes]]:
    made: dict[str, tuple[str, bytes]] = {}
    for event in EVENTS:
        told = announcement(event, event.contract.producers[0])
        assert told.kind is not None, "every sample is told"
        made[told.kind] = (told.event_type, told.data)
    return made


SAMPLES: Final[Mapping[str, tuple[str, bytes]]] = _samples()
"""Type and data of an event for each kind."""
KINDS: Final = (*SAMPLES, DIGEST, VERIFICATION_CODE)
"""Every kind that has texts."""
