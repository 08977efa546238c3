"""Profiles in three scopes for eight objects, their check rule and terms, freezing and unfreezing."""

import json
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from chassis.http import (
    DOWNLOAD,
    CurrentPrincipal,
    CursorPage,
    Page,
    Policy,
    Problem,
    Reader,
    Router,
    Work,
    download,
)
from chassis.sheets import Column, SheetFormat
from contracts.money import SignedMoney
from contracts.text import CurrencyCode, Id
from contracts.times import CalendarDate
from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from credit.api.common import EXPORT_ROWS_MAX, READERS, Body, Why, signed, unknown
from credit.api.profiles import PROFILE_IDS, MetricSetting, ProfileSettings, _limit, _rules
from credit.domain.chain import net_of_refunds
from credit.domain.matching import GROUP_SCOPE, MATERIAL_OBJECTS, OBJECTS, WHOLE_GROUP, pair
from credit.domain.rules import Enforcement, Metric
from credit.domain.terms import COEFFICIENT_ONE, PLAIN, Coefficient, Temporary, Terms
from credit.repository import profiles, rules
from credit.repository.bodies import TERMS, findings

router: Final = Router(tags=["profiles"])


ObjectType = Literal[
    "customer",
    "customer-group",
    "customer-material",
    "customer-material-group",
    "salesperson",
    "sales-group",
    "sales-department",
    "sales-organisation",
]
assert set(ObjectType.__args__) == set(OBJECTS)  # type: ignore[attr-defined]  # a Literal knows its words


class Period(Body):
    """Both days included, in the organisation's time zone; open at a side that is left out."""

    valid_from: CalendarDate | None = None
    valid_to: CalendarDate | None = None

    @model_validator(mode="after")
    def _in_order(self) -> "Period":
        if self.valid_from is not None and self.valid_to is not None and self.valid_from > self.valid_to:
            raise ValueError(f"valid_to is {self.valid_to}, before valid_from, which is {self.valid_from}")
        return self


class CoefficientSetting(Period):
    """Multiplies the limit, always or in a period: 1.2 is a fifth more."""

    factor: Annotated[str, Field(pattern=r"^[0-9]{1,2}(\.[0-9]{1,4})?$", examples=["1.2"])]


class ScopedSettings(ProfileSettings):
    """The whole of a profile; what is left out is not controlled, or plain."""

    check_rule: Id | None = Field(default=None, description="A check rule's id; null: the preset one.")
    validity: Period = Period()
    coefficient: CoefficientSetting | None = None
    ratio_percent: int = Field(default=100, ge=0, le=1000)
    overdue_limit: MetricSetting = MetricSetting(limit=None)
    overdue_ratio_percent: int | None = Field(default=None, ge=0, le=100)
    overdue_days: int | None = Field(default=None, ge=0, le=3650)
    enforcement: dict[Metric, Enforcement] = Field(
        default_factory=dict, description="Per metric, where the profile does not follow its check rule."
    )


class StageAmount(BaseModel):
    """What one stage uses; customer-credit is below zero."""

    stage: str
    amount: SignedMoney


class ScopedProfile(BaseModel):
    """A profile with its terms, and what is used of it by stage."""

    profile_id: str
    scope: str
    scope_id: str
    object_type: str
    object_id: str
    currency: str
    version: int
    check_rule: str | None
    grade: str | None
    frozen: bool
    terms: dict[str, Any]
    used: SignedMoney
    used_by_stage: list[StageAmount]


class FreezeReason(Body):
    """Why credit is frozen, or unfrozen."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "Cheques bounce."}]})
    reason: Why


class DocumentException(BaseModel):
    """A document that was refused, lapsed, or posted as a fact although it broke something."""

    document_type: str
    source: str
    document_id: str
    revision: int
    operation: str
    stance: str
    outcome: str
    customer: str
    findings: Any
    checked_at: datetime


@router.put(
    "/profiles/{scope}/{scope_id}/{object_type}/{object_id}/{currency}",
    policy=Policy("profile:write", {"credit-manager"}),
    summary="Set a credit profile of any scope and object",
)
async def set_scoped_profile(
    scope: Literal["group", "legal", "business"],
    scope_id: Id,
    object_type: ObjectType,
    object_id: Id,
    currency: CurrencyCode,
    body: ScopedSettings,
    work: Work,
    principal: CurrentPrincipal,
    part: Annotated[
        Id | None, Query(description="The material or material group beside the customer.")
    ] = None,
) -> ScopedProfile:
    """Makes or replaces a profile; a document may hit several, and all must pass."""
    if (scope == GROUP_SCOPE) != (scope_id == WHOLE_GROUP):
        message = "must be * for the scope of the whole group, and an organisation's id for the others"
        raise Problem.invalid([{"field": "scope_id", "message": message}])
    if (object_type in MATERIAL_OBJECTS) != (part is not None):
        message = "must name the material or material group for these objects, and be left out for the others"
        raise Problem.invalid([{"field": "part", "message": message}])
    limits = _rules(body, currency)
    if body.check_rule is not None and await rules.rule_row(work.connection, body.check_rule) is None:
        raise unknown("check rule", body.check_rule)
    key = (object_type, pair(object_id, part) if part is not None else object_id, currency)
    found = await profiles.locked_version(work.connection, scope, scope_id, key)
    if found is None:
        profile_id = str(uuid5(PROFILE_IDS, " ".join((scope, scope_id, *key))))
        made = await profiles.create(work.connection, profile_id, scope, scope_id, key, work.now)
        found = (
            (profile_id, 0) if made else await profiles.locked_version(work.connection, scope, scope_id, key)
        )
        assert found is not None, "another transaction has made it"
    profile_id, version = found
    if body.version not in (None, version):
        message = f"is {body.version}, but the profile is at version {version}; read it again and decide anew"
        raise Problem.conflict("version-conflict", f"version {message}.")
    row = await profiles.profile_row(work.connection, profile_id)
    assert row is not None, "it is locked"
    terms = _terms(body, currency, profiles.profile_of(row).terms.temporary)
    await profiles.set_limits(
        work.connection,
        profile_id,
        version + 1,
        limits,
        reason=body.reason,
        person=principal.subject,
        now=work.now,
        own=(body.check_rule, None if terms == PLAIN else TERMS.dump_json(terms)),
    )
    return await _profile(work.connection, profile_id)


@router.get("/profiles/{profile_id}/terms", policy=Policy("profile:read", READERS))
async def profile_terms(profile_id: UUID, reader: Reader) -> ScopedProfile:
    """One profile with its terms, and what is used of it by stage."""
    return await _profile(reader, str(profile_id))


@router.post("/profiles/{profile_id}/freeze", policy=Policy("profile:freeze", {"credit-manager"}))
async def freeze(
    profile_id: UUID, body: FreezeReason, work: Work, principal: CurrentPrincipal
) -> ScopedProfile:
    """Whatever adds is declined from now on; whatever takes, reverses or closes still posts."""
    changed = await profiles.freeze(
        work.connection, str(profile_id), principal.subject, body.reason, work.now
    )
    return await _frozen(work.connection, profile_id, changed, "is frozen already, or there is none")


@router.post("/profiles/{profile_id}/unfreeze", policy=Policy("profile:freeze", {"credit-manager"}))
async def unfreeze(
    profile_id: UUID, body: FreezeReason, work: Work, principal: CurrentPrincipal
) -> ScopedProfile:
    """Lets what adds pass again, with reason."""
    changed = await profiles.unfreeze(
        work.connection, str(profile_id), principal.subject, body.reason, work.now
    )
    return await _frozen(work.connection, profile_id, changed, "is not frozen, or there is none")


@router.get("/document-exceptions", policy=Policy("status:read", READERS))
async def document_exceptions(
    page: Page, reader: Reader, customer: Annotated[Id | None, Query()] = None
) -> CursorPage[DocumentException]:
    """What failed, newest first."""
    place = page.after(datetime, str, str, str, int)
    rows = await profiles.document_exceptions_before(reader, place, page.rows, customer=customer)
    rows, following = page.page(
        rows,
        key=lambda row: (row.checked_at, row.document_type, row.source, row.document_id, row.number),
    )
    return CursorPage(items=[_exception(row) for row in rows], next=following)


@router.get(
    "/document-exceptions/file",
    policy=Policy("status:read", READERS),
    response_class=Response,
    responses=DOWNLOAD,
)
async def document_exceptions_file(
    reader: Reader,
    format: Annotated[SheetFormat, Query()] = "csv",
    customer: Annotated[Id | None, Query()] = None,
) -> Response:
    """The newest of them as a file."""
    rows = await profiles.document_exceptions_before(reader, None, EXPORT_ROWS_MAX, customer=customer)
    return await download(format, "document-exceptions", EXCEPTION_COLUMNS, rows, ZoneInfo("UTC"))


def _reasons(row: Any) -> str | None:
    return " ".join(reason.text for reason in findings(row.findings).reasons) or None


EXCEPTION_COLUMNS: Final[list[Column[Any]]] = [
    Column("checked_at", lambda row: row.checked_at, "moment"),
    Column("customer", lambda row: row.customer),
    Column("document_type", lambda row: row.document_type),
    Column("source", lambda row: row.source),
    Column("document_id", lambda row: row.document_id),
    Column("revision", lambda row: row.revision, "whole"),
    Column("operation", lambda row: row.operation),
    Column("stance", lambda row: row.stance),
    Column("outcome", lambda row: row.outcome),
    Column("reasons", _reasons, width=80),
]


async def _frozen(connection: Any, profile_id: UUID, changed: bool, text: str) -> ScopedProfile:
    if not changed:
        raise Problem.conflict("nothing-to-change", f"The profile {text}.")
    return await _profile(connection, str(profile_id))


def _terms(body: ScopedSettings, currency: str, temporary: tuple[Temporary, ...]) -> Terms:
    coefficient = Coefficient()
    if body.coefficient is not None:
        coefficient = Coefficient(
            _ten_thousandths(body.coefficient.factor), body.coefficient.valid_from, body.coefficient.valid_to
        )
    enforcement = dict(body.enforcement)
    if body.overdue_limit.limit is not None and body.overdue_limit.enforcement is not None:
        enforcement.setdefault("overdue-limit", body.overdue_limit.enforcement)
    return Terms(
        valid_from=body.validity.valid_from,
        valid_to=body.validity.valid_to,
        coefficient=coefficient,
        ratio_percent=body.ratio_percent,
        temporary=temporary,
        overdue_limit=_limit(body.overdue_limit.limit, currency, "overdue_limit"),
        overdue_ratio_percent=body.overdue_ratio_percent,
        overdue_days=body.overdue_days,
        enforcement=enforcement,
    )


def _ten_thousandths(factor: str) -> int:
    whole, _, fraction = factor.partition(".")
    return int(whole) * COEFFICIENT_ONE + int(fraction.ljust(4, "0"))


async def _profile(connection: Any, profile_id: str) -> ScopedProfile:
    row = await profiles.profile_row(connection, profile_id)
    if row is None:
        raise unknown("credit profile", profile_id)
    found = profiles.profile_of(row)
    stages = await profiles.used_by_stage(connection, profile_id)
    shown = net_of_refunds(stages)
    return ScopedProfile(
        profile_id=profile_id,
        scope=found.scope,
        scope_id=found.scope_id,
        object_type=found.object_type,
        object_id=found.object_id,
        currency=found.currency,
        version=row.version,
        check_rule=row.check_rule,
        grade=row.grade,
        frozen=found.frozen,
        terms=TERMS.dump_python(found.terms, mode="json"),
        used=signed(found.used, found.currency),
        used_by_stage=[
            StageAmount(stage=stage, amount=signed(int(amount), found.currency))
            for stage, amount in sorted(shown.items())
        ],
    )


def _exception(row: Any) -> DocumentException:
    values = {name: row._mapping[name] for name in DocumentException.model_fields if name != "findings"}
    return DocumentException(**values, findings=json.loads(row.findings))
