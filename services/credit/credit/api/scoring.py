"""Indicators, grade standards and scoring models; values that other systems supply; grades in force."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from chassis.http import CurrentPrincipal, CursorPage, FieldError, Page, Policy, Problem, Reader, Router, Work
from contracts.money import Amount, Money
from contracts.text import Code, CurrencyCode, Id, Name
from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import Row

from credit.api.common import READERS, Body, IdPath, unknown, wire_limit
from credit.domain import scoring
from credit.domain.profiles import Enforcement
from credit.domain.score_sheets import GradeUse, GrantUse, Model, Standard, Terms
from credit.domain.scoring import Band, Choice, Grade, Indicator, Scale, ScoringError
from credit.repository import providers
from credit.repository import scoring as rows

router: Final = Router(tags=["scoring"])

WRITERS: Final = frozenset({"credit-manager"})
SCORE_READERS: Final = READERS | {"credit-scorer"}
ROWS_MAX: Final = 5_000

SignedDecimal = Annotated[str, StringConstraints(pattern=r"^-?(0|[1-9][0-9]{0,11})(\.[0-9]{1,6})?$")]
Percent = Annotated[str, StringConstraints(pattern=r"^(100|[1-9]?[0-9](\.[0-9]{1,4})?)$")]
ScorePoints = Annotated[str, StringConstraints(pattern=r"^(1000|[1-9]?[0-9]{1,2}(\.[0-9]{1,2})?)$")]


class OptionBody(Body):
    """One answer to choose, and what it scores."""

    name: Name
    score: ScorePoints


class BandBody(Body):
    """Values from `at_least` (included) to `below` (left out), null = without end, and what they score."""

    at_least: SignedDecimal | None = None
    below: SignedDecimal | None = None
    score: ScorePoints


class ScaleBody(Body):
    """Options for a qualitative indicator, bands for a quantitative one, neither for one that gathers others."""

    options: Annotated[list[OptionBody], Field(default_factory=list, max_length=50)]
    bands: Annotated[list[BandBody], Field(default_factory=list, max_length=50)]

    def scale(self) -> Scale:
        """The scale; raises ScoringError when it is none."""
        if self.options and self.bands:
            raise ScoringError("bands", "stand beside options; an indicator has one kind of scale")
        names = [option.name for option in self.options]
        if len(set(names)) < len(names):
            raise ScoringError("options", "name one answer twice")
        bands = [
            Band(_decimal(band.at_least), _decimal(band.below), Decimal(band.score)) for band in self.bands
        ]
        scoring.check_bands(bands)
        return Scale({option.name: Decimal(option.score) for option in self.options}, bands)


class IndicatorBody(ScaleBody):
    """What is looked at when an object is scored."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "name": "On-time payment rate",
                    "parent": "conduct",
                    "bands": [
                        {"below": "80", "score": "0"},
                        {"at_least": "80", "below": "95", "score": "60"},
                        {"at_least": "95", "score": "100"},
                    ],
                    "provider": "supplied",
                },
                {
                    "name": "Management",
                    "options": [{"name": "good", "score": "100"}, {"name": "weak", "score": "30"}],
                },
            ]
        },
    )
    name: Name
    parent: Id | None = None
    provider: Code | None = Field(default=None, description="Feeds a quantitative indicator from the system.")


class IndicatorView(BaseModel):
    """An indicator as it is set; `kind` follows from its scale."""

    indicator_id: str
    version: int
    name: str
    parent: str | None
    kind: Literal["qualitative", "quantitative", "group"]
    options: list[OptionBody]
    bands: list[BandBody]
    provider: str | None
    changed_by: str
    changed_at: datetime


class TermsBody(Body):
    """What a grade grants in profiles of one scope level and currency."""

    scope: Literal["group", "legal", "business"] = "group"
    currency: CurrencyCode
    credit_limit: Amount | Literal["unlimited"] | None
    enforcement: Enforcement = "reject"


class GradeBody(Body):
    """A grade, the score it begins at (included), and what it grants."""

    grade: Name
    at_least: ScorePoints
    terms: Annotated[list[TermsBody], Field(default_factory=list, max_length=50)]


class StandardBody(Body):
    """Grades, best first; the last begins at 0."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "name": "Dealers",
                    "grades": [
                        {
                            "grade": "AAA",
                            "at_least": "90",
                            "terms": [
                                {
                                    "currency": "CNY",
                                    "credit_limit": {"amount": "500000.00", "currency": "CNY"},
                                }
                            ],
                        },
                        {"grade": "C", "at_least": "0", "terms": [{"currency": "CNY", "credit_limit": None}]},
                    ],
                }
            ]
        },
    )
    name: Name
    grades: Annotated[list[GradeBody], Field(min_length=1, max_length=50)]


class StandardView(StandardBody):
    """A grade standard as it is set."""

    standard_id: str
    version: int
    changed_by: str
    changed_at: datetime


class ChoiceBody(ScaleBody):
    """An indicator of the model; a scale here replaces the indicator's own."""

    indicator_id: Id
    weight_percent: Percent


class ModelBody(Body):
    """Which indicators count how much; parents come along, and the weights of siblings sum to 100 %."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "name": "Dealers 2026",
                    "standard_id": "dealers",
                    "indicators": [
                        {"indicator_id": "conduct", "weight_percent": "40"},
                        {"indicator_id": "punctual", "weight_percent": "50"},
                        {"indicator_id": "honest", "weight_percent": "50"},
                        {"indicator_id": "strength", "weight_percent": "60"},
                    ],
                    "grade": "propose",
                    "grant": "by-hand",
                }
            ]
        },
    )
    name: Name
    standard_id: Id
    indicators: Annotated[list[ChoiceBody], Field(min_length=1, max_length=200)]
    grade: GradeUse = Field(default="propose", description="What an approved sheet does with its grade.")
    grant: GrantUse = Field(default="by-hand", description="Whether a written grade brings its limits along.")


class ModelView(ModelBody):
    """A scoring model as it is set."""

    model_id: str
    version: int
    changed_by: str
    changed_at: datetime


class SuppliedValue(Body):
    """The value of one object."""

    object_id: Id
    value: SignedDecimal


class SuppliedValues(Body):
    """Values of one indicator that another system has worked out; they replace earlier ones."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"values": [{"object_id": "C-1", "value": "97.5"}]}]}
    )
    values: Annotated[list[SuppliedValue], Field(min_length=1, max_length=ROWS_MAX)]


class Supplied(BaseModel):
    """How many values were taken."""

    values: int


class ProviderView(BaseModel):
    """What can feed an indicator."""

    provider: str
    meaning: str


class GradeView(BaseModel):
    """The grade of a credit object in a scope, and the sheet that it comes from."""

    scope: str
    scope_id: str
    object_type: str
    object_id: str
    standard_id: str
    grade: str
    score: str
    sheet_id: str
    set_by: str
    set_at: datetime


def refused(error: ScoringError) -> Problem:
    """422 that names the field."""
    found: FieldError = {"field": error.field, "message": str(error)}
    return Problem.invalid([found], type=error.code)


@router.put("/indicators/{indicator_id}", policy=Policy("indicator:write", WRITERS))
async def set_indicator(
    indicator_id: IdPath, body: IndicatorBody, work: Work, principal: CurrentPrincipal
) -> IndicatorView:
    """Makes or replaces an indicator; rounds that have begun keep what they began with."""
    try:
        indicator = Indicator(indicator_id, body.name, body.parent, body.scale(), body.provider)
        _check_provider(indicator)
        await rows.lock_tree(work.connection)
        tree = await rows.indicator_tree(work.connection) | {indicator_id: indicator}
        if len(tree) > rows.INDICATORS_MAX:
            raise ScoringError(
                "name", f"would be one too many; there can be {rows.INDICATORS_MAX} indicators"
            )
        scoring.check_tree(tree)
    except ScoringError as error:
        raise refused(error) from None
    await rows.save_definition(
        work.connection,
        "indicator",
        indicator_id,
        rows.INDICATOR.dump_json(indicator),
        principal.subject,
        work.now,
    )
    row = await rows.definition_row(work.connection, "indicator", indicator_id)
    assert row is not None, "it was written just now"
    return _indicator(row)


def _check_provider(indicator: Indicator) -> None:
    if indicator.provider is None:
        return
    if indicator.provider not in providers.PROVIDERS:
        known = ", ".join(sorted(providers.PROVIDERS))
        raise ScoringError("provider", f"is {indicator.provider}; the providers are {known}")
    if not indicator.scale.bands:
        raise ScoringError("provider", "gives numbers, so the indicator needs bands")


@router.get("/indicators", policy=Policy("indicator:read", SCORE_READERS))
async def indicators(page: Page, reader: Reader) -> CursorPage[IndicatorView]:
    """Indicators by id."""
    found = await rows.definitions_after(reader, "indicator", page.after(str), page.rows)
    shown, following = page.page(found, key=_definition_key)
    return CursorPage(items=[_indicator(row) for row in shown], next=following)


@router.get("/scoring-providers", policy=Policy("indicator:read", SCORE_READERS))
async def scoring_providers() -> list[ProviderView]:
    """What can feed an indicator from the system."""
    return [
        ProviderView(provider=name, meaning=each.meaning)
        for name, each in sorted(providers.PROVIDERS.items())
    ]


@router.put("/indicator-values/{indicator_id}", policy=Policy("indicator-value:write", WRITERS | {"erp"}))
async def supply_values(
    indicator_id: IdPath, body: SuppliedValues, work: Work, principal: CurrentPrincipal
) -> Supplied:
    """Values for an indicator whose provider is `supplied`."""
    row = await rows.definition_row(work.connection, "indicator", indicator_id)
    if row is None:
        raise unknown("indicator", indicator_id)
    if rows.INDICATOR.validate_json(row.body).provider != providers.SUPPLIED:
        raise refused(ScoringError("indicator_id", f"is not fed by the provider {providers.SUPPLIED}"))
    values = {each.object_id: each.value for each in body.values}
    await rows.supply_values(work.connection, indicator_id, values, principal.subject, work.now)
    return Supplied(values=len(values))


@router.put("/grade-standards/{standard_id}", policy=Policy("grade-standard:write", WRITERS))
async def set_standard(
    standard_id: IdPath, body: StandardBody, work: Work, principal: CurrentPrincipal
) -> StandardView:
    """Makes or replaces a set of grades; grades already given stay until their objects are scored anew."""
    try:
        standard = _standard_of(body)
    except ScoringError as error:
        raise refused(error) from None
    stored = rows.STANDARD.dump_json(standard)
    await rows.save_definition(
        work.connection, "grade-standard", standard_id, stored, principal.subject, work.now
    )
    row = await rows.definition_row(work.connection, "grade-standard", standard_id)
    assert row is not None, "it was written just now"
    return _standard(row)


def _standard_of(body: StandardBody) -> Standard:
    grades = [Grade(grade.grade, Decimal(grade.at_least)) for grade in body.grades]
    scoring.check_grades(grades)
    return Standard(
        body.name, grades, {grade.grade: _terms(place, grade) for place, grade in enumerate(body.grades)}
    )


def _terms(place: int, grade: GradeBody) -> list[Terms]:
    found = []
    for at, each in enumerate(grade.terms):
        where = f"grades[{place}].terms[{at}]"
        limit = each.credit_limit
        if isinstance(limit, Money) and limit.currency != each.currency:
            raise ScoringError(
                f"{where}.credit_limit", f"is {limit.currency}, but the terms are of {each.currency}"
            )
        minor = limit.minor if isinstance(limit, Money) else limit
        found.append(Terms(each.scope, each.currency, minor, each.enforcement))
    if len({(each.scope, each.currency) for each in found}) < len(found):
        raise ScoringError(f"grades[{place}].terms", "speak of one scope level and currency twice")
    return found


@router.get("/grade-standards", policy=Policy("grade-standard:read", SCORE_READERS))
async def standards(page: Page, reader: Reader) -> CursorPage[StandardView]:
    """Grade standards by id."""
    found = await rows.definitions_after(reader, "grade-standard", page.after(str), page.rows)
    shown, following = page.page(found, key=_definition_key)
    return CursorPage(items=[_standard(row) for row in shown], next=following)


@router.put("/scoring-models/{model_id}", policy=Policy("scoring-model:write", WRITERS))
async def set_model(model_id: IdPath, body: ModelBody, work: Work, principal: CurrentPrincipal) -> ModelView:
    """Makes or replaces a model; it must add up over the tree as it is now, and again when a round begins."""
    try:
        choices = [_choice(each) for each in body.indicators]
        scoring.build_model(await rows.indicator_tree(work.connection), choices)
        if await rows.definition_row(work.connection, "grade-standard", body.standard_id) is None:
            raise ScoringError("standard_id", f"names grade standard {body.standard_id}, which is not known")
    except ScoringError as error:
        raise refused(error) from None
    stored = rows.MODEL.dump_json(Model(body.name, body.standard_id, choices, body.grade, body.grant))
    await rows.save_definition(
        work.connection, "scoring-model", model_id, stored, principal.subject, work.now
    )
    row = await rows.definition_row(work.connection, "scoring-model", model_id)
    assert row is not None, "it was written just now"
    return _model(row)


def _choice(body: ChoiceBody) -> Choice:
    return Choice(body.indicator_id, Decimal(body.weight_percent), body.scale())


@router.get("/scoring-models", policy=Policy("scoring-model:read", SCORE_READERS))
async def models(page: Page, reader: Reader) -> CursorPage[ModelView]:
    """Scoring models by id."""
    found = await rows.definitions_after(reader, "scoring-model", page.after(str), page.rows)
    shown, following = page.page(found, key=_definition_key)
    return CursorPage(items=[_model(row) for row in shown], next=following)


@router.get("/grades", policy=Policy("grade:read", SCORE_READERS))
async def grades(
    page: Page,
    reader: Reader,
    standard_id: Annotated[Id | None, Query()] = None,
    grade: Annotated[Name | None, Query()] = None,
    object_id: Annotated[Id | None, Query()] = None,
) -> CursorPage[GradeView]:
    """Grades in force."""
    place = page.after(str, str, str, str)
    found = await rows.grades_after(
        reader, place, page.rows, standard_id=standard_id, grade=grade, object_id=object_id
    )
    shown, following = page.page(
        found, key=lambda row: (row.object_type, row.object_id, row.scope, row.scope_id)
    )
    return CursorPage(items=[_grade(row) for row in shown], next=following)


def _grade(row: Row[Any]) -> GradeView:
    return GradeView(**{**row._mapping, "score": str(row.score)})


def _definition_key(row: Row[Any]) -> tuple[str]:
    return (row.definition_id,)


def _decimal(text: str | None) -> Decimal | None:
    return Decimal(text) if text is not None else None


def _text(value: Decimal) -> str:
    return format(value, "f")


def _end(value: Decimal | None) -> str | None:
    return _text(value) if value is not None else None


def _scale(scale: Scale) -> dict[str, Any]:
    return {
        "options": [
            OptionBody.model_construct(name=name, score=_text(score)) for name, score in scale.options.items()
        ],
        "bands": [
            BandBody.model_construct(
                at_least=_end(band.at_least), below=_end(band.below), score=_text(band.score)
            )
            for band in scale.bands
        ],
    }


def _indicator(row: Row[Any]) -> IndicatorView:
    indicator = rows.INDICATOR.validate_json(row.body)
    scale = indicator.scale
    return IndicatorView(
        indicator_id=indicator.indicator_id,
        version=row.version,
        name=indicator.name,
        parent=indicator.parent,
        kind="qualitative" if scale.options else "quantitative" if scale.bands else "group",
        provider=indicator.provider,
        changed_by=row.changed_by,
        changed_at=row.changed_at,
        **_scale(scale),
    )


def _standard(row: Row[Any]) -> StandardView:
    standard = rows.STANDARD.validate_json(row.body)
    return StandardView(
        standard_id=row.definition_id,
        version=row.version,
        name=standard.name,
        grades=[
            GradeBody(
                grade=grade.grade,
                at_least=format(grade.at_least, "f"),
                terms=_wire_terms(standard.terms.get(grade.grade, ())),
            )
            for grade in standard.grades
        ],
        changed_by=row.changed_by,
        changed_at=row.changed_at,
    )


def _wire_terms(terms: Sequence[Terms]) -> list[TermsBody]:
    return [
        TermsBody(
            scope=each.scope,
            currency=each.currency,
            credit_limit=wire_limit(each.limit, each.currency),
            enforcement=each.enforcement,
        )
        for each in terms
    ]


def _model(row: Row[Any]) -> ModelView:
    model = rows.MODEL.validate_json(row.body)
    return ModelView(
        model_id=row.definition_id,
        version=row.version,
        name=model.name,
        standard_id=model.standard_id,
        indicators=[
            ChoiceBody(
                indicator_id=each.indicator_id, weight_percent=format(each.weight, "f"), **_scale(each.scale)
            )
            for each in model.choices
        ],
        grade=model.grade_use,
        grant=model.grant_use,
        changed_by=row.changed_by,
        changed_at=row.changed_at,
    )
