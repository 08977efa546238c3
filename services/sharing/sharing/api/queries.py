"""Relationships to look at: now, at a past moment, and change by change."""

from datetime import datetime
from typing import Annotated, Final, Literal

from chassis.http import LOADED, Access, CurrentAccess, CursorPage, NotFound, Page, Policy, Reader, Router
from contracts.text import Id
from fastapi import Query
from sqlalchemy.ext.asyncio import AsyncConnection

from sharing.api.models import AsOf, ChangeView, Relationship, RelationshipId, change_view, view
from sharing.api.parties import acting_side
from sharing.domain import relationships as domain
from sharing.domain.relationships import Kind, State
from sharing.repository import relationships as relationship_rows
from sharing.repository.relationships import RelationshipFilter

router = Router(tags=["relationships"])

READ: Final = Policy("relationship:read", roles=(), account=LOADED)
LIST: Final = Policy("relationship:read", roles=(), account="account")


@router.get("/relationships/{relationship_id}", policy=READ, summary="One relationship")
async def relationship(
    relationship_id: RelationshipId, reader: Reader, access: CurrentAccess, as_of: AsOf = None
) -> Relationship:
    """The full state now or at a past moment."""
    return view(await _seen(reader, access, relationship_id, as_of))


@router.get("/relationships/{relationship_id}/history", policy=READ, summary="Every change of a relationship")
async def relationship_history(
    relationship_id: RelationshipId, page: Page, reader: Reader, access: CurrentAccess
) -> CursorPage[ChangeView]:
    """Who changed what and when, oldest first."""
    await _seen(reader, access, relationship_id, None)
    after = page.after(int)
    found = await relationship_rows.history_after(
        reader, relationship_id, after[0] if after else 0, page.rows
    )
    changes, following = page.page(found, lambda change: (change.relationship.version,))
    return CursorPage(items=[change_view(change) for change in changes], next=following)


async def _seen(
    reader: AsyncConnection, access: Access, relationship_id: str, as_of: datetime | None
) -> domain.Relationship:
    """The relationship, if the caller's account is a party of it."""
    found = await relationship_rows.by_id(reader, relationship_id, as_of)
    if found is None:
        raise NotFound
    acting_side(access, found, ("management", "member"))
    return found


@router.get(
    "/accounts/{account}/relationships",
    policy=LIST,
    summary="Relationships of an account",
)
async def relationships(
    account: Id,
    page: Page,
    reader: Reader,
    side: Annotated[Literal["management", "member"] | None, Query(description="Without it: both.")] = None,
    kind: Annotated[Kind | None, Query()] = None,
    state: Annotated[State | None, Query()] = None,
    as_of: AsOf = None,
) -> CursorPage[Relationship]:
    """Oldest first, now or at a past moment."""
    chosen = RelationshipFilter(account=account, side=side, kind=kind, state=state)
    after = page.after(str)
    found = await relationship_rows.of_account_after(
        reader, chosen, as_of, after[0] if after else "", page.rows
    )
    shown, following = page.page(found, lambda each: (each.relationship_id,))
    return CursorPage(items=[view(each) for each in shown], next=following)
