"""What occupies a profile: by stage, and down to the lines of orders and documents."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from chassis.http import DOWNLOAD, CursorPage, Now, Page, Policy, Problem, Reader, Router, download
from chassis.sheets import Column
from contracts.money import SignedMoney, decimal_string
from contracts.text import Code, CurrencyCode, Id
from fastapi import Query, Response
from pydantic import BaseModel
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from credit.api.common import EXPORT_ROWS_MAX, READERS, Format, signed, unknown
from credit.domain.book import LinePiece
from credit.domain.desk import Desk
from credit.domain.documents import DocumentKey
from credit.repository import detail as rows
from credit.repository import gate as gates
from credit.repository import profiles
from credit.settings import periods

router: Final = Router(tags=["look-ups"])

LINES_EXPORT_MAX: Final = 2_000


class StageRow(BaseModel):
    """What one stage uses of one profile, and how many documents do."""

    profile_id: str
    scope: str
    scope_id: str
    object_type: str
    object_id: str
    currency: str
    stage: str
    amount: SignedMoney
    documents: int


class LineView(BaseModel):
    """What one line occupies."""

    line_id: str
    material: str | None
    amount: SignedMoney


class OccupyingDocument(BaseModel):
    """An order or document that occupies a profile, with its lines."""

    document_type: str
    source: str
    document_id: str
    stage: str
    amount: SignedMoney
    due_date: date | None
    lines: list[LineView]


@router.get("/used-by-stage", policy=Policy("status:read", READERS))
async def used_by_stage(
    page: Page,
    reader: Reader,
    object_type: Annotated[Code | None, Query()] = None,
    object_id: Annotated[Id | None, Query()] = None,
    currency: Annotated[CurrencyCode | None, Query()] = None,
    stage: Annotated[Code | None, Query()] = None,
) -> CursorPage[StageRow]:
    """What each stage uses of each profile."""
    found = await rows.stages_after(
        reader,
        page.after(str, str),
        page.rows,
        object_type=object_type,
        object_id=object_id,
        currency=currency,
        stage=stage,
    )
    shown, following = page.page(found, key=lambda row: (row.profile_id, row.stage))
    return CursorPage(items=[_stage(row) for row in shown], next=following)


@router.get(
    "/used-by-stage/file",
    policy=Policy("status:read", READERS),
    response_class=Response,
    responses=DOWNLOAD,
)
async def used_by_stage_file(
    reader: Reader,
    format: Format = "csv",
    object_type: Annotated[Code | None, Query()] = None,
    object_id: Annotated[Id | None, Query()] = None,
    currency: Annotated[CurrencyCode | None, Query()] = None,
    stage: Annotated[Code | None, Query()] = None,
) -> Response:
    """The same as a file."""
    found = await rows.stages_after(
        reader,
        None,
        EXPORT_ROWS_MAX + 1,
        object_type=object_type,
        object_id=object_id,
        currency=currency,
        stage=stage,
    )
    if len(found) > EXPORT_ROWS_MAX:
        raise _too_many(EXPORT_ROWS_MAX)
    return await download(format, "used-by-stage", STAGE_COLUMNS, found, ZoneInfo("UTC"))


@router.get("/profiles/{profile_id}/lines", policy=Policy("status:read", READERS))
async def lines(
    profile_id: UUID,
    page: Page,
    reader: Reader,
    now: Now,
    stage: Annotated[Code | None, Query()] = None,
) -> CursorPage[OccupyingDocument]:
    """The orders and documents that occupy a profile, down to their lines."""
    place = page.after(str, str, str, str)
    found = await rows.occupying_after(reader, str(profile_id), place, page.rows, stage=stage)
    shown, following = page.page(
        found, key=lambda row: (row.document_type, row.source, row.document_id, row.stage)
    )
    views = await _with_lines(reader, str(profile_id), shown, now)
    return CursorPage(items=views, next=following)


@router.get(
    "/profiles/{profile_id}/lines/file",
    policy=Policy("status:read", READERS),
    response_class=Response,
    responses=DOWNLOAD,
)
async def lines_file(
    profile_id: UUID,
    reader: Reader,
    now: Now,
    format: Format = "csv",
    stage: Annotated[Code | None, Query()] = None,
) -> Response:
    """The same as a file, one row per line."""
    found = await rows.occupying_after(reader, str(profile_id), None, LINES_EXPORT_MAX + 1, stage=stage)
    if len(found) > LINES_EXPORT_MAX:
        raise _too_many(LINES_EXPORT_MAX)
    views = await _with_lines(reader, str(profile_id), found, now)
    each = [(view, line) for view in views for line in view.lines]
    return await download(format, "occupancy-lines", LINE_COLUMNS, each, ZoneInfo("UTC"))


STAGE_COLUMNS: Final[list[Column[Row[Any]]]] = [
    Column("scope", lambda row: row.scope),
    Column("scope_id", lambda row: row.scope_id),
    Column("object_type", lambda row: row.object_type),
    Column("object_id", lambda row: row.object_id),
    Column("currency", lambda row: row.currency),
    Column("stage", lambda row: row.stage),
    Column("amount", lambda row: decimal_string(int(row.amount_minor), row.currency), "decimal"),
    Column("documents", lambda row: row.documents, "whole"),
    Column("profile_id", lambda row: row.profile_id),
]
LINE_COLUMNS: Final[list[Column[tuple[OccupyingDocument, LineView]]]] = [
    Column("document_type", lambda one: one[0].document_type),
    Column("source", lambda one: one[0].source),
    Column("document_id", lambda one: one[0].document_id),
    Column("line_id", lambda one: one[1].line_id),
    Column("material", lambda one: one[1].material),
    Column("stage", lambda one: one[0].stage),
    Column("currency", lambda one: one[1].amount.currency),
    Column("amount", lambda one: one[1].amount.amount, "decimal"),
    Column("due_date", lambda one: one[0].due_date, "date"),
]


async def _with_lines(
    reader: AsyncConnection, profile_id: str, found: Sequence[Row[Any]], now: datetime
) -> list[OccupyingDocument]:
    profile = await profiles.profile_row(reader, profile_id)
    if profile is None:
        raise unknown("credit profile", profile_id)
    pieces: dict[tuple[DocumentKey, str], list[LinePiece]] = {}
    if found:
        keys = {DocumentKey(row.document_type, row.source, row.document_id) for row in found}
        gate = await gates.read_desk_of(reader, keys, now, periods(), {profile_id})
        assert isinstance(gate.desk, Desk)
        for piece in gate.desk.lines(profile_id):
            pieces.setdefault((piece.key, piece.stage), []).append(piece)
    return [_document(row, profile.currency, pieces) for row in found]


def _document(
    row: Row[Any], currency: str, pieces: dict[tuple[DocumentKey, str], list[LinePiece]]
) -> OccupyingDocument:
    key = DocumentKey(row.document_type, row.source, row.document_id)
    return OccupyingDocument(
        document_type=row.document_type,
        source=row.source,
        document_id=row.document_id,
        stage=row.stage,
        amount=signed(row.amount_minor, currency),
        due_date=row.due_date,
        lines=[
            LineView(line_id=one.line_id, material=one.material, amount=signed(one.amount, currency))
            for one in pieces.get((key, row.stage), ())
        ],
    )


def _stage(row: Row[Any]) -> StageRow:
    names = set(StageRow.model_fields) - {"amount"}
    return StageRow(
        **{name: row._mapping[name] for name in names}, amount=signed(int(row.amount_minor), row.currency)
    )


def _too_many(rows_max: int) -> Problem:
    detail = f"More than {rows_max} rows; name a smaller part of them by the filter."
    return Problem(422, "too-many-rows", detail=detail)
