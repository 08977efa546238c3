"""Payments that nobody could place."""

from datetime import date, datetime
from typing import Annotated

from chassis.http import CursorPage, Page, Policy, Reader
from contracts.money import Money
from contracts.text import Code
from fastapi import Query
from pydantic import BaseModel, ConfigDict

from fund_pool.api.common import FINANCE, router
from fund_pool.repository import payments as payment_rows
from fund_pool.repository.payments import UnmatchedPayment

payments = router("payments")


class UnmatchedView(BaseModel):
    """A payment with the reason why it tops no account up."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "payment_id": "P-7",
                    "payer": "DE89370400440532013000",
                    "account": None,
                    "account_type": "cash",
                    "amount": {"amount": "80.00", "currency": "CNY"},
                    "instrument": "bank-transfer",
                    "received_on": "2026-03-02",
                    "reference": "order 4711",
                    "reason": "no-account-named",
                    "recorded_at": "2026-03-02T09:30:00Z",
                }
            ]
        }
    )

    payment_id: str
    payer: str
    account: str | None
    account_type: str
    amount: Money
    instrument: str
    received_on: date
    reference: str | None
    reason: str
    recorded_at: datetime


@payments.get("/unmatched-payments", policy=Policy("unmatched-payment:read", FINANCE))
async def read_unmatched_payments(
    reader: Reader, page: Page, reason: Annotated[Code | None, Query(examples=["unknown-account"])] = None
) -> CursorPage[UnmatchedView]:
    """Payments that wait for somebody to place them, oldest first."""
    found = await payment_rows.unmatched(reader, reason, page.after(datetime, str), page.rows)
    rows, following = page.page(found, lambda row: (row.recorded_at, row.payment.payment_id))
    return CursorPage(items=[_view(row) for row in rows], next=following)


def _view(row: UnmatchedPayment) -> UnmatchedView:
    paid = row.payment
    return UnmatchedView(
        payment_id=paid.payment_id,
        payer=paid.payer,
        account=paid.account,
        account_type=paid.account_type,
        amount=Money.of(paid.amount, paid.currency),
        instrument=paid.instrument,
        received_on=paid.received_on,
        reference=paid.reference,
        reason=paid.reason or "",
        recorded_at=row.recorded_at,
    )
