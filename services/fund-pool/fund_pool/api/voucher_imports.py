"""Coupons and stored value cards by file: a preview of every row, then all of them or none."""

from datetime import date
from re import fullmatch
from typing import Annotated, Any, Final, Literal

from chassis.http import CurrentPrincipal, FieldError, Policy, Problem, Work
from chassis.sheets import CSV, XLSX, TableRow, UnreadableTable, read_table
from contracts.money import UNSIGNED_DECIMAL, Money, decimals, minor_units
from contracts.text import Id
from fastapi import Query
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from starlette.requests import Request

from fund_pool.api.common import MAKERS, router
from fund_pool.domain.voucher_imports import JudgedVoucher, VoucherRow, judge, voucher_of
from fund_pool.domain.voucher_pools import issue
from fund_pool.publishing import publish
from fund_pool.repository import ledger as ledger_rows
from fund_pool.repository import pools as pool_rows
from fund_pool.repository import vouchers as voucher_rows

ROWS_MAX: Final = 10_000
FILE_BYTES_MAX: Final = 4 * 1024 * 1024
FAULTS_SHOWN_MAX: Final = 100
REQUIRED: Final = ("account", "voucher_id", "kind", "currency", "amount")
OPTIONAL: Final = ("minimum_order", "valid_from", "valid_until", "materials", "material_groups")
EXAMPLE: Final = """account,voucher_id,kind,currency,amount,minimum_order,valid_until,materials
A-1001,C-1,coupon,CNY,20.00,180.00,2026-06-30,
A-1001,K-1,card,CNY,500.00,,,M-1;M-2
"""
ID: Final = TypeAdapter[str](Id)

voucher_imports = router("vouchers")


class VoucherFault(BaseModel):
    """Why a row is refused, by its place in the file and its column."""

    row: int
    column: str
    code: str
    text: str


class VoucherImportView(BaseModel):
    """What becomes, or became, of the rows, with the first hundred faults."""

    status: Literal["previewed", "posted"]
    rows: int
    postable: int
    refused: int
    total: list[Money] = Field(description="The amounts of the postable rows by currency.")
    faults: list[VoucherFault]


@voucher_imports.post(
    "/voucher-imports",
    policy=Policy("voucher:issue", MAKERS),
    body_bytes_max=FILE_BYTES_MAX,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {CSV.partition(";")[0]: {"example": EXAMPLE}, XLSX: {}},
        }
    },
)
async def import_vouchers(
    request: Request,
    work: Work,
    principal: CurrentPrincipal,
    post: Annotated[bool, Query(description="Posts all rows, or refuses the whole file.")] = False,
) -> VoucherImportView:
    """Issues coupons and cards from a CSV or Excel file of at most 10,000 rows; without `post` it only tells.

    Columns: account, voucher_id, kind, currency, amount; minimum_order, valid_from, valid_until, and materials and
    material_groups with semicolons between.
    """
    rows = _rows(await request.body())
    pools = await pool_rows.locked_pools(work.connection, {row.account for row in rows}, now=work.now)
    taken = await voucher_rows.known(work.connection, [row.voucher_id for row in rows])
    judged = judge(rows, pools, taken)
    if not post:
        return _view("previewed", judged)
    _require_all(judged)
    made = [voucher_of(row, pools[row.account], work.now) for row in rows]
    await voucher_rows.add_many(work.connection, made, principal.subject, work.now)
    for voucher in made:
        owner = pools[voucher.owner]
        publish(work, issue(voucher, owner, f"{voucher.kind}-issue", work.now), owner)
        work.count("voucher", voucher.kind)
    await ledger_rows.save(work.connection, list(pools.values()), work.now)
    return _view("posted", judged)


def _rows(body: bytes) -> list[VoucherRow]:
    try:
        table = read_table(body, REQUIRED, OPTIONAL, rows_max=ROWS_MAX)
    except UnreadableTable as unreadable:
        raise Problem(422, "unreadable-table", detail=f"{unreadable}.") from None
    if not table:
        raise Problem(422, "unreadable-table", detail="The table has no rows.")
    return [_row(row) for row in table]


def _row(row: TableRow) -> VoucherRow:
    read: dict[str, Any] = {}
    unreadable: tuple[str, str] | None = None
    for column in (*REQUIRED, *OPTIONAL):
        try:
            read[column] = _cell(column, row.cells.get(column, ""), read.get("currency"))
        except ValueError as error:
            unreadable = unreadable or (column, str(error))
            read[column] = _EMPTY.get(column, "")
    return VoucherRow(number=row.number, **read, unreadable=unreadable)


_EMPTY: Final[dict[str, Any]] = {
    "amount": 0,
    "minimum_order": 0,
    "valid_from": None,
    "valid_until": None,
    "materials": frozenset(),
    "material_groups": frozenset(),
}


def _cell(column: str, text: str, currency: str | None) -> Any:  # Any: what the column holds
    match column:
        case "account" | "voucher_id":
            return _id(text)
        case "currency":
            decimals(text)
            return text
        case "amount" | "minimum_order":
            return _amount(text, currency) if text else 0
        case "valid_from" | "valid_until":
            return date.fromisoformat(text[:10]) if text else None
        case "materials" | "material_groups":
            return frozenset(_id(part.strip()) for part in text.split(";") if part.strip())
        case _:
            return text


def _id(text: str) -> str:
    try:
        return ID.validate_python(text)
    except ValidationError:
        raise ValueError(f"{text[:50]!r} is no id") from None


def _amount(text: str, currency: str | None) -> int:
    if not currency or not fullmatch(UNSIGNED_DECIMAL, text):
        raise ValueError(f"{text[:50]!r} is no amount such as 20.00")
    return minor_units(text, currency)


def _require_all(judged: list[JudgedVoucher]) -> None:
    refused = [one for one in judged if one.fault is not None]
    if not refused:
        return
    errors: list[FieldError] = [
        {"field": f"rows[{one.row.number - 1}].{one.fault.field}", "message": one.fault.text}
        for one in refused[:FAULTS_SHOWN_MAX]
        if one.fault is not None
    ]
    detail = f"{len(refused)} of {len(judged)} rows cannot be posted; nothing is."
    raise Problem.conflict("rows-refused", detail, errors=errors)


def _view(status: Literal["previewed", "posted"], judged: list[JudgedVoucher]) -> VoucherImportView:
    good = [one.row for one in judged if one.fault is None]
    sums: dict[str, int] = {}
    for row in good:
        sums[row.currency] = sums.get(row.currency, 0) + row.amount
    faults = [
        VoucherFault(row=one.row.number, column=one.fault.field, code=one.fault.code, text=one.fault.text)
        for one in judged
        if one.fault is not None
    ]
    return VoucherImportView(
        status=status,
        rows=len(judged),
        postable=len(good),
        refused=len(faults),
        total=[Money.of(total, currency) for currency, total in sorted(sums.items())],
        faults=faults[:FAULTS_SHOWN_MAX],
    )
