"""How many accounts a management account may share a resource type with (seed 000: 100).

An account takes a place of a type when its settings let it use resources of the type, now or at a scheduled
time: it accepts a type that is shared, or something of the type is shared with its group and has not ended. That
the group confines it, or that no such resource is valid just now, frees no place: both can end by themselves,
and the bound must hold then too. So no fact from outside can ever break it.
"""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from sharing.domain.errors import SharingError
from sharing.domain.sharing import Sharing, holding

ACCOUNTS_PER_TYPE_MAX: Final = 100


class SharingLimitReached(SharingError):
    """A change would let more accounts use a resource type than may."""

    def __init__(self, resource_type: str, accounts: int) -> None:
        self.resource_type = resource_type
        self.accounts = accounts
        super().__init__(
            f"{accounts} accounts could use resources of type {resource_type};"
            f" at most {ACCOUNTS_PER_TYPE_MAX} may, and nothing has been changed."
        )


def places(sharing: Sharing, at: datetime) -> Mapping[str, set[str]]:
    """The accounts that take a place of each resource type."""
    trustees = {account for account, facts in sharing.trusteeships.items() if holding(facts, at)}
    shared = {name for name, facts in sharing.shared_types.items() if holding(facts, at)}
    taken: dict[str, set[str]] = defaultdict(set)
    for (account, name), facts in sharing.accepted_types.items():
        if name in shared and account in trustees and holding(facts, at):
            taken[name].add(account)
    types = _types_of_groups(sharing, at)
    for account in trustees:
        membership = holding(sharing.memberships.get(account, ()), at)
        if membership is not None:
            for name in types.get(membership.group, ()):
                taken[name].add(account)
    return taken


def _types_of_groups(sharing: Sharing, at: datetime) -> Mapping[str, set[str]]:
    """The resource types that each group has or will have."""
    types: dict[str, set[str]] = defaultdict(set)
    for group, bindings in sharing.bindings_of_group.items():
        for binding in bindings:
            if binding.span.reaches(at) and binding.resource in sharing.resources:
                types[group].add(sharing.resources[binding.resource][-1].resource_type)
    return types


def require_places(before: Sharing, after: Sharing, at: datetime) -> None:
    """Errors: SharingLimitReached, when the change adds an account to a type that has no place left."""
    held = places(before, at)
    for name, accounts in sorted(places(after, at).items()):
        if len(accounts) > ACCOUNTS_PER_TYPE_MAX and accounts - held.get(name, set()):
            raise SharingLimitReached(name, len(accounts))
