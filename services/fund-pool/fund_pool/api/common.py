"""What the routes share: roles, the form of bodies, and who sees which account."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final, Literal

from chassis.http import CurrentPrincipal, Policy, Problem, Reader, Router
from chassis.http.auth import Principal
from chassis.http.policy import ADMINISTRATOR, AUDITOR
from contracts.money import Money
from fastapi import Depends
from pydantic import BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncConnection

from fund_pool.domain.pool import Pool
from fund_pool.repository import grants as grant_rows
from fund_pool.repository import pools as pool_rows
from fund_pool.repository import reference as reference_rows

MAKERS: Final = frozenset({"finance-maker"})
APPROVERS: Final = frozenset({"finance-approver"})
FINANCE: Final = frozenset({"finance-maker", "finance-approver", "treasurer"})
ORDER_READERS: Final = FINANCE | {"order-system", "credit-manager", "credit-approver"}
MASTER_DATA: Final = frozenset({"order-system"})


class Body(BaseModel):
    """A request body: fields that are not known are refused."""

    model_config = ConfigDict(extra="forbid")


GrantedAction = Literal["view", "make", "approve"]
VIEWING: Final = ("read", "list", "list-export", "read-export", "export", "preview", "dry-run")
APPROVING: Final = ("approve", "reject")
GRANTABLE: Final[set[str]] = set()
"""What routes are about, such as `usage-rule`: a grant may say for each which roles view, make or approve it."""


class GrantedRouter(Router):
    """Routes whose roles may be narrowed by grants: `usage-rule:make` by the one to make usage rules."""

    def _route(self, method: str, path: str, policy: Policy, options: dict[str, Any]) -> Callable[[Any], Any]:
        name, _, verb = policy.action.partition(":")
        GRANTABLE.add(name)
        asked = Depends(_grant_asked(name, _granted_action(verb)))
        options["dependencies"] = [*options.get("dependencies", ()), asked]
        return super()._route(method, path, policy, options)


def _granted_action(verb: str) -> GrantedAction:
    if verb in VIEWING:
        return "view"
    return "approve" if verb in APPROVING else "make"


def _grant_asked(name: str, action: GrantedAction) -> Callable[..., Awaitable[None]]:
    async def ask(reader: Reader, principal: CurrentPrincipal) -> None:
        await require_grant(reader, principal, name, action)

    return ask


def router(tag: str) -> GrantedRouter:
    """A router on which a management account reaches its members as the relationship allows."""
    return GrantedRouter(tags=[tag], visible=_visible)


async def _visible(connection: AsyncConnection, own: frozenset[str], account: str) -> bool:
    return await reference_rows.sees(connection, own, account)


async def pool_or_404(connection: AsyncConnection, account: str) -> Pool:
    """The pool of a known account without a lock."""
    pool = (await pool_rows.pools(connection, [account])).get(account)
    if pool is None:
        raise Problem.not_found(f"There is no account {account}.")
    return pool


async def locked_pool_or_404(connection: AsyncConnection, account: str) -> Pool:
    """The pool of a known account, its account locked."""
    pool = (await pool_rows.locked_pools(connection, [account])).get(account)
    if pool is None:
        raise Problem.not_found(f"There is no account {account}.")
    return pool


def zoned(moment: datetime, field: str) -> datetime:
    """A moment with an offset; raises Problem 422 for one without."""
    if moment.tzinfo is None:
        raise Problem.invalid(
            [{"field": field, "message": "must have an offset, such as 2026-03-02T09:30:00+08:00"}]
        )
    return moment


def require_money(amount: Money, field: str = "amount") -> None:
    """Raises Problem 422 for an amount of zero."""
    if not amount.minor:
        raise Problem.invalid([{"field": f"{field}.amount", "message": "must be more than 0"}])


async def require_grant(
    connection: AsyncConnection, principal: Principal, name: str, action: GrantedAction
) -> None:
    """Raises Problem 403 where a grant gives this action to other roles; without a grant the route's roles do."""
    roles = await grant_rows.granted_roles(connection, name, action)
    always = {ADMINISTRATOR, AUDITOR} if action == "view" else {ADMINISTRATOR}
    if roles is not None and not principal.roles & (roles | always):
        raise Problem.forbidden(f"Your roles may not {action} {name}.", type="not-granted")
