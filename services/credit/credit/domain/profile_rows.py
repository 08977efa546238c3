"""Profiles as rows of a table: what people send back after they have looked at it in a spreadsheet."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, cast, get_args

from contracts.money import TooManyDecimals, UnknownCurrency, decimal_string, minor_units

from credit.domain.profiles import UNLIMITED, Enforcement, Limit

SCOPES: Final = ("group", "legal", "business")
OBJECT_TYPES: Final = (
    "customer",
    "customer-group",
    "customer-material",
    "customer-material-group",
    "salesperson",
    "sales-group",
    "sales-department",
    "sales-organisation",
)
PLACE: Final = ("scope", "scope_id", "object_type", "object_id", "currency")
SETTINGS: Final = (
    "credit_limit",
    "credit_limit_enforcement",
    "single_document_limit",
    "single_document_limit_enforcement",
)
DIGITS_MAX: Final = 15


class RowRefused(ValueError):
    """A row that cannot be taken; the message says which cell and what would be right."""


class Place(NamedTuple):
    """Where a profile stands: one per place."""

    scope: str
    scope_id: str
    object_type: str
    object_id: str
    currency: str


@dataclass(frozen=True, slots=True)
class ProfileRow:
    """What a row says of the profile at its place."""

    place: Place
    credit_limit: Limit
    credit_limit_enforcement: Enforcement
    single_document_limit: Limit
    single_document_limit_enforcement: Enforcement

    @property
    def settings(self) -> tuple[Limit, Enforcement, Limit, Enforcement]:
        return (
            self.credit_limit,
            self.credit_limit_enforcement,
            self.single_document_limit,
            self.single_document_limit_enforcement,
        )


def read_row(cells: Mapping[str, str]) -> ProfileRow:
    """A row from its cells; an empty limit is not controlled, an empty enforcement rejects; raises RowRefused."""
    place = _place(cells)
    return ProfileRow(
        place,
        read_limit("credit_limit", cells["credit_limit"], place.currency),
        _enforcement("credit_limit_enforcement", cells),
        read_limit("single_document_limit", cells.get("single_document_limit", ""), place.currency),
        _enforcement("single_document_limit_enforcement", cells),
    )


def _place(cells: Mapping[str, str]) -> Place:
    place = Place(*(cells[name].strip() for name in PLACE))
    for name, value in zip(PLACE, place, strict=True):
        if not value or len(value) > 128 or any(character.isspace() for character in value):
            raise RowRefused(f"{name} is {value[:40]!r}; one word of at most 128 characters would be right")
    for name, value, known in (
        ("scope", place.scope, SCOPES),
        ("object_type", place.object_type, OBJECT_TYPES),
    ):
        if value not in known:
            raise RowRefused(f"{name} is {value}; one of {', '.join(known)} would be right")
    if (place.scope == "group") != (place.scope_id == "*"):
        raise RowRefused(f"scope_id is {place.scope_id}; the group's is *, and only the group's")
    return place


def read_limit(name: str, text: str, currency: str) -> Limit:
    """A limit as people write it: empty = not controlled, `unlimited`, or an amount of the currency."""
    if text in ("", UNLIMITED):
        return None if text == "" else UNLIMITED
    plain = text.replace(",", "")
    if not plain.isascii() or not plain.replace(".", "", 1).isdigit() or len(plain) > DIGITS_MAX:
        raise RowRefused(f"{name} is {text[:40]!r}; an amount, `{UNLIMITED}` or nothing would be right")
    whole, _, fraction = plain.partition(".")
    try:
        return minor_units(f"{whole or '0'}.{fraction}" if fraction else whole or "0", currency)
    except (UnknownCurrency, TooManyDecimals) as error:
        raise RowRefused(f"{name}: {error}") from None


def _enforcement(name: str, cells: Mapping[str, str]) -> Enforcement:
    value = cells.get(name, "") or "reject"
    if value not in get_args(Enforcement):
        raise RowRefused(f"{name} is {value[:40]}; one of {', '.join(get_args(Enforcement))} would be right")
    return cast(Enforcement, value)


def limit_text(limit: Limit, currency: str) -> str | None:
    """A limit as people write it."""
    return decimal_string(limit, currency) if isinstance(limit, int) else limit
