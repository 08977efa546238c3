"""Relationships between a management and a member account, and the permissions in them (seed 000).

A management account invites with a list of permissions; the member answers permission by permission; either
side asks to end it, and it ends when nothing stands against it. Each function returns the relationship after
the step, or the same one when nothing changes.
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
EndOutcome = Literal["ended", "refused", "withdrawn", "timed-out"]
Step = Literal[
    "invited",
    "accepted",
    "refused",
    "declined",
    "ended",
    "renamed",
    "end-requested",
    "end-refused",
    "end-withdrawn",
    "end-timed-out",
    "invoicing-changed",
]
InvoiceStatus = Literal["none", "own", "copied"]

LIVE: Final = frozenset({"invited", "active"})
INVOICES: Final[PermissionName] = "manage-invoices"
END_STEPS: Final[dict[EndOutcome, Step]] = {
    "ended": "ended",
    "refused": "end-refused",
    "withdrawn": "end-withdrawn",
    "timed-out": "end-timed-out",
}


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
    ending: str | None = None
    """The request to end it that is under way."""

    @property
    def is_live(self) -> bool:
        return self.state in LIVE

    @property
    def manages_invoices(self) -> bool:
        """Whether the management account may set the member's invoicing."""
        return self.state == "active" and INVOICES in self.accepted

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


class EndRequested(RelationshipError):
    """A request to end the relationship is under way."""

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        super().__init__(
            "A request to end the relationship is under way; wait for its outcome, or withdraw it."
        )


class NotEnding(RelationshipError):
    """No request to end the relationship is under way."""

    def __init__(self) -> None:
        super().__init__("No request to end the relationship is under way.")


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
    """Either side takes an invitation back or lets it go; at once, because nothing rests on it yet.

    Errors: RelationshipOver when it was declined, AlreadyAccepted when it is to be asked for instead.
    """
    if standing.state == "ended":
        return standing
    _require_live(standing)
    if standing.state == "active":
        raise AlreadyAccepted
    return _changed(standing, replace(standing, state="ended"), now)


def request_end(standing: Relationship, request_id: str, now: datetime) -> Relationship:
    """Either side asks to end an accepted relationship; it goes on until fund-pool and credit have answered.

    Errors: RelationshipOver, EndRequested.
    """
    _require_live(standing)
    if standing.ending is not None:
        raise EndRequested(standing.ending)
    return _changed(standing, replace(standing, ending=request_id), now)


def settle_end(standing: Relationship, outcome: EndOutcome, now: datetime) -> Relationship:
    """What becomes of the request to end that is under way.

    Errors: NotEnding.
    """
    if standing.ending is None:
        raise NotEnding
    state: State = "ended" if outcome == "ended" else standing.state
    return _changed(standing, replace(standing, state=state, ending=None), now)


def set_invoice_status(standing: Relationship, status: InvoiceStatus, now: datetime) -> Relationship:
    """Says anew where the member's invoicing comes from."""
    return _changed(standing, replace(standing, invoice_status=status), now)


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
    """The next version, never dated before the one it follows; the standing one when nothing differs.

    Copied invoicing ends with the permission for it: the values then stay as the member's own.
    """
    if after == standing:
        return standing
    if after.invoice_status == "copied" and not after.manages_invoices:
        after = replace(after, invoice_status="own")
    return replace(after, version=standing.version + 1, changed_at=max(now, standing.changed_at))


def relationship_changed(
    relationship: Relationship, request_id: str | None = None, outcome: EndOutcome | None = None
) -> RelationshipChanged:
    """The event that tells the full state, and what became of a request to end."""
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
        request_id=request_id,
        end_outcome=outcome,
        changed_at=relationship.changed_at,
    )
