"""Changes of what is shared: made by the management account, or by a member for itself; previewed first."""

import asyncio
import os
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

from chassis.http import CurrentAccess, CursorPage, FieldError, Page, Policy, Problem, Reader, Router, Work
from contracts.text import Id
from pydantic import BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis import UnitOfWork
from sharing.api.problems import field_of, problem
from sharing.api.sharing_models import (
    AcceptedTypesBody,
    AcceptTypes,
    Change,
    ChangeAnswer,
    ChangeBody,
    CreateGroup,
    DissolveGroup,
    PreviewAnswer,
    PreviewBody,
    Previewed,
    RenameGroup,
    ShareTypes,
    StoreResource,
    described,
    gain_view,
    groups_named,
)
from sharing.changing import Author, change_sharing, moment_after
from sharing.domain import ids
from sharing.domain.errors import SharingError
from sharing.domain.views import preview
from sharing.repository import resources as resource_rows
from sharing.repository import sharing as sharing_rows

router = Router(tags=["sharing"])

CHANGE: Final = Policy("sharing:change", roles=(), account="account")
ACCEPT: Final = Policy("sharing:accept", roles=(), account="account")
READ: Final = Policy("sharing:read", roles=(), account="account")
PREVIEW_MAX: Final = 500


@router.post("/accounts/{account}/sharing/changes", policy=CHANGE, summary="Change what an account shares")
async def change(account: Id, body: ChangeBody, work: Work, access: CurrentAccess) -> ChangeAnswer:
    """Takes effect at once; everybody who gains or loses something is told to the billing systems."""
    wanted = body.change
    if isinstance(wanted, CreateGroup):
        wanted._group_id = ids.uuid7(work.now, os.urandom(ids.RANDOM_BYTES))
    await _require_known(work.connection, account, wanted)
    author = Author(side=_side(access.accounts, "management"), name=access.principal.subject)
    decide = partial(_decided, wanted)
    changed = await change_sharing(
        work, account, decide, author, described(wanted), _preparation(work, account, wanted)
    )
    group = wanted._group_id if isinstance(wanted, CreateGroup) else None
    return ChangeAnswer(holds_from=changed.at, group=group)


def _side(accounts: frozenset[str] | None, side: str) -> str:
    return "administrator" if accounts is None else side


def _decided(wanted: Any, sharing: Any, at: datetime) -> Any:
    """What the change comes to; refused as a problem that says which field is wrong."""
    try:
        return wanted.decide(sharing, at)
    except SharingError as refused:
        raise problem(wanted, refused) from None


def _preparation(work: UnitOfWork, account: str, wanted: Change) -> Any:
    """What a change of a group does to the group itself."""
    match wanted:
        case CreateGroup():
            return partial(_create_group, work, account, wanted)
        case RenameGroup():
            return partial(_rename_group, work, account, wanted)
        case DissolveGroup():
            return partial(sharing_rows.dissolve_group, work.connection, wanted.group)
    return None


async def _create_group(work: UnitOfWork, account: str, wanted: CreateGroup, at: datetime) -> None:
    if not await sharing_rows.insert_group(work.connection, account, wanted._group_id, wanted.name, at):
        raise _name_taken(wanted.name)


async def _rename_group(work: UnitOfWork, account: str, wanted: RenameGroup, _: datetime) -> None:
    others = await sharing_rows.groups(work.connection, account)
    if any(each.name == wanted.name and each.group_id != wanted.group for each in others):
        raise _name_taken(wanted.name)
    await sharing_rows.rename_group(work.connection, wanted.group, wanted.name)


def _name_taken(name: str) -> Problem:
    errors = [FieldError(field="change.name", message="is the name of another group of yours")]
    return Problem.conflict("group-name-taken", f"You have a group {name} already.", errors=errors)


async def _require_known(connection: AsyncConnection, account: str, wanted: BaseModel) -> None:
    """Refuses groups of somebody else and resource types that nobody knows."""
    named = groups_named(wanted)
    if named:
        own = {each.group_id for each in await sharing_rows.groups(connection, account)}
        missing = sorted(set(named) - own)
        if missing:
            found = [
                FieldError(field=field_of(wanted, each), message="is not a group of yours")
                for each in missing
            ]
            raise Problem.invalid(found, type="unknown-group")
    if isinstance(wanted, ShareTypes | AcceptTypes):
        await _require_types(connection, wanted.types, "change.types")
    if isinstance(wanted, StoreResource):
        await _require_types(connection, [wanted.resource_type], "change.resource_type")


async def _require_types(connection: AsyncConnection, types: Sequence[str], field: str) -> None:
    known = {each.resource_type for each in await resource_rows.types(connection)}
    found = [
        FieldError(field=f"{field}[{at}]", message="is not a resource type that is known here")
        for at, each in enumerate(types)
        if each not in known
    ]
    if found:
        raise Problem.invalid(found, type="unknown-resource-type")


@router.post(
    "/accounts/{account}/sharing/previews", policy=CHANGE, summary="Who would gain and lose what by a change"
)
async def preview_change(account: Id, body: PreviewBody, work: Work) -> PreviewAnswer:
    """Changes nothing. A change that would be refused is refused here with the same words."""
    wanted = body.change
    await _require_known(work.connection, account, wanted)
    return await _previewed(work, account, wanted)


async def _previewed(work: UnitOfWork, account: str, wanted: Previewed) -> PreviewAnswer:
    sharer = (await sharing_rows.locked_sharers(work.connection, [account], work.now))[account]
    at = moment_after(sharer.told, work.now)
    before = await sharing_rows.sharing(work.connection, account, sharer.told.until)
    seen = await asyncio.to_thread(preview, before, _decided(wanted, before, at), at, PREVIEW_MAX)
    items = [gain_view(each) for each in seen.listed]
    return PreviewAnswer(gained=seen.gained, lost=seen.lost, complete=seen.is_complete, items=items)


@router.put(
    "/accounts/{account}/accepted-types",
    policy=ACCEPT,
    summary="What a member accepts of what is shared with it",
)
async def accept_types(
    account: Id, body: AcceptedTypesBody, work: Work, access: CurrentAccess
) -> ChangeAnswer:
    """For the member itself; the last one who sets it wins, be it the member or its management account."""
    manager, wanted = await _own_acceptance(work.connection, account, body)
    author = Author(side=_side(access.accounts, "member"), name=access.principal.subject)
    changed = await change_sharing(work, manager, partial(_decided, wanted), author, described(wanted))
    return ChangeAnswer(holds_from=changed.at)


@router.post(
    "/accounts/{account}/accepted-types/previews",
    policy=ACCEPT,
    summary="What a member would gain and lose by accepting these types",
)
async def preview_accepted_types(account: Id, body: AcceptedTypesBody, work: Work) -> PreviewAnswer:
    """Changes nothing."""
    manager, wanted = await _own_acceptance(work.connection, account, body)
    return await _previewed(work, manager, wanted)


async def _own_acceptance(
    connection: AsyncConnection, account: str, body: AcceptedTypesBody
) -> tuple[str, AcceptTypes]:
    """Under whom the account is, and its wish as a change of what that one shares."""
    await _require_types(connection, body.types, "types")
    manager = await sharing_rows.manager_of(connection, account)
    if manager is None:
        raise Problem.conflict(
            "not-under-trusteeship",
            "The account is under nobody's finance trusteeship; nothing is shared with it.",
        )
    return manager, AcceptTypes(change="accept-types", accounts=[account], types=body.types)


class ChangeRecordView(BaseModel):
    """One change of what is shared: what, when, and by whom."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "change_number": 3,
                    "changed_at": "2026-03-10T08:05:00Z",
                    "side": "management",
                    "changed_by": "wang.hz",
                    "change": {"change": "share-types", "types": ["reserved-instance"]},
                }
            ]
        }
    )

    change_number: int
    changed_at: datetime
    side: str
    changed_by: str
    change: dict[str, Any]


@router.get(
    "/accounts/{account}/sharing/changes", policy=READ, summary="Who changed what is shared, and when"
)
async def change_history(account: Id, page: Page, reader: Reader) -> CursorPage[ChangeRecordView]:
    """Newest first."""
    after = page.after(int)
    found = await sharing_rows.changes_before(reader, account, after[0] if after else None, page.rows)
    kept, following = page.page(found, lambda each: (each.change_number,))
    views = [ChangeRecordView.model_validate(each, from_attributes=True) for each in kept]
    return CursorPage(items=views, next=following)
