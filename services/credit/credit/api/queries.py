"""Look-ups with filter and export: credit status, exceptions, approvals in total, and simulation."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo

from chassis.http import DOWNLOAD, CursorPage, Now, Page, Policy, Problem, Reader, Router, Work, download
from chassis.sheets import Column
from contracts.money import Amount, Money, SignedMoney
from contracts.order import Reason
from contracts.text import Code, CurrencyCode, Id
from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row

from credit.api.common import EXPORT_ROWS_MAX, READERS, Body, Format, wire_limit
from credit.domain.profiles import UNLIMITED, Enforcement, Limit
from credit.domain.simulation import CHANGED_MAX, Changed, Report, Rule
from credit.domain.terms import COEFFICIENT_ONE, PLAIN, Terms
from credit.repository import queries as rows
from credit.repository.bodies import findings, terms_of

router: Final = Router(tags=["look-ups"])

SUMS_MAX: Final = 5_000
DECISIONS_MAX: Final = 500_000
DAYS_DEFAULT: Final = 30
UTC_ZONE: Final = ZoneInfo("UTC")

Percent = Annotated[int | None, Query(ge=0, le=1_000)]
Outcome = Literal["warned", "declined", "pending-approval", "approved"]


class StatusRow(BaseModel):
    """The numbers of a profile; available is null where nothing is limited."""

    profile_id: str
    scope: str
    scope_id: str
    object_type: str
    object_id: str
    currency: str
    limit: Money | Literal["unlimited"] | None
    limit_in_force: Money | Literal["unlimited"] | None = Field(
        description="Today: (limit x coefficient + temporary credit) x ratio; 0 outside the validity."
    )
    temporary: Money = Field(description="Temporary credit in force, added or in the limit's place.")
    coefficient: str
    overdue: SignedMoney
    overdue_days: int
    frozen: bool
    used: SignedMoney
    settled: SignedMoney
    undecided: SignedMoney
    available: SignedMoney | Literal["unlimited"] | None


class ExceptionRow(BaseModel):
    """A check that did not simply pass: what failed, and who let it pass or refused it."""

    checked_at: datetime
    source: str
    order_id: str
    check_number: int
    order_revision: int
    operation: str
    outcome: str
    reasons: list[Reason]
    failed: list[str] = Field(
        description="Metric, object type and object, such as `credit-limit customer C-1`."
    )
    person: str | None = Field(description="Who approved or rejected, where a person did.")
    person_reason: str | None
    decided: str | None = Field(description="fund-pool's outcome.")


class ApprovalSum(BaseModel):
    """What one approver has decided for one customer in a currency."""

    person: str
    customer: str
    approved: int
    approved_total: Money
    rejected: int
    rejected_total: Money
    last_at: datetime


class ChangedMetric(Body):
    """Another limit, or a percent of the recorded one; another enforcement."""

    limit: Amount | Literal["unlimited"] | None = Field(
        default=None, description="null = not controlled; left out: as recorded, or by limit_percent of it."
    )
    limit_percent: int | None = Field(default=None, ge=0, le=1_000)
    enforcement: Enforcement | None = None


class SimulationBody(Body):
    """A changed rule, for all profiles or for those of a type, an object or a currency."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "days": 30,
                    "object_type": "customer",
                    "metrics": {"credit-limit": {"limit_percent": 80, "enforcement": "special-approval"}},
                }
            ]
        },
    )
    days: Annotated[int, Field(ge=1, le=366)] = DAYS_DEFAULT
    object_type: Code | None = None
    object_id: Id | None = None
    currency: CurrencyCode | None = None
    metrics: Annotated[dict[Code, ChangedMetric], Field(min_length=1, max_length=10)]


class OutcomeCount(BaseModel):
    """How many decisions went so and would go otherwise, or the same."""

    was: str
    would_be: str
    decisions: int


class OtherDecision(BaseModel):
    """A decision that would be another one."""

    source: str
    order_id: str
    check_number: int
    was: str
    would_be: str
    failed: list[str]


class Simulation(BaseModel):
    """What the rule would have decided; `used` stays as it was recorded with each decision."""

    decisions: int
    different: int
    complete: bool = Field(description=f"False when there are more than {DECISIONS_MAX} decisions.")
    outcomes: list[OutcomeCount]
    changed: list[OtherDecision] = Field(description=f"The first {CHANGED_MAX} that differ.")


@router.get("/credit-status", policy=Policy("status:read", READERS))
async def credit_status(
    page: Page,
    reader: Reader,
    now: Now,
    object_type: Annotated[Code | None, Query()] = None,
    object_id: Annotated[Id | None, Query()] = None,
    currency: Annotated[CurrencyCode | None, Query()] = None,
    usage_percent: Percent = None,
) -> CursorPage[StatusRow]:
    """How profiles stand, all or those that the filter names."""
    found = await rows.statuses_after(
        reader,
        page.after(str),
        page.rows,
        object_type=object_type,
        object_id=object_id,
        currency=currency,
        usage_percent=usage_percent,
        today=now.date(),
    )
    shown, following = page.page(found, key=lambda row: (row.profile_id,))
    return CursorPage(items=[_status(row, now.date()) for row in shown], next=following)


@router.get(
    "/credit-status/file",
    policy=Policy("status:read", READERS),
    response_class=Response,
    responses=DOWNLOAD,
)
async def credit_status_file(
    reader: Reader,
    now: Now,
    format: Format = "csv",
    object_type: Annotated[Code | None, Query()] = None,
    object_id: Annotated[Id | None, Query()] = None,
    currency: Annotated[CurrencyCode | None, Query()] = None,
    usage_percent: Percent = None,
) -> Response:
    """The same as a file."""
    found = await rows.statuses_after(
        reader,
        None,
        EXPORT_ROWS_MAX + 1,
        object_type=object_type,
        object_id=object_id,
        currency=currency,
        usage_percent=usage_percent,
        today=now.date(),
    )
    shown = [_status(row, now.date()) for row in _bounded(found)]
    return await download(format, "credit-status", STATUS_COLUMNS, shown, UTC_ZONE)


@router.get("/exceptions", policy=Policy("exception:read", READERS))
async def exceptions(
    page: Page,
    reader: Reader,
    now: Now,
    since: Annotated[datetime | None, Query()] = None,
    until: Annotated[datetime | None, Query()] = None,
    outcome: Annotated[Outcome | None, Query()] = None,
    order_id: Annotated[Id | None, Query()] = None,
) -> CursorPage[ExceptionRow]:
    """Checks of orders that warned, held or declined, and what people decided, newest first."""
    first, last = _period(since, until, now)
    place = page.after(datetime, str, str, int)
    found = await rows.exceptions_before(
        reader, place, page.rows, since=first, until=last, outcome=outcome, order_id=order_id
    )
    shown, following = page.page(
        found, key=lambda row: (row.checked_at, row.source, row.order_id, row.check_number)
    )
    return CursorPage(items=[_exception(row) for row in shown], next=following)


@router.get(
    "/exceptions/file",
    policy=Policy("exception:read", READERS),
    response_class=Response,
    responses=DOWNLOAD,
)
async def exceptions_file(
    reader: Reader,
    now: Now,
    format: Format = "csv",
    since: Annotated[datetime | None, Query()] = None,
    until: Annotated[datetime | None, Query()] = None,
    outcome: Annotated[Outcome | None, Query()] = None,
    order_id: Annotated[Id | None, Query()] = None,
) -> Response:
    """The same as a file."""
    first, last = _period(since, until, now)
    found = await rows.exceptions_before(
        reader, None, EXPORT_ROWS_MAX + 1, since=first, until=last, outcome=outcome, order_id=order_id
    )
    shown = [_exception(row) for row in _bounded(found)]
    return await download(format, "exceptions", EXCEPTION_COLUMNS, shown, UTC_ZONE)


@router.get("/approvals-in-total", policy=Policy("exception:read", READERS))
async def approvals_in_total(
    reader: Reader,
    now: Now,
    since: Annotated[datetime | None, Query()] = None,
    until: Annotated[datetime | None, Query()] = None,
    person: Annotated[Id | None, Query()] = None,
    customer: Annotated[Id | None, Query()] = None,
) -> list[ApprovalSum]:
    """Per approver and customer what was approved and rejected in a period."""
    return await _sums(reader, _period(since, until, now), person, customer)


@router.get(
    "/approvals-in-total/file",
    policy=Policy("exception:read", READERS),
    response_class=Response,
    responses=DOWNLOAD,
)
async def approvals_in_total_file(
    reader: Reader,
    now: Now,
    format: Format = "csv",
    since: Annotated[datetime | None, Query()] = None,
    until: Annotated[datetime | None, Query()] = None,
    person: Annotated[Id | None, Query()] = None,
    customer: Annotated[Id | None, Query()] = None,
) -> Response:
    """The same as a file."""
    sums = await _sums(reader, _period(since, until, now), person, customer)
    return await download(format, "approvals", SUM_COLUMNS, sums, UTC_ZONE)


@router.post("/simulations", policy=Policy("simulation:run", READERS))
async def simulate(body: SimulationBody, work: Work) -> Simulation:
    """What a changed rule would have decided over the last days; nothing is kept."""
    metrics = {metric: _changed(metric, changed, body.currency) for metric, changed in body.metrics.items()}
    rule = Rule(metrics, body.object_type, body.object_id, body.currency)
    report = Report()
    since = work.now - timedelta(days=body.days)
    async for block in rows.decisions_since(work.connection, since, DECISIONS_MAX):
        report.take(rule, block)
    return Simulation(
        decisions=report.decisions,
        different=report.different,
        complete=report.decisions < DECISIONS_MAX,
        outcomes=[
            OutcomeCount(was=was, would_be=would_be, decisions=number)
            for (was, would_be), number in sorted(report.outcomes.items())
        ],
        changed=[
            OtherDecision(
                source=each.decided.source,
                order_id=each.decided.order_id,
                check_number=each.decided.check_number,
                was=each.decided.outcome,
                would_be=each.outcome,
                failed=each.failed,
            )
            for each in report.changed
        ],
    )


def _changed(metric: str, body: ChangedMetric, currency: str | None) -> Changed:
    limit: Limit = body.limit.minor if isinstance(body.limit, Money) else body.limit
    sets_limit = "limit" in body.model_fields_set
    where = f"metrics.{metric}"
    if sets_limit and body.limit_percent is not None:
        raise Problem.invalid([{"field": f"{where}.limit_percent", "message": "stands beside a limit"}])
    if isinstance(body.limit, Money) and body.limit.currency != currency:
        message = (
            f"is {body.limit.currency}; say the same currency in `currency`, so that only its profiles change"
        )
        raise Problem.invalid([{"field": f"{where}.limit.currency", "message": message}])
    return Changed(limit, sets_limit, body.limit_percent, body.enforcement)


def _period(since: datetime | None, until: datetime | None, now: datetime) -> tuple[datetime, datetime]:
    last = _zoned(until) if until is not None else now
    first = _zoned(since) if since is not None else last - timedelta(days=DAYS_DEFAULT)
    if first > last:
        raise Problem.invalid([{"field": "since", "message": f"is after {last.isoformat()}, the end"}])
    return first, last


def _zoned(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _bounded(found: Sequence[Row[Any]]) -> Sequence[Row[Any]]:
    if len(found) > EXPORT_ROWS_MAX:
        detail = f"More than {EXPORT_ROWS_MAX} rows; name a smaller part of them by the filter."
        raise Problem(422, "too-many-rows", detail=detail)
    return found


def _status(row: Row[Any], day: date) -> StatusRow:
    limit: Limit = UNLIMITED if row.credit_limit_unlimited else row.credit_limit_minor
    currency = row.currency
    terms = _terms(row)
    in_force = terms.credit_limit(limit, day)
    available: Any = in_force
    if isinstance(in_force, int):
        available = SignedMoney.of(in_force - row.used_minor, currency)
    names = (
        "profile_id",
        "scope",
        "scope_id",
        "object_type",
        "object_id",
        "currency",
        "overdue_days",
        "frozen",
    )
    return StatusRow(
        **{name: row._mapping[name] for name in names},
        limit=wire_limit(limit, currency),
        limit_in_force=wire_limit(in_force, currency),
        temporary=Money.of(sum(one.amount for one in terms.temporary_on(day)), currency),
        coefficient=_factor(terms, day),
        overdue=SignedMoney.of(int(row.overdue_minor), currency),
        used=SignedMoney.of(row.used_minor, currency),
        settled=SignedMoney.of(row.settled_minor, currency),
        undecided=SignedMoney.of(row.used_minor - row.settled_minor, currency),
        available=available,
    )


def _terms(row: Row[Any]) -> Terms:
    return PLAIN if row.terms is None else terms_of(bytes(row.terms))


def _factor(terms: Terms, day: date) -> str:
    return format(Decimal(terms.coefficient.on(day)) / COEFFICIENT_ONE, "f")


def _text(limit: Money | SignedMoney | Literal["unlimited"] | None) -> str | None:
    return limit.amount if isinstance(limit, Money | SignedMoney) else limit


STATUS_COLUMNS: Final[list[Column[StatusRow]]] = [
    Column("scope", lambda row: row.scope),
    Column("scope_id", lambda row: row.scope_id),
    Column("object_type", lambda row: row.object_type),
    Column("object_id", lambda row: row.object_id),
    Column("currency", lambda row: row.currency),
    Column("limit", lambda row: _text(row.limit)),
    Column("limit_in_force", lambda row: _text(row.limit_in_force)),
    Column("temporary", lambda row: row.temporary.amount, "decimal"),
    Column("coefficient", lambda row: row.coefficient, "decimal"),
    Column("used", lambda row: row.used.amount, "decimal"),
    Column("settled", lambda row: row.settled.amount, "decimal"),
    Column("undecided", lambda row: row.undecided.amount, "decimal"),
    Column("available", lambda row: _text(row.available)),
    Column("overdue", lambda row: row.overdue.amount, "decimal"),
    Column("overdue_days", lambda row: row.overdue_days, "whole"),
    Column("frozen", lambda row: "yes" if row.frozen else "no"),
    Column("profile_id", lambda row: row.profile_id),
]


def _exception(row: Row[Any]) -> ExceptionRow:
    found = findings(row.findings)
    return ExceptionRow(
        checked_at=row.checked_at,
        source=row.source,
        order_id=row.order_id,
        check_number=row.check_number,
        order_revision=row.order_revision,
        operation=row.operation,
        outcome=row.outcome,
        reasons=found.reasons,
        failed=[
            f"{metric.metric} {metric.object_type} {metric.object_id}"
            for metric in found.metrics
            if metric.result != "passed"
        ],
        person=row.person or row.judge,
        person_reason=row.judged_because,
        decided=row.decided,
    )


EXCEPTION_COLUMNS: Final[list[Column[ExceptionRow]]] = [
    Column("checked_at", lambda row: row.checked_at, "moment"),
    Column("source", lambda row: row.source),
    Column("order_id", lambda row: row.order_id),
    Column("check_number", lambda row: row.check_number, "whole"),
    Column("operation", lambda row: row.operation),
    Column("outcome", lambda row: row.outcome),
    Column("failed", lambda row: "; ".join(row.failed) or None, width=40),
    Column("reasons", lambda row: " ".join(reason.text for reason in row.reasons) or None, width=80),
    Column("person", lambda row: row.person),
    Column("person_reason", lambda row: row.person_reason, width=40),
    Column("decided", lambda row: row.decided),
]


async def _sums(
    reader: Reader, period: tuple[datetime, datetime], person: str | None, customer: str | None
) -> list[ApprovalSum]:
    first, last = period
    found = await rows.approval_sums(
        reader, since=first, until=last, person=person, customer=customer, rows_max=SUMS_MAX
    )
    return [
        ApprovalSum(
            person=row.person,
            customer=row.customer,
            approved=row.approved,
            approved_total=Money.of(int(row.approved_minor), row.currency),
            rejected=row.rejected,
            rejected_total=Money.of(int(row.rejected_minor), row.currency),
            last_at=row.last_at,
        )
        for row in found
    ]


SUM_COLUMNS: Final[list[Column[ApprovalSum]]] = [
    Column("person", lambda row: row.person),
    Column("customer", lambda row: row.customer),
    Column("currency", lambda row: row.approved_total.currency),
    Column("approved", lambda row: row.approved, "whole"),
    Column("approved_total", lambda row: row.approved_total.amount, "decimal"),
    Column("rejected", lambda row: row.rejected, "whole"),
    Column("rejected_total", lambda row: row.rejected_total.amount, "decimal"),
    Column("last_at", lambda row: row.last_at, "moment"),
]
