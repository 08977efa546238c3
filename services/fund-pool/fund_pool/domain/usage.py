"""Usage rules: what the fund accounts of a type may pay for a business organisation, and how."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final, Literal

from contracts.order import Order

from fund_pool.domain.deduction import DeductionOrder

Purpose = Literal["order-payment", "final-payment"]
PURPOSES: Final[tuple[Purpose, ...]] = ("order-payment", "final-payment")
BASIS_POINTS: Final = 10_000


@dataclass(frozen=True, slots=True)
class UsageRule:
    """One rule; unique while it is valid per (business organisation, currency, account type).

    Without materials and material groups it covers every line. With a lead time, an order that is to be
    delivered so many days after its date pays `first_payment` basis points first. With `hold_hours` money is
    set aside for so long instead of taken.
    """

    version: int
    business_organisation: str
    currency: str
    account_type: str
    purposes: frozenset[str] = frozenset(PURPOSES)
    materials: frozenset[str] = field(default_factory=frozenset)
    material_groups: frozenset[str] = field(default_factory=frozenset)
    lead_time_days: int | None = None
    first_payment: int = BASIS_POINTS
    hold_hours: int | None = None
    valid_from: date | None = None
    valid_until: date | None = None

    def is_valid(self, day: date) -> bool:
        begun = self.valid_from is None or self.valid_from <= day
        return begun and (self.valid_until is None or day <= self.valid_until)

    def overlaps(self, other: "UsageRule") -> bool:
        """Whether there is a day on which both are valid."""
        starts = max(self.valid_from or date.min, other.valid_from or date.min)
        return starts <= min(self.valid_until or date.max, other.valid_until or date.max)

    def covers(self, material: str, material_group: str | None) -> bool:
        if not self.materials and not self.material_groups:
            return True
        return material in self.materials or material_group in self.material_groups


@dataclass(frozen=True, slots=True)
class UsagePolicy:
    """The rules that are valid for one order, by account type; none at all lets every account type pay."""

    version: int = 0
    by_type: Mapping[str, UsageRule] = field(default_factory=dict)

    def rule(self, account_type: str) -> UsageRule | None:
        return self.by_type.get(account_type)

    def forbids(self, account_type: str, purpose: Purpose) -> bool:
        """Whether there are rules and none of them lets this account type pay for this purpose."""
        rule = self.by_type.get(account_type)
        return bool(self.by_type) and (rule is None or purpose not in rule.purposes)


UNRESTRICTED: Final = UsagePolicy()
Rules = Mapping[tuple[str, str], Sequence[UsageRule]]


def policy_for(rules: Rules, business_organisation: str, currency: str, day: date) -> UsagePolicy:
    """The rules of an organisation that are valid on a day in a currency."""
    valid = [rule for rule in rules.get((business_organisation, currency), ()) if rule.is_valid(day)]
    if not valid:
        return UNRESTRICTED
    return UsagePolicy(max(rule.version for rule in valid), {rule.account_type: rule for rule in valid})


def first_payment(order: Order, policy: UsagePolicy, deduction: DeductionOrder) -> int:
    """The basis points of an order that are paid first: those of the first rule whose lead time it keeps.

    The first in deduction order; 10,000 where the order is to be delivered sooner, or no rule has a lead time.
    """
    if order.requested_delivery_date is None:
        return BASIS_POINTS
    days = order.requested_delivery_date - order.order_date
    for code in deduction.account_types:
        rule = policy.rule(code)
        if rule is not None and rule.lead_time_days is not None and "order-payment" in rule.purposes:
            return rule.first_payment if days >= timedelta(days=rule.lead_time_days) else BASIS_POINTS
    return BASIS_POINTS


def split(amounts: Sequence[int], basis_points: int) -> list[int]:
    """A part of each amount, half up in all, spread by largest remainder so that nothing is lost to rounding."""
    total = sum(amounts)
    wanted = (2 * total * basis_points + BASIS_POINTS) // (2 * BASIS_POINTS)
    parts = [amount * basis_points // BASIS_POINTS for amount in amounts]
    remainders = [(-(amount * basis_points % BASIS_POINTS), at) for at, amount in enumerate(amounts)]
    for _, at in sorted(remainders)[: wanted - sum(parts)]:
        parts[at] += 1
    return parts


def conflicting(rule: UsageRule, others: Iterable[UsageRule]) -> UsageRule | None:
    """Another rule of the same key that is valid at the same time."""
    key = (rule.business_organisation, rule.currency, rule.account_type)
    for other in others:
        same = (other.business_organisation, other.currency, other.account_type) == key
        if same and other.overlaps(rule):
            return other
    return None
