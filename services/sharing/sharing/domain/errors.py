"""Why what is shared cannot change as asked."""

from collections.abc import Sequence
from datetime import datetime

from sharing.domain.dated import Span, WantedBinding


class SharingError(Exception):
    """Base of the reasons why what is shared cannot change as asked."""


class NotTrustees(SharingError):
    """Accounts that are not under finance trusteeship of the management account."""

    def __init__(self, accounts: Sequence[str]) -> None:
        self.accounts = tuple(accounts)
        super().__init__(f"{_listed(accounts)} is not under your finance trusteeship; sharing needs it.")


class NotYours(SharingError):
    """Resources that another account owns, or that nobody knows."""

    def __init__(self, resources: Sequence[str]) -> None:
        self.resources = tuple(resources)
        super().__init__(f"{_listed(resources)} is not a resource of yours; only its owner shares it.")


class InAnotherGroup(SharingError):
    """An account is in one group at a time."""

    def __init__(self, account: str, group: str) -> None:
        self.account = account
        self.group = group
        super().__init__(f"{account} is in group {group}; an account is in one group at a time.")


class EndNotAfterStart(SharingError):
    """A range that ends before or when it starts."""

    def __init__(self, wanted: WantedBinding, start: datetime, end: datetime) -> None:
        self.wanted = wanted
        super().__init__(
            f"The sharing of {wanted.resource} would end at {end.isoformat()}, which is not after its start"
            f" {start.isoformat()}."
        )


class StartsInThePast(SharingError):
    """A range that starts before the moment of the change."""

    def __init__(self, wanted: WantedBinding, start: datetime, now: datetime) -> None:
        self.wanted = wanted
        super().__init__(
            f"The sharing of {wanted.resource} would start at {start.isoformat()}, before now"
            f" ({now.isoformat()})."
        )


class Overlapping(SharingError):
    """The resource is shared with the group during a part of that time already."""

    def __init__(self, wanted: WantedBinding, span: Span) -> None:
        self.wanted, self.span = wanted, span
        until = "without an end" if span.end is None else f"until {span.end.isoformat()}"
        super().__init__(
            f"{wanted.resource} is shared with group {wanted.group} from {span.start.isoformat()} {until} already;"
            " ranges of one resource and group do not overlap."
        )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
