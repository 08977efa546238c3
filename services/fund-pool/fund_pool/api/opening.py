"""Opening balance imports: one person drafts, the preview shows each row's fate, another person posts."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice
from re import fullmatch
from secrets import token_bytes
from typing import Annotated, Any, Final
from uuid import UUID

from chassis.http import CurrentPrincipal, FieldError, Now, Policy, Problem, Reader, Work, listed
from chassis.listing import ListField, Listing
from chassis.sheets import CSV, XLSX, TableRow, UnreadableTable, table_rows
from contracts.money import UNSIGNED_DECIMAL, Amount, decimals, minor_units
from contracts.text import Code, CurrencyCode, Id
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request

from fund_pool.api.common import APPROVERS, FINANCE, MAKERS, Body, router
from fund_pool.domain.ids import RANDOM_BYTES, uuid7
from fund_pool.domain.opening import Fate, OpeningRow, fates, post
from fund_pool.domain.pool import Pool
from fund_pool.publishing import publish
from fund_pool.repository import opening as opening_rows
from fund_pool.repository import pools as pool_rows
from fund_pool.repository.opening import Import

ROWS_MAX: Final = 10_000
BODY_BYTES_MAX: Final = 8 * 1024 * 1024
FAULTS_SHOWN_MAX: Final = 100
PART_ACCOUNTS: Final = 1_000

FILE_ROWS_MAX: Final = 100_000
FILE_BYTES_MAX: Final = 24 * 1024 * 1024
REQUIRED: Final = ("account", "account_type", "currency")
OPTIONAL: Final = ("amount", "granted", "used", "effective_date")
FILE_EXAMPLE: Final = """account,account_type,currency,amount,granted,used,effective_date
A-1001,cash,CNY,1200.00,,,2026-01-01
A-1001,overdraft,CNY,,5000.00,2000.00,2026-01-01
"""

opening = router("opening balances")


class RowBody(Body):
    """One fund account's balance: `amount`, or for an overdraft what is `granted` and `used` of it."""

    account: Id
    account_type: Code
    currency: CurrencyCode
    amount: Amount | None = None
    granted: Amount | None = None
    used: Amount | None = None
    effective_date: date | None = None


class ImportBody(Body):
    """The rows of an import; each fund account stands in it once."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "rows": [
                        {
                            "account": "A-1001",
                            "account_type": "cash",
                            "currency": "CNY",
                            "amount": {"amount": "1200.00", "currency": "CNY"},
                        },
                        {
                            "account": "A-1001",
                            "account_type": "overdraft",
                            "currency": "CNY",
                            "granted": {"amount": "5000.00", "currency": "CNY"},
                            "used": {"amount": "2000.00", "currency": "CNY"},
                            "effective_date": "2026-01-01",
                        },
                    ]
                }
            ]
        },
    )

    rows: Annotated[list[RowBody], Field(min_length=1, max_length=ROWS_MAX)]


class Approval(Body):
    """Whether the postable rows are to be posted although others are refused."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"leave_out_refused": False}]})

    leave_out_refused: Annotated[bool, Field(strict=True)] = False


class FaultView(BaseModel):
    """Why a row is refused, by its place in the import and its column."""

    row: int
    column: str
    code: str
    text: str


class HeadingView(BaseModel):
    """An import without its rows."""

    import_id: UUID
    status: str
    made_by: str
    made_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    rows: int


class ImportView(HeadingView):
    """An import with the number of rows by fate and the first hundred faults; all rows are a list of their own."""

    postable: int = Field(description="Rows that would be posted now; of a posted import, those that were.")
    refused: int
    faults: list[FaultView]


@dataclass(frozen=True, slots=True)
class JudgedRow:
    """One row with its fate; amounts in minor units."""

    number: int
    account: str
    account_type: str
    currency: str
    amount: int | None
    granted: int | None
    used: int | None
    effective_date: date | None
    fate: str
    column: str | None
    code: str | None
    text: str | None
    entry_number: int | None


IMPORT_ROWS: Final[Listing[JudgedRow]] = Listing(
    name="opening-balance-import-rows",
    sentence="Each row of an import with its fate, and where it is refused the column and why.",
    fields=[
        ListField("number", "whole", sortable=True),
        ListField("account", sortable=True),
        ListField("account_type"),
        ListField("amount", "money", nullable=True, summed=True),
        ListField("granted", "money", nullable=True, summed=True),
        ListField("used", "money", nullable=True, summed=True),
        ListField("currency"),
        ListField("effective_date", "date", nullable=True),
        ListField("fate"),
        ListField("column", nullable=True),
        ListField("code", nullable=True),
        ListField("text", filterable=False, nullable=True, width=60),
        ListField("entry_number", "whole", nullable=True),
    ],
    key=("number",),
    sort="number",
)


@opening.post(
    "/opening-balance-imports",
    policy=Policy("opening-balance:draft", MAKERS),
    status_code=201,
    body_bytes_max=BODY_BYTES_MAX,
)
async def draft_import(body: ImportBody, work: Work, principal: CurrentPrincipal) -> ImportView:
    """Drafts an import and previews each row's fate; nothing is posted."""
    rows = [_opening_row(number, row) for number, row in enumerate(body.rows, start=1)]
    import_id = uuid7(work.now, token_bytes(RANDOM_BYTES))
    await opening_rows.add_draft(work.connection, import_id, rows, principal.subject, work.now)
    draft = Import(import_id, "draft", principal.subject, work.now, None, None, rows, None)
    return _view(draft, await _fates(work.connection, draft, work.now))


@opening.post(
    "/opening-balance-imports/file",
    policy=Policy("opening-balance:draft", MAKERS),
    status_code=201,
    body_bytes_max=FILE_BYTES_MAX,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {CSV.partition(";")[0]: {"example": FILE_EXAMPLE}, XLSX: {}},
        }
    },
)
async def draft_from_file(request: Request, work: Work, principal: CurrentPrincipal) -> ImportView:
    """Drafts an import from a CSV or Excel file of at most 100,000 rows; a row that cannot be read is refused.

    Columns: account, account_type, currency, and amount, or for an overdraft granted and used; effective_date.
    """
    try:
        rows = await asyncio.to_thread(_file_rows, await request.body())
    except UnreadableTable as unreadable:
        raise Problem(422, "unreadable-table", detail=f"{unreadable}.") from None
    if not rows:
        raise Problem(422, "unreadable-table", detail="The table has no rows.")
    import_id = uuid7(work.now, token_bytes(RANDOM_BYTES))
    await opening_rows.add_draft(work.connection, import_id, rows, principal.subject, work.now)
    draft = Import(import_id, "draft", principal.subject, work.now, None, None, rows, None)
    return _view(draft, await _fates(work.connection, draft, work.now))


@opening.get("/opening-balance-imports/{import_id}", policy=Policy("opening-balance:read", FINANCE))
async def read_import(import_id: UUID, reader: Reader, now: Now) -> ImportView:
    """An import; the preview of a draft is that of now."""
    found = await _import_or_404(reader, import_id)
    return _view(found, await _fates(reader, found, now))


async def judged_rows(import_id: UUID, reader: Reader, now: Now) -> list[JudgedRow]:
    """Each row of an import with its fate; that of a draft is what it would be now."""
    found = await _import_or_404(reader, import_id)
    return [_judged(fate, found.status) for fate in await _fates(reader, found, now)]


@opening.post(
    "/opening-balance-imports/{import_id}/approve", policy=Policy("opening-balance:approve", APPROVERS)
)
async def approve_import(
    import_id: UUID, body: Approval, work: Work, principal: CurrentPrincipal
) -> ImportView:
    """Posts a draft that another person made; refused as a whole while rows are, unless they are left out."""
    draft = await _draft_or_refusal(work, import_id)
    if draft.made_by == principal.subject:
        raise Problem.forbidden("An import is approved by another person than its maker.", type="same-person")
    judged = await _judged_in_parts(work.connection, draft.rows, work.now, lock=True)
    _require_postable(judged, body.leave_out_refused)
    results = await _posted_in_parts(work, judged, import_id)
    await opening_rows.close(work.connection, import_id, "posted", principal.subject, work.now, results)
    work.count("opening-balance-import", "posted")
    return _view(await _import_or_404(work.connection, import_id), results)


@opening.post("/opening-balance-imports/{import_id}/reject", policy=Policy("opening-balance:reject", FINANCE))
async def reject_import(import_id: UUID, work: Work, principal: CurrentPrincipal) -> ImportView:
    """Closes a draft without posting anything."""
    draft = await _draft_or_refusal(work, import_id)
    await opening_rows.close(work.connection, import_id, "rejected", principal.subject, work.now)
    work.count("opening-balance-import", "rejected")
    closed = await _import_or_404(work.connection, import_id)
    return _view(closed, await _fates(work.connection, draft, work.now))


async def _import_or_404(reader: Reader, import_id: UUID) -> Import:
    found = await opening_rows.import_by_id(reader, import_id)
    if found is None:
        raise Problem.not_found(f"There is no import {import_id}.")
    return found


async def _draft_or_refusal(work: Work, import_id: UUID) -> Import:
    found = await opening_rows.import_by_id(work.connection, import_id, lock=True)
    if found is None:
        raise Problem.not_found(f"There is no import {import_id}.")
    if found.status != "draft":
        raise Problem.conflict("already-decided", f"The import has been {found.status} already.")
    return found


async def _fates(reader: Reader, found: Import, now: datetime) -> list[Fate]:
    """What became of the rows of a posted import, or would become of them now."""
    if found.status == "posted":
        return found.results or []
    return await _judged_in_parts(reader, found.rows, now, lock=False)


def _parts(rows: Sequence[OpeningRow]) -> Iterator[list[OpeningRow]]:
    """The rows of so many accounts at a time, the accounts in the order in which they are locked."""
    by_account: dict[str, list[OpeningRow]] = {}
    for row in rows:
        by_account.setdefault(row.account, []).append(row)
    accounts = iter(sorted(by_account))
    while part := list(islice(accounts, PART_ACCOUNTS)):
        yield [row for account in part for row in by_account[account]]


async def _judged_in_parts(
    connection: AsyncConnection, rows: Sequence[OpeningRow], now: datetime, *, lock: bool
) -> list[Fate]:
    """The fate of each row by its number; no more pools are held at once than those of a part."""
    judged: list[Fate] = []
    load = pool_rows.locked_pools if lock else pool_rows.pools
    for part in _parts(rows):
        pools = await load(connection, {row.account for row in part}, now=now)
        judged += fates(part, pools, await opening_rows.opened_before(connection, pools), now)
    return sorted(judged, key=lambda fate: fate.row.number)


async def _posted_in_parts(work: Work, judged: Sequence[Fate], import_id: UUID) -> list[Fate]:
    """Posts the rows without fault, under locks that are held; all in one transaction, however many parts."""
    good = {fate.row.number: fate for fate in judged if fate.fault is None}
    for part in _parts([fate.row for fate in good.values()]):
        pools = await pool_rows.pools(work.connection, {row.account for row in part}, now=work.now)
        posted = [_posted(work, good[row.number], pools, import_id) for row in part]
        await opening_rows.post(work.connection, import_id, posted, list(pools.values()), work.now)
        await work.flush_outbox()
        good |= {fate.row.number: fate for fate in posted}
    return [good.get(fate.row.number, fate) for fate in judged]


def _require_postable(judged: Sequence[Fate], leave_out_refused: bool) -> None:
    refused = [fate for fate in judged if fate.fault is not None]
    if len(refused) == len(judged) or (refused and not leave_out_refused):
        errors: list[FieldError] = [
            {"field": f"rows[{fate.row.number - 1}].{fate.fault.field}", "message": fate.fault.text}
            for fate in refused[:FAULTS_SHOWN_MAX]
            if fate.fault is not None
        ]
        raise Problem.conflict(
            "rows-refused", f"{len(refused)} of {len(judged)} rows cannot be posted.", errors=errors
        )


def _posted(work: Work, fate: Fate, pools: dict[str, Pool], import_id: UUID) -> Fate:
    pool = pools[fate.row.account]
    posted = post(fate.row, pool, str(import_id), work.now)
    publish(work, posted, pool)
    return Fate(fate.row, None, posted.entry.number)


def _file_rows(body: bytes) -> list[OpeningRow]:
    return [_file_row(row) for row in table_rows(body, REQUIRED, OPTIONAL, rows_max=FILE_ROWS_MAX)]


def _file_row(row: TableRow) -> OpeningRow:
    """A row of a file; the first cell that cannot be read is named."""
    cells = row.cells
    read: dict[str, Any] = {}
    unreadable: tuple[str, str] | None = None
    for column in ("currency", "amount", "granted", "used", "effective_date"):
        text = cells.get(column, "")
        try:
            read[column] = _cell(column, text, read.get("currency", ""))
        except ValueError as error:
            unreadable = unreadable or (column, str(error))
            read[column] = None
    return OpeningRow(
        number=row.number,
        account=cells["account"],
        account_type=cells["account_type"],
        currency=read["currency"] or "",
        amount=read["amount"],
        granted=read["granted"],
        used=read["used"],
        effective_date=read["effective_date"],
        unreadable=unreadable,
    )


def _cell(column: str, text: str, currency: str | None) -> Any:  # Any: what the column holds
    if column == "currency":
        decimals(text)
        return text
    if not text:
        return None
    if column == "effective_date":
        return date.fromisoformat(text[:10])
    if currency is None or not fullmatch(UNSIGNED_DECIMAL, text):
        raise ValueError(f"{text!r} is no amount such as 1200.00")
    return minor_units(text, currency)


def _opening_row(number: int, row: RowBody) -> OpeningRow:
    for column in ("amount", "granted", "used"):
        amount = getattr(row, column)
        if amount is not None and amount.currency != row.currency:
            field = f"rows[{number - 1}].{column}.currency"
            raise Problem.invalid([{"field": field, "message": f"must be {row.currency}"}])
    return OpeningRow(
        number=number,
        account=row.account,
        account_type=row.account_type,
        currency=row.currency,
        amount=row.amount.minor if row.amount is not None else None,
        granted=row.granted.minor if row.granted is not None else None,
        used=row.used.minor if row.used is not None else None,
        effective_date=row.effective_date,
    )


def _view(found: Import, judged: Sequence[Fate]) -> ImportView:
    refused = [fate for fate in judged if fate.fault is not None]
    faults = [fault for fate in refused[:FAULTS_SHOWN_MAX] if (fault := _fault_view(fate)) is not None]
    return ImportView(
        import_id=found.import_id,
        status=found.status,
        made_by=found.made_by,
        made_at=found.made_at,
        decided_by=found.decided_by,
        decided_at=found.decided_at,
        rows=len(judged),
        postable=len(judged) - len(refused),
        refused=len(refused),
        faults=faults,
    )


def _fault_view(fate: Fate) -> FaultView | None:
    if fate.fault is None:
        return None
    return FaultView(row=fate.row.number, column=fate.fault.field, code=fate.fault.code, text=fate.fault.text)


def _judged(fate: Fate, status: str) -> JudgedRow:
    row, fault = fate.row, fate.fault
    fate_of_good = "posted" if status == "posted" else "will-post"
    return JudgedRow(
        number=row.number,
        account=row.account,
        account_type=row.account_type,
        currency=row.currency,
        amount=row.amount,
        granted=row.granted,
        used=row.used,
        effective_date=row.effective_date,
        fate="refused" if fault is not None else fate_of_good,
        column=None if fault is None else fault.field,
        code=None if fault is None else fault.code,
        text=None if fault is None else fault.text,
        entry_number=fate.entry_number,
    )


listed(
    opening,
    "/opening-balance-imports/{import_id}/rows",
    IMPORT_ROWS,
    Policy("opening-balance:read", FINANCE),
    rows_of=judged_rows,
)
