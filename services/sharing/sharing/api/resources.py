"""Resources and their types, told by billing systems one by one or as a file."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final

from chassis.http import (
    LOADED,
    CurrentAccess,
    CursorPage,
    FieldError,
    NotFound,
    Now,
    Page,
    Policy,
    Problem,
    Reader,
    Router,
    Work,
)
from chassis.http.problems import field_error
from chassis.sheets import TableRow, UnreadableTable, read_table
from contracts.numbers import VERSION_MAX
from contracts.text import Code, Id, Name, PositiveDecimal
from fastapi import Path, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic.config import JsonDict
from sqlalchemy import Row
from starlette.requests import Request

from sharing.api.sharing_models import At, Body
from sharing.changing import keep_resources
from sharing.domain.resources import ResourceError, ToldResource
from sharing.repository import resources as resource_rows

router = Router(tags=["resources"])

BILLING: Final = frozenset({"billing-system"})
WRITE: Final = Policy("resource:write", roles=BILLING)
IMPORT_BYTES_MAX: Final = 8 * 1024 * 1024
IMPORT_ROWS_MAX: Final = 10_000
FAULTS_MAX: Final = 100
EXAMPLE: Final[JsonDict] = {
    "version": 3,
    "owner": "A-GROUP",
    "resource_type": "reserved-instance",
    "name": "ecs.g7.2xlarge, Hangzhou",
    "valid_from": "2026-01-01T00:00:00+08:00",
    "valid_until": "2027-01-01T00:00:00+08:00",
    "quantity": "1",
    "unit": None,
}


class ResourceBody(Body):
    """A resource's full state; a higher version replaces a lower one."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE]})

    version: Annotated[int, Field(ge=1, le=VERSION_MAX)]
    owner: Id
    resource_type: Code
    name: Name
    valid_from: AwareDatetime
    valid_until: AwareDatetime | None = None
    quantity: PositiveDecimal | None = None
    unit: Code | None = None

    def told(self, resource: str) -> ToldResource:
        return ToldResource(resource=resource, **self.model_dump())


class ResourceView(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"resource_id": "RI-9", **EXAMPLE}]})

    resource_id: str
    version: int
    owner: str
    resource_type: str
    name: str
    valid_from: datetime
    valid_until: datetime | None
    quantity: str | None
    unit: str | None


class TypeBody(Body):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "Data transfer plan"}]}
    )

    name: Name


class TypeView(BaseModel):
    """A resource type; preset ones come with the service."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"resource_type": "data-transfer-plan", "name": "Data transfer plan", "preset": False}
            ]
        }
    )

    resource_type: str
    name: str
    preset: bool


@router.get("/resource-types", policy=Policy("resource-type:read", roles={"account-user", *BILLING}))
async def resource_types(reader: Reader) -> list[TypeView]:
    """Every type of resource that can be shared."""
    return [TypeView.model_validate(each, from_attributes=True) for each in await resource_rows.types(reader)]


@router.put("/resource-types/{resource_type}", policy=Policy("resource-type:write", roles=BILLING))
async def store_type(resource_type: Annotated[Code, Path()], body: TypeBody, work: Work) -> TypeView:
    """Adds a type of one's own, or gives one another name."""
    stored = await resource_rows.save_type(work.connection, resource_type, body.name)
    return TypeView.model_validate(stored, from_attributes=True)


@router.put("/resources/{resource}", policy=WRITE, summary="Store a resource")
async def store_resource(resource: Id, body: ResourceBody, work: Work) -> ResourceView:
    """Stores the resource unless an equal or higher version is known; answers what stands."""
    told = body.told(resource)
    fate = (await keep_resources(work, [told]))[0]
    if fate.refused is not None:
        found = [FieldError(field=fate.refused.field, message=fate.refused.message)]
        raise Problem.invalid(found, type=fate.refused.reason)
    work.count("resource", "stored" if fate.stored else "known-already")
    standing = await resource_rows.locked_current(work.connection, [resource])
    return _view(standing[resource][0])


@router.get(
    "/resources/{resource}",
    policy=Policy("resource:read", roles=BILLING, account=LOADED),
    summary="One resource",
)
async def resource(
    resource: Id, reader: Reader, now: Now, access: CurrentAccess, at: At = None
) -> ResourceView:
    """For its owner: the resource as it was known at a moment."""
    found = await resource_rows.known_at(reader, resource, at or now)
    if found is None:
        raise NotFound
    await access.require(found.owner)
    return _row_view(found)


@router.get(
    "/accounts/{account}/resources",
    policy=Policy("resource:read", roles=BILLING, account="account"),
    summary="Resources that an account owns",
)
async def resources(
    account: Id, page: Page, reader: Reader, now: Now, at: At = None
) -> CursorPage[ResourceView]:
    """By id, as they were known at a moment."""
    after = page.after(str)
    found = await resource_rows.of_owner_after(
        reader, account, at or now, after[0] if after else "", page.rows
    )
    kept, following = page.page(found, lambda row: (row.resource_id,))
    return CursorPage(items=[_row_view(row) for row in kept], next=following)


def _row_view(row: Row[tuple[object, ...]]) -> ResourceView:
    return _view(resource_rows.told_of(row))


def _view(told: ToldResource) -> ResourceView:
    return ResourceView(
        resource_id=told.resource,
        version=told.version,
        owner=told.owner,
        resource_type=told.resource_type,
        name=told.name,
        valid_from=told.valid_from,
        valid_until=told.valid_until,
        quantity=told.quantity,
        unit=told.unit,
    )


class Fault(BaseModel):
    """Why a row cannot be imported, by its number in the file (the heading is row 1) and its column."""

    row: int
    column: str
    reason: str
    message: str


class ImportView(BaseModel):
    """What an import does, or would do: rows stored, known already, refused with the first hundred faults."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"imported": True, "stored": 120, "known_already": 3, "refused": 0, "faults": []}]
        }
    )

    imported: bool
    stored: int
    known_already: int
    refused: int
    faults: list[Fault]


@router.post(
    "/resource-imports",
    policy=WRITE,
    summary="Import resources from a CSV or Excel file",
    body_bytes_max=IMPORT_BYTES_MAX,
)
async def import_resources(
    request: Request,
    work: Work,
    preview: Annotated[bool, Query(description="Only say what would become of each row.")] = False,
) -> ImportView:
    """All rows or none. Columns: resource_id, version, owner, resource_type, name, valid_from, and if you like
    valid_until, quantity, unit; moments with offset."""
    rows = _table(await request.body())
    told, faults = _told_rows(rows)
    fates = await keep_resources(
        work, [each for _, each in told], all_or_none=True, dry=preview or bool(faults)
    )
    faults += [
        _fault(number, fate.refused) for (number, _), fate in zip(told, fates, strict=True) if fate.refused
    ]
    if faults and not preview:
        raise _refused(faults)
    stored = sum(fate.stored for fate in fates)
    return ImportView(
        imported=not preview,
        stored=stored,
        known_already=sum(not fate.stored and fate.refused is None for fate in fates),
        refused=len(faults),
        faults=faults[:FAULTS_MAX],
    )


def _table(body: bytes) -> list[TableRow]:
    required = ["resource_id", "version", "owner", "resource_type", "name", "valid_from"]
    try:
        return read_table(body, required, ["valid_until", "quantity", "unit"], rows_max=IMPORT_ROWS_MAX)
    except UnreadableTable as unreadable:
        raise Problem(422, "unreadable-table", detail=f"{unreadable}.") from None


class ImportedResource(ResourceBody):
    resource_id: Id


def _told_rows(rows: Sequence[TableRow]) -> tuple[list[tuple[int, ToldResource]], list[Fault]]:
    told: list[tuple[int, ToldResource]] = []
    faults: list[Fault] = []
    seen: dict[str, int] = {}
    for row in rows:
        cells = {heading: text for heading, text in row.cells.items() if text}
        try:
            read = ImportedResource.model_validate_strings(cells)
        except ValidationError as error:
            faults += [_cell_fault(row.number, dict(each)) for each in error.errors()]
            continue
        if read.resource_id in seen:
            message = f"stands in row {seen[read.resource_id]} already"
            faults.append(Fault(row=row.number, column="resource_id", reason="twice", message=message))
            continue
        seen[read.resource_id] = row.number
        values = read.model_dump(exclude={"resource_id"})
        told.append((row.number, ToldResource(resource=read.resource_id, **values)))
    return told, faults


def _cell_fault(number: int, error: dict[str, object]) -> Fault:
    found = field_error(error)
    return Fault(row=number, column=found["field"], reason="wrong-cell", message=found["message"])


def _fault(number: int, refused: ResourceError) -> Fault:
    return Fault(row=number, column=refused.field, reason=refused.reason, message=refused.message)


def _refused(faults: Sequence[Fault]) -> Problem:
    found = [FieldError(field=f"row {each.row}, {each.column}", message=each.message) for each in faults]
    return Problem.invalid(found, type="rows-refused")
