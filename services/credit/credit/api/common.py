"""What the routes share: who may read, and the forms of amounts."""

from typing import Annotated, Final, Literal

from chassis.http import Problem
from chassis.sheets import SheetFormat
from contracts.money import Money, SignedMoney
from contracts.text import CurrencyCode, Id
from contracts.text import Text as PlainText
from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, StringConstraints

from credit.domain.profiles import Limit

EXPORT_ROWS_MAX: Final = 50_000
"""Of any list as a file."""
Format = Annotated[SheetFormat, Query()]
READERS: Final = frozenset(
    {"credit-manager", "credit-approver", "treasurer", "finance-maker", "finance-approver"}
)

IdPath = Annotated[Id, Path(description="The business id, as the ERP or the order system knows it.")]
CurrencyPath = Annotated[CurrencyCode, Path(description="An ISO 4217 code.", examples=["CNY"])]
Why = Annotated[PlainText, StringConstraints(min_length=1, max_length=1000, strip_whitespace=True)]


class Body(BaseModel):
    """A request's body: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


def wire_limit(limit: Limit, currency: str) -> Money | Literal["unlimited"] | None:
    """A limit as it is written: money, "unlimited", or null for a metric that is not controlled."""
    return Money.of(limit, currency) if isinstance(limit, int) else limit


def signed(minor: int, currency: str) -> SignedMoney:
    """An amount that may be below zero."""
    return SignedMoney.of(minor, currency)


def unknown(what: str, which: str) -> Problem:
    """404 for a thing that does not exist."""
    return Problem.not_found(f"There is no {what} {which}.")
