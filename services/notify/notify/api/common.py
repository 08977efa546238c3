"""What the routes share: roles, the form of bodies, and parameters."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

OPERATORS: Final = frozenset({"operator"})
MASTER_DATA: Final = frozenset({"order-system"})
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
