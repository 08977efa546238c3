"""Check rules as a CSV or Excel file, and tables of them back, with a preview."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

from chassis.http import DOWNLOAD, CurrentPrincipal, Policy, Problem, Reader, Router, Work, download
from chassis.sheets import Column, SheetFormat, TableRow, UnreadableTable, read_table
from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict, ValidationError

from chassis import UnitOfWork
from credit.api.common import READERS
from credit.api.profile_files import BODY_BYTES_MAX, ImportBody
from credit.api.rules import RuleSettings, RuleView, TypeSetting, rule_view, save_rule
from credit.domain.rule_rows import REQUIRED, SETTINGS, RuleRow, RuleRowRefused, read_rule_row
from credit.domain.rules import METRICS, Metric
from credit.repository import rules

router: Final = Router(tags=["check rules"])

ROWS_MAX: Final = 5_000
RULES_MAX: Final = 5_000


class RuleImport(ImportBody):
    """A table with one row per rule and type of document, as CSV or as an Excel file in base64."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "csv": "rule_id,name,document_type,credit-limit\nexport,Export,outbound,reject\n",
                    "preview": True,
                    "reason": "policy of 2026",
                }
            ]
        },
    )


class RuleResult(BaseModel):
    """What becomes of one rule, by its first line in the table."""

    row: int
    rule_id: str
    outcome: Literal["created", "changed", "same", "refused"]
    reason: str | None = None


class RuleImportResult(BaseModel):
    """Nothing of a table is stored while a rule is refused."""

    stored: bool
    rules: list[RuleResult]


@dataclass(frozen=True, slots=True)
class Line:
    """A rule with one of its types, as a row of the file."""

    rule: RuleView
    said: TypeSetting


def _enforcement(metric: Metric) -> Column[Line]:
    return Column(metric, lambda line: line.said.enforcement.get(metric))


COLUMNS: Final[list[Column[Line]]] = [
    Column("rule_id", lambda line: line.rule.rule_id),
    Column("name", lambda line: line.rule.name),
    Column("document_type", lambda line: line.said.document_type),
    Column("sub_type", lambda line: line.said.sub_type),
    Column("checked", lambda line: "yes" if line.said.checked else "no"),
    Column("control_point", lambda line: line.said.control_point),
    Column("occupies", lambda line: "yes" if line.said.occupies else "no"),
    *(_enforcement(metric) for metric in METRICS),
    Column("amount_formula", lambda line: line.said.amount_formula, width=40),
    Column("grace_days", lambda line: line.rule.grace_days, "whole"),
    Column("custom_formula", lambda line: line.rule.custom_formula, width=40),
]


@router.get(
    "/check-rule-table",
    policy=Policy("check-rule:read", READERS),
    response_class=Response,
    responses=DOWNLOAD,
)
async def export_rules(reader: Reader, format: Annotated[SheetFormat, Query()] = "csv") -> Response:
    """Check rules as a file, in the form that an import takes back."""
    found = [rule_view(row) for row in await rules.rules_after(reader, None, RULES_MAX)]
    lines = [Line(rule, said) for rule in found for said in rule.types]
    return await download(format, "check-rules", COLUMNS, lines, ZoneInfo("UTC"))


@router.post(
    "/check-rule-imports",
    policy=Policy("check-rule:import", {"credit-manager"}),
    body_bytes_max=BODY_BYTES_MAX,
)
async def import_rules(body: RuleImport, work: Work, principal: CurrentPrincipal) -> RuleImportResult:
    """Makes and replaces rules by a table, all of it or nothing; formulas are read and tried before."""
    try:
        table = read_table(body.table, REQUIRED, (*SETTINGS, *METRICS), rows_max=ROWS_MAX)
    except UnreadableTable as error:
        raise Problem.invalid([{"field": "table", "message": str(error)}]) from None
    results: list[RuleResult] = []
    wanted: dict[str, RuleSettings] = {}
    for number, rule_id, rows in _by_rule(table):
        result, settings = await _judged(work, number, rule_id, rows, body.reason)
        results.append(result)
        if settings is not None:
            wanted[rule_id] = settings
    stored = not body.preview and all(result.outcome != "refused" for result in results)
    if stored:
        for rule_id, settings in wanted.items():
            await save_rule(work, rule_id, settings, principal.subject)
    return RuleImportResult(stored=stored, rules=results)


def _by_rule(table: Sequence[TableRow]) -> Iterator[tuple[int, str, list[TableRow]]]:
    rules_of: dict[str, list[TableRow]] = {}
    for line in table:
        rules_of.setdefault(line.cells["rule_id"].strip(), []).append(line)
    for rule_id, lines in rules_of.items():
        yield lines[0].number, rule_id, lines


async def _judged(
    work: UnitOfWork, number: int, rule_id: str, lines: Sequence[TableRow], reason: str
) -> tuple[RuleResult, RuleSettings | None]:
    def refused(why: str) -> tuple[RuleResult, None]:
        return RuleResult(row=number, rule_id=rule_id[:128], outcome="refused", reason=why), None

    try:
        settings = _settings([read_rule_row(line.cells) for line in lines], reason)
    except RuleRowRefused as error:
        return refused(str(error))
    except ValidationError as error:
        return refused(str(error.errors()[0]["msg"]))
    except Problem as problem:
        return refused(" ".join(f"{one['field']}: {one['message']}" for one in problem.errors))
    row = await rules.rule_row(work.connection, rule_id, locked=True)
    if row is None:
        return RuleResult(row=number, rule_id=rule_id, outcome="created"), settings
    before = rule_view(row)
    if settings.model_copy(update={"reason": ""}) == _as_settings(before):
        return RuleResult(row=number, rule_id=rule_id, outcome="same"), None
    return RuleResult(row=number, rule_id=rule_id, outcome="changed"), settings


def _as_settings(view: RuleView) -> RuleSettings:
    return RuleSettings.model_construct(
        name=view.name,
        grace_days=view.grace_days,
        custom_formula=view.custom_formula,
        types=view.types,
        reason="",
    )


def _settings(rows: Sequence[RuleRow], reason: str) -> RuleSettings:
    heads = {row.head for row in rows}
    if len(heads) > 1:
        raise RuleRowRefused("name, grace_days and custom_formula must be the same in all rows of a rule")
    first = rows[0]
    settings = RuleSettings(
        name=first.name,
        grace_days=first.grace_days,
        custom_formula=first.custom_formula,
        types=[
            TypeSetting(
                document_type=row.document_type,
                sub_type=row.sub_type,
                checked=row.checked,
                control_point=row.control_point,
                occupies=row.occupies,
                enforcement=row.enforcement,
                amount_formula=row.amount_formula,
            )
            for row in rows
        ],
        reason=reason,
    )
    settings.require_sound()
    return settings
