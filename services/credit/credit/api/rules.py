"""Check rules, parameters and the rate table."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Annotated, Any, Final, Literal

from chassis.formulas import FieldType, FormulaError, Value
from chassis.http import CurrentPrincipal, CursorPage, Page, Policy, Problem, Reader, Router, Work
from contracts.text import Name
from contracts.times import CalendarDate
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from chassis import UnitOfWork
from credit.api.common import READERS, Body, CurrencyPath, IdPath, Why, unknown
from credit.domain.matching import OBJECTS
from credit.domain.rules import PRESET, Enforcement, FormulaFault, Metric
from credit.repository import rules
from credit.repository.bodies import (
    AMOUNT_FIELDS,
    METRIC_FIELDS,
    PARAMETERS,
    RULE,
    Parameters,
    RuleBody,
    RuleFormula,
    TypeBody,
    amount_formula,
    metric_formula,
)

router: Final = Router(tags=["check rules"])

TYPES_MAX: Final = 200
EMPTY: Final[dict[FieldType, Value]] = {"number": 0, "text": "", "truth": False}

REASON_EXAMPLE: Final = "policy of 2026"
COPY_EXAMPLE: Final[JsonDict] = {"name": "Export", "reason": REASON_EXAMPLE}
PREVIEW_EXAMPLE: Final[JsonDict] = {"formula": "amount * 80 / 100", "sample": {"amount": 10_000}}
PARAMETER_EXAMPLE: Final[JsonDict] = {"scopes": ["group"], "objects": ["customer", "customer-group"]}
RULE_EXAMPLE: Final[JsonDict] = {
    "name": "Outbounds reject",
    "grace_days": 3,
    "types": [{"document_type": "outbound", "enforcement": {"credit-limit": "reject"}}],
    "reason": REASON_EXAMPLE,
}

DocumentTypeName = Literal[
    "sales-order",
    "delivery-notice",
    "outbound",
    "receivable",
    "receipt",
    "refund",
    "return-notice",
    "return",
    "custom",
]


class TypeSetting(Body):
    """What a rule says of one type of document; what it does not name is neither checked nor occupies."""

    document_type: DocumentTypeName
    sub_type: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")] | None = None
    checked: bool = True
    control_point: Literal["submit", "audit"] = "audit"
    occupies: bool = True
    enforcement: dict[Metric, Enforcement] = Field(default_factory=dict)
    amount_formula: str | None = Field(
        default=None, description="What the document occupies instead of its own amount, in minor units."
    )


class RuleSettings(Body):
    """A whole check rule."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "name": "Outbounds reject",
                    "grace_days": 3,
                    "types": [{"document_type": "outbound", "enforcement": {"credit-limit": "reject"}}],
                    "reason": "policy of 2026",
                }
            ]
        },
    )
    name: Name
    grace_days: int = Field(default=0, ge=0, le=365)
    custom_formula: str | None = Field(
        default=None,
        description="True = passes; what happens when it fails is the enforcement of `custom-formula`.",
    )
    types: list[TypeSetting] = Field(min_length=1, max_length=TYPES_MAX)
    reason: Why

    def require_sound(self) -> None:
        """Each type once, every formula read and tried; raises Problem with the field."""
        keys = [(one.document_type, one.sub_type) for one in self.types]
        if len(set(keys)) < len(keys):
            raise Problem.invalid([{"field": "types", "message": "must name each type and sub-type once"}])
        for place, one in enumerate(self.types):
            if one.amount_formula is not None and one.document_type == "sales-order":
                message = "is for documents only: an order occupies what it is worth"
                raise Problem.invalid([{"field": f"types.{place}.amount_formula", "message": message}])
            if one.amount_formula is not None:
                _read(amount_formula, one.amount_formula, f"types.{place}.amount_formula")
        if self.custom_formula is not None:
            _read(metric_formula, self.custom_formula, "custom_formula")


class Copy(Body):
    """The name of the copy, and why it is made."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [COPY_EXAMPLE]})
    name: Name
    reason: Why


class RuleView(BaseModel):
    """A check rule as it is in force."""

    rule_id: str
    version: int
    name: str
    grace_days: int
    custom_formula: str | None
    types: list[TypeSetting]


class Preview(Body):
    """A formula and the sample document to try it on."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [PREVIEW_EXAMPLE]},
    )
    kind: Literal["amount", "metric"] = Field(
        default="amount", description="What a document occupies, or whether it passes."
    )
    formula: str = Field(max_length=20_000)
    sample: dict[str, bool | int | str]


class PreviewResult(BaseModel):
    """What a formula gives for the sample: minor units, or whether it passes."""

    result: bool | int


class ParameterSettings(Body):
    """What of credit control is in use."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "scopes": ["group"],
                    "objects": ["customer", "customer-group"],
                    "enabled_on": "2026-01-01",
                    "no_profile": "declined",
                }
            ]
        },
    )
    scopes: tuple[Literal["group", "legal", "business"], ...] = ("group", "legal", "business")
    objects: tuple[str, ...] = OBJECTS
    enabled_on: CalendarDate | None = None
    no_profile: Literal["declined", "warned", "approved"] = Field(
        default="declined", description="For a managed customer without any profile."
    )


class ParameterView(ParameterSettings):
    """The parameters; after a change, recalculation is due."""

    enabled_on: date | None = None
    version: int
    recalculation_due: bool


class RateSetting(Body):
    """How many units of the second currency one unit of the first is worth."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"rate": "7.1523"}]})
    rate: Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,11})(\.[0-9]{1,12})?$", examples=["7.1523"])]


class Rate(BaseModel):
    """A rate from its day on, until there is a newer one."""

    currency_from: str
    currency_to: str
    rate_date: date
    rate: str
    changed_by: str
    changed_at: datetime


@router.get("/check-rules", policy=Policy("check-rule:read", READERS))
async def check_rules(page: Page, reader: Reader) -> CursorPage[RuleView]:
    """The rules that were made; `standard` is there besides, and cannot be changed but copied."""
    rows = await rules.rules_after(reader, page.after(str), page.rows)
    rows, following = page.page(rows, key=lambda row: (row.rule_id,))
    return CursorPage(items=[rule_view(row) for row in rows], next=following)


@router.get("/check-rules/{rule_id}", policy=Policy("check-rule:read", READERS))
async def check_rule(rule_id: IdPath, reader: Reader) -> RuleView:
    """One rule."""
    if rule_id == PRESET.rule_id:
        return _preset()
    row = await rules.rule_row(reader, rule_id)
    if row is None:
        raise unknown("check rule", rule_id)
    return rule_view(row)


@router.put("/check-rules/{rule_id}", policy=Policy("check-rule:write", {"credit-manager"}))
async def set_check_rule(
    rule_id: IdPath, body: RuleSettings, work: Work, principal: CurrentPrincipal
) -> RuleView:
    """Makes or replaces a rule; its formulas are read and tried before it is saved."""
    if rule_id == PRESET.rule_id:
        raise Problem.conflict(
            "preset-rule", "The preset rule cannot be changed; copy it and change the copy."
        )
    body.require_sound()
    return await save_rule(work, rule_id, body, principal.subject)


async def save_rule(work: UnitOfWork, rule_id: str, body: RuleSettings, person: str) -> RuleView:
    """Keeps a rule that is sound as its next version."""
    types = [TypeBody(**one.model_dump()) for one in body.types]
    stored = RuleBody(types, body.grace_days, body.custom_formula)
    await rules.set_rule(
        work.connection,
        rule_id,
        body.name,
        RULE.dump_json(stored),
        reason=body.reason,
        person=person,
        now=work.now,
    )
    row = await rules.rule_row(work.connection, rule_id)
    assert row is not None, "it was written just now"
    return rule_view(row)


@router.post("/check-rules/{rule_id}/copy/{copy_id}", policy=Policy("check-rule:write", {"credit-manager"}))
async def copy_check_rule(
    rule_id: IdPath, copy_id: IdPath, body: Copy, work: Work, principal: CurrentPrincipal
) -> RuleView:
    """Makes a new rule that says what another says."""
    if copy_id == PRESET.rule_id or await rules.rule_row(work.connection, copy_id, locked=True) is not None:
        raise Problem.conflict("rule-exists", f"There is a check rule {copy_id} already; choose another id.")
    view = _preset() if rule_id == PRESET.rule_id else None
    if view is None:
        row = await rules.rule_row(work.connection, rule_id)
        if row is None:
            raise unknown("check rule", rule_id)
        view = rule_view(row)
    settings = RuleSettings(
        name=body.name,
        grace_days=view.grace_days,
        custom_formula=view.custom_formula,
        types=view.types,
        reason=body.reason,
    )
    return await set_check_rule(copy_id, settings, work, principal)


@router.post("/formulas/preview", policy=Policy("check-rule:write", {"credit-manager"}))
async def preview(body: Preview, work: Work) -> PreviewResult:
    """Reads a formula and evaluates it on a sample document; saves nothing."""
    is_metric = body.kind == "metric"
    formula = _read(metric_formula if is_metric else amount_formula, body.formula, "formula")
    fields = METRIC_FIELDS if is_metric else AMOUNT_FIELDS
    values: dict[str, Value] = {name: EMPTY[kind] for name, kind in fields.items()}
    wrong = set(body.sample) - values.keys()
    if wrong:
        message = f"names {', '.join(sorted(wrong))}; the fields are {', '.join(sorted(values))}"
        raise Problem.invalid([{"field": "sample", "message": message}])
    try:
        result = formula.evaluate(values | body.sample)
        return PreviewResult(result=bool(result) if is_metric else int(result))
    except FormulaFault as error:
        raise Problem.invalid([{"field": "formula", "message": str(error)}]) from None


@router.get("/parameters", policy=Policy("parameter:read", READERS))
async def parameters(reader: Reader) -> ParameterView:
    """What of credit control is in use."""
    return _parameters(await rules.parameter_row(reader))


@router.put("/parameters", policy=Policy("parameter:write", {"credit-manager"}))
async def set_parameters(body: ParameterSettings, work: Work, principal: CurrentPrincipal) -> ParameterView:
    """Sets all parameters; what is occupied already follows by recalculation."""
    wrong = set(body.objects) - set(OBJECTS)
    if wrong:
        message = f"{', '.join(sorted(wrong))} is no object of credit; there are {', '.join(OBJECTS)}"
        raise Problem.invalid([{"field": "objects", "message": message}])
    stored = Parameters(body.scopes, body.objects, body.enabled_on, body.no_profile)
    await rules.set_parameters(work.connection, PARAMETERS.dump_json(stored), principal.subject, work.now)
    return _parameters(await rules.parameter_row(work.connection))


@router.get("/exchange-rates", policy=Policy("exchange-rate:read", READERS))
async def exchange_rates(page: Page, reader: Reader) -> CursorPage[Rate]:
    """The rate table."""
    rows = await rules.rates_after(reader, page.after(str, str, date), page.rows)
    rows, following = page.page(rows, key=lambda row: (row.currency_from, row.currency_to, row.rate_date))
    return CursorPage(items=[_rate(row) for row in rows], next=following)


@router.put(
    "/exchange-rates/{currency_from}/{currency_to}/{rate_date}",
    policy=Policy("exchange-rate:write", {"credit-manager"}),
)
async def set_exchange_rate(
    currency_from: CurrencyPath,
    currency_to: CurrencyPath,
    rate_date: date,
    body: RateSetting,
    work: Work,
    principal: CurrentPrincipal,
) -> Rate:
    """Sets the rate from a day on; what was counted by another rate keeps it."""
    if currency_from == currency_to or not body.rate.strip("0."):
        raise Problem.invalid([{"field": "rate", "message": "must be above zero, between two currencies"}])
    await rules.set_rate(
        work.connection, currency_from, currency_to, rate_date, body.rate, principal.subject, work.now
    )
    return Rate(
        currency_from=currency_from,
        currency_to=currency_to,
        rate_date=rate_date,
        rate=body.rate,
        changed_by=principal.subject,
        changed_at=work.now,
    )


def _read(read: Callable[[str], RuleFormula], source: str, field: str) -> RuleFormula:
    try:
        return read(source)
    except FormulaError as error:
        raise Problem.invalid([{"field": field, "message": str(error)}]) from None


def rule_view(row: Any) -> RuleView:
    """A stored rule as it is shown."""
    stored = RULE.validate_json(row.body)
    types = [TypeSetting(**_type_fields(one)) for one in stored.types]
    return RuleView(
        rule_id=row.rule_id,
        version=row.version,
        name=row.name,
        grace_days=stored.grace_days,
        custom_formula=stored.custom_formula,
        types=types,
    )


def _type_fields(one: TypeBody) -> dict[str, Any]:
    return {name: getattr(one, name) for name in TypeSetting.model_fields}


def _preset() -> RuleView:
    types = [
        TypeSetting(
            document_type=name,
            checked=said.checked,
            control_point=said.control_point,
            occupies=said.occupies,
            enforcement=dict(said.enforcement),
        )
        for (name, _), said in PRESET.types.items()
    ]
    return RuleView(
        rule_id=PRESET.rule_id,
        version=PRESET.version,
        name="Standard",
        grace_days=0,
        custom_formula=None,
        types=types,
    )


def _parameters(row: Any) -> ParameterView:
    stored = Parameters() if row is None else PARAMETERS.validate_json(row.body)
    return ParameterView(
        scopes=stored.scopes,
        objects=stored.objects,
        enabled_on=stored.enabled_on,
        no_profile=stored.no_profile,
        version=0 if row is None else row.version,
        recalculation_due=row is not None,
    )


def _rate(row: Any) -> Rate:
    values = {name: row._mapping[name] for name in Rate.model_fields if name != "rate"}
    return Rate(**values, rate=format(row.rate.normalize(), "f"))
