"""Grants: which roles may view, make or approve a type of document or master record."""

from datetime import datetime
from typing import Annotated, Final

from chassis.http import CurrentPrincipal, Policy, Problem, Work
from contracts.text import Code
from pydantic import BaseModel, ConfigDict, Field

from fund_pool.api.common import GRANTABLE, Body, GrantedAction, router
from fund_pool.repository import grants as grant_rows

grants = router("grants")

DOCUMENT_TYPES: Final = (
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
)


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


@grants.put("/grants/{name}/{action}", policy=Policy("grant:set", ()))
async def set_grant(
    name: Code, action: GrantedAction, body: GrantBody, work: Work, principal: CurrentPrincipal
) -> GrantView:
    """Narrows who of those that the routes let in may do it, for a document type or what routes are about."""
    known = GRANTABLE.union(DOCUMENT_TYPES) - {"grant"}
    if name not in known:
        message = f"there is no {name} to grant; there are {', '.join(sorted(known))}"
        raise Problem.invalid([{"field": "name", "message": message}])
    await grant_rows.set_grant(work.connection, name, action, body.roles, principal.subject, work.now)
    return GrantView(
        object=name,
        action=action,
        roles=sorted(set(body.roles)),
        granted_by=principal.subject,
        granted_at=work.now,
    )


@grants.delete("/grants/{name}/{action}", policy=Policy("grant:set", ()), status_code=204)
async def end_grant(name: Code, action: GrantedAction, work: Work) -> None:
    """Takes a grant back: the route's own roles may again."""
    if not await grant_rows.end_grant(work.connection, name, action):
        raise Problem.not_found("There is no such grant.")
