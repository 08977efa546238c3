"""Credit profiles as a CSV or Excel file, and tables of them back, with a preview."""

from collections.abc import Sequence
from typing import Annotated, Final, Literal, Self
from uuid import uuid5
from zoneinfo import ZoneInfo

from chassis.http import DOWNLOAD, CurrentPrincipal, Policy, Problem, Reader, Router, Work, download
from chassis.sheets import Column, SheetFormat, TableRow, UnreadableTable, read_table
from contracts.text import Code, CurrencyCode
from fastapi import Query, Response
from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, model_validator

from chassis import UnitOfWork
from credit.api.common import EXPORT_ROWS_MAX, READERS, Body, Why
from credit.api.profiles import PROFILE_IDS
from credit.domain.profile_rows import PLACE, SETTINGS, Place, ProfileRow, RowRefused, limit_text, read_row
from credit.repository import profile_files as rows
from credit.repository.profile_files import Known

router: Final = Router(tags=["profiles"])

ROWS_MAX: Final = 5_000
TABLE_CHARACTERS_MAX: Final = 4_000_000
BODY_BYTES_MAX: Final = 8 * 1024 * 1024
REQUIRED: Final = (*PLACE, "credit_limit")
OPTIONAL: Final = (*SETTINGS[1:], "version", "profile_id")


class ImportBody(Body):
    """A table with a line of headings, as CSV or as an Excel file in base64; `preview` stores nothing."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "csv": "scope,scope_id,object_type,object_id,currency,credit_limit,credit_limit_enforcement\n"
                    "group,*,customer,C-1,CNY,24000.00,special-approval\n",
                    "preview": True,
                    "reason": "yearly review",
                }
            ]
        },
    )
    csv: Annotated[str, Field(min_length=1, max_length=TABLE_CHARACTERS_MAX)] | None = None
    xlsx: Annotated[Base64Bytes, Field(max_length=TABLE_CHARACTERS_MAX)] | None = None
    preview: Annotated[bool, Field(strict=True)] = False
    reason: Why

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if (self.csv is None) == (self.xlsx is None):
            raise ValueError("send either csv or xlsx")
        return self

    @property
    def table(self) -> bytes:
        return self.xlsx if self.xlsx is not None else (self.csv or "").encode()


class RowResult(BaseModel):
    """What becomes of one row, by its line in the table."""

    row: int
    object_id: str
    outcome: Literal["created", "changed", "same", "refused"]
    reason: str | None = None


class ImportResult(BaseModel):
    """What becomes of a table; nothing of it is stored while a row is refused."""

    stored: bool
    created: int
    changed: int
    same: int
    refused: int
    rows: list[RowResult]


@router.get(
    "/profile-table",
    policy=Policy("profile:read", READERS),
    response_class=Response,
    responses=DOWNLOAD,
)
async def export_profiles(
    reader: Reader,
    format: Annotated[SheetFormat, Query()] = "csv",
    object_type: Annotated[Code | None, Query()] = None,
    currency: Annotated[CurrencyCode | None, Query()] = None,
) -> Response:
    """Profiles as a file, in the form that an import takes back."""
    found = await rows.all_profiles(reader, EXPORT_ROWS_MAX + 1, object_type=object_type, currency=currency)
    if len(found) > EXPORT_ROWS_MAX:
        detail = f"More than {EXPORT_ROWS_MAX} profiles; name a smaller part of them by the filter."
        raise Problem(422, "too-many-rows", detail=detail)
    return await download(format, "credit-profiles", COLUMNS, found, ZoneInfo("UTC"))


COLUMNS: Final[list[Column[Known]]] = [
    Column("scope", lambda known: known.row.place.scope),
    Column("scope_id", lambda known: known.row.place.scope_id),
    Column("object_type", lambda known: known.row.place.object_type),
    Column("object_id", lambda known: known.row.place.object_id),
    Column("currency", lambda known: known.row.place.currency),
    Column("credit_limit", lambda known: limit_text(known.row.credit_limit, known.row.place.currency)),
    Column("credit_limit_enforcement", lambda known: known.row.credit_limit_enforcement),
    Column(
        "single_document_limit",
        lambda known: limit_text(known.row.single_document_limit, known.row.place.currency),
    ),
    Column("single_document_limit_enforcement", lambda known: known.row.single_document_limit_enforcement),
    Column("version", lambda known: known.version, "whole"),
    Column("profile_id", lambda known: known.profile_id),
]


@router.post(
    "/profile-imports", policy=Policy("profile:import", {"credit-manager"}), body_bytes_max=BODY_BYTES_MAX
)
async def import_profiles(body: ImportBody, work: Work, principal: CurrentPrincipal) -> ImportResult:
    """Makes and changes profiles by a table, all of it or nothing; says of each row what becomes of it.

    With a `version` in its row a profile is changed only if it is still at that version.
    """
    table = _read(body.table)
    results, wanted = await _judged(work, table)
    refused = any(result.outcome == "refused" for result in results)
    stored = not refused and not body.preview
    if stored and not await rows.save_rows(work.connection, wanted, body.reason, principal.subject, work.now):
        raise Problem.conflict("profiles-changed", "A profile was made meanwhile; send the table again.")
    counts = {
        name: sum(result.outcome == name for result in results)
        for name in ("created", "changed", "same", "refused")
    }
    return ImportResult(stored=stored, rows=results, **counts)


def _read(table: bytes) -> list[TableRow]:
    try:
        return read_table(table, REQUIRED, OPTIONAL, rows_max=ROWS_MAX)
    except UnreadableTable as error:
        raise Problem.invalid([{"field": "table", "message": str(error)}]) from None


async def _judged(
    work: UnitOfWork, table: Sequence[TableRow]
) -> tuple[list[RowResult], dict[str, tuple[int, ProfileRow]]]:
    """What becomes of each row, and what is to be written by profile id."""
    read: dict[int, ProfileRow | str] = {line.number: _row_or_reason(line) for line in table}
    said = [row for row in read.values() if isinstance(row, ProfileRow)]
    known = await rows.profiles_at(work.connection, {row.place for row in said})
    customers = {row.place.object_id for row in said if row.place.object_type == "customer"}
    strangers = await rows.unknown_customers(work.connection, customers)
    seen: set[Place] = set()
    results: list[RowResult] = []
    wanted: dict[str, tuple[int, ProfileRow]] = {}
    for line in table:
        row = read[line.number]
        there = known.get(row.place) if isinstance(row, ProfileRow) else None
        reason = row if isinstance(row, str) else _objection(row, line, there, seen, strangers)
        outcome: Literal["created", "changed", "same", "refused"]
        if reason is not None or isinstance(row, str):
            outcome = "refused"
        elif there is not None and there.row.settings == row.settings:
            outcome = "same"
        else:
            outcome = "created" if there is None else "changed"
            wanted[_profile_id(row, there)] = (0 if there is None else there.version, row)
        if isinstance(row, ProfileRow):
            seen.add(row.place)
        object_id = line.cells.get("object_id", "")[:128]
        results.append(RowResult(row=line.number, object_id=object_id, outcome=outcome, reason=reason))
    return results, wanted


def _row_or_reason(line: TableRow) -> ProfileRow | str:
    try:
        return read_row(line.cells)
    except RowRefused as error:
        return str(error)


def _objection(
    row: ProfileRow, line: TableRow, there: Known | None, seen: set[Place], strangers: set[str]
) -> str | None:
    if row.place in seen:
        return "stands in the table twice; once would be right"
    if row.place.object_type == "customer" and row.place.object_id in strangers:
        return f"customer {row.place.object_id} is not known; send its master data first"
    version = line.cells.get("version", "")
    at = there.version if there is not None else 0
    if version and version != str(at):
        return f"version is {version[:20]}, but the profile is at {at}; export it again"
    return None


def _profile_id(row: ProfileRow, there: Known | None) -> str:
    return there.profile_id if there is not None else str(uuid5(PROFILE_IDS, " ".join(row.place)))
