"""Finds the profiles that an order or a document hits, and what it amounts to in each."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

from contracts.money import decimals
from contracts.order import Order

from credit.domain.customers import Customer
from credit.domain.documents import Parties, order_parties
from credit.domain.matching import (
    MATERIAL_OBJECTS,
    NO_ORGANISATIONS,
    OBJECTS,
    SCOPES,
    ObjectKey,
    Organisations,
    line_objects,
    party_objects,
)
from credit.domain.profiles import Profile

Number = int | Fraction
Rates = Mapping[tuple[str, str], Fraction]
"""The rate of the day, by currency from and to."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known beside orders and profiles in one transaction; `no_profile` is the outcome without any."""

    organisations: Organisations = NO_ORGANISATIONS
    rates: Rates = field(default_factory=dict)
    scopes: Collection[str] = SCOPES
    objects: Collection[str] = OBJECTS
    no_profile: str = "declined"


class Directory:
    """The profiles of one transaction by what they control."""

    def __init__(
        self, profiles: Iterable[Profile], customers: Mapping[str, Customer], facts: Facts, now: datetime
    ) -> None:
        self.customers = customers
        self.facts = facts
        self.now = now
        self._by_object: dict[ObjectKey, list[Profile]] = defaultdict(list)
        self._has_materials = False
        for profile in profiles:
            if profile.scope not in facts.scopes or profile.object_type not in facts.objects:
                continue
            self._by_object[profile.object_key].append(profile)
            self._has_materials |= profile.object_type in MATERIAL_OBJECTS

    def day(self, sales_organisation: str | None) -> date:
        """Today, where a sales organisation is."""
        zone = self.facts.organisations.time_zones.get(sales_organisation or "")
        return self.now.astimezone(ZoneInfo(zone) if zone else UTC).date()

    def of_order(self, order: Order) -> dict[str, int]:
        """What an order amounts to in each profile that it hits, before conversion, by profile id."""
        total = order.total.minor
        parties = order_parties(order)
        amounts: dict[str, int] = {
            profile.profile_id: total for profile in self.of_parties(parties, order.currency)
        }
        if self._has_materials:
            for line in order.lines:
                for profile in self.of_line(parties, line.material, line.material_group, order.currency):
                    amounts[profile.profile_id] = amounts.get(profile.profile_id, 0) + line.amount.minor
        return amounts

    def of_parties(self, parties: Parties, currency: str) -> list[Profile]:
        """The profiles that all of a document counts in."""
        customer = self.customers.get(parties.customer)
        groups = customer.groups if customer is not None else ()
        found: list[Profile] = []
        for key in party_objects(parties, groups):
            if key in self._by_object:
                found += self._in_scope(key, parties, currency)
        return found

    def of_line(
        self, parties: Parties, material: str | None, material_group: str | None, currency: str
    ) -> list[Profile]:
        """The profiles that one line counts in beside them."""
        found: list[Profile] = []
        for key in line_objects(parties.customer, material, material_group):
            if key in self._by_object:
                found += self._in_scope(key, parties, currency)
        return found

    def _in_scope(self, key: ObjectKey, parties: Parties, currency: str) -> list[Profile]:
        """Of one object in each scope: its profile in the currency, else those in other currencies."""
        holds = self.facts.organisations.holds
        found = [
            profile
            for profile in self._by_object[key]
            if holds(profile.scope, profile.scope_id, parties.sales_organisation)
        ]
        own = {(profile.scope, profile.scope_id) for profile in found if profile.currency == currency}
        return [
            profile
            for profile in found
            if profile.currency == currency or (profile.scope, profile.scope_id) not in own
        ]

    def rate(self, currency: str, profile: Profile) -> Fraction | None:
        """Minor units of the profile per minor unit of a currency today; None = no rate is known."""
        if currency == profile.currency:
            return Fraction(1)
        rate = self.facts.rates.get((currency, profile.currency))
        if rate is None:
            return None
        return rate * Fraction(10) ** (decimals(profile.currency) - decimals(currency))


def rounded(value: Number) -> int:
    """Half up, away from zero."""
    if isinstance(value, int):
        return value
    doubled = 2 * abs(value.numerator) + value.denominator
    whole = doubled // (2 * value.denominator)
    return whole if value >= 0 else -whole
