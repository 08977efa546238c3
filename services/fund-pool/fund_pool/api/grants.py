"""Grants: which roles may view, make or approve a type of document or master record."""

from datetime import datetime
from typing import Annotated, Literal

from chassis.http import CurrentPrincipal, Policy, Problem, Reader, Work
from contracts.text import Code
from pydantic import BaseModel, ConfigDict, Field

from fund_pool.api.common import FINANCE, Body, router
from fund_pool.repository import grants as grant_rows

grants = router("grants")

Action = Literal["view", "make", "approve"]
Grantable = Literal[
    "top-up-online",
    "top-up-offline",
    "line-increase",
    "line-decrease",
    "other-credit",
    "other-debit",
    "transfer",
    "credit-repayment",
    "withdrawal",
    "un-post",
    "usage-rule",
    "deduction-order",
    "account-type",
    "voucher-pool",
]


class GrantBody(Body):
    """The roles that may; administrators always may."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"roles": ["treasurer"]}]})

    roles: Annotated[list[Code], Field(max_length=50)]


class GrantView(BaseModel):
    """A grant; where there is none, the roles of the route may."""

    object: str
    action: str
    roles: list[str]
    granted_by: str
    granted_at: datetime


@grants.get("/grants", policy=Policy("grant:read", FINANCE))
async def read_grants(reader: Reader) -> list[GrantView]:
    """Every grant."""
    return [GrantView.model_validate(one, from_attributes=True) for one in await grant_rows.grants(reader)]


@grants.put("/grants/{name}/{action}", policy=Policy("grant:set", ()))
async def set_grant(
    name: Grantable, action: Action, body: GrantBody, work: Work, principal: CurrentPrincipal
) -> GrantView:
    """Narrows who of those that the route lets in may do it."""
    await grant_rows.set_grant(work.connection, name, action, body.roles, principal.subject, work.now)
    return GrantView(
        object=name,
        action=action,
        roles=sorted(set(body.roles)),
        granted_by=principal.subject,
        granted_at=work.now,
    )


@grants.delete("/grants/{name}/{action}", policy=Policy("grant:set", ()), status_code=204)
async def end_grant(name: Grantable, action: Action, work: Work) -> None:
    """Takes a grant back: the route's own roles may again."""
    if not await grant_rows.end_grant(work.connection, name, action):
        raise Problem.not_found("There is no such grant.")
