"""Who may do what: every route declares a policy, one function decides."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.http.auth import Principal
from chassis.http.problems import Problem

ADMINISTRATOR: Final = "administrator"
ACCOUNT_USER: Final = "account-user"
AUDITOR: Final = "auditor"

LOADED: Final = "<loaded>"
"""As a policy's `account`: the endpoint learns the account from what it loads and asks `Access.require`."""

Visible = Callable[[AsyncConnection, frozenset[str], str], Awaitable[bool]]
"""`visible(connection, accounts of the principal, account)`: whether one of these may see that account."""

VisibleAccount = Callable[[str], Awaitable[bool]]


class Forbidden(Problem):
    """The principal has none of the roles that the action asks for."""

    def __init__(self, action: str) -> None:
        super().__init__(403, "forbidden", detail=f"Your roles do not allow {action}.")


class NotFound(Problem):
    """The object does not exist for this principal, be it absent or somebody else's."""

    def __init__(self) -> None:
        super().__init__(404, "not-found", detail="There is nothing here under this name.")


class Policy:
    """Who may call a route.

    `action` names it for people, such as `pending-order:approve`. A principal with one of `roles` (or
    `administrator`; on reads also `auditor`) passes for every object. `account` names the path or query
    parameter that holds the object's account, or is `LOADED`: then an `account-user` passes as well, for the
    accounts in the token and those that `visible` lets them see; every other object is not found.
    """

    __slots__ = ("account", "action", "proof", "roles", "visible")

    def __init__(
        self, action: str, roles: Iterable[str], account: str | None = None, *, visible: Visible | None = None
    ) -> None:
        self.action = action
        self.roles = frozenset(roles) | {ADMINISTRATOR}
        self.account = account
        self.visible = visible
        self.proof: str | None = None

    @classmethod
    def without_token(cls, action: str, *, proof: str) -> "Policy":
        """For callers that can have no token; `proof` says by what else the endpoint knows them."""
        policy = cls(action, ())
        policy.proof = proof
        return policy

    def for_reading(self) -> "Policy":
        """The same policy, open to the auditor, who may read everything."""
        policy = Policy(self.action, self.roles | {AUDITOR}, self.account, visible=self.visible)
        policy.proof = self.proof
        return policy


async def authorize(
    principal: Principal,
    policy: Policy,
    object_account: str | None = None,
    visible: VisibleAccount | None = None,
) -> None:
    """Passes, or raises Forbidden (the role is missing) or NotFound (somebody else's object)."""
    if principal.roles & policy.roles:
        return
    if policy.account is None or ACCOUNT_USER not in principal.roles:
        raise Forbidden(policy.action)
    if object_account is None:
        raise NotFound
    if object_account in principal.accounts:
        return
    if visible is None or not await visible(object_account):
        raise NotFound


@dataclass(slots=True)
class Access:
    """The authorization of one request, for endpoints that know an object's account only after loading it."""

    principal: Principal
    policy: Policy
    visible: VisibleAccount | None = None
    asked: bool = False

    async def require(self, account: str) -> None:
        """Passes when the principal may reach objects of `account`; raises NotFound otherwise."""
        self.asked = True
        await authorize(self.principal, self.policy, account, self.visible)

    @property
    def accounts(self) -> frozenset[str] | None:
        """The accounts that a list must be limited to; None means all of them."""
        self.asked = True
        return None if self.principal.roles & self.policy.roles else self.principal.accounts
