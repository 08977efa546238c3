"""Refused changes of what is shared, said with the fields that are wrong."""

from collections.abc import Collection
from typing import Any

from chassis.http import FieldError, Problem
from pydantic import BaseModel

from sharing.api.sharing_models import SetGroups, ShareWithGroups
from sharing.domain import errors
from sharing.domain.bound import ACCOUNTS_PER_TYPE_MAX, SharingLimitReached
from sharing.domain.dated import WantedBinding
from sharing.domain.errors import SharingError


def problem(wanted: BaseModel, refused: SharingError) -> Problem:
    """A refused change, said with its fields."""

    def fields(names: Collection[str], message: str) -> list[FieldError]:
        return [FieldError(field=field_of(wanted, name), message=message) for name in names]

    match refused:
        case errors.NotTrustees():
            found = fields(refused.accounts, "is not under your finance trusteeship")
            return Problem(422, "not-under-trusteeship", detail=str(refused), errors=found)
        case errors.NotYours():
            found = fields(refused.resources, "is not a resource of yours")
            return Problem(422, "not-your-resource", detail=str(refused), errors=found)
        case errors.InAnotherGroup():
            found = fields([refused.account], "is in another group")
            return Problem.conflict("in-another-group", str(refused), errors=found)
        case errors.EndNotAfterStart():
            found = [
                FieldError(field=f"{_place(wanted, refused.wanted)}.end", message="must be after the start")
            ]
            return Problem(422, "end-before-start", detail=str(refused), errors=found)
        case errors.StartsInThePast():
            found = [FieldError(field=f"{_place(wanted, refused.wanted)}.start", message="must not be past")]
            return Problem(422, "start-in-the-past", detail=str(refused), errors=found)
        case errors.Overlapping():
            found = [FieldError(field=_place(wanted, refused.wanted), message="overlaps another range")]
            return Problem.conflict("overlapping", str(refused), errors=found)
        case SharingLimitReached():
            return limit_problem(refused)
    raise refused


def limit_problem(refused: SharingLimitReached) -> Problem:
    extensions = {
        "resource_type": refused.resource_type,
        "accounts": refused.accounts,
        "limit": ACCOUNTS_PER_TYPE_MAX,
    }
    return Problem(409, "sharing-limit-reached", detail=str(refused), extensions=extensions)


def _place(wanted: BaseModel, binding: WantedBinding) -> str:
    """Where a change asks for a sharing; the last place, where it does so twice."""
    match wanted:
        case ShareWithGroups() | SetGroups():
            asked = wanted.wanted()
            at = max(place for place, each in enumerate(asked) if each == binding)
            return f"change.{'bindings' if isinstance(wanted, ShareWithGroups) else 'groups'}[{at}]"
    return "change"


def field_of(wanted: BaseModel, name: str) -> str:
    """Where a change names an account, a resource or a group."""
    found = _paths(wanted.model_dump(mode="json"), "change")
    return next((path for path, value in found if value == name), "change")


def _paths(value: Any, path: str) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [each for key, inner in value.items() for each in _paths(inner, f"{path}.{key}")]
    if isinstance(value, list):
        return [each for at, inner in enumerate(value) for each in _paths(inner, f"{path}[{at}]")]
    return [(path, value)]
