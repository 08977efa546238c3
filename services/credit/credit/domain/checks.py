"""The check of one order against every profile that it hits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from contracts.credit_checked import CreditOutcome, MetricResult
from contracts.money import MINOR_UNITS_MAX, Money, SignedMoney, decimal_string
from contracts.order import Order, Reason

from credit.domain import orders
from credit.domain.customers import Customer
from credit.domain.occupancy import Amounts, Occupancy
from credit.domain.profiles import DEFAULT_ENFORCEMENT, UNLIMITED, Enforcement, Overdue, Profile, Rule
from credit.domain.rules import Formula, FormulaFault, Metric, TypeRule

Result = Literal["passed", "warned", "waived", "held", "rejected"]
Held = frozenset[tuple[str, str]]
"""(profile id, metric) pairs that special approval may waive."""

CUSTOM: Final[Metric] = "custom-formula"
NOTHING_HELD: Final[Held] = frozenset()
AMOUNTS_KEPT_MAX: Final = 4096
RESULT_OF: Final[dict[Enforcement, Result]] = {
    "warn": "warned",
    "special-approval": "held",
    "reject": "rejected",
    "freeze": "rejected",
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
    freezes: list[tuple[Profile, str]] = field(default_factory=list)
    """The profiles that a failed metric freezes, and by which."""
    rates: Mapping[str, Fraction] = field(default_factory=dict)
    """By which a document in another currency counts in a profile."""

    @property
    def passes(self) -> bool:
        return self.outcome in ("approved", "warned", "not-checked-yet")

    @property
    def held(self) -> Held:
        """The metrics that wait for special approval."""
        return held_metrics(self.metrics)


def held_metrics(metrics: Sequence[MetricResult]) -> Held:
    """The metrics of a check that were held, and so may be waived."""
    return frozenset((metric.profile_id, metric.metric) for metric in metrics if metric.result == "held")


@dataclass(frozen=True, slots=True)
class Measure:
    """What a document amounts to in the profiles that it hits, by profile id, in their currencies.

    `missing` names profiles whose currency has no rate to the document's.
    """

    day: date
    amounts: Mapping[str, int] | None = None
    missing: Sequence[Profile] = ()
    document_type: str = "sales-order"
    sub_type: str | None = None
    is_audit: bool = False
    customer: str = ""
    rates: Mapping[str, Fraction] = field(default_factory=dict)


ANY_DAY: Final = Measure(date(2000, 1, 1))


def declined(code: str, text: str) -> Verdict:
    """A refusal for one reason."""
    return Verdict("declined", [Reason(code=code, text=text)])


def check(
    order: Order,
    customer: Customer | None,
    profiles: Sequence[Profile],
    occupancy: Occupancy,
    waivable: Held = NOTHING_HELD,
    measure: Measure = ANY_DAY,
    no_profile: str = "declined",
) -> Verdict:
    """Checks a whole order: that it adds up, whom it concerns, and every metric of every profile.

    `occupancy` is what the order itself occupies already; it is never part of `used`. A metric in `waivable`
    whose enforcement is still special approval is waived when it fails.
    """
    found = orders.faults(order)
    if found:
        return Verdict("declined", found)
    refused = refused_customer(order.customer, customer)
    if refused is not None:
        return refused
    assert customer is not None
    if not customer.credit_managed:
        text = f"Customer {order.customer} is not credit managed: nothing is checked and nothing is occupied."
        return Verdict("approved", [Reason(code="not-credit-managed", text=text)])
    if measure.missing:
        return without_rate(order.currency, measure.missing)
    if not profiles:
        return _without_profile(order, customer, no_profile)
    if not order.audited and not measure.is_audit:
        profiles = [
            profile for profile in profiles if profile.check_rule.of("sales-order").control_point == "submit"
        ]
        if not profiles:
            return Verdict("not-checked-yet")
    amounts = measure.amounts
    total = order.total.minor
    owned = {profile.profile_id: occupancy.occupied(profile.profile_id) for profile in profiles}
    wanted = {
        profile.profile_id: total if amounts is None else amounts.get(profile.profile_id, 0)
        for profile in profiles
    }
    deltas = {profile_id: max(amount - owned[profile_id], 0) for profile_id, amount in wanted.items()}
    return measured(profiles, wanted, deltas, measure, waivable)


def refused_customer(customer_id: str, customer: Customer | None) -> Verdict | None:
    """Why nothing can be checked for a customer, if it cannot."""
    if customer is None:
        return declined(
            "unknown-customer", f"Customer {customer_id} is not known; send its master data first."
        )
    if not customer.active:
        return declined(
            "inactive-customer", f"Customer {customer_id} is retired; orders need an active customer."
        )
    return None


def without_rate(currency: str, missing: Sequence[Profile]) -> Verdict:
    """No rate: refused, not guessed."""
    profile = missing[0]
    return declined(
        "no-exchange-rate",
        f"There is no rate from {currency} to {profile.currency}, the currency of the credit profile of "
        f"{profile.object_type} {profile.object_id}; a rate or a profile in {currency} would be right.",
    )


def _without_profile(order: Order, customer: Customer, no_profile: str) -> Verdict:
    text = f"Customer {order.customer} is credit managed but has no credit profile"
    reason = Reason(code="no-profile", text=f"{text}; one in {order.currency} would do.")
    if no_profile == "declined":
        return Verdict("declined", [reason])
    return Verdict("warned" if no_profile == "warned" else "approved", [reason])


def measured(
    profiles: Sequence[Profile],
    amounts: Mapping[str, int],
    deltas: Mapping[str, int],
    measure: Measure,
    waivable: Held = NOTHING_HELD,
) -> Verdict:
    """Every metric of every profile: `amounts` is the document's own, `deltas` what it adds to what is used."""
    verdict = Verdict("approved", rates=measure.rates)
    worst = 0
    for profile in profiles:
        amount, delta = amounts[profile.profile_id], deltas[profile.profile_id]
        if profile.used + delta > MINOR_UNITS_MAX:
            return _overflow(profile, delta)
        said = profile.check_rule.of(measure.document_type, measure.sub_type)
        verdict.amounts[profile.profile_id] = amount if said.occupies else 0
        verdict.permits[profile.profile_id] = UNCONTROLLED
        if profile.frozen and delta > 0:
            worst = max(worst, SEVERITY["rejected"])
            verdict.reasons.append(_frozen(profile, delta))
        for rule in profile.controlled(measure.document_type, measure.sub_type, measure.day):
            worst = max(worst, SEVERITY[_apply(rule, profile, amount, delta, waivable, verdict)])
        formula = profile.check_rule.passes
        if formula is not None and said.checked:
            values = _values(profile, amount, delta, measure)
            found = _apply_formula(formula, said, profile, values, waivable, verdict)
            worst = max(worst, SEVERITY[found])
    verdict.outcome = OUTCOME_OF[worst]
    return verdict


def _values(profile: Profile, amount: int, delta: int, measure: Measure) -> dict[str, int | str | bool]:
    """What a custom formula may speak of; amounts are minor units of the profile's currency."""
    limit = profile.credit_limit_on(measure.day)
    return {
        "amount": amount,
        "delta": delta,
        "used": profile.used,
        "limit": limit if isinstance(limit, int) else 0,
        "limited": isinstance(limit, int),
        "overdue": profile.overdue.overdue,
        "open_receivables": profile.overdue.open,
        "overdue_days": profile.overdue.days,
        "document_type": measure.document_type,
        "sub_type": measure.sub_type or "",
        "currency": profile.currency,
        "customer": measure.customer,
    }


def _apply_formula(
    formula: Formula,
    said: TypeRule,
    profile: Profile,
    values: Mapping[str, int | str | bool],
    waivable: Held,
    verdict: Verdict,
) -> Result:
    """Adds the custom formula to the verdict; one that gives no result fails, and says why."""
    fault = ""
    delta = int(values["delta"])
    try:
        passes = delta <= 0 or bool(formula.evaluate(values))
    except FormulaFault as error:
        passes, fault = False, f" {error}"
    enforcement = profile.terms.enforcement.get(CUSTOM) or said.enforcement.get(CUSTOM, DEFAULT_ENFORCEMENT)
    rule = Rule(CUSTOM, None, enforcement)
    result: Result = "passed" if passes else RESULT_OF[enforcement]
    if result == "held" and (profile.profile_id, CUSTOM) in waivable:
        result = "waived"
    verdict.metrics.append(_wire(rule, profile, int(values["amount"]), delta, result))
    if result != "passed":
        text = f"The formula {formula.source[:500]} is not true for {profile.object_type} {profile.object_id}.{fault}"
        verdict.reasons.append(Reason(code="custom-formula-failed", text=text + CONSEQUENCE[result]))
    if result == "rejected" and enforcement == "freeze":
        verdict.freezes.append((profile, CUSTOM))
    return result


def _frozen(profile: Profile, delta: int) -> Reason:
    text = (
        f"The credit of {profile.object_type} {profile.object_id} is frozen; this would add {_money(delta, profile)}. "
        f"What lowers what is used passes; the rest has to wait until it is unfrozen."
    )
    return Reason(code="credit-frozen", text=text)


def _apply(rule: Rule, profile: Profile, amount: int, delta: int, waivable: Held, verdict: Verdict) -> Result:
    """Adds one metric to the verdict; returns its result."""
    result = _result(rule, profile, amount, delta, waivable)
    if rule.metric == "credit-limit":
        verdict.permits[profile.profile_id] = _permit(rule, result)
    verdict.metrics.append(_wire(rule, profile, amount, delta, result))
    if result != "passed":
        verdict.reasons.append(_reason(rule, profile, amount, delta, result))
    if result == "rejected" and rule.enforcement == "freeze":
        verdict.freezes.append((profile, rule.metric))
    return result


def _result(rule: Rule, profile: Profile, amount: int, delta: int, waivable: Held) -> Result:
    if _passes(rule, profile, amount, delta):
        return "passed"
    result = RESULT_OF[_enforcement(rule)]
    if result == "held" and (profile.profile_id, rule.metric) in waivable:
        return "waived"
    return result


def _enforcement(rule: Rule) -> Enforcement:
    assert rule.enforcement is not None, "a rule in force says what happens when it fails"
    return rule.enforcement


def _passes(rule: Rule, profile: Profile, amount: int, delta: int) -> bool:
    """Equal passes, and so does what does not raise the exposure."""
    limit = rule.limit
    if limit is None or limit == UNLIMITED:
        return True
    if rule.metric == "credit-limit":
        return delta <= 0 or profile.used + delta <= limit
    if rule.metric == "single-document-limit":
        return amount <= limit
    return delta <= 0 or _overdue_passes(rule.metric, limit, profile.overdue)


def _overdue_passes(metric: str, limit: int, overdue: Overdue) -> bool:
    if metric == "overdue-limit":
        return overdue.overdue <= limit
    if metric == "overdue-ratio":
        return overdue.overdue * 100 <= limit * overdue.open
    return overdue.days <= limit


def _permit(rule: Rule, result: Result) -> Permit:
    if rule.limit is None:
        return UNCONTROLLED
    if rule.limit == UNLIMITED:
        return Permit(UNLIMITED, None)
    return Permit("within-limit" if result == "passed" else result, rule.limit)


def _wire(rule: Rule, profile: Profile, amount: int, delta: int, result: Result) -> MetricResult:
    currency = profile.currency
    limit, used, added = rule.limit, profile.used, delta
    if rule.metric == "single-document-limit":
        used, added = 0, amount
    elif rule.metric not in ("credit-limit", CUSTOM):
        used, added = profile.overdue.overdue, 0
        limit = limit if rule.metric == "overdue-limit" else None
    return MetricResult(
        profile_id=profile.profile_id,
        scope=profile.scope,
        scope_id=profile.scope_id,
        object_type=profile.object_type,
        object_id=profile.object_id,
        metric=rule.metric,
        enforcement=_enforcement(rule),
        limit=_limit(limit, currency) if isinstance(limit, int) else limit,
        used=_signed(used, currency),
        delta=_signed(added, currency),
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
    elif rule.metric == "single-document-limit":
        text = (
            f"The single-document limit of {owner} is {_money(rule.limit, profile)}, which is the most that would "
            f"pass; this order amounts to {_money(amount, profile)}."
        )
    else:
        text = _overdue_text(rule.metric, rule.limit, owner, profile)
    return Reason(code=f"{rule.metric}-exceeded", text=text + CONSEQUENCE[result])


def _overdue_text(metric: str, limit: int, owner: str, profile: Profile) -> str:
    overdue = profile.overdue
    amount = _money(overdue.overdue, profile)
    if metric == "overdue-limit":
        return f"{amount} of {owner} are overdue; at most {_money(limit, profile)} may be."
    if metric == "overdue-ratio":
        return f"{amount} of {_money(overdue.open, profile)} that {owner} owes are overdue; at most {limit} % may be."
    return f"The oldest open receivable of {owner} is {overdue.days} days past its due date; at most {limit} may be."


def _money(minor: int, profile: Profile) -> str:
    return f"{decimal_string(minor, profile.currency)} {profile.currency}"


def _overflow(profile: Profile, delta: int) -> Verdict:
    return declined(
        "amount-too-large",
        f"{_money(delta, profile)} more would pass the largest amount that can be kept for "
        f"{profile.object_type} {profile.object_id}; used are {_money(profile.used, profile)}.",
    )
