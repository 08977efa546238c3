"""Which side of a relationship a caller acts for."""

from collections.abc import Collection, Sequence

from chassis.http import Access, NotFound, Problem

from sharing.domain.relationships import Relationship, Side


def acting_side(access: Access, relationship: Relationship, sides: Sequence[Side]) -> Side:
    """The first of `sides` that the caller's accounts are.

    Errors: NotFound for a caller of neither side, Problem 403 `not-your-side` for one of the other side.
    """
    accounts = access.accounts
    if accounts is None:
        return "administrator"
    own = _own_sides(relationship, accounts)
    if not own:
        raise NotFound
    for side in sides:
        if side in own:
            return side
    raise Problem.forbidden(f"This is for the {sides[0]} account of the relationship.", type="not-your-side")


def _own_sides(relationship: Relationship, accounts: Collection[str]) -> list[Side]:
    parties: list[tuple[Side, str]] = [
        ("management", relationship.management_account),
        ("member", relationship.member_account),
    ]
    return [side for side, party in parties if party in accounts]
