"""Deduction orders: of a settlement organisation, and of single customers in its place."""

from datetime import datetime
from typing import Annotated

from chassis.http import CurrentPrincipal, Policy, Problem, Reader, Work
from contracts.text import Code, Id
from pydantic import BaseModel, ConfigDict, Field

from fund_pool.api.common import FINANCE, Body, router
from fund_pool.domain.account_types import with_own
from fund_pool.domain.deduction import faults
from fund_pool.repository import deduction as deduction_rows
from fund_pool.repository import settings as setting_rows
from fund_pool.repository.deduction import FOR_ORGANISATION, DeductionOrderVersion

deduction_orders = router("deduction orders")
SETTERS = frozenset({"finance-approver", "treasurer"})


class NewDeductionOrder(Body):
    """Account types, the first to pay first."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"account_types": ["overdraft", "cash"]}]}
    )

    account_types: Annotated[list[Code], Field(min_length=1, max_length=50)]


class DeductionOrderView(BaseModel):
    """A valid deduction order; `version` is the policy version that decisions name, 0 = built in."""

    settlement_organisation: str
    customer: str | None = None
    account_types: list[str]
    version: int


class VersionView(BaseModel):
    """One version; `account_types` null took an override back."""

    version: int
    settlement_organisation: str
    customer: str | None
    account_types: list[str] | None
    changed_by: str
    changed_at: datetime


@deduction_orders.get("/deduction-orders/{organisation}", policy=Policy("deduction-order:read", FINANCE))
async def read_deduction_order(organisation: Id, reader: Reader) -> DeductionOrderView:
    """The organisation's deduction order, or the built-in one."""
    return await _valid(reader, organisation, None)


@deduction_orders.get(
    "/deduction-orders/{organisation}/customers/{customer}", policy=Policy("deduction-order:read", FINANCE)
)
async def read_customers_deduction_order(
    organisation: Id, customer: Id, reader: Reader
) -> DeductionOrderView:
    """The deduction order that this customer's orders are paid by, its own or the organisation's."""
    return await _valid(reader, organisation, customer)


@deduction_orders.put("/deduction-orders/{organisation}", policy=Policy("deduction-order:set", SETTERS))
async def set_deduction_order(
    organisation: Id, body: NewDeductionOrder, work: Work, principal: CurrentPrincipal
) -> DeductionOrderView:
    """Makes a new version of the organisation's deduction order, valid for the next decision."""
    return await _set(work, principal.subject, organisation, None, body)


@deduction_orders.put(
    "/deduction-orders/{organisation}/customers/{customer}", policy=Policy("deduction-order:set", SETTERS)
)
async def set_customers_deduction_order(
    organisation: Id, customer: Id, body: NewDeductionOrder, work: Work, principal: CurrentPrincipal
) -> DeductionOrderView:
    """Makes a new version of a deduction order of this customer's own."""
    return await _set(work, principal.subject, organisation, customer, body)


@deduction_orders.delete(
    "/deduction-orders/{organisation}/customers/{customer}", policy=Policy("deduction-order:set", SETTERS)
)
async def drop_customers_deduction_order(
    organisation: Id, customer: Id, work: Work, principal: CurrentPrincipal
) -> DeductionOrderView:
    """Takes the customer's own deduction order back; answers with the one that is valid then."""
    await deduction_rows.set_deduction_order(
        work.connection, organisation, customer, None, principal.subject, work.now
    )
    return await _valid(work.connection, organisation, customer)


@deduction_orders.get("/policy-versions/{version}", policy=Policy("deduction-order:read", FINANCE))
async def read_version(version: int, reader: Reader) -> VersionView:
    """The version that a decision names."""
    found = await deduction_rows.version(reader, version) if 0 < version < 2**63 else None
    if found is None:
        raise Problem.not_found(f"There is no policy version {version}.")
    return _version_view(found)


async def _set(
    work: Work, subject: str, organisation: str, customer: str | None, body: NewDeductionOrder
) -> DeductionOrderView:
    own = await setting_rows.own_types(work.connection, organisation)
    wrong = faults(body.account_types, with_own(one.type for one in own))
    if wrong:
        raise Problem.invalid(
            [{"field": f"account_types[{fault.position}]", "message": fault.text} for fault in wrong]
        )
    version = await deduction_rows.set_deduction_order(
        work.connection, organisation, customer or FOR_ORGANISATION, body.account_types, subject, work.now
    )
    return DeductionOrderView(
        settlement_organisation=organisation,
        customer=customer,
        account_types=body.account_types,
        version=version,
    )


async def _valid(reader: Reader, organisation: str, customer: str | None) -> DeductionOrderView:
    valid = await deduction_rows.valid_deduction_order(reader, organisation, customer or FOR_ORGANISATION)
    return DeductionOrderView(
        settlement_organisation=organisation,
        customer=customer,
        account_types=list(valid.account_types),
        version=valid.version,
    )


def _version_view(row: DeductionOrderVersion) -> VersionView:
    return VersionView(
        version=row.version,
        settlement_organisation=row.settlement_organisation,
        customer=row.customer or None,
        account_types=None if row.account_types is None else list(row.account_types),
        changed_by=row.changed_by,
        changed_at=row.changed_at,
    )
