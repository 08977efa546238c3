"""Customers, organisations and references: read, and set beside what the ERP sends."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from chassis.http import CurrentPrincipal, CursorPage, Page, Policy, Problem, Reader, Router, Work
from contracts.text import Id, Name, TimeZone
from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row

from chassis import UnitOfWork
from credit.api.common import READERS, Body, IdPath, unknown
from credit.domain.masterdata import MasterRecord, ReferenceKind, Table, reference_id
from credit.repository import masterdata

router: Final = Router(tags=["customers and organisations"])

Version = Annotated[
    int | None,
    Field(ge=1, le=2**53 - 1, description="Must be above the known version; left out: one above it."),
]


class CustomerState(Body):
    """The full state of a customer."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"name": "Huaxin Trading", "customer_group": "G-7", "credit_managed": True}]
        },
    )
    name: Name
    customer_group: Id | None = None
    credit_managed: bool = Field(default=True, description="Off: neither checked nor occupied.")
    active: bool = True
    version: Version = None


class OrganisationState(Body):
    """The full state of an organisation."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"name": "Huadong Sales", "organisation_type": "business", "time_zone": "Asia/Shanghai"}
            ]
        },
    )
    name: Name
    organisation_type: Literal["business", "legal", "group"]
    parent: Id | None = None
    time_zone: TimeZone
    active: bool = True
    version: Version = None


class ReferenceState(Body):
    """The full state of a material, a group, a salesperson, a sales group or a sales department."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"name": "Galvanised sheet 2 mm", "parent": "MG-STEEL"}]},
    )
    name: Name
    parent: Id | None = Field(default=None, description="The group or department that it belongs to.")
    active: bool = True
    version: Version = None


class Reference(BaseModel):
    """What documents name, as credit knows it."""

    kind: ReferenceKind
    id: str
    version: int
    name: str
    parent: str | None
    active: bool
    changed_by: str
    changed_at: datetime


class Customer(BaseModel):
    """A customer as credit knows it; `changed_by` is the sender of the event or the person."""

    customer_id: str
    version: int
    name: str
    customer_group: str | None
    credit_managed: bool
    active: bool
    changed_by: str
    changed_at: datetime


class Organisation(BaseModel):
    """An organisation as credit knows it."""

    organisation_id: str
    version: int
    name: str
    organisation_type: str
    parent: str | None
    time_zone: str
    active: bool
    changed_by: str
    changed_at: datetime


@router.get("/customers", policy=Policy("customer:read", READERS))
async def customers(
    page: Page,
    reader: Reader,
    without_profile: Annotated[
        bool,
        Query(description="Only credit managed customers that no profile covers: their orders are declined."),
    ] = False,
) -> CursorPage[Customer]:
    """Customers by id."""
    place = page.after(str)
    rows = await masterdata.customers_after(reader, place, page.rows, without_profile=without_profile)
    rows, following = page.page(rows, key=lambda row: (row.customer_id,))
    return CursorPage(items=[_customer(row) for row in rows], next=following)


@router.get("/customers/{customer_id}", policy=Policy("customer:read", READERS))
async def customer(customer_id: IdPath, reader: Reader) -> Customer:
    """One customer."""
    row = await masterdata.record_row(reader, "customer", customer_id)
    if row is None:
        raise unknown("customer", customer_id)
    return _customer(row)


@router.put("/customers/{customer_id}", policy=Policy("customer:write", {"credit-manager"}))
async def set_customer(
    customer_id: IdPath, body: CustomerState, work: Work, principal: CurrentPrincipal
) -> Customer:
    """Makes or replaces a customer."""
    own = (body.customer_group, body.credit_managed)
    row = await _set(work, "customer", customer_id, body, own, principal.subject)
    return _customer(row)


@router.get("/organisations", policy=Policy("organisation:read", READERS))
async def organisations(page: Page, reader: Reader) -> CursorPage[Organisation]:
    """Organisations by id."""
    rows = await masterdata.organisations_after(reader, page.after(str), page.rows)
    rows, following = page.page(rows, key=lambda row: (row.organisation_id,))
    return CursorPage(items=[_organisation(row) for row in rows], next=following)


@router.get("/organisations/{organisation_id}", policy=Policy("organisation:read", READERS))
async def organisation(organisation_id: IdPath, reader: Reader) -> Organisation:
    """One organisation."""
    row = await masterdata.record_row(reader, "organisation", organisation_id)
    if row is None:
        raise unknown("organisation", organisation_id)
    return _organisation(row)


@router.put("/organisations/{organisation_id}", policy=Policy("organisation:write", {"credit-manager"}))
async def set_organisation(
    organisation_id: IdPath, body: OrganisationState, work: Work, principal: CurrentPrincipal
) -> Organisation:
    """Makes or replaces an organisation."""
    own = (body.organisation_type, body.parent, body.time_zone)
    row = await _set(work, "organisation", organisation_id, body, own, principal.subject)
    return _organisation(row)


@router.get("/references/{kind}", policy=Policy("reference:read", READERS))
async def references(
    kind: ReferenceKind, page: Page, reader: Reader, parent: Annotated[Id | None, Query()] = None
) -> CursorPage[Reference]:
    """Materials, groups, salespeople, sales groups or departments by id."""
    rows = await masterdata.references_after(reader, page.after(str), page.rows, kind=kind, parent=parent)
    rows, following = page.page(rows, key=lambda row: (row.own_id,))
    return CursorPage(items=[_reference(row) for row in rows], next=following)


@router.put("/references/{kind}/{own_id}", policy=Policy("reference:write", {"credit-manager"}))
async def set_reference(
    kind: ReferenceKind, own_id: IdPath, body: ReferenceState, work: Work, principal: CurrentPrincipal
) -> Reference:
    """Makes or replaces one of them."""
    own = (kind, own_id, body.parent)
    row = await _set(work, "reference", reference_id(kind, own_id), body, own, principal.subject)
    return _reference(row)


async def _set(
    work: UnitOfWork,
    table: Table,
    record_id: str,
    body: CustomerState | OrganisationState | ReferenceState,
    own: tuple[str | bool | None, ...],
    person: str,
) -> Row[Any]:
    known = (await masterdata.locked_versions(work.connection, table, [record_id])).get(record_id)
    version = body.version or (known[0] + 1 if known else 1)
    record = MasterRecord(table, record_id, version, body.name, body.active, own, person, work.now)
    if record.standing(known) in ("older", "conflict"):
        assert known is not None, "only what is known can be newer"
        message = f"is {version}, but version {known[0]} is known; {known[0] + 1} or more would be right"
        raise Problem.conflict(
            "version-conflict", f"version {message}.", errors=[{"field": "version", "message": message}]
        )
    await masterdata.save(work.connection, table, [record])
    row = await masterdata.record_row(work.connection, table, record_id)
    assert row is not None, "it was written just now"
    return row


def _reference(row: Row[Any]) -> Reference:
    names = set(Reference.model_fields) - {"id"}
    return Reference(id=row.own_id, **{name: row._mapping[name] for name in names})


def _customer(row: Row[Any]) -> Customer:
    return Customer.model_validate(row, from_attributes=True)


def _organisation(row: Row[Any]) -> Organisation:
    return Organisation.model_validate(row, from_attributes=True)
