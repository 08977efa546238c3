"""What the routes share: roles, the form of bodies, and who sees which account."""

from datetime import datetime
from typing import Final, Literal

from chassis.http import Problem, Router
from chassis.http.auth import Principal
from chassis.http.policy import ADMINISTRATOR
from contracts.money import Money
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


def router(tag: str) -> Router:
    """A router on which a management account reaches its members as the relationship allows."""
    return Router(tags=[tag], visible=_visible)


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
    connection: AsyncConnection, principal: Principal, name: str, action: Literal["view", "make", "approve"]
) -> None:
    """Raises Problem 403 where a grant gives this action to other roles; without a grant the route's roles do."""
    roles = await grant_rows.granted_roles(connection, name, action)
    if roles is not None and not principal.roles & (roles | {ADMINISTRATOR}):
        raise Problem.forbidden(f"Your roles may not {action} {name}.", type="not-granted")
