"""One step of a relationship: by whom it may be taken, and what a refused one answers."""

from collections.abc import Callable, Sequence

from chassis.http import Access, FieldError, NotFound, Problem

from chassis import UnitOfWork
from sharing.api.parties import acting_side
from sharing.api.problems import limit_problem
from sharing.domain.bound import SharingLimitReached
from sharing.domain.relationships import (
    AlreadyAccepted,
    Change,
    EndRequested,
    NotEnding,
    PermissionNotOffered,
    Relationship,
    RelationshipError,
    RelationshipOver,
    Side,
)
from sharing.following import store_step
from sharing.repository import relationships as relationship_rows

CONFLICTS: dict[type[RelationshipError], str] = {
    RelationshipOver: "relationship-over",
    AlreadyAccepted: "relationship-accepted",
    EndRequested: "end-requested",
    NotEnding: "not-ending",
}


async def standing_for(
    work: UnitOfWork, access: Access, relationship_id: str, sides: Sequence[Side]
) -> tuple[Relationship, Side]:
    """The relationship, locked, and the side of it for which the caller acts."""
    standing = await relationship_rows.locked(work.connection, relationship_id)
    if standing is None:
        raise NotFound
    return standing, acting_side(access, standing, sides)


def decided(decide: Callable[[Relationship], Relationship], standing: Relationship) -> Relationship:
    """The relationship after a step; a refused step is a problem."""
    try:
        return decide(standing)
    except PermissionNotOffered as refused:
        errors = [
            FieldError(field=f"permissions[{at}]", message="was not offered") for at in refused.positions
        ]
        raise Problem(422, "permission-not-offered", detail=str(refused), errors=errors) from None
    except RelationshipError as refused:
        raise Problem.conflict(CONFLICTS[type(refused)], str(refused)) from None


async def stored(work: UnitOfWork, standing: Relationship, change: Change) -> None:
    """Stores a step and what follows from it; new trustees may find no place left of a type."""
    try:
        await store_step(work, standing, change)
    except SharingLimitReached as refused:
        raise limit_problem(refused) from None
