"""What the routes share: roles, the form of bodies, parameters, and the places that paths name."""

import re
from dataclasses import dataclass
from typing import Annotated, Any, Final

from chassis.http import HttpContext
from contracts.text import Id
from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

from notify.domain.places import COMPANY, entity_place, is_account, shown
from notify.settings import Settings

OPERATORS: Final = frozenset({"operator"})
MASTER_DATA: Final = frozenset({"order-system"})
STAFF: Final = frozenset(
    {
        "operator",
        "finance-maker",
        "finance-approver",
        "credit-manager",
        "credit-approver",
        "credit-scorer",
        "treasurer",
        "planner",
        "plan-administrator",
        "document-maker",
    }
)
"""Who may see the own to-dos; more than that needs an operator."""
PHONE_LIKE: Final = re.compile(r"[0-9]{10,}")


class Body(BaseModel):
    """A request body: fields that are not known are refused."""

    model_config = ConfigDict(extra="forbid")


def _opaque(person: str) -> str:
    if PHONE_LIKE.fullmatch(person):
        raise ValueError("must be an opaque id, not a phone number: it travels in events")
    return person


PersonId = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$", max_length=64),
    AfterValidator(_opaque),
]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the people of a path belong, and how it is said outside."""

    key: str

    @property
    def named(self) -> dict[str, str]:
        if self.key == COMPANY:
            return {}
        return {"account" if is_account(self.key) else "entity": shown(self.key)}


async def account_place(account: Id) -> Place:
    return Place(account)


async def entity_place_of(entity: Id) -> Place:
    return Place(entity_place(entity))


async def company_place() -> Place:
    return Place(COMPANY)


def settings_of(context: HttpContext) -> Settings:
    settings: Any = context.settings
    assert isinstance(settings, Settings)
    return settings
