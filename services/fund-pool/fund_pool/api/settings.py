"""What organisations set: account payment, top-ups, spending, own account types, periods; common lines."""

from datetime import date, datetime
from typing import Annotated, Literal

from chassis.http import CurrentPrincipal, Now, Policy, Problem, Reader, Work
from contracts.text import Code, CurrencyCode, Id, Name
from pydantic import BaseModel, ConfigDict, Field

from fund_pool.api.common import APPROVERS, FINANCE, MAKERS, Body, locked_pool_or_404, router
from fund_pool.domain.account_types import OVERDRAFT, PRESETS, RESERVED, AccountType
from fund_pool.domain.pool import Pool
from fund_pool.publishing import wake_borrowers
from fund_pool.repository import common_lines as common_line_rows
from fund_pool.repository import pools as pool_rows
from fund_pool.repository import settings as setting_rows
from fund_pool.repository.settings import Setting

settings = router("settings")
Flag = Annotated[bool, Field(strict=True)]


class SettingBody(Body):
    """The settings of a settlement organisation; what is left out takes its default."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "account_payment": True,
                    "online_top_ups_approved": False,
                    "spending_order": "transferred-first",
                }
            ]
        },
    )

    account_payment: Flag = True
    online_top_ups_approved: Flag = Field(default=False, description="Finance approves online top-ups.")
    spending_order: Literal["transferred-first", "own-first"] = "transferred-first"


class SettingView(SettingBody):
    """The settings with the last closed day."""

    model_config = ConfigDict(extra="ignore")

    closed_through: date | None


class TypeBody(Body):
    """What the fund accounts of an own type may do; only overdraft has a line."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "name": "Rebate",
                    "pays_orders": True,
                    "takes_online_top_ups": False,
                    "opens_on_first_use": False,
                    "cash_like": False,
                }
            ]
        },
    )

    name: Name
    pays_orders: Flag
    takes_online_top_ups: Flag
    opens_on_first_use: Flag = False
    cash_like: Flag = Field(default=False, description="Counts as cash in the available quota.")


class TypeView(BaseModel):
    """An account type."""

    code: str
    name: str
    preset: bool
    pays_orders: bool
    takes_online_top_ups: bool
    opens_on_first_use: bool
    has_line: bool
    cash_like: bool


class PeriodBody(Body):
    """The last day of the period to close."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"closed_through": "2026-02-28"}]}
    )

    closed_through: date


class CommonLineBody(Body):
    """Whose overdraft the member draws on."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"management_account": "A-1001"}]}
    )

    management_account: Id


class CommonLineView(BaseModel):
    """A member's common line: entity-level credit."""

    member_account: str
    currency: str
    management_account: str | None
    set_at: datetime


@settings.get("/organisations/{organisation}/settings", policy=Policy("settings:read", FINANCE))
async def read_settings(organisation: Id, reader: Reader) -> SettingView:
    """The settings of a settlement organisation."""
    return _view(await setting_rows.setting(reader, organisation))


@settings.put("/organisations/{organisation}/settings", policy=Policy("settings:set", MAKERS))
async def set_settings(
    organisation: Id, body: SettingBody, work: Work, principal: CurrentPrincipal
) -> SettingView:
    """Sets them for every decision from now on."""
    changed = Setting(body.account_payment, body.online_top_ups_approved, body.spending_order)
    await setting_rows.save_setting(work.connection, organisation, changed, principal.subject, work.now)
    return _view(await setting_rows.setting(work.connection, organisation))


@settings.post("/organisations/{organisation}/period-closes", policy=Policy("period:close", APPROVERS))
async def close_period(
    organisation: Id, body: PeriodBody, work: Work, now: Now, principal: CurrentPrincipal
) -> SettingView:
    """Closes everything up to a day: what is effective then and comes later counts from the first open day."""
    known = await setting_rows.setting(work.connection, organisation)
    if known.closed_through is not None and body.closed_through <= known.closed_through:
        detail = f"Everything up to {known.closed_through} is closed already."
        raise Problem.conflict("closed-already", detail)
    if body.closed_through >= now.date():
        raise Problem.invalid([{"field": "closed_through", "message": "must be a day that is over"}])
    await setting_rows.close_period(
        work.connection, organisation, body.closed_through, principal.subject, work.now
    )
    return _view(await setting_rows.setting(work.connection, organisation))


@settings.get("/organisations/{organisation}/account-types", policy=Policy("account-type:read", FINANCE))
async def read_types(organisation: Id, reader: Reader) -> list[TypeView]:
    """The types that are there from the start, and the organisation's own."""
    presets = [_type_view(kind, kind.code.capitalize(), preset=True) for kind in PRESETS.values()]
    own = await setting_rows.own_types(reader, organisation)
    return presets + [_type_view(one.type, one.name, preset=False) for one in own]


@settings.put("/organisations/{organisation}/account-types/{code}", policy=Policy("account-type:set", MAKERS))
async def set_type(
    organisation: Id, code: Code, body: TypeBody, work: Work, principal: CurrentPrincipal
) -> TypeView:
    """Adds or changes an own account type."""
    if code in RESERVED:
        raise Problem.conflict("preset", f"{code} is there from the start and stays as it is.")
    kind = AccountType(
        code,
        body.pays_orders,
        body.takes_online_top_ups,
        body.opens_on_first_use,
        has_line=False,
        cash_like=body.cash_like,
    )
    await setting_rows.save_type(work.connection, organisation, kind, body.name, principal.subject, work.now)
    return _type_view(kind, body.name, preset=False)


@settings.put("/accounts/{account}/common-lines/{currency}", policy=Policy("common-line:set", MAKERS))
async def set_common_line(
    account: Id, currency: CurrencyCode, body: CommonLineBody, work: Work, principal: CurrentPrincipal
) -> CommonLineView:
    """Lets a member draw on the overdraft of its management account instead of one of its own."""
    owner, member = await _locked_both(work, body.management_account, account)
    if owner.find(OVERDRAFT.code, currency) is None or account == body.management_account:
        detail = f"{body.management_account} has no overdraft in {currency} to share with {account}."
        raise Problem.conflict("no-common-line", detail)
    if member.find(OVERDRAFT.code, currency) is not None:
        raise Problem.conflict("own-overdraft", f"{account} has an overdraft of its own in {currency}.")
    await common_line_rows.set_line(
        work.connection, account, currency, body.management_account, principal.subject, work.now
    )
    wake_borrowers(work, owner, currency, f"shared {work.now.isoformat()}")
    return CommonLineView(
        member_account=account,
        currency=currency,
        management_account=body.management_account,
        set_at=work.now,
    )


@settings.delete("/accounts/{account}/common-lines/{currency}", policy=Policy("common-line:set", MAKERS))
async def end_common_line(account: Id, currency: CurrencyCode, work: Work) -> CommonLineView:
    """Ends it; what the member has drawn stays in the owner's books."""
    await locked_pool_or_404(work.connection, account)
    if not await common_line_rows.end_line(work.connection, account, currency):
        raise Problem.not_found(f"{account} draws on no common line in {currency}.")
    return CommonLineView(member_account=account, currency=currency, management_account=None, set_at=work.now)


async def _locked_both(work: Work, owner: str, member: str) -> tuple[Pool, Pool]:
    pools = await pool_rows.locked_pools(work.connection, {owner, member}, now=work.now)
    for account in (owner, member):
        if account not in pools:
            raise Problem.not_found(f"There is no account {account}.")
    return pools[owner], pools[member]


def _view(setting: Setting) -> SettingView:
    return SettingView.model_validate(setting, from_attributes=True)


def _type_view(kind: AccountType, name: str, *, preset: bool) -> TypeView:
    return TypeView(
        code=kind.code,
        name=name,
        preset=preset,
        pays_orders=kind.pays_orders,
        takes_online_top_ups=kind.takes_online_top_ups,
        opens_on_first_use=kind.opens_on_first_use,
        has_line=kind.has_line,
        cash_like=kind.cash_like,
    )
