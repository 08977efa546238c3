"""Accounts' names by HTTP, for systems that do not publish master data."""

from typing import Annotated, Final

from chassis.http import Policy, Router, Work
from contracts.text import Id, Name
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from notify.api.common import MASTER_DATA, Body
from notify.repository import reference

router = Router(tags=["master data"])

EXAMPLE: Final[JsonDict] = {"version": 3, "name": "Huadong Trading, Shanghai"}


class AccountBody(Body):
    """An account's name; a higher version replaces a lower one."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    version: Annotated[int, Field(ge=1, le=2_147_483_647, strict=True)]
    name: Name


class Account(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"account": "A-1001", **EXAMPLE}]})

    account: str
    version: int
    name: str | None


@router.put(
    "/accounts/{account}",
    policy=Policy("account:write", roles=MASTER_DATA),
    summary="Store an account's name",
)
async def store_account(account: Id, body: AccountBody, work: Work) -> Account:
    """Stores the name unless an equal or higher version is known; answers what stands."""
    await reference.save_newer_names(work.connection, {account: (body.version, body.name)})
    version, name = await reference.account_name(work.connection, account)
    return Account(account=account, version=version, name=name)
