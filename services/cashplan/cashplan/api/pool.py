"""The receipts-and-payments pool to look at."""

from datetime import date, datetime
from typing import Annotated, Final, Literal

from chassis.http import CursorPage, FieldError, Page, Policy, Problem, Reader, Router
from contracts.money import Money
from contracts.text import CurrencyCode, Id
from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from cashplan.api.common import READERS
from cashplan.domain.pool import ORDER, ItemChange, ItemKey, PoolItem
from cashplan.repository import pool as pool_rows
from cashplan.repository.pool import ItemFilter

router = Router(tags=["pool"])

ITEM_EXAMPLE: Final[JsonDict] = {
    "document_type": "order",
    "source": "shop-east",
    "document_id": "SO-2026-0117",
    "version": 2,
    "direction": "in",
    "entity": "ORG-SHANGHAI",
    "currency": "CNY",
    "counterparty": "C-1001",
    "account": "A-1001",
    "due_date": "2026-04-01",
    "document_amount": {"amount": "180.00", "currency": "CNY"},
    "settled": {"amount": "60.00", "currency": "CNY"},
    "amount": {"amount": "120.00", "currency": "CNY"},
    "state": "open",
}


class PoolItemView(BaseModel):
    """What one document still brings or takes: `amount` = `document_amount` - `settled`; 0 is closed."""

    model_config = ConfigDict(json_schema_extra={"examples": [ITEM_EXAMPLE]})

    document_type: str
    source: str
    document_id: str
    version: int = Field(description="The check number of an order's decision.")
    direction: Literal["in", "out"]
    entity: str | None
    currency: str | None
    counterparty: str | None
    account: str
    due_date: date
    document_amount: Money | None
    settled: Money | None
    amount: Money | None
    state: Literal["open", "closed"]


class ItemStep(BaseModel):
    """One step of an item's history: the item after it and the decision that caused it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "item": ITEM_EXAMPLE,
                    "operation": "submit",
                    "outcome": "accepted",
                    "event_id": "0e5a1f5e-4f0c-5a58-9d3b-0a4a5d1f2c33",
                    "decided_at": "2026-03-02T09:30:00Z",
                    "recorded_at": "2026-03-02T09:30:00.120Z",
                }
            ]
        }
    )

    item: PoolItemView
    operation: str
    outcome: str
    event_id: str
    decided_at: datetime
    recorded_at: datetime


def item_filter(
    entity: Annotated[
        Id | None, Query(description="Settlement organisation.", examples=["ORG-SHANGHAI"])
    ] = None,
    currency: Annotated[CurrencyCode | None, Query(examples=["CNY"])] = None,
    due_from: Annotated[date | None, Query(description="Due on this day or later.")] = None,
    due_to: Annotated[date | None, Query(description="Due on this day or earlier.")] = None,
    state: Annotated[Literal["open", "closed"] | None, Query(description="Without it: both.")] = None,
    counterparty: Annotated[Id | None, Query(description="Customer.", examples=["C-1001"])] = None,
) -> ItemFilter:
    if due_from and due_to and due_to < due_from:
        raise Problem.invalid([FieldError(field="due_to", message="must not be before due_from")])
    return ItemFilter(
        entity=entity,
        currency=currency,
        due_from=due_from,
        due_to=due_to,
        is_closed=None if state is None else state == "closed",
        counterparty=counterparty,
    )


@router.get("/pool-items", policy=Policy("pool-item:read", roles=READERS), summary="Items of the pool")
async def pool_items(
    chosen: Annotated[ItemFilter, Depends(item_filter)], page: Page, reader: Reader
) -> CursorPage[PoolItemView]:
    """By entity and currency, open before closed, then by due date."""
    after = page.after(str, str, bool, date, str, str, str)
    found = await pool_rows.items_after(reader, chosen, after, page.rows)
    items, following = page.page(found, pool_rows.place)
    return CursorPage(items=[item_view(item) for item in items], next=following)


@router.get(
    "/pool-items/history", policy=Policy("pool-item:read", roles=READERS), summary="How one item came to be"
)
async def pool_item_history(
    source: Annotated[Id, Query(description="The order system.", examples=["shop-east"])],
    order_id: Annotated[Id, Query(examples=["SO-2026-0117"])],
    page: Page,
    reader: Reader,
) -> CursorPage[ItemStep]:
    """Every decision that changed the receipt of an order, oldest first."""
    after = page.after(int)
    found = await pool_rows.history_after(
        reader, ItemKey(ORDER, source, order_id), after[0] if after else 0, page.rows
    )
    if not found and after is None:
        raise Problem.not_found(f"No order {order_id} of {source} has been decided.")
    steps, following = page.page(found, lambda step: (step[0].item.step,))
    return CursorPage(items=[step_view(*step) for step in steps], next=following)


def item_view(item: PoolItem) -> PoolItemView:
    return PoolItemView(
        document_type=item.key.document_type,
        source=item.key.source,
        document_id=item.key.document_id,
        version=item.version,
        direction=item.direction,
        entity=item.entity,
        currency=item.currency,
        counterparty=item.counterparty,
        account=item.account,
        due_date=item.due_date,
        document_amount=_money(item.document_minor, item.currency),
        settled=_money(item.settled_minor, item.currency),
        amount=_money(item.amount_minor, item.currency),
        state="open" if item.amount_minor else "closed",
    )


def _money(minor: int, currency: str | None) -> Money | None:
    return None if currency is None else Money.of(minor, currency)


def step_view(change: ItemChange, recorded_at: datetime) -> ItemStep:
    return ItemStep(
        item=item_view(change.item),
        operation=change.operation,
        outcome=change.outcome,
        event_id=change.event_id,
        decided_at=change.decided_at,
        recorded_at=recorded_at,
    )
