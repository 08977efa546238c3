"""Recalculation: what is stored against what the documents say, told first and applied only when asked."""

from collections.abc import Collection, Sequence
from datetime import datetime
from secrets import token_bytes
from typing import Annotated, Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from chassis.http import (
    DOWNLOAD,
    CurrentPrincipal,
    CursorPage,
    Page,
    Policy,
    Problem,
    Reader,
    Router,
    Work,
    download,
)
from chassis.sheets import Column, SheetFormat
from contracts.money import SignedMoney, decimal_string
from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis import UnitOfWork
from credit.api.common import EXPORT_ROWS_MAX, READERS, Body, IdPath, Why, signed, unknown
from credit.domain.desk import Desk, Difference
from credit.domain.gate import Gate
from credit.domain.ids import RANDOM_BYTES, uuid7
from credit.recalculation_desk import put_right
from credit.repository import documents, masterdata
from credit.repository import gate as gates
from credit.repository import recalculation as rows
from credit.settings import periods

router: Final = Router(tags=["recalculation"])

DOCUMENTS_MAX: Final = 2_000
MANAGERS: Final = frozenset({"credit-manager"})


class Recalculate(Body):
    """Whether the differences are only told, or put right as well."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"apply": False}]})
    apply: bool = False


class DifferenceView(BaseModel):
    """One document, order or profile that differs; `cause` is the first change that explains it."""

    document_type: str
    source: str
    document_id: str
    profile_id: str
    stage: str
    stored: SignedMoney
    right: SignedMoney
    cause: str


class RunDifference(DifferenceView):
    """A difference that a run found, and when it was put right."""

    object_type: str
    object_id: str
    found_at: datetime
    applied_at: datetime | None


class Recalculation(BaseModel):
    """What was compared, and what differs."""

    customer_id: str
    documents: int
    applied: bool
    differences: list[DifferenceView] = Field(description="Empty when everything is right.")


class Start(Body):
    """Why everything is recalculated."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "A rule changed."}]})
    reason: Why


class Run(BaseModel):
    """A recalculation of everything: comparing, compared, applying, applied."""

    run_id: str
    state: str
    pieces: int
    documents: int
    orders: int
    differences: int
    reason: str
    started_by: str
    started_at: datetime
    compared_at: datetime | None
    applied_by: str | None
    applied_at: datetime | None


@router.post("/customers/{customer_id}/recalculation", policy=Policy("recalculation:run", MANAGERS))
async def recalculate(customer_id: IdPath, body: Recalculate, work: Work) -> Recalculation:
    """Computes what a customer's documents occupy from the stored documents under the rules now in force."""
    if await masterdata.record_row(work.connection, "customer", customer_id) is None:
        raise unknown("customer", customer_id)
    keys = await documents.documents_of(work.connection, customer_id, DOCUMENTS_MAX + 1)
    if len(keys) > DOCUMENTS_MAX:
        raise Problem.conflict("too-many-documents", f"The customer has more than {DOCUMENTS_MAX} documents.")
    if not keys:
        return Recalculation(customer_id=customer_id, documents=0, applied=False, differences=[])
    gate = await gates.locked_desk_of(work.connection, keys, work.now, periods())
    assert isinstance(gate.desk, Desk)
    found = gate.desk.differences()
    views = await _views(work, gate, found)
    if body.apply and found:
        await put_right(work, keys)
    return Recalculation(
        customer_id=customer_id, documents=len(keys), applied=body.apply and bool(found), differences=views
    )


@router.post("/recalculations", policy=Policy("recalculation:run", MANAGERS), status_code=202)
async def start(body: Start, work: Work, principal: CurrentPrincipal) -> Run:
    """Compares everything, piece by piece, while traffic goes on; nothing is changed before it is told to apply."""
    run_id = str(uuid7(work.now, token_bytes(RANDOM_BYTES)))
    if not await rows.start_run(work.connection, run_id, body.reason, principal.subject, work.now):
        raise Problem.conflict(
            "recalculation-under-way", "One recalculation runs at a time; wait for its end."
        )
    return await _run(work.connection, run_id)


@router.get("/recalculations", policy=Policy("recalculation:read", READERS))
async def runs(page: Page, reader: Reader) -> CursorPage[Run]:
    """Recalculations, newest first."""
    found = await rows.runs_after(reader, page.after(str), page.rows)
    shown, following = page.page(found, key=lambda row: (row.run_id,))
    return CursorPage(items=[_view(row) for row in shown], next=following)


@router.get("/recalculations/{run_id}", policy=Policy("recalculation:read", READERS))
async def run(run_id: UUID, reader: Reader) -> Run:
    """How far a recalculation is."""
    return await _run(reader, str(run_id))


@router.get("/recalculations/{run_id}/differences", policy=Policy("recalculation:read", READERS))
async def differences(run_id: UUID, page: Page, reader: Reader) -> CursorPage[RunDifference]:
    """Every difference with its first cause."""
    place = page.after(str, str, str, str, str)
    found = await rows.differences_after(reader, str(run_id), place, page.rows)
    shown, following = page.page(
        found, key=lambda row: (row.document_type, row.source, row.document_id, row.profile_id, row.stage)
    )
    return CursorPage(items=[_difference(row) for row in shown], next=following)


@router.get(
    "/recalculations/{run_id}/differences/file",
    policy=Policy("recalculation:read", READERS),
    response_class=Response,
    responses=DOWNLOAD,
)
async def differences_file(
    run_id: UUID, reader: Reader, format: Annotated[SheetFormat, Query()] = "csv"
) -> Response:
    """The first of them as a file."""
    found = await rows.differences_after(reader, str(run_id), None, EXPORT_ROWS_MAX)
    return await download(format, "recalculation", DIFFERENCE_COLUMNS, found, ZoneInfo("UTC"))


DIFFERENCE_COLUMNS: Final[list[Column[Row[Any]]]] = [
    Column("document_type", lambda row: row.document_type),
    Column("source", lambda row: row.source),
    Column("document_id", lambda row: row.document_id),
    Column("object_type", lambda row: row.object_type),
    Column("object_id", lambda row: row.object_id),
    Column("stage", lambda row: row.stage),
    Column("currency", lambda row: row.currency),
    Column("stored", lambda row: decimal_string(row.stored_minor, row.currency), "decimal"),
    Column("right", lambda row: decimal_string(row.right_minor, row.currency), "decimal"),
    Column("cause", lambda row: row.cause),
    Column("applied_at", lambda row: row.applied_at, "moment"),
]


@router.post("/recalculations/{run_id}/apply", policy=Policy("recalculation:run", MANAGERS), status_code=202)
async def apply(run_id: UUID, body: Start, work: Work, principal: CurrentPrincipal) -> Run:
    """Puts right what differs, piece by piece; each chain is computed anew under its locks."""
    row = await rows.run_row(work.connection, str(run_id), lock=True)
    if row is None:
        raise unknown("recalculation", str(run_id))
    if not await rows.begin_applying(work.connection, row.run_id, principal.subject, work.now):
        raise Problem.conflict("not-compared", f"The recalculation is {row.state}, or another one runs.")
    return await _run(work.connection, row.run_id)


async def _run(connection: AsyncConnection, run_id: str) -> Run:
    row = await rows.run_row(connection, run_id)
    if row is None:
        raise unknown("recalculation", run_id)
    return _view(row)


def _view(row: Row[Any]) -> Run:
    return Run(**{name: row._mapping[name] for name in Run.model_fields})


def _difference(row: Row[Any]) -> RunDifference:
    names = set(RunDifference.model_fields) - {"stored", "right"}
    return RunDifference(
        **{name: row._mapping[name] for name in names},
        stored=signed(row.stored_minor, row.currency),
        right=signed(row.right_minor, row.currency),
    )


async def _views(work: UnitOfWork, gate: Gate, found: Sequence[Difference]) -> list[DifferenceView]:
    views: Collection[tuple[Difference, str]] = await rows.causes(work.connection, found)
    return [
        DifferenceView(
            document_type=one.key.document_type,
            source=one.key.source,
            document_id=one.key.document_id,
            profile_id=one.profile_id,
            stage=one.stage,
            stored=signed(one.stored, gate.profiles[one.profile_id].currency),
            right=signed(one.right, gate.profiles[one.profile_id].currency),
            cause=cause,
        )
        for one, cause in views
    ]
