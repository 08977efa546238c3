"""Invitations and answers."""

import os
from collections.abc import Callable, Sequence
from typing import Final

from chassis.http import LOADED, Access, CurrentAccess, FieldError, Policy, Problem, Router, Work
from fastapi import Response

from chassis import UnitOfWork
from sharing.api.models import Answer, Invitation, Relationship, RelationshipId, Renaming, view
from sharing.api.steps import decided, standing_for, stored
from sharing.domain import ids
from sharing.domain import relationships as domain
from sharing.domain.relationships import Change, Side, Step
from sharing.repository import accounts as account_rows
from sharing.repository import relationships as relationship_rows

router = Router(tags=["relationships"])

INVITE: Final = Policy("relationship:invite", roles=(), account=LOADED)
ANSWER: Final = Policy("relationship:answer", roles=(), account=LOADED)
RENAME: Final = Policy("relationship:rename", roles=(), account=LOADED)


@router.post("/relationships", policy=INVITE, status_code=201, summary="Invite a member account")
async def invite(body: Invitation, work: Work, access: CurrentAccess, response: Response) -> Relationship:
    """Offers permissions to a member; repeating an invitation that stands answers 200 and changes nothing."""
    await access.require(body.management_account)
    own_name = await _member_name(work, body)
    invited = domain.invite(
        relationship_id=ids.uuid7(work.now, os.urandom(ids.RANDOM_BYTES)),
        kind=body.kind,
        management_account=body.management_account,
        member_account=body.member_account,
        permissions=body.permissions,
        display_name=body.display_name or own_name,
        now=work.now,
    )
    side: Side = "administrator" if access.accounts is None else "management"
    change = Change(relationship=invited, step="invited", side=side, changed_by=access.principal.subject)
    if await relationship_rows.insert(work.connection, change):
        work.emit(domain.relationship_changed(invited))
        work.count("relationship", change.step)
        return view(invited)
    response.status_code = 200
    return view(await _repeated(work, body))


async def _member_name(work: UnitOfWork, body: Invitation) -> str:
    """The member's own name; refuses accounts that are not known or retired, and an account with itself."""
    if body.member_account == body.management_account:
        errors = [
            FieldError(field="member_account", message="must be another account than the management account")
        ]
        raise Problem.invalid(errors, type="same-account")
    parties = {"management_account": body.management_account, "member_account": body.member_account}
    known = await account_rows.accounts_by_id(work.connection, parties.values())
    unknown = [field for field, party in parties.items() if party not in known or not known[party].active]
    if unknown:
        errors = [
            FieldError(field=field, message="is not an account that is known here") for field in unknown
        ]
        raise Problem.invalid(errors, type="unknown-account")
    return known[body.member_account].name


async def _repeated(work: UnitOfWork, body: Invitation) -> domain.Relationship:
    """The live relationship that this invitation repeats; refuses one with other terms or of somebody else."""
    standing = await relationship_rows.live(work.connection, body.member_account, body.kind)
    if standing is not None and domain.repeats(
        standing,
        management_account=body.management_account,
        permissions=body.permissions,
        display_name=body.display_name,
    ):
        return standing
    own = standing is not None and standing.management_account == body.management_account
    raise Problem.conflict(
        "already-linked",
        "You have invited this account with other terms; end that relationship first."
        if own
        else "The member account has a management account for this kind of relationship already.",
        errors=[FieldError(field="member_account", message="is in a relationship of this kind")],
    )


@router.post(
    "/relationships/{relationship_id}/accept",
    policy=ANSWER,
    summary="Accept the relationship with some permissions",
)
async def accept(
    relationship_id: RelationshipId, body: Answer, work: Work, access: CurrentAccess
) -> Relationship:
    """For the member account; call it again to accept further permissions."""

    def decide(standing: domain.Relationship) -> domain.Relationship:
        return domain.accept(standing, body.permissions, work.now)

    return await _apply(work, access, relationship_id, "accepted", ("member",), decide)


@router.post(
    "/relationships/{relationship_id}/refuse",
    policy=ANSWER,
    summary="Refuse permissions, or take an acceptance back",
)
async def refuse(
    relationship_id: RelationshipId, body: Answer, work: Work, access: CurrentAccess
) -> Relationship:
    """For the member account; the relationship itself goes on."""

    def decide(standing: domain.Relationship) -> domain.Relationship:
        return domain.refuse(standing, body.permissions, work.now)

    return await _apply(work, access, relationship_id, "refused", ("member",), decide)


@router.post(
    "/relationships/{relationship_id}/decline",
    policy=ANSWER,
    summary="Decline the whole invitation",
)
async def decline(relationship_id: RelationshipId, work: Work, access: CurrentAccess) -> Relationship:
    """For the member account."""
    return await _apply(
        work,
        access,
        relationship_id,
        "declined",
        ("member",),
        lambda standing: domain.decline(standing, work.now),
    )


@router.put(
    "/relationships/{relationship_id}/display-name",
    policy=RENAME,
    summary="Call the member by another name",
)
async def rename(
    relationship_id: RelationshipId, body: Renaming, work: Work, access: CurrentAccess
) -> Relationship:
    """For the management account."""
    return await _apply(
        work,
        access,
        relationship_id,
        "renamed",
        ("management",),
        lambda standing: domain.rename(standing, body.display_name, work.now),
    )


async def _apply(
    work: UnitOfWork,
    access: Access,
    relationship_id: str,
    step: Step,
    sides: Sequence[Side],
    decide: Callable[[domain.Relationship], domain.Relationship],
) -> Relationship:
    """One step of a locked relationship by one of the sides that may take it; a repeat changes nothing."""
    standing, side = await standing_for(work, access, relationship_id, sides)
    after = decided(decide, standing)
    if after is not standing:
        change = Change(relationship=after, step=step, side=side, changed_by=access.principal.subject)
        await stored(work, standing, change)
    return view(after)
