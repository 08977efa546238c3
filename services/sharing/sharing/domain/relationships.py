"""Relationships between a management and a member account, and the permissions in them (seed 000).

A management account invites with a list of permissions; the member answers permission by permission; either
side ends it. Each function returns the relationship after the step, or the same one when nothing changes.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal

from contracts.relationship_changed import Permission, PermissionName

from contracts import RelationshipChanged

Kind = Literal["financial", "trusteeship"]
State = Literal["invited", "active", "declined", "ended"]
Side = Literal["management", "member", "administrator"]
Step = Literal["invited", "accepted", "refused", "declined", "ended", "renamed"]
InvoiceStatus = Literal["none", "own", "copied"]

LIVE: Final = frozenset({"invited", "active"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Relationship:
    """The whole state after change number `version`; `accepted` and `refused` are parts of `offered`."""

    relationship_id: str
    version: int
    kind: Kind
    management_account: str
    member_account: str
    state: State
    offered: tuple[PermissionName, ...]
    accepted: frozenset[PermissionName]
    refused: frozenset[PermissionName]
    display_name: str
    invoice_status: InvoiceStatus
    changed_at: datetime

    @property
    def is_live(self) -> bool:
        return self.state in LIVE

    @property
    def permissions(self) -> list[Permission]:
        """Every permission offered, in the order of the offer, with the member's answer."""
        return [Permission(name=name, state=self._answer(name)) for name in self.offered]

    def _answer(self, name: PermissionName) -> Literal["offered", "accepted", "refused"]:
        if name in self.accepted:
            return "accepted"
        return "refused" if name in self.refused else "offered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One step of a relationship's history: the relationship after it, what was done, by whom and for whom."""

    relationship: Relationship
    step: Step
    side: Side
    changed_by: str


class RelationshipError(Exception):
    """Base of the reasons why a relationship cannot change as asked."""


class RelationshipOver(RelationshipError):
    """A relationship that was declined or has ended does not change any more."""

    def __init__(self, state: State) -> None:
        self.state = state
        super().__init__(
            f"The relationship is {state} and does not change any more; a new invitation starts afresh."
        )


class PermissionNotOffered(RelationshipError):
    """The member answered permissions that the management account has not asked for."""

    def __init__(self, names: Sequence[PermissionName], positions: Sequence[int]) -> None:
        self.names = tuple(names)
        self.positions = tuple(positions)
        super().__init__(f"{', '.join(names)} was not offered in this relationship.")


class AlreadyAccepted(RelationshipError):
    """A relationship that was accepted can be ended, but no longer declined."""

    def __init__(self) -> None:
        super().__init__("The relationship has been accepted; end it instead of declining it.")


def invite(
    *,
    relationship_id: str,
    kind: Kind,
    management_account: str,
    member_account: str,
    permissions: Sequence[PermissionName],
    display_name: str,
    now: datetime,
) -> Relationship:
    """An invitation: everything is offered, nothing is accepted."""
    return Relationship(
        relationship_id=relationship_id,
        version=1,
        kind=kind,
        management_account=management_account,
        member_account=member_account,
        state="invited",
        offered=tuple(permissions),
        accepted=frozenset(),
        refused=frozenset(),
        display_name=display_name,
        invoice_status="none",
        changed_at=now,
    )


def repeats(
    standing: Relationship,
    *,
    management_account: str,
    permissions: Collection[PermissionName],
    display_name: str | None,
) -> bool:
    """Whether an invitation asks for what stands: same parties, same offer, and the same name if it gives one."""
    return (
        standing.management_account == management_account
        and frozenset(standing.offered) == frozenset(permissions)
        and display_name in (None, standing.display_name)
    )


def accept(standing: Relationship, permissions: Sequence[PermissionName], now: datetime) -> Relationship:
    """The member accepts the relationship with these permissions, besides those accepted before.

    Errors: RelationshipOver, PermissionNotOffered.
    """
    _require_live(standing)
    _require_offered(standing, permissions)
    named = frozenset(permissions)
    after = replace(
        standing,
        state="active",
        accepted=standing.accepted | named,
        refused=standing.refused - named,
    )
    return _changed(standing, after, now)


def refuse(standing: Relationship, permissions: Sequence[PermissionName], now: datetime) -> Relationship:
    """The member refuses these permissions, or takes back that it accepted them; the relationship goes on.

    Errors: RelationshipOver, PermissionNotOffered.
    """
    _require_live(standing)
    _require_offered(standing, permissions)
    named = frozenset(permissions)
    after = replace(standing, accepted=standing.accepted - named, refused=standing.refused | named)
    return _changed(standing, after, now)


def decline(standing: Relationship, now: datetime) -> Relationship:
    """The member declines the whole invitation.

    Errors: RelationshipOver when it has ended, AlreadyAccepted when it was accepted.
    """
    if standing.state == "declined":
        return standing
    _require_live(standing)
    if standing.state == "active":
        raise AlreadyAccepted
    return _changed(standing, replace(standing, state="declined"), now)


def end(standing: Relationship, now: datetime) -> Relationship:
    """Either side ends the relationship, or the management account takes its invitation back; at once.

    Errors: RelationshipOver when it was declined.
    """
    if standing.state == "ended":
        return standing
    _require_live(standing)
    return _changed(standing, replace(standing, state="ended"), now)


def rename(standing: Relationship, display_name: str, now: datetime) -> Relationship:
    """The management account calls the member by another name.

    Errors: RelationshipOver.
    """
    _require_live(standing)
    return _changed(standing, replace(standing, display_name=display_name), now)


def _require_live(standing: Relationship) -> None:
    if not standing.is_live:
        raise RelationshipOver(standing.state)


def _require_offered(standing: Relationship, permissions: Sequence[PermissionName]) -> None:
    positions = [at for at, name in enumerate(permissions) if name not in standing.offered]
    if positions:
        raise PermissionNotOffered([permissions[at] for at in positions], positions)


def _changed(standing: Relationship, after: Relationship, now: datetime) -> Relationship:
    """The next version, never dated before the one it follows; the standing one when nothing differs."""
    if after == standing:
        return standing
    return replace(after, version=standing.version + 1, changed_at=max(now, standing.changed_at))


def relationship_changed(relationship: Relationship) -> RelationshipChanged:
    """The event that tells the full state."""
    return RelationshipChanged(
        relationship_id=relationship.relationship_id,
        relationship_version=relationship.version,
        kind=relationship.kind,
        management_account=relationship.management_account,
        member_account=relationship.member_account,
        state=relationship.state,
        permissions=relationship.permissions,
        display_name=relationship.display_name,
        invoice_status=relationship.invoice_status,
        changed_at=relationship.changed_at,
    )
