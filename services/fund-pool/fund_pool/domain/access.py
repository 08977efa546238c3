"""Which accounts a management account may look into."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

VIEW_FINANCIAL_INFORMATION = "view-financial-information"


@dataclass(frozen=True, slots=True)
class Relationship:
    """A relationship as its newest version tells it; `permissions` are the accepted ones.

    `frozen_by` is the request that is about to end it: nothing new is allocated until its outcome is told.
    """

    relationship_id: str
    version: int
    kind: str
    management_account: str
    member_account: str
    state: str
    permissions: frozenset[str]
    display_name: str
    frozen_by: str | None = None

    @property
    def shows_finances(self) -> bool:
        return self.state == "active" and VIEW_FINANCIAL_INFORMATION in self.permissions


def may_see(relationships: Iterable[Relationship], own: Collection[str], account: str) -> bool:
    """Whether one of the principal's own accounts manages `account` and may see its finances."""
    return any(
        relationship.shows_finances
        and relationship.member_account == account
        and relationship.management_account in own
        for relationship in relationships
    )


def alert_accounts(relationships: Iterable[Relationship], own: Collection[str]) -> frozenset[str]:
    """The accounts whose alerts these accounts may set: members they see into, and themselves if unmanaged."""
    known = list(relationships)
    managed = {one.member_account for one in known if one.state == "active"}
    seen = {one.member_account for one in known if one.shows_finances and one.management_account in own}
    return frozenset(seen | (set(own) - managed))
