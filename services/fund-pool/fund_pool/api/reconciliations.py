"""Reconciliation: a statement from outside, matched with the movements of a fund account."""

from datetime import date, datetime
from re import fullmatch
from secrets import token_bytes
from typing import Annotated, Final
from uuid import UUID

from chassis.http import CurrentPrincipal, Policy, Problem, Reader, Work
from chassis.sheets import CSV, XLSX, TableRow, UnreadableTable, read_table
from contracts.money import SIGNED_DECIMAL, Money, SignedMoney, TooManyDecimals, minor_units
from contracts.text import Code, CurrencyCode, Id
from fastapi import Query
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request

from fund_pool.api.common import FINANCE, MAKERS, pool_or_404, router
from fund_pool.domain.ids import RANDOM_BYTES, uuid7
from fund_pool.domain.reconciliation import Item, Match, Reconciled, reconcile, standard_rules
from fund_pool.repository import reconciliations as reconciliation_rows
from fund_pool.repository.reconciliations import Reconciliation

LINES_MAX: Final = 10_000
FILE_BYTES_MAX: Final = 4 * 1024 * 1024
EXAMPLE: Final = """line,date,amount,reference
1,2026-03-02,120.00,order 4711
2,2026-03-05,-30.00,
"""

reconciliations = router("reconciliation")


class ItemView(BaseModel):
    """A line of the statement, or a movement by its entry number."""

    id: str
    date: date
    amount: SignedMoney
    reference: str


class MatchView(BaseModel):
    """What belongs together and why."""

    kind: str
    by_reference: bool
    lines: list[ItemView]
    movements: list[ItemView]


class Proposal(BaseModel):
    """The document that would correct what is left; draft it with POST /documents."""

    document_type: str
    document_id: str
    account: str
    account_type: str
    amount: Money
    reason: str


class ReconciliationView(BaseModel):
    """The matches, what is left on either side, and what would correct it."""

    reconciliation_id: UUID
    account: str
    account_type: str
    currency: str
    since: date
    until: date
    made_by: str
    made_at: datetime
    matches: list[MatchView]
    lines_left: list[ItemView]
    movements_left: list[ItemView]
    proposals: list[Proposal]


@reconciliations.post(
    "/accounts/{account}/reconciliations",
    policy=Policy("reconciliation:make", MAKERS),
    status_code=201,
    body_bytes_max=FILE_BYTES_MAX,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {CSV.partition(";")[0]: {"example": EXAMPLE}, XLSX: {}},
        }
    },
)
async def make_reconciliation(
    account: Id,
    request: Request,
    work: Work,
    principal: CurrentPrincipal,
    account_type: Annotated[Code, Query(examples=["cash"])],
    currency: Annotated[CurrencyCode, Query(examples=["CNY"])],
    since: Annotated[date, Query()],
    until: Annotated[date, Query()],
    days: Annotated[int, Query(ge=0, le=90, description="How far apart the dates may lie.")] = 3,
) -> ReconciliationView:
    """Imports a statement (CSV or Excel: line, date, amount, reference) and matches it."""
    pool = await pool_or_404(work.connection, account)
    if pool.find(account_type, currency) is None:
        raise Problem.not_found(f"{account} has no {account_type} in {currency}.")
    if until < since:
        raise Problem.invalid([{"field": "until", "message": "must not be before since"}])
    kept = Reconciliation(
        account,
        uuid7(work.now, token_bytes(RANDOM_BYTES)),
        account_type,
        currency,
        since,
        until,
        days,
        _lines(await request.body(), currency),
        principal.subject,
        work.now,
    )
    await reconciliation_rows.add(work.connection, kept)
    return await _matched(work.connection, kept)


@reconciliations.get(
    "/accounts/{account}/reconciliations/{reconciliation_id}",
    policy=Policy("reconciliation:read", FINANCE, "account"),
)
async def read_reconciliation(account: Id, reconciliation_id: UUID, reader: Reader) -> ReconciliationView:
    """The statement matched with the movements as they are now: corrections show at once."""
    kept = await reconciliation_rows.by_id(reader, account, reconciliation_id)
    if kept is None:
        raise Problem.not_found()
    return await _matched(reader, kept)


async def _matched(connection: AsyncConnection, kept: Reconciliation) -> ReconciliationView:
    movements = await reconciliation_rows.movements(connection, kept, LINES_MAX + 1)
    if len(movements) > LINES_MAX:
        message = f"there are more than {LINES_MAX} movements; take a shorter span"
        raise Problem.invalid([{"field": "since", "message": message}], type="span-too-long")
    return _view(kept, reconcile(kept.lines, movements, standard_rules(kept.days)))


def _lines(body: bytes, currency: str) -> list[Item]:
    try:
        table = read_table(body, ["line", "date", "amount"], ["reference"], rows_max=LINES_MAX)
        if not table:
            raise UnreadableTable("the table has no rows")
        return [_line(row, currency) for row in table]
    except UnreadableTable as unreadable:
        raise Problem(422, "unreadable-table", detail=f"{unreadable}.") from None


def _line(row: TableRow, currency: str) -> Item:
    text = row.cells["amount"]
    if not fullmatch(SIGNED_DECIMAL, text):
        raise UnreadableTable(f"column amount: {text!r} is no amount such as -30.00", row.number)
    try:
        amount = minor_units(text.removeprefix("-"), currency) * (-1 if text.startswith("-") else 1)
        day = date.fromisoformat(row.cells["date"][:10])
    except (TooManyDecimals, ValueError) as error:
        raise UnreadableTable(str(error), row.number) from None
    return Item(row.cells["line"], day, amount, row.cells.get("reference", ""))


def _view(kept: Reconciliation, found: Reconciled) -> ReconciliationView:
    return ReconciliationView(
        reconciliation_id=kept.reconciliation_id,
        account=kept.account,
        account_type=kept.account_type,
        currency=kept.currency,
        since=kept.since,
        until=kept.until,
        made_by=kept.made_by,
        made_at=kept.made_at,
        matches=[_match_view(match, kept.currency) for match in found.matches],
        lines_left=[_item_view(item, kept.currency) for item in found.lines],
        movements_left=[_item_view(item, kept.currency) for item in found.movements],
        proposals=[
            *(_proposal(kept, item, item.amount, "on the statement only") for item in found.lines),
            *(_proposal(kept, item, -item.amount, "not on the statement") for item in found.movements),
        ],
    )


def _proposal(kept: Reconciliation, item: Item, change: int, why: str) -> Proposal:
    side = "line" if why == "on the statement only" else "entry"
    return Proposal(
        document_type="other-credit" if change > 0 else "other-debit",
        document_id=f"REC-{kept.reconciliation_id}-{side}-{item.item_id}",
        account=kept.account,
        account_type=kept.account_type,
        amount=Money.of(abs(change), kept.currency),
        reason=f"{side} {item.item_id} of {item.day}: {why}",
    )


def _match_view(match: Match, currency: str) -> MatchView:
    return MatchView(
        kind=match.rule.kind,
        by_reference=match.rule.by_reference,
        lines=[_item_view(item, currency) for item in match.lines],
        movements=[_item_view(item, currency) for item in match.movements],
    )


def _item_view(item: Item, currency: str) -> ItemView:
    return ItemView(
        id=item.item_id, date=item.day, amount=SignedMoney.of(item.amount, currency), reference=item.reference
    )
