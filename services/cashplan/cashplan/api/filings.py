"""Filings: the grid to fill in, the same sheets as a workbook, attachments, submit and approve."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Final
from urllib.parse import quote

from chassis.http import (
    CurrentPrincipal,
    CursorPage,
    FieldError,
    Page,
    Policy,
    Problem,
    Reader,
    Router,
    Work,
)
from contracts.bounds import at_most
from contracts.money import SIGNED_DECIMAL, decimal_string, decimals, minor_units
from contracts.text import Code, CurrencyCode, Id, Text
from fastapi import File, Query, UploadFile
from fastapi.responses import Response
from pydantic import BaseModel, Field, StringConstraints
from sqlalchemy.ext.asyncio import AsyncConnection

from cashplan import workbooks
from cashplan.api.common import (
    PLAN_PEOPLE,
    PLAN_READERS,
    Body,
    known_system,
    own_id,
    refusals,
    require,
    require_sight,
    sees,
)
from cashplan.api.rounds import FilingState, filing_state
from cashplan.domain.cells import CellKey, members_of, members_text
from cashplan.domain.filings import (
    Content,
    Finding,
    cell_findings,
    detail_findings,
    differences,
    remark_findings,
    with_hidden_fields,
)
from cashplan.domain.grids import DetailRow
from cashplan.domain.organisations import local_date
from cashplan.domain.periods import references
from cashplan.flows import filings, filling
from cashplan.flows.filings import FilingDesk
from cashplan.repository import rounds as round_rows
from cashplan.repository import session
from cashplan.repository.rounds import Attachment
from cashplan.workbooks import MEDIA_TYPE, UnreadableWorkbook

router = Router(tags=["filings"])

GRID_BYTES_MAX: Final = 8 * 1024 * 1024
ATTACHMENT_BYTES_MAX: Final = 10 * 1024 * 1024
PREPARERS: Final = ("preparer", "administrator")
AmountText = Annotated[str, StringConstraints(pattern=SIGNED_DECIMAL)]


class CellBody(Body):
    """One cell's amount in whole currency units; null empties it."""

    sheet: Code
    item: Id
    period: Annotated[str, StringConstraints(max_length=40)]
    currency: CurrencyCode
    members: dict[Code, Id] = Field(default_factory=dict)
    amount: AmountText | None


class DetailBody(Body):
    """One row of a detail sheet."""

    row: Id
    item: Id | None = None
    period: Annotated[str, StringConstraints(max_length=40)]
    currency: CurrencyCode | None = None
    amount: AmountText
    members: dict[Code, Id] = Field(default_factory=dict)
    fields: dict[Code, Text] = Field(default_factory=dict)


class RemarkBody(Body):
    sheet: Code
    row: Annotated[str, StringConstraints(max_length=200)]
    column: Code
    text: Text


class GridBody(Body):
    """What changes: cells, whole detail sheets, remarks. `version` is the one that you have read."""

    version: int
    cells: Annotated[list[CellBody], at_most(60_000)] = Field(default_factory=list)
    details: Annotated[dict[Code, Annotated[list[DetailBody], at_most(100_000)]], at_most(30)] = Field(
        default_factory=dict
    )
    remarks: Annotated[list[RemarkBody], at_most(10_000)] = Field(default_factory=list)


class CellView(BaseModel):
    row: str
    column: str
    item: str
    period: str
    currency: str
    members: dict[str, str]
    source: str
    amount: str | None
    reference: str | None = Field(default=None, description="The last round's figure for the same period.")


class SheetView(BaseModel):
    id: str
    name: str
    type: str
    rows: list[dict[str, str]]
    columns: list[dict[str, str]]
    cells: list[CellView]
    details: list[DetailBody]


class GridView(BaseModel):
    """A filing's sheets with every cell, computed ones too."""

    filing_id: str
    entity: str
    state: str
    version: int
    sheets: list[SheetView]


class BrokenRule(BaseModel):
    rule: str
    severity: str
    where: str
    message: str


class GridSaved(BaseModel):
    """The version that was saved, and the check rules that do not hold as it stands."""

    version: int
    broken: list[BrokenRule]


class Refreshed(GridSaved):
    """How many pool items were taken, and those that map to nothing."""

    items: int
    unmapped: list[str]


class VersionView(BaseModel):
    version: int
    is_submitted: bool
    saved_by: str
    saved_at: datetime


class DifferenceView(BaseModel):
    sheet: str
    item: str
    period: str
    currency: str
    members: dict[str, str]
    before: str | None
    after: str | None


class StepView(BaseModel):
    action: str
    subject: str
    note: str | None
    version: int
    at: datetime


class AttachmentView(BaseModel):
    attachment_id: str
    name: str
    media_type: str
    bytes: int
    added_by: str
    added_at: datetime


@router.get(
    "/planning-systems/{system_id}/filings",
    policy=Policy("filing:read", roles=PLAN_READERS),
    summary="Filings of a system",
)
async def filings_of_system(
    system_id: Id,
    page: Page,
    reader: Reader,
    principal: CurrentPrincipal,
    round_id: Annotated[Id | None, Query()] = None,
    entity: Annotated[Id | None, Query()] = None,
    state: Annotated[Code | None, Query()] = None,
) -> CursorPage[FilingState]:
    """Those of the entities that you may look at, by filing id."""
    system = await known_system(reader, system_id)
    after = page.after(str)
    found = await round_rows.filings_after(
        reader, system_id, round_id, entity, state, after[0] if after else "", page.rows
    )
    shown, following = page.page(found, lambda each: (each.filing_id,))
    visible = [filing_state(each) for each in shown if sees(system, principal, each.entity)]
    return CursorPage(items=visible, next=following)


async def _seen(connection: AsyncConnection, filing_id: str, principal: Any) -> FilingDesk:
    with refusals():
        held = await filings.desk(connection, filing_id)
    require_sight(held.system, principal, held.entity)
    return held


async def _opened(work: Any, filing_id: str, principal: Any, version: int | None = None) -> FilingDesk:
    """A filing that its preparer may change now."""
    with refusals():
        held = await filings.desk(work.connection, filing_id, locked=True)
    require(held.system, principal, PREPARERS, held.entity)
    if held.filing.course.state not in ("draft", "sent-back"):
        raise Problem.conflict(
            "wrong-state", f"The filing is {held.filing.course.state}; only a draft is changed."
        )
    if version is not None and version != held.filing.version:
        raise Problem.conflict("version-passed", f"The filing is at version {held.filing.version} by now.")
    return held


@router.get("/filings/{filing_id}/grid", policy=Policy("filing:read", roles=PLAN_READERS), summary="The grid")
async def grid(filing_id: Id, reader: Reader, principal: CurrentPrincipal) -> GridView:
    """Every sheet with its cells, and the last round's figures beside them."""
    held = await _seen(reader, filing_id, principal)
    shown = await _reference_figures(reader, held)
    return grid_view(held, shown)


async def _reference_figures(
    connection: AsyncConnection, held: FilingDesk
) -> Mapping[tuple[str, CellKey], int]:
    """What the last round's filing of the entity says of the same periods."""
    earlier = await round_rows.round_before(connection, held.system, held.round)
    if earlier is None:
        return {}
    listed = await round_rows.filings_after(
        connection, held.system.id, earlier.round_id, held.entity, None, "", 1
    )
    content = (
        await round_rows.content_of(connection, listed[0].filing_id, listed[0].version) if listed else None
    )
    if content is None:
        return {}
    shown = references(held.round.columns, earlier.columns)
    before = replace(
        held, content=content, round=earlier, grid=filings.grid_for(held.system, earlier, held.entity)
    )
    values = before.values()
    return {
        (sheet_id, key): values[sheet_id, key._replace(period=reference)]
        for sheet_id, sheet in held.grid.sheets.items()
        for key in sheet.by_key
        if (reference := shown.get(key.period)) and (sheet_id, key._replace(period=reference)) in values
    }


def grid_view(held: FilingDesk, shown: Mapping[tuple[str, CellKey], int]) -> GridView:
    values = held.values()
    return GridView(
        filing_id=held.filing.filing_id,
        entity=held.entity,
        state=held.filing.course.state,
        version=held.filing.version,
        sheets=[_sheet(held, sheet.id, values, shown) for sheet in held.grid.template.sheets],
    )


def _sheet(
    held: FilingDesk,
    sheet_id: str,
    values: Mapping[tuple[str, CellKey], int],
    shown: Mapping[tuple[str, CellKey], int],
) -> SheetView:
    sheet = next(each for each in held.grid.template.sheets if each.id == sheet_id)
    fixed = held.grid.sheets.get(sheet_id)
    cells = []
    if fixed is not None:
        for row, line in zip(fixed.rows, fixed.cells, strict=True):
            for column, cell in zip(fixed.columns, line, strict=True):
                cells.append(
                    CellView(
                        row=row.id,
                        column=column.id,
                        item=cell.key.item,
                        period=cell.key.period,
                        currency=cell.key.currency,
                        members=members_of(cell.key.members),
                        source=cell.source,
                        amount=_units(values.get((sheet_id, cell.key)), cell.key.currency),
                        reference=_units(shown.get((sheet_id, cell.key)), cell.key.currency),
                    )
                )
    return SheetView(
        id=sheet.id,
        name=sheet.name,
        type=sheet.type,
        rows=[{"id": row.id, "title": row.title} for row in fixed.rows] if fixed else [],
        columns=[{"id": column.id, "title": column.title} for column in fixed.columns] if fixed else [],
        cells=cells,
        details=[_detail_view(held, row) for row in held.content.details.get(sheet_id, ())],
    )


def _units(minor: int | None, currency: str) -> str | None:
    return None if minor is None else decimal_string(minor, currency)


def _detail_view(held: FilingDesk, row: DetailRow) -> DetailBody:
    hidden = {each.id for each in held.system.detail_fields if not each.visible}
    return DetailBody(
        row=row.row_id,
        item=row.item,
        period=row.period,
        currency=row.currency,
        amount=decimal_string(row.minor, row.currency),
        members=members_of(row.members),
        fields={name: value for name, value in row.fields.items() if name not in hidden},
    )


@router.patch(
    "/filings/{filing_id}/grid",
    policy=Policy("filing:fill-in", roles=PLAN_PEOPLE),
    summary="Save cells, detail sheets and remarks",
    body_bytes_max=GRID_BYTES_MAX,
)
async def save_grid(filing_id: Id, body: GridBody, work: Work, principal: CurrentPrincipal) -> GridSaved:
    """Takes everything or, where a cell is wrong, nothing, and names each wrong cell."""
    held = await _opened(work, filing_id, principal, body.version)
    changed = _changed_cells(body.cells)
    details = {sheet: _detail_rows(held, sheet, rows) for sheet, rows in body.details.items()}
    findings = cell_findings(held.grid, changed)
    for sheet, rows in details.items():
        findings += detail_findings(held.system, held.grid, sheet, rows)
    remarks = {(each.sheet, each.row, each.column): each.text for each in body.remarks}
    findings += remark_findings(held.grid, remarks)
    _refuse(findings)
    details = {
        sheet: with_hidden_fields(held.system, rows, held.content.details.get(sheet, ()))
        for sheet, rows in _with_sources(held.content, details).items()
    }
    content = held.content.with_cells(changed)
    content = replace(content, details={**content.details, **details}, remarks={**content.remarks, **remarks})
    return await _saved(work, held, content, principal.subject)


def _changed_cells(cells: Sequence[CellBody]) -> dict[tuple[str, CellKey], int | None]:
    changed: dict[tuple[str, CellKey], int | None] = {}
    for number, cell in enumerate(cells):
        key = CellKey(cell.item, cell.period, cell.currency, members_text(cell.members))
        changed[cell.sheet, key] = (
            None if cell.amount is None else _minor(cell.amount, cell.currency, f"cells[{number}]")
        )
    return changed


def _minor(amount: str, currency: str, field: str) -> int:
    fraction = amount.partition(".")[2]
    if len(fraction) > decimals(currency):
        message = f"has more than the {decimals(currency)} decimals of {currency}"
        raise Problem.invalid([FieldError(field=f"{field}.amount", message=message)])
    return minor_units(amount, currency)


def _detail_rows(held: FilingDesk, sheet_id: str, rows: Sequence[DetailBody]) -> list[DetailRow]:
    sheet = held.grid.details.get(sheet_id)
    fixed = sheet.fixed if sheet is not None else {}
    currency = held.system.basics.plan_currency or held.system.basics.currencies[0]
    found = []
    for number, row in enumerate(rows):
        own = row.currency or fixed.get("currency") or currency
        members = {name: value for name, value in fixed.items() if name not in ("item", "currency")}
        found.append(
            DetailRow(
                row_id=row.row,
                item=row.item or fixed.get("item", ""),
                period=row.period,
                currency=own,
                minor=_minor(row.amount, own, f"details.{sheet_id}[{number}]"),
                members=members_text({**members, **row.members}),
                fields=row.fields,
            )
        )
    return found


def _refuse(findings: Sequence[Finding]) -> None:
    if findings:
        errors = [
            FieldError(field=f"{each.sheet}: {each.place}", message=f"{each.message} ({each.code})")
            for each in findings
        ]
        raise Problem.invalid(errors, type="cells-invalid")


async def _saved(work: Any, held: FilingDesk, content: Content, subject: str) -> GridSaved:
    await round_rows.save_content(
        work.connection, held.filing.filing_id, held.filing.version, content, subject, work.now
    )
    filled = replace(held, content=content)
    with refusals():
        broken = await filings.broken_rules(work.connection, filled, filled.values())
    return GridSaved(version=held.filing.version, broken=_broken(broken))


def _broken(broken: Sequence[Any]) -> list[BrokenRule]:
    return [
        BrokenRule(rule=each.rule, severity=each.severity, where=each.where, message=each.message)
        for each in broken
    ]


@router.post(
    "/filings/{filing_id}/refresh",
    policy=Policy("filing:fill-in", roles=PLAN_PEOPLE),
    summary="Fetch figures and take open items from the pool",
)
async def refresh(filing_id: Id, work: Work, principal: CurrentPrincipal) -> Refreshed:
    """Fetched items and the pool's share anew, until the filing is submitted."""
    held = await _opened(work, filing_id, principal)
    today = local_date(work.now, held.system.basics.time_zone)
    with refusals():
        filled = await filling.refreshed(work.connection, held, today)
    saved = await _saved(work, held, filled.content, principal.subject)
    return Refreshed(
        version=saved.version, broken=saved.broken, items=filled.items, unmapped=filled.unmapped[:500]
    )


@router.post(
    "/filings/{filing_id}/submit",
    policy=Policy("filing:submit", roles=PLAN_PEOPLE),
    summary="Submit a filing",
)
async def submit(filing_id: Id, work: Work, principal: CurrentPrincipal) -> FilingState:
    """Hands the filing in for approval; check rules that stop are named, those that warn are told."""
    held = await _opened(work, filing_id, principal)
    with refusals():
        filing, warnings = await filings.submit(work, held, principal.subject)
    return filing_state(filing, [f"{each.message} ({each.where})" for each in warnings])


@router.post(
    "/filings/{filing_id}/approve",
    policy=Policy("filing:approve", roles=PLAN_PEOPLE),
    summary="Approve a filing",
)
async def approve(filing_id: Id, work: Work, principal: CurrentPrincipal) -> FilingState:
    """One step further; without roll-up the last step makes it effective."""
    with refusals():
        held = await filings.desk(work.connection, filing_id, locked=True)
        require_sight(held.system, principal, held.entity)
        return filing_state(await filings.approve(work, held, principal.subject))


@router.get(
    "/filings/{filing_id}/versions",
    policy=Policy("filing:read", roles=PLAN_READERS),
    summary="Versions of a filing",
)
async def versions(filing_id: Id, reader: Reader, principal: CurrentPrincipal) -> list[VersionView]:
    await _seen(reader, filing_id, principal)
    found = await round_rows.versions_of(reader, filing_id)
    return [
        VersionView(
            version=each.version,
            is_submitted=each.is_submitted,
            saved_by=each.saved_by,
            saved_at=each.saved_at,
        )
        for each in found
    ]


@router.get(
    "/filings/{filing_id}/differences",
    policy=Policy("filing:read", roles=PLAN_READERS),
    summary="What two versions differ in",
)
async def version_differences(
    filing_id: Id,
    reader: Reader,
    principal: CurrentPrincipal,
    before: Annotated[int, Query(ge=1)],
    after: Annotated[int, Query(ge=1)],
) -> list[DifferenceView]:
    """Every cell, computed ones too, whose amount changed from one version to the other."""
    held = await _seen(reader, filing_id, principal)
    values = []
    for version in (before, after):
        content = await round_rows.content_of(reader, filing_id, version)
        if content is None:
            raise Problem.not_found(f"The filing has no version {version}.")
        values.append(replace(held, content=content).values())
    return [
        DifferenceView(
            sheet=each.sheet,
            item=each.key.item,
            period=each.key.period,
            currency=each.key.currency,
            members=members_of(each.key.members),
            before=_units(each.before, each.key.currency),
            after=_units(each.after, each.key.currency),
        )
        for each in differences(*values)
    ]


@router.get(
    "/filings/{filing_id}/steps",
    policy=Policy("filing:read", roles=PLAN_READERS),
    summary="What was done with a filing",
)
async def steps(filing_id: Id, reader: Reader, principal: CurrentPrincipal) -> list[StepView]:
    await _seen(reader, filing_id, principal)
    return [
        StepView(action=each.action, subject=each.subject, note=each.note, version=each.version, at=each.at)
        for each in await round_rows.steps_of(reader, filing_id)
    ]


@router.get(
    "/filings/{filing_id}/workbook",
    policy=Policy("filing:read", roles=PLAN_READERS),
    summary="The filing as a workbook",
    response_class=Response,
    responses={200: {"content": {MEDIA_TYPE: {}}, "description": "The same sheets, to be filled in"}},
)
async def workbook(filing_id: Id, reader: Reader, principal: CurrentPrincipal) -> Response:
    """The same sheets; cells that are computed are locked, and their formulas are in them."""
    held = await _seen(reader, filing_id, principal)
    body = await session.beside(
        reader,
        lambda: workbooks.exported(held.system, held.grid, held.content, held.values(), filing_id),
    )
    name = f"{held.entity}-{held.round.binding.code}.xlsx"
    return Response(body, media_type=MEDIA_TYPE, headers=_named(name))


def _named(name: str) -> dict[str, str]:
    return {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"}


@router.put(
    "/filings/{filing_id}/workbook",
    policy=Policy("filing:fill-in", roles=PLAN_PEOPLE),
    summary="Send the workbook back",
    body_bytes_max=workbooks.BODY_BYTES_MAX,
)
async def send_workbook(
    filing_id: Id, file: Annotated[UploadFile, File()], work: Work, principal: CurrentPrincipal
) -> GridSaved:
    """Takes the same workbook; every wrong cell is named by its sheet and address, and then nothing is taken."""
    held = await _opened(work, filing_id, principal)
    currency = held.system.basics.plan_currency or held.system.basics.currencies[0]
    try:
        body = await file.read()
        found = await session.beside(
            work.connection,
            lambda: workbooks.imported(held.system, held.grid, body, filing_id, currency),
        )
    except UnreadableWorkbook as error:
        raise Problem.invalid(
            [FieldError(field="file", message=str(error))], type="workbook-unreadable"
        ) from None
    if found.wrong:
        errors = [
            FieldError(field=f"{each.sheet}!{each.address}", message=each.message) for each in found.wrong
        ]
        raise Problem.invalid(errors, type="cells-invalid")
    findings = [
        finding
        for sheet, rows in found.details.items()
        for finding in detail_findings(held.system, held.grid, sheet, rows)
    ]
    _refuse(findings)
    content = held.content.with_cells(found.cells)
    content = replace(
        content,
        details={**content.details, **_with_sources(held.content, found.details)},
        remarks={**content.remarks, **found.remarks},
        formulas={**content.formulas, **found.formulas},
    )
    return await _saved(work, held, content, principal.subject)


def _with_sources(content: Content, details: Mapping[str, Sequence[DetailRow]]) -> dict[str, list[DetailRow]]:
    """Rows that came from the pool keep their source when people change and save them."""
    sources = {(sheet, row.row_id): row.sources for sheet, rows in content.details.items() for row in rows}
    return {
        sheet: [replace(row, sources=sources.get((sheet, row.row_id), ())) for row in rows]
        for sheet, rows in details.items()
    }


@router.post(
    "/filings/{filing_id}/attachments",
    policy=Policy("filing:attach", roles=PLAN_PEOPLE),
    summary="Attach a file",
    status_code=201,
    body_bytes_max=ATTACHMENT_BYTES_MAX,
)
async def attach(
    filing_id: Id, file: Annotated[UploadFile, File()], work: Work, principal: CurrentPrincipal
) -> AttachmentView:
    """Evidence for those who approve; at most 20 files of 10 MiB."""
    held = await _opened(work, filing_id, principal)
    there = await round_rows.attachments_of(work.connection, filing_id)
    if len(there) >= round_rows.ATTACHMENTS_MAX:
        raise Problem.conflict(
            "too-many-attachments", f"A filing has at most {round_rows.ATTACHMENTS_MAX} files."
        )
    body = await file.read()
    assert work.cause is not None
    added = Attachment(
        attachment_id=own_id(work.cause.id, "attachment"),
        filing_id=held.filing.filing_id,
        name=(file.filename or "attachment").replace("/", "_")[-200:],
        media_type=(file.content_type or "application/octet-stream")[:100],
        bytes=len(body),
        added_by=principal.subject,
        added_at=work.now,
    )
    await round_rows.add_attachment(work.connection, added, body)
    return _attachment(added)


def _attachment(added: Attachment) -> AttachmentView:
    return AttachmentView(
        attachment_id=added.attachment_id,
        name=added.name,
        media_type=added.media_type,
        bytes=added.bytes,
        added_by=added.added_by,
        added_at=added.added_at,
    )


@router.get(
    "/filings/{filing_id}/attachments",
    policy=Policy("filing:read", roles=PLAN_READERS),
    summary="Attached files",
)
async def attachments(filing_id: Id, reader: Reader, principal: CurrentPrincipal) -> list[AttachmentView]:
    await _seen(reader, filing_id, principal)
    return [_attachment(each) for each in await round_rows.attachments_of(reader, filing_id)]


@router.get(
    "/filings/{filing_id}/attachments/{attachment_id}",
    policy=Policy("filing:read", roles=PLAN_READERS),
    summary="One attached file",
    response_class=Response,
)
async def attached(filing_id: Id, attachment_id: Id, reader: Reader, principal: CurrentPrincipal) -> Response:
    """The file as it was sent, always as a download."""
    await _seen(reader, filing_id, principal)
    found = await round_rows.attachment_body(reader, filing_id, attachment_id)
    if found is None:
        raise Problem.not_found()
    name, _, body = found
    return Response(body, media_type="application/octet-stream", headers=_named(name))
