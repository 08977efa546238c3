"""Usage rules: what the fund accounts of a type may pay for a business organisation; every change is a version."""

from datetime import date, datetime
from typing import Annotated

from chassis.http import CurrentPrincipal, Policy, Problem, Reader, Work
from contracts.text import Code, CurrencyCode, Id
from pydantic import BaseModel, ConfigDict, Field

from fund_pool.api.common import FINANCE, MAKERS, Body, router
from fund_pool.domain.account_types import PRESETS, VOUCHER_KINDS
from fund_pool.domain.usage import BASIS_POINTS, PURPOSES, Purpose, UsageRule, conflicting
from fund_pool.repository import usage as usage_rows
from fund_pool.repository.usage import KeptRule

usage_rules = router("usage rules")

Names = Annotated[list[Id], Field(max_length=1000)]


class RuleBody(Body):
    """A rule; `first_payment_percent` holds from `lead_time_days` on; `hold_hours` sets money aside instead."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "currency": "CNY",
                    "account_type": "cash",
                    "document_types": ["order-payment", "final-payment"],
                    "lead_time_days": 30,
                    "first_payment_percent": "33.33",
                }
            ]
        },
    )

    currency: CurrencyCode
    account_type: Code
    document_types: list[Purpose] = Field(default_factory=lambda: list(PURPOSES), min_length=1, max_length=2)
    materials: Names = Field(default_factory=list)
    material_groups: Names = Field(default_factory=list)
    lead_time_days: Annotated[int, Field(ge=1, le=3650, strict=True)] | None = None
    first_payment_percent: Annotated[str, Field(pattern=r"^(100|[0-9]{1,2})(\.[0-9]{1,2})?$")] | None = None
    hold_hours: Annotated[int, Field(ge=1, le=24 * 366, strict=True)] | None = None
    valid_from: date | None = None
    valid_until: date | None = None


class RuleView(BaseModel):
    """A version of a rule; it holds for decisions until it is retired."""

    version: int
    business_organisation: str
    currency: str
    account_type: str
    document_types: list[str]
    materials: list[str]
    material_groups: list[str]
    lead_time_days: int | None
    first_payment_percent: str
    hold_hours: int | None
    valid_from: date | None
    valid_until: date | None
    made_by: str
    made_at: datetime
    retired_by: str | None
    retired_at: datetime | None


@usage_rules.post(
    "/organisations/{organisation}/usage-rules", policy=Policy("usage-rule:make", MAKERS), status_code=201
)
async def make_rule(organisation: Id, body: RuleBody, work: Work, principal: CurrentPrincipal) -> RuleView:
    """Makes a rule valid; refused while another one of the same currency and account type is."""
    await usage_rows.lock(work.connection, organisation)
    rule = _rule(organisation, body)
    await _require_unique(work, rule, None)
    return await _made(work, rule, principal.subject)


@usage_rules.put(
    "/organisations/{organisation}/usage-rules/{version}", policy=Policy("usage-rule:make", MAKERS)
)
async def change_rule(
    organisation: Id, version: int, body: RuleBody, work: Work, principal: CurrentPrincipal
) -> RuleView:
    """Retires a version and makes another in its place."""
    await usage_rows.lock(work.connection, organisation)
    await _valid_or_404(work, organisation, version)
    rule = _rule(organisation, body)
    await _require_unique(work, rule, version)
    await usage_rows.retire(work.connection, version, principal.subject, work.now)
    return await _made(work, rule, principal.subject)


@usage_rules.delete(
    "/organisations/{organisation}/usage-rules/{version}", policy=Policy("usage-rule:make", MAKERS)
)
async def retire_rule(organisation: Id, version: int, work: Work, principal: CurrentPrincipal) -> RuleView:
    """Retires a rule; decisions that followed it still name it."""
    await usage_rows.lock(work.connection, organisation)
    await _valid_or_404(work, organisation, version)
    await usage_rows.retire(work.connection, version, principal.subject, work.now)
    return _view(await _kept(work, version))


@usage_rules.get("/usage-rules/{version}", policy=Policy("usage-rule:read", FINANCE))
async def read_rule(version: int, reader: Reader) -> RuleView:
    """A version by its number, as decisions name it."""
    kept = await usage_rows.by_version(reader, version)
    if kept is None:
        raise Problem.not_found()
    return _view(kept)


def _rule(organisation: str, body: RuleBody) -> UsageRule:
    kind = PRESETS.get(body.account_type)
    if body.account_type in VOUCHER_KINDS or (kind is not None and not kind.pays_orders):
        raise Problem.invalid(
            [{"field": "account_type", "message": f"{body.account_type} pays no orders by a usage rule"}]
        )
    if (body.lead_time_days is None) != (body.first_payment_percent is None):
        message = "lead_time_days and first_payment_percent go together"
        raise Problem.invalid([{"field": "lead_time_days", "message": message}])
    if body.valid_from and body.valid_until and body.valid_until < body.valid_from:
        raise Problem.invalid([{"field": "valid_until", "message": "must not be before valid_from"}])
    return UsageRule(
        version=0,
        business_organisation=organisation,
        currency=body.currency,
        account_type=body.account_type,
        purposes=frozenset(body.document_types),
        materials=frozenset(body.materials),
        material_groups=frozenset(body.material_groups),
        lead_time_days=body.lead_time_days,
        first_payment=_points(body.first_payment_percent),
        hold_hours=body.hold_hours,
        valid_from=body.valid_from,
        valid_until=body.valid_until,
    )


def _points(percent: str | None) -> int:
    if percent is None:
        return BASIS_POINTS
    whole, _, fraction = percent.partition(".")
    points = int(whole) * 100 + int(fraction.ljust(2, "0") or 0)
    if points > BASIS_POINTS:
        raise Problem.invalid([{"field": "first_payment_percent", "message": "must be at most 100"}])
    return points


async def _require_unique(work: Work, rule: UsageRule, replaced: int | None) -> None:
    known = await usage_rows.rules(work.connection, [rule.business_organisation])
    others = [
        one for one in known.get((rule.business_organisation, rule.currency), ()) if one.version != replaced
    ]
    other = conflicting(rule, others)
    if other is not None:
        detail = f"Rule {other.version} for {rule.account_type} in {rule.currency} is valid at the same time."
        raise Problem.conflict("usage-rule-exists", detail)


async def _made(work: Work, rule: UsageRule, made_by: str) -> RuleView:
    return _view(await _kept(work, await usage_rows.add(work.connection, rule, made_by, work.now)))


async def _valid_or_404(work: Work, organisation: str, version: int) -> None:
    kept = await usage_rows.by_version(work.connection, version)
    if kept is None or kept.rule.business_organisation != organisation or kept.retired_at is not None:
        raise Problem.not_found("There is no valid rule of this version.")


async def _kept(work: Work, version: int) -> KeptRule:
    kept = await usage_rows.by_version(work.connection, version)
    assert kept is not None
    return kept


def _view(kept: KeptRule) -> RuleView:
    rule = kept.rule
    return RuleView(
        version=rule.version,
        business_organisation=rule.business_organisation,
        currency=rule.currency,
        account_type=rule.account_type,
        document_types=sorted(rule.purposes),
        materials=sorted(rule.materials),
        material_groups=sorted(rule.material_groups),
        lead_time_days=rule.lead_time_days,
        first_payment_percent=f"{rule.first_payment // 100}.{rule.first_payment % 100:02}",
        hold_hours=rule.hold_hours,
        valid_from=rule.valid_from,
        valid_until=rule.valid_until,
        made_by=kept.made_by,
        made_at=kept.made_at,
        retired_by=kept.retired_by,
        retired_at=kept.retired_at,
    )
