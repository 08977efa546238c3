"""The shapes of requests and answers about relationships."""

from datetime import datetime
from typing import Annotated, Final, Literal

from contracts.relationship_changed import PermissionName
from contracts.text import Id, Name
from fastapi import Path, Query
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from sharing.domain import relationships as domain
from sharing.domain.relationships import Change, Kind, Side, State, Step

OFFER: Final[JsonDict] = {
    "kind": "financial",
    "management_account": "A-GROUP",
    "member_account": "A-1001",
    "permissions": ["sync-credit-identity", "view-financial-information"],
    "display_name": "Hangzhou Branch",
}
EXAMPLE: Final[JsonDict] = {
    "relationship_id": "019a1b2c-7d3e-7f40-8a51-b2c3d4e5f607",
    "version": 2,
    "kind": "financial",
    "management_account": "A-GROUP",
    "member_account": "A-1001",
    "state": "active",
    "permissions": [
        {"name": "sync-credit-identity", "state": "accepted"},
        {"name": "view-financial-information", "state": "offered"},
    ],
    "display_name": "Hangzhou Branch",
    "invoice_status": "none",
    "changed_at": "2026-03-10T08:05:00Z",
}


def _once(names: list[PermissionName]) -> list[PermissionName]:
    if len(set(names)) < len(names):
        raise ValueError("names a permission twice")
    return names


Permissions = Annotated[list[PermissionName], Field(max_length=20), AfterValidator(_once)]
RelationshipId = Annotated[Id, Path(examples=["019a1b2c-7d3e-7f40-8a51-b2c3d4e5f607"])]
AsOf = Annotated[AwareDatetime | None, Query(description="A past moment with offset; without it: now.")]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Invitation(Body):
    """What a management account offers to a member; the display name is the account's own unless given."""

    model_config = ConfigDict(json_schema_extra={"examples": [OFFER]})

    kind: Kind
    management_account: Id
    member_account: Id
    permissions: Permissions
    display_name: Name | None = None


class Answer(Body):
    """The permissions that the member accepts or refuses; an empty list accepts the relationship alone."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"permissions": ["sync-credit-identity"]}]})

    permissions: Permissions


class Renaming(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"display_name": "Hangzhou Branch"}]})

    display_name: Name


class PermissionView(BaseModel):
    name: PermissionName
    state: Literal["offered", "accepted", "refused"]


class Relationship(BaseModel):
    """A relationship's full state after change number `version`."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    relationship_id: str
    version: int
    kind: Kind
    management_account: str
    member_account: str
    state: State
    permissions: list[PermissionView]
    display_name: str
    invoice_status: Literal["none", "own", "copied"]
    changed_at: datetime
    ending: str | None = Field(default=None, description="The request to end it that is under way.")


class ChangeView(BaseModel):
    """One change: what was done, for which side, by whom, and the full state after it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"step": "accepted", "side": "member", "changed_by": "wang.hz", "relationship": EXAMPLE}
            ]
        }
    )

    step: Step
    side: Side
    changed_by: str
    relationship: Relationship


def view(relationship: domain.Relationship) -> Relationship:
    return Relationship(
        relationship_id=relationship.relationship_id,
        version=relationship.version,
        kind=relationship.kind,
        management_account=relationship.management_account,
        member_account=relationship.member_account,
        state=relationship.state,
        permissions=[
            PermissionView(name=permission.name, state=permission.state)
            for permission in relationship.permissions
        ],
        display_name=relationship.display_name,
        invoice_status=relationship.invoice_status,
        changed_at=relationship.changed_at,
        ending=relationship.ending,
    )


def change_view(change: Change) -> ChangeView:
    return ChangeView(
        step=change.step,
        side=change.side,
        changed_by=change.changed_by,
        relationship=view(change.relationship),
    )
