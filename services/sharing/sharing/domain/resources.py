"""Resources as billing systems tell them: the newest version counts, owner and type stay."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldResource:
    """One version of a resource."""

    resource: str
    version: int
    owner: str
    resource_type: str
    name: str
    valid_from: datetime
    valid_until: datetime | None = None
    quantity: str | None = None
    unit: str | None = None


class ResourceError(Exception):
    """Why a resource cannot be kept as told: `reason` is stable, `field` offends, `message` completes it."""

    def __init__(self, reason: str, field: str, message: str) -> None:
        self.reason = reason
        self.field = field
        self.message = message
        super().__init__(f"{field} {message}")


def require_known(told: ToldResource, types: Collection[str], accounts: Collection[str]) -> None:
    """Errors: ResourceError, for a type or an owner that nobody knows, or an end before the start."""
    if told.resource_type not in types:
        raise ResourceError(
            "unknown-resource-type", "resource_type", f"{told.resource_type} is not known here"
        )
    if told.owner not in accounts:
        raise ResourceError("unknown-account", "owner", f"{told.owner} is not an account that is known here")
    if told.valid_until is not None and told.valid_until <= told.valid_from:
        raise ResourceError("end-before-start", "valid_until", "must be after valid_from")


def is_newer(told: ToldResource, known: Mapping[str, ToldResource]) -> bool:
    """Whether this version replaces the known one.

    Errors: ResourceError, when another owner or type is told for it.
    """
    standing = known.get(told.resource)
    if standing is None:
        return True
    if standing.owner != told.owner:
        raise ResourceError("owner-changed", "owner", f"is {standing.owner}; a resource keeps its owner")
    if standing.resource_type != told.resource_type:
        raise ResourceError(
            "resource-type-changed",
            "resource_type",
            f"is {standing.resource_type}; a resource keeps its type",
        )
    return told.version > standing.version
