"""Organisations by HTTP, for systems that do not publish master data."""

from typing import Annotated, Final

from chassis.http import Policy, Problem, Reader, Router, Work
from contracts.text import Id, Name, TimeZone
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from cashplan.api.common import MASTER_DATA, READERS, Body
from cashplan.domain import organisations as domain
from cashplan.repository import organisations as organisation_rows

router = Router(tags=["master data"])

EXAMPLE: Final[JsonDict] = {
    "version": 3,
    "name": "Shanghai Trading",
    "time_zone": "Asia/Shanghai",
    "active": True,
}


class OrganisationBody(Body):
    """An organisation's full state; a higher version replaces a lower one."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    version: Annotated[int, Field(ge=1, le=2_147_483_647, strict=True)]
    name: Name
    time_zone: TimeZone
    active: bool = True


class Organisation(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"organisation_id": "ORG-SHANGHAI", **EXAMPLE}]}
    )

    organisation_id: str
    version: int
    name: str
    time_zone: str
    active: bool


@router.put(
    "/organisations/{organisation_id}",
    policy=Policy("organisation:write", roles=MASTER_DATA),
    summary="Store an organisation",
)
async def store_organisation(organisation_id: Id, body: OrganisationBody, work: Work) -> Organisation:
    """Stores the organisation unless an equal or higher version is known; answers what stands."""
    told = domain.Organisation(
        organisation_id=organisation_id,
        version=body.version,
        name=body.name,
        time_zone=body.time_zone,
        active=body.active,
    )
    await organisation_rows.save_newer(work.connection, [told])
    known = await organisation_rows.organisations_by_id(work.connection, {organisation_id})
    return _view(known[organisation_id])


@router.get(
    "/organisations/{organisation_id}",
    policy=Policy("organisation:read", roles=READERS | MASTER_DATA),
    summary="One organisation",
)
async def organisation(organisation_id: Id, reader: Reader) -> Organisation:
    """The organisation as it is known here."""
    known = await organisation_rows.organisations_by_id(reader, {organisation_id})
    if organisation_id not in known:
        raise Problem.not_found("No organisation of this id is known here.")
    return _view(known[organisation_id])


def _view(organisation: domain.Organisation) -> Organisation:
    return Organisation(
        organisation_id=organisation.organisation_id,
        version=organisation.version,
        name=organisation.name,
        time_zone=organisation.time_zone,
        active=organisation.active,
    )
