"""Master records by HTTP, and trees of systems that follow them."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any, Final, Literal

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
from contracts.text import Code, Id, Name
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from cashplan.api.common import MASTER_DATA, PLAN_ADMINISTRATORS, PLAN_READERS, Body
from cashplan.api.systems import administered, save_part
from cashplan.domain import masterdata as domain
from cashplan.domain.masterdata import MasterRecord
from cashplan.domain.systems import PlanningSystem
from cashplan.repository import masterdata as record_rows
from cashplan.repository import systems as system_rows
from cashplan.repository.systems import PARTS

router = Router(tags=["master data"])

Kind = Literal["plan-item", "dimension-member"]
EXAMPLE: Final[JsonDict] = {"version": 3, "name": "Wages", "parent": "PAYMENTS", "direction": "out"}


class RecordBody(Body):
    """A record's full state; a higher version replaces a lower one."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE]})

    version: Annotated[int, Field(ge=1, le=2_147_483_647, strict=True)]
    name: Name
    parent: Id | None = None
    direction: Literal["in", "out"] | None = None
    dimension: Code | None = Field(default=None, description="Of members: the dimension that they belong to.")
    active: bool = True


class RecordView(BaseModel):
    """A record as it is known here."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"kind": "plan-item", "record_id": "WAGES", "dimension": None, "active": True, **EXAMPLE}
            ]
        }
    )

    kind: str
    record_id: str
    version: int
    name: str
    parent: str | None
    direction: str | None
    dimension: str | None
    active: bool


class FollowBody(Body):
    """Which records to take over: those at or below a root, or all."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"root": "PAYMENTS"}]})

    root: Id | None = None


class Followed(BaseModel):
    """What has changed in the system, and what master data has retired that the system still has."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"added": ["WAGES"], "changed": ["TAXES"], "retired": ["OLD"], "warnings": []}]
        }
    )

    added: list[str]
    changed: list[str]
    retired: list[str]
    warnings: list[str]


@router.put(
    "/master-data/{kind}/{record_id}",
    policy=Policy("master-data:write", roles=MASTER_DATA),
    summary="Store a plan item or a member",
)
async def store_record(kind: Kind, record_id: Id, body: RecordBody, work: Work) -> RecordView:
    """Stores the record unless an equal or higher version is known; answers what stands."""
    if (kind == "dimension-member") != (body.dimension is not None):
        message = "names the dimension of a member, and belongs to nothing else"
        raise Problem.invalid([FieldError(field="dimension", message=message)])
    told = MasterRecord(kind=kind, record_id=record_id, **body.model_dump())
    await record_rows.save_newer(work.connection, [told])
    known = {each.record_id: each for each in await record_rows.records(work.connection, kind)}
    return RecordView(**asdict(known[record_id]))


@router.get(
    "/master-data/{kind}",
    policy=Policy("master-data:read", roles=PLAN_READERS | MASTER_DATA),
    summary="Master records",
)
async def master_records(
    kind: Literal["organisation", "plan-item", "dimension-member"], page: Page, reader: Reader
) -> CursorPage[RecordView]:
    """The records of a kind, by id."""
    after = page.after(str)
    found = await record_rows.records(reader, kind, after[0] if after else "", page.rows)
    shown, following = page.page(found, lambda each: (each.record_id,))
    return CursorPage(items=[RecordView(**asdict(each)) for each in shown], next=following)


@router.post(
    "/planning-systems/{system_id}/items/from-master-data",
    policy=Policy("planning-system:write", roles=PLAN_ADMINISTRATORS),
    summary="Take plan items over from master data",
)
async def follow_items(system_id: Id, body: FollowBody, work: Work, principal: CurrentPrincipal) -> Followed:
    """Adds what is new, renames and moves what has changed; asked again, it changes nothing."""
    system, records = await _locked(work, system_id, principal, "plan-item")
    items = domain.with_items(system.items, domain.below(records, body.root))
    return await _follow(work, system, principal, "items", items, records)


@router.post(
    "/planning-systems/{system_id}/entities/from-master-data",
    policy=Policy("planning-system:write", roles=PLAN_ADMINISTRATORS),
    summary="Take entities over from the organisations",
)
async def follow_entities(
    system_id: Id, body: FollowBody, work: Work, principal: CurrentPrincipal
) -> Followed:
    """Adds what is new, renames and moves what has changed; asked again, it changes nothing."""
    system, records = await _locked(work, system_id, principal, "organisation")
    entities = domain.with_entities(system.entities, domain.below(records, body.root))
    return await _follow(work, system, principal, "entities", entities, records)


@router.post(
    "/planning-systems/{system_id}/dimensions/{dimension}/from-master-data",
    policy=Policy("planning-system:write", roles=PLAN_ADMINISTRATORS),
    summary="Take the members of a dimension over from master data",
)
async def follow_members(
    system_id: Id, dimension: Code, body: FollowBody, work: Work, principal: CurrentPrincipal
) -> Followed:
    """Adds what is new, renames and moves what has changed; asked again, it changes nothing."""
    system, records = await _locked(work, system_id, principal, "dimension-member")
    if dimension not in system.dimension_by_id:
        raise Problem.not_found(f"The system has no dimension {dimension}.")
    own = [record for record in records if record.dimension == dimension]
    before = system.dimension_by_id[dimension]
    after = domain.with_members(before, domain.below(own, body.root))
    dimensions = [after if each.id == dimension else each for each in system.dimensions]
    saved = await save_part(work, system, PARTS["dimensions"], dimensions, principal)
    return _told(before.members, after.members, own, saved.warnings)


async def _locked(
    work: Work, system_id: str, principal: CurrentPrincipal, kind: domain.Kind
) -> tuple[PlanningSystem, list[MasterRecord]]:
    await system_rows.locked_version(work.connection, system_id, work.now)
    system = await administered(work.connection, system_id, principal)
    return system, await record_rows.records(work.connection, kind)


async def _follow(
    work: Work,
    system: PlanningSystem,
    principal: CurrentPrincipal,
    kind: str,
    nodes: list[Any],
    records: Sequence[MasterRecord],
) -> Followed:
    before = getattr(system, PARTS[kind].attribute)
    saved = await save_part(work, system, PARTS[kind], nodes, principal)
    return _told(before, nodes, records, saved.warnings)


def _told(
    before: Sequence[Any], after: Sequence[Any], records: Sequence[MasterRecord], warnings: list[str]
) -> Followed:
    known = {each.id: each for each in before}
    return Followed(
        added=[each.id for each in after if each.id not in known],
        changed=[each.id for each in after if each.id in known and each != known[each.id]],
        retired=domain.retired(after, records),
        warnings=warnings,
    )
