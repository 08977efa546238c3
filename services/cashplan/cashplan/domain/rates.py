"""Exchange rates of a round: one date, one rate per pair, half up to the minor unit."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated

from contracts.bounds import matching
from contracts.money import decimals, round_half_up
from contracts.text import CurrencyCode

from cashplan.domain.mappings import STRICT

RateText = Annotated[str, matching(r"^(0|[1-9][0-9]{0,7})(\.[0-9]{1,10})?$")]


class RateMissing(ValueError):
    """A round has no rate for a pair of currencies that it needs."""

    def __init__(self, currency: str, target: str) -> None:
        self.currency = currency
        self.target = target
        super().__init__(f"the round has no exchange rate from {currency} to {target}")


@dataclass(frozen=True, kw_only=True)
class Rate:
    """One unit of `currency` is worth `rate` units of `target`."""

    __pydantic_config__ = STRICT
    currency: CurrencyCode
    target: CurrencyCode
    rate: RateText


@dataclass(frozen=True)
class Rates:
    """The rates of one date; a pair is known by its own rate or by that of the other direction."""

    by_pair: Mapping[tuple[str, str], Decimal] = field(default_factory=dict)

    @classmethod
    def of(cls, rates: "list[Rate]") -> "Rates":
        known = {(rate.currency, rate.target): Decimal(rate.rate) for rate in rates}
        inverse = {
            (rate.target, rate.currency): 1 / Decimal(rate.rate) for rate in rates if Decimal(rate.rate) > 0
        }
        return cls({**inverse, **known})

    def rate(self, currency: str, target: str) -> Decimal:
        """Errors: RateMissing."""
        if currency == target:
            return Decimal(1)
        found = self.by_pair.get((currency, target))
        if found is None:
            raise RateMissing(currency, target)
        return found

    def converted(self, minor: int, currency: str, target: str) -> int:
        """Minor units of the target currency. Errors: RateMissing."""
        return (
            minor if currency == target else converted(minor, currency, target, self.rate(currency, target))
        )


def converted(minor: int, currency: str, target: str, rate: Decimal) -> int:
    """An amount at a rate: 100.00 USD at 7.1234 is 712.34 CNY."""
    return round_half_up(Decimal(minor).scaleb(-decimals(currency)) * rate, target)
