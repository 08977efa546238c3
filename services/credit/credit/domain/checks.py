"""The check of one order against every profile that it hits."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from contracts.credit_checked import CreditOutcome, MetricResult
from contracts.money import MINOR_UNITS_MAX, Money, SignedMoney, decimal_string
from contracts.order import Order, Reason

from credit.domain import orders
from credit.domain.customers import Customer
from credit.domain.occupancy import Amounts, Occupancy
from credit.domain.profiles import UNLIMITED, Enforcement, Profile, Rule

Result = Literal["passed", "warned", "waived", "held", "rejected"]
Held = frozenset[tuple[str, str]]
"""(profile id, metric) pairs that special approval may waive."""

NOTHING_HELD: Final[Held] = frozenset()
AMOUNTS_KEPT_MAX: Final = 4096
RESULT_OF: Final[dict[Enforcement, Result]] = {
    "warn": "warned",
    "special-approval": "held",
    "reject": "rejected",
}
SEVERITY: Final[dict[Result, int]] = {"passed": 0, "waived": 1, "warned": 2, "held": 3, "rejected": 4}
OUTCOME_OF: Final[tuple[CreditOutcome, ...]] = (
    "approved",
    "approved",
    "warned",
    "pending-approval",
    "declined",
)
"""By severity: the most severe metric wins."""


class Permit(NamedTuple):
    """Why a profile lets what it has used rise, and the credit limit that this was measured by."""

    why: str
    limit: int | None


UNCONTROLLED: Final = Permit("not-controlled", None)


@dataclass(slots=True)
class Verdict:
    """What a check found; `amounts` is what the order occupies by it, `permits` what allowed that, per profile."""

    outcome: CreditOutcome
    reasons: list[Reason] = field(default_factory=list)
    metrics: list[MetricResult] = field(default_factory=list)
    amounts: Amounts = field(default_factory=dict)
    permits: dict[str, Permit] = field(default_factory=dict)

    @property
    def passes(self) -> bool:
        return self.outcome in ("approved", "warned")

    @property
    def held(self) -> Held:
        """The metrics that wait for special approval."""
        return held_metrics(self.metrics)


def held_metrics(metrics: Sequence[MetricResult]) -> Held:
    """The metrics of a check that were held, and so may be waived."""
    return frozenset((metric.profile_id, metric.metric) for metric in metrics if metric.result == "held")


def declined(code: str, text: str) -> Verdict:
    """A refusal for one reason."""
    return Verdict("declined", [Reason(code=code, text=text)])


def check(
    order: Order,
    customer: Customer | None,
    profiles: Sequence[Profile],
    occupancy: Occupancy,
    waivable: Held = NOTHING_HELD,
) -> Verdict:
    """Checks a whole order: that it adds up, whom it concerns, and every metric of every profile.

    `occupancy` is what the order itself occupies already; it is never part of `used`. A metric in `waivable`
    whose enforcement is still special approval is waived when it fails.
    """
    found = orders.faults(order)
    if found:
        return Verdict("declined", found)
    if customer is None:
        return declined(
            "unknown-customer", f"Customer {order.customer} is not known; send its master data first."
        )
    if not customer.active:
        return declined(
            "inactive-customer", f"Customer {order.customer} is retired; orders need an active customer."
        )
    if not customer.credit_managed:
        text = f"Customer {order.customer} is not credit managed: nothing is checked and nothing is occupied."
        return Verdict("approved", [Reason(code="not-credit-managed", text=text)])
    if not profiles:
        return _without_profile(order, customer)
    return _measure(order, profiles, occupancy, waivable)


def _without_profile(order: Order, customer: Customer) -> Verdict:
    if customer.has_profile:
        return declined(
            "no-exchange-rate",
            f"Customer {order.customer} has no credit profile in {order.currency} and there is no rate to another "
            f"currency; a profile in {order.currency} would be right.",
        )
    return declined(
        "no-profile",
        f"Customer {order.customer} is credit managed but has no credit profile; one in {order.currency} would do.",
    )


def _measure(order: Order, profiles: Sequence[Profile], occupancy: Occupancy, waivable: Held) -> Verdict:
    amount = order.total.minor
    verdict = Verdict("approved")
    worst = 0
    for profile in profiles:
        own = occupancy.occupied(profile.profile_id)
        delta = amount - own if amount > own else 0
        if profile.used + delta > MINOR_UNITS_MAX:
            return _overflow(profile, delta)
        verdict.amounts[profile.profile_id] = amount
        verdict.permits[profile.profile_id] = UNCONTROLLED
        for rule in profile.rules:
            severity = SEVERITY[_apply(rule, profile, amount, delta, waivable, verdict)]
            worst = max(worst, severity)
    verdict.outcome = OUTCOME_OF[worst]
    return verdict


def _apply(rule: Rule, profile: Profile, amount: int, delta: int, waivable: Held, verdict: Verdict) -> Result:
    """Adds one metric to the verdict; returns its result."""
    result = _result(rule, profile, amount, delta, waivable)
    if rule.metric == "credit-limit":
        verdict.permits[profile.profile_id] = _permit(rule, result)
    verdict.metrics.append(_wire(rule, profile, amount, delta, result))
    if result != "passed":
        verdict.reasons.append(_reason(rule, profile, amount, delta, result))
    return result


def _result(rule: Rule, profile: Profile, amount: int, delta: int, waivable: Held) -> Result:
    if _passes(rule, profile, amount, delta):
        return "passed"
    result = RESULT_OF[rule.enforcement]
    if result == "held" and (profile.profile_id, rule.metric) in waivable:
        return "waived"
    return result


def _passes(rule: Rule, profile: Profile, amount: int, delta: int) -> bool:
    """Equal passes, and so does what does not raise the exposure."""
    limit = rule.limit
    if limit is None or limit == UNLIMITED:
        return True
    if rule.metric == "credit-limit":
        return delta == 0 or profile.used + delta <= limit
    return amount <= limit


def _permit(rule: Rule, result: Result) -> Permit:
    if rule.limit is None:
        return UNCONTROLLED
    if rule.limit == UNLIMITED:
        return Permit(UNLIMITED, None)
    return Permit("within-limit" if result == "passed" else result, rule.limit)


def _wire(rule: Rule, profile: Profile, amount: int, delta: int, result: Result) -> MetricResult:
    is_credit_limit = rule.metric == "credit-limit"
    currency = profile.currency
    return MetricResult(
        profile_id=profile.profile_id,
        scope=profile.scope,
        scope_id=profile.scope_id,
        object_type=profile.object_type,
        object_id=profile.object_id,
        metric=rule.metric,
        enforcement=rule.enforcement,
        limit=_limit(rule.limit, currency) if isinstance(rule.limit, int) else rule.limit,
        used=_signed(profile.used if is_credit_limit else 0, currency),
        delta=_signed(delta if is_credit_limit else amount, currency),
        result=result,
    )


@lru_cache(maxsize=AMOUNTS_KEPT_MAX)
def _limit(minor: int, currency: str) -> Money:
    return Money.of(minor, currency)


@lru_cache(maxsize=AMOUNTS_KEPT_MAX)
def _signed(minor: int, currency: str) -> SignedMoney:
    """Made once for the metrics that tell the same amount, which most do."""
    return SignedMoney.of(minor, currency)


CONSEQUENCE: Final[dict[Result, str]] = {
    "passed": "",
    "warned": " It passes with this warning.",
    "waived": " Special approval waives this.",
    "held": " It waits for special approval.",
    "rejected": "",
}


def _reason(rule: Rule, profile: Profile, amount: int, delta: int, result: Result) -> Reason:
    assert isinstance(rule.limit, int), "only a limit in numbers can fail"
    owner = f"{profile.object_type} {profile.object_id}"
    if rule.metric == "credit-limit":
        text = (
            f"The credit limit of {owner} is {_money(rule.limit, profile)}, of which {_money(profile.used, profile)} "
            f"are used; this order adds {_money(delta, profile)}, and at most "
            f"{_money(max(rule.limit - profile.used, 0), profile)} would pass."
        )
    else:
        text = (
            f"The single-document limit of {owner} is {_money(rule.limit, profile)}, which is the most that would "
            f"pass; this order amounts to {_money(amount, profile)}."
        )
    return Reason(code=f"{rule.metric}-exceeded", text=text + CONSEQUENCE[result])


def _money(minor: int, profile: Profile) -> str:
    return f"{decimal_string(minor, profile.currency)} {profile.currency}"


def _overflow(profile: Profile, delta: int) -> Verdict:
    return declined(
        "amount-too-large",
        f"{_money(delta, profile)} more would pass the largest amount that can be kept for "
        f"{profile.object_type} {profile.object_id}; used are {_money(profile.used, profile)}.",
    )
