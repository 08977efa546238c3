"""What the routes share: roles, and the form of bodies."""

from typing import Final

from pydantic import BaseModel, ConfigDict

PLANNERS: Final = frozenset({"treasurer"})
READERS: Final = frozenset({"treasurer", "finance-maker", "finance-approver"})
MASTER_DATA: Final = frozenset({"order-system"})


class Body(BaseModel):
    """A request body: fields that are not known are refused."""

    model_config = ConfigDict(extra="forbid")
