"""Accounts by HTTP, for systems that do not publish master data."""

from typing import Annotated, Final

from chassis.http import Policy, Problem, Reader, Router, Work
from contracts.text import Id, Name
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from sharing.domain import accounts as domain
from sharing.repository import accounts as account_rows

router = Router(tags=["master data"])

MASTER_DATA: Final = frozenset({"order-system"})
EXAMPLE: Final[JsonDict] = {"version": 2, "name": "Hangzhou Branch", "active": True}


class AccountBody(BaseModel):
    """An account's full state; a higher version replaces a lower one."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE]})

    version: Annotated[int, Field(ge=1, le=2_147_483_647, strict=True)]
    name: Name
    active: bool = True


class Account(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"account_id": "A-1001", **EXAMPLE}]})

    account_id: str
    version: int
    name: str
    active: bool


@router.put(
    "/accounts/{account}", policy=Policy("account:write", roles=MASTER_DATA), summary="Store an account"
)
async def store_account(account: Id, body: AccountBody, work: Work) -> Account:
    """Stores the account unless an equal or higher version is known; answers what stands."""
    told = domain.Account(account_id=account, version=body.version, name=body.name, active=body.active)
    await account_rows.save_newer(work.connection, [told])
    known = await account_rows.accounts_by_id(work.connection, {account})
    return _view(known[account])


@router.get(
    "/accounts/{account}",
    policy=Policy("account:read", roles=MASTER_DATA, account="account"),
    summary="One account",
)
async def account(account: Id, reader: Reader) -> Account:
    """The account as it is known here."""
    known = await account_rows.accounts_by_id(reader, {account})
    if account not in known:
        raise Problem.not_found()
    return _view(known[account])


def _view(account: domain.Account) -> Account:
    return Account(
        account_id=account.account_id, version=account.version, name=account.name, active=account.active
    )
