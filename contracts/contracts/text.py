"""Bounded text, ids and codes: what every string on the wire must be."""

from functools import cache
from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AfterValidator, StringConstraints

from contracts.money import decimals

NO_CONTROL = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"
ONE_LINE = r"^[^\x00-\x1f\x7f\u2028\u2029]*$"


class UnknownTimeZone(ValueError):
    """A time zone that the IANA database does not list."""

    def __init__(self, time_zone: str) -> None:
        self.time_zone = time_zone
        super().__init__(f"{time_zone!r} is not a time zone of the IANA database")


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _listed_time_zone(time_zone: str) -> str:
    if time_zone not in _time_zones():
        raise UnknownTimeZone(time_zone)
    return time_zone


def _listed_currency(currency: str) -> str:
    decimals(currency)
    return currency


Id = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[^\s\x00-\x1f\x7f]+$")]
Code = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
DocumentId = Annotated[str, StringConstraints(min_length=1, max_length=300, pattern=ONE_LINE)]
Text = Annotated[str, StringConstraints(max_length=2000, pattern=NO_CONTROL)]
LongText = Annotated[str, StringConstraints(max_length=20_000, pattern=NO_CONTROL)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=ONE_LINE)]
CurrencyCode = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$"), AfterValidator(_listed_currency)]
TimeZone = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_+\-]+(/[A-Za-z0-9_+\-]+)*$", max_length=64),
    AfterValidator(_listed_time_zone),
]
PositiveDecimal = Annotated[str, StringConstraints(pattern=r"^(0|[1-9][0-9]{0,11})(\.[0-9]{1,6})?$")]
