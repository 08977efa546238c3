"""Invoicing: an account's own, and many members' at once by the management account that they have allowed it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final, Literal

from chassis.http import CurrentAccess, CursorPage, FieldError, Page, Policy, Problem, Reader, Router, Work
from contracts.text import Id, Name, Text
from fastapi import Query
from pydantic import AfterValidator, BaseModel, ConfigDict, EmailStr, Field
from pydantic.config import JsonDict

from chassis import UnitOfWork
from sharing.api.sharing_models import Accounts, Body
from sharing.domain import relationships as relationship_rules
from sharing.domain.invoicing import (
    ADDRESSES_MAX,
    TITLES_MAX,
    Address,
    Invoicing,
    InvoicingError,
    StandingInvoicing,
    Title,
    checked,
    require_managed,
    require_own,
)
from sharing.domain.relationships import Change, Relationship, Side
from sharing.repository import invoicing as invoicing_rows
from sharing.repository import relationships as relationship_rows

router = Router(tags=["invoicing"])

OWN: Final = Policy("invoicing:write", roles=(), account="account")
READ: Final = Policy("invoicing:read", roles=(), account="account")
MANAGE: Final = Policy("invoicing:manage", roles=(), account="account")
EXAMPLE: Final[JsonDict] = {
    "titles": [
        {
            "title_type": "enterprise",
            "name": "Hangzhou Branch",
            "tax_id": "91110000600037341L",
            "bank_name": "Bank of Hangzhou",
            "bank_account": "3301040160000000000",
            "registered_address": "1 West Lake Road, Hangzhou",
            "phone": "0571-00000000",
            "is_default": True,
        }
    ],
    "addresses": [
        {
            "recipient": "Accounting",
            "address": "1 West Lake Road, Hangzhou",
            "phone": "0571-00000000",
            "postal_code": "310000",
            "is_default": True,
        }
    ],
    "email": "invoices@example.com",
}


class TitleBody(Body):
    """Whom an invoice is made out to."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)

    title_type: Literal["individual", "enterprise", "organisation"]
    name: Name
    tax_id: Annotated[str, Field(max_length=40)] | None = None
    bank_name: Name | None = None
    bank_account: Annotated[str, Field(pattern=r"^[0-9 -]{1,40}$")] | None = None
    registered_address: Text | None = None
    phone: Annotated[str, Field(pattern=r"^[0-9+() -]{1,40}$")] | None = None
    is_default: bool = False


class AddressBody(Body):
    """Where an invoice on paper goes."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)

    recipient: Name
    address: Annotated[Text, Field(min_length=1)]
    phone: Annotated[str, Field(pattern=r"^[0-9+() -]{1,40}$")] | None = None
    postal_code: Annotated[str, Field(pattern=r"^[0-9A-Za-z -]{1,20}$")] | None = None
    is_default: bool = False


class InvoicingBody(Body):
    """Everything that an account's invoices need; without a default title the first one counts."""

    model_config = ConfigDict(extra="forbid", from_attributes=True, json_schema_extra={"examples": [EXAMPLE]})

    titles: Annotated[list[TitleBody], Field(max_length=TITLES_MAX, default_factory=list)]
    addresses: Annotated[list[AddressBody], Field(max_length=ADDRESSES_MAX, default_factory=list)]
    email: Annotated[EmailStr, AfterValidator(str)] | None = None

    def invoicing(self) -> Invoicing:
        return Invoicing(
            titles=tuple(Title(**each.model_dump()) for each in self.titles),
            addresses=tuple(Address(**each.model_dump()) for each in self.addresses),
            email=self.email,
        )


class InvoicingView(BaseModel):
    """What counts now: the account's own values, or those of the management account that it copies."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "account": "A-1001",
                    "version": 2,
                    "status": "own",
                    "copied_from": None,
                    "title": None,
                    **EXAMPLE,
                }
            ]
        }
    )

    account: str
    version: int
    status: Literal["none", "own", "copied"]
    copied_from: str | None
    title: TitleBody | None = Field(description="The default title, else the first.")
    titles: list[TitleBody]
    addresses: list[AddressBody]
    email: str | None


class Members(Body):
    """Member accounts whose invoices the management account manages."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"accounts": ["A-1001", "A-1002"]}]}
    )

    accounts: Accounts


class MembersInvoicing(Members):
    """The same invoicing for many members."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"accounts": ["A-1001"], "invoicing": EXAMPLE}]}
    )

    invoicing: InvoicingBody


@router.get("/accounts/{account}/invoicing", policy=READ, summary="An account's invoicing")
async def invoicing(account: Id, reader: Reader) -> InvoicingView:
    """What counts now."""
    return _view((await invoicing_rows.standing(reader, [account]))[account])


@router.put("/accounts/{account}/invoicing", policy=OWN, summary="Set an account's own invoicing")
async def set_invoicing(account: Id, body: InvoicingBody, work: Work, access: CurrentAccess) -> InvoicingView:
    """Refused while the account copies its management account."""
    related = await relationship_rows.locked_financial(work.connection, [account])
    await invoicing_rows.lock(work.connection, [account])
    standing = (await invoicing_rows.standing(work.connection, [account]))[account]
    try:
        require_own(standing)
        wanted = checked(body.invoicing())
    except InvoicingError as refused:
        raise _problem(refused) from None
    if wanted != standing.invoicing:
        by = access.principal.subject
        await invoicing_rows.save(work.connection, {account: wanted}, work.now, by)
        side: Side = "administrator" if access.accounts is None else "member"
        await _tell_status(work, list(related.values()), side, by)
    return _view((await invoicing_rows.standing(work.connection, [account]))[account])


@router.get(
    "/accounts/{account}/members/invoicing", policy=MANAGE, summary="The invoicing of members that allow it"
)
async def members_invoicing(
    account: Id,
    page: Page,
    reader: Reader,
    member: Annotated[list[Id], Query(max_length=500, description="Without any: all of them.")] = [],  # noqa: B006
) -> CursorPage[InvoicingView]:
    """By account; members that have not accepted that their invoices are managed are left out."""
    after = page.after(str)
    found = await invoicing_rows.managed_members(
        reader, account, after[0] if after else "", page.rows, member
    )
    kept, following = page.page(found, lambda each: (each,))
    standing = await invoicing_rows.standing(reader, kept)
    return CursorPage(items=[_view(standing[each]) for each in kept], next=following)


@router.post(
    "/accounts/{account}/members/invoicing", policy=MANAGE, summary="Set the invoicing of many members"
)
async def set_members_invoicing(
    account: Id, body: MembersInvoicing, work: Work, access: CurrentAccess
) -> list[InvoicingView]:
    """All of them or none; each must allow it, and none may copy."""
    related = await _managed(work, account, body.accounts)
    standing = await invoicing_rows.standing(work.connection, body.accounts)
    try:
        for at, member in enumerate(body.accounts):
            require_own(standing[member], f"accounts[{at}]")
        wanted = checked(body.invoicing.invoicing())
    except InvoicingError as refused:
        raise _problem(refused) from None
    changed = {each: wanted for each in sorted(body.accounts) if standing[each].invoicing != wanted}
    await invoicing_rows.save(work.connection, changed, work.now, access.principal.subject)
    await _tell_status(work, [related[each] for each in changed], _side(access), access.principal.subject)
    return await _views(work, body.accounts)


@router.post(
    "/accounts/{account}/members/invoicing/copies",
    policy=MANAGE,
    summary="Let many members copy the management account's invoicing",
)
async def start_copies(account: Id, body: Members, work: Work, access: CurrentAccess) -> list[InvoicingView]:
    """From now on theirs is the management account's, follows its changes, and is read-only."""
    related = await _managed(work, account, [*body.accounts], beside=account)
    standing = await invoicing_rows.standing(work.connection, [account, *body.accounts])
    copied = await invoicing_rows.copiers(work.connection, body.accounts)
    try:
        require_own(standing[account])
        for at, member in enumerate(body.accounts):
            if standing[member].copied_from != account:
                require_own(standing[member], f"accounts[{at}]")
            _require_uncopied(member, copied, at)
    except InvoicingError as refused:
        raise _problem(refused) from None
    fresh = [each for each in sorted(body.accounts) if standing[each].copied_from is None]
    links = {each: (account, related[each].relationship_id) for each in fresh}
    values = {each: standing[each].invoicing for each in fresh}
    await invoicing_rows.save(work.connection, values, work.now, access.principal.subject, links)
    await _tell_status(work, [related[each] for each in fresh], _side(access), access.principal.subject)
    return await _views(work, body.accounts)


def _require_uncopied(member: str, copied: set[str], at: int) -> None:
    if member in copied:
        raise InvoicingError(
            "invoicing-is-copied", f"accounts[{at}]", f"{member} is copied by members of its own"
        )


@router.post(
    "/accounts/{account}/members/invoicing/copies/end",
    policy=MANAGE,
    summary="Let members copy no more",
)
async def end_copies(account: Id, body: Members, work: Work, access: CurrentAccess) -> list[InvoicingView]:
    """The copied values stay as the members' own and can be edited."""
    related = await _managed(work, account, body.accounts)
    standing = await invoicing_rows.standing(work.connection, body.accounts)
    copying = [each for each in sorted(body.accounts) if standing[each].copied_from == account]
    await invoicing_rows.end_copies(work.connection, copying, work.now, access.principal.subject)
    await _tell_status(work, [related[each] for each in copying], _side(access), access.principal.subject)
    return await _views(work, body.accounts)


class VersionView(BaseModel):
    """One version of an account's own values, with whom it copied then."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "version": 2,
                    "copied_from": None,
                    "changed_at": "2026-03-10T08:05:00Z",
                    "changed_by": "wang.hz",
                    "invoicing": EXAMPLE,
                }
            ]
        }
    )

    version: int
    copied_from: str | None
    changed_at: datetime
    changed_by: str
    invoicing: InvoicingBody


@router.get(
    "/accounts/{account}/invoicing/history", policy=READ, summary="Every version of an account's invoicing"
)
async def invoicing_history(account: Id, page: Page, reader: Reader) -> CursorPage[VersionView]:
    """Newest first."""
    after = page.after(int)
    found = await invoicing_rows.history_before(reader, account, after[0] if after else None, page.rows)
    kept, following = page.page(found, lambda each: (each["version"],))
    items = [VersionView.model_validate(each, from_attributes=True) for each in kept]
    return CursorPage(items=items, next=following)


async def _managed(
    work: UnitOfWork, account: str, members: Sequence[str], beside: str | None = None
) -> dict[str, Relationship]:
    """The members' relationships and invoicing, locked; refuses a member that has not allowed it."""
    related = await relationship_rows.locked_financial(work.connection, members, account)
    try:
        require_managed(members, related)
    except InvoicingError as refused:
        raise _problem(refused) from None
    await invoicing_rows.lock(work.connection, {*members, *([beside] if beside else [])})
    return related


def _side(access: CurrentAccess) -> Side:
    return "administrator" if access.accounts is None else "management"


async def _tell_status(work: UnitOfWork, related: Sequence[Relationship], side: Side, by: str) -> None:
    """Tells where the invoicing of these members comes from now, where that has changed."""
    standing = await invoicing_rows.standing(work.connection, [each.member_account for each in related])
    changes = [
        Change(relationship=after, step="invoicing-changed", side=side, changed_by=by)
        for each in related
        if (
            after := relationship_rules.set_invoice_status(
                each, standing[each.member_account].status, work.now
            )
        )
        is not each
    ]
    await relationship_rows.update_many(work.connection, changes)
    for change in changes:
        work.emit(relationship_rules.relationship_changed(change.relationship))
    work.count("invoicing", "changed")


async def _views(work: UnitOfWork, accounts: Sequence[str]) -> list[InvoicingView]:
    standing = await invoicing_rows.standing(work.connection, accounts)
    return [_view(standing[each]) for each in accounts]


def _view(standing: StandingInvoicing) -> InvoicingView:
    held = standing.invoicing
    return InvoicingView(
        account=standing.account,
        version=standing.version,
        status=standing.status,
        copied_from=standing.copied_from,
        title=TitleBody.model_validate(held.title) if held.title else None,
        titles=[TitleBody.model_validate(each) for each in held.titles],
        addresses=[AddressBody.model_validate(each) for each in held.addresses],
        email=held.email,
    )


def _problem(refused: InvoicingError) -> Problem:
    found = [FieldError(field=refused.field, message=refused.message)]
    if refused.reason in ("invoicing-copied", "invoicing-is-copied"):
        return Problem.conflict(refused.reason, f"{refused}.", errors=found)
    if refused.reason == "invoices-not-managed":
        return Problem(403, refused.reason, detail=f"{refused}.", errors=found)
    return Problem.invalid(found, type=refused.reason)
