"""Who may use a resource at a moment, and why (seed 000, Resource sharing).

Decided in this order: the owner may; only a management account shares, and only with accounts under its finance
trusteeship; a resource shared with user groups is for their members alone; an account whose group has any
resource may use nothing else; what is left goes by the type shared and the type accepted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from sharing.domain.dated import Binding, Fact, Membership, Resource, Trusteeship
from sharing.domain.sharing import Sharing, all_holding, holding

Reason = Literal[
    "owner",
    "shared-with-group",
    "shared-with-account",
    "unknown-resource",
    "resource-not-started",
    "resource-ended",
    "owned-by-another-member",
    "not-under-trusteeship",
    "reserved-for-another-group",
    "confined-to-its-group",
    "type-not-shared",
    "type-not-accepted",
]

ALLOWED: Final = frozenset({"owner", "shared-with-group", "shared-with-account"})


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether an account may use a resource, the reason, and the facts that led to it."""

    reason: Reason
    because: tuple[Fact, ...] = ()

    @property
    def allowed(self) -> bool:
        return self.reason in ALLOWED


def can_use(sharing: Sharing, account: str, resource: str, at: datetime) -> Decision:
    """Decides about a resource of `sharing.owner`; the settings are those that hold at `at`."""
    versions = sharing.resources.get(resource, ())
    known = holding(versions, at)
    if known is None:
        return Decision("unknown-resource")
    if not known.valid.holds(at):
        return Decision("resource-not-started" if at < known.valid.start else "resource-ended", (known,))
    if account == sharing.owner:
        return Decision("owner", (known,))
    trusteeship = holding(sharing.trusteeships.get(account, ()), at)
    if trusteeship is None:
        return _not_a_trustee(sharing, at)
    return _among_trustees(sharing, trusteeship, known, at)


def _among_trustees(sharing: Sharing, trusteeship: Trusteeship, known: Resource, at: datetime) -> Decision:
    """Groups first, then types."""
    account = trusteeship.account
    membership = holding(sharing.memberships.get(account, ()), at)
    bindings = all_holding(sharing.bindings.get(known.resource, ()), at)
    if bindings:
        return _bound(trusteeship, membership, bindings)
    if membership is not None and any(span.holds(at) for span in sharing.confined(membership.group)):
        confining = next(each for each in sharing.live_bindings(membership.group) if each.span.holds(at))
        return Decision("confined-to-its-group", (membership, confining))
    shared = holding(sharing.shared_types.get(known.resource_type, ()), at)
    if shared is None:
        return Decision("type-not-shared")
    accepted = holding(sharing.accepted_types.get((account, known.resource_type), ()), at)
    if accepted is None:
        return Decision("type-not-accepted", (shared,))
    return Decision("shared-with-account", (trusteeship, shared, accepted))


def _bound(trusteeship: Trusteeship, membership: Membership | None, bindings: Sequence[Binding]) -> Decision:
    for binding in bindings:
        if membership is not None and membership.group == binding.group:
            return Decision("shared-with-group", (trusteeship, membership, binding))
    return Decision("reserved-for-another-group", tuple(bindings))


def _not_a_trustee(sharing: Sharing, at: datetime) -> Decision:
    above = holding(sharing.over_owner, at)
    if above is not None:
        return Decision("owned-by-another-member", (above,))
    return Decision("not-under-trusteeship")
