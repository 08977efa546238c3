"""Master data by hand, for systems that do not publish it: the same records, the same versions."""

from typing import Annotated, Final, Generic, TypeVar

from chassis.http import Policy, Work
from contracts.master_data_changed import Account, Organisation, UserRight
from contracts.numbers import Counter
from contracts.text import Id
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from contracts import MasterDataChanged
from fund_pool.api.common import MASTER_DATA, Body, router
from fund_pool.repository import reference as reference_rows

reference = router("master data")

R = TypeVar("R", Organisation, Account, UserRight)


class MasterRecord(Body, Generic[R]):
    """The full state of a record; a version not above the known one changes nothing."""

    version: Counter
    active: Annotated[bool, Field(strict=True)] = True
    record: R


def _example(record: JsonDict) -> ConfigDict:
    return ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"version": 1, "active": True, "record": record}]}
    )


ORGANISATION: Final[JsonDict] = {
    "kind": "organisation",
    "name": "上海公司",
    "organisation_type": "legal",
    "time_zone": "Asia/Shanghai",
}
ACCOUNT: Final[JsonDict] = {
    "kind": "account",
    "name": "Blue Harbour",
    "customer": "C-1001",
    "settlement_organisation": "ORG-SHANGHAI",
}
USER_RIGHT: Final[JsonDict] = {
    "kind": "user-right",
    "user": "U-1001",
    "account": "A-1001",
    "right": "use-balance",
}


class OrganisationRecord(MasterRecord[Organisation]):
    """An organisation with its time zone."""

    model_config = _example(ORGANISATION)


class AccountRecord(MasterRecord[Account]):
    """One customer in one settlement organisation."""

    model_config = _example(ACCOUNT)


class UserRightRecord(MasterRecord[UserRight]):
    """A user's right to use an account's balance."""

    model_config = _example(USER_RIGHT)


class Taken(BaseModel):
    """The record that was told."""

    id: str
    version: int


@reference.put("/organisations/{organisation}", policy=Policy("master-data:set", MASTER_DATA))
async def set_organisation(organisation: Id, body: OrganisationRecord, work: Work) -> Taken:
    """Takes an organisation over."""
    return await _take(work, organisation, body)


@reference.put("/accounts/{account}", policy=Policy("master-data:set", MASTER_DATA))
async def set_account(account: Id, body: AccountRecord, work: Work) -> Taken:
    """Takes an account over; its fund accounts are opened by documents or by hand."""
    return await _take(work, account, body)


@reference.put("/user-rights/{right}", policy=Policy("master-data:set", MASTER_DATA))
async def set_user_right(right: Id, body: UserRightRecord, work: Work) -> Taken:
    """Takes a user's right over."""
    return await _take(work, right, body)


async def _take(
    work: Work, name: str, body: MasterRecord[Organisation] | MasterRecord[Account] | MasterRecord[UserRight]
) -> Taken:
    change = MasterDataChanged(
        id=name, version=body.version, active=body.active, changed_at=work.now, record=body.record
    )
    await reference_rows.save_master_data(work.connection, [change])
    return Taken(id=name, version=body.version)
