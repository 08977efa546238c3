"""Master data as tables: organisations, customers and references, all rows or none, with a preview."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, cast, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from chassis.http import CurrentPrincipal, Policy, Problem, Router, Work
from chassis.sheets import TableRow, UnreadableTable, read_table
from pydantic import BaseModel, ConfigDict

from chassis import UnitOfWork
from credit.api.profile_files import BODY_BYTES_MAX, ImportBody
from credit.domain.masterdata import MasterRecord, ReferenceKind, Table, Version, reference_id
from credit.repository import masterdata as rows

router: Final = Router(tags=["customers and organisations"])

ROWS_MAX: Final = 5_000
REQUIRED: Final = ("kind", "id", "name")
OPTIONAL: Final = (
    "parent",
    "active",
    "organisation_type",
    "time_zone",
    "credit_managed",
    "version",
)
CUSTOMER: Final = "customer"
ORGANISATION: Final = "organisation"
KINDS: Final = (ORGANISATION, CUSTOMER, *get_args(ReferenceKind))
NAME_CHARACTERS_MAX: Final = 200
Outcome = Literal["created", "changed", "same", "refused"]
Own = tuple[str | bool | None, ...]


class MasterImport(ImportBody):
    """A table with the headings kind, id and name, as CSV or as an Excel file in base64."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "csv": "kind,id,name,parent\ncustomer,C-1,Huaxin,G-7\nmaterial,M-1,Sheet,MG-1\n",
                    "preview": True,
                    "reason": "opening",
                }
            ]
        },
    )


class RowResult(BaseModel):
    """What becomes of one row, by its line in the table."""

    row: int
    kind: str
    id: str
    outcome: Outcome
    reason: str | None = None


class MasterImportResult(BaseModel):
    """Nothing of a table is stored while a row is refused."""

    stored: bool
    rows: list[RowResult]


class RowRefused(ValueError):
    """A row that cannot be taken; the message says which cell and what would be right."""


@router.post(
    "/master-data-imports",
    policy=Policy("master-data:import", {"credit-manager"}),
    body_bytes_max=BODY_BYTES_MAX,
)
async def import_master_data(
    body: MasterImport, work: Work, principal: CurrentPrincipal
) -> MasterImportResult:
    """Makes and changes organisations, customers, materials, groups, salespeople and departments by a table."""
    try:
        table = read_table(body.table, REQUIRED, OPTIONAL, rows_max=ROWS_MAX)
    except UnreadableTable as error:
        raise Problem.invalid([{"field": "table", "message": str(error)}]) from None
    known = await _known(work, table)
    results: list[RowResult] = []
    wanted: dict[tuple[Table, str], MasterRecord] = {}
    for line in table:
        result, record = _judged(line, known, wanted, principal.subject, work)
        results.append(result)
        if record is not None:
            wanted[record.table, record.record_id] = record
    stored = not body.preview and all(result.outcome != "refused" for result in results)
    if stored:
        for name in get_args(Table):
            of_table = [record for record in wanted.values() if record.table == name]
            await rows.save(work.connection, name, of_table)
    return MasterImportResult(stored=stored, rows=results)


async def _known(work: UnitOfWork, table: Sequence[TableRow]) -> dict[tuple[Table, str], Version]:
    known: dict[tuple[Table, str], Version] = {}
    for name in get_args(Table):
        ids = {_record_id(line.cells) for line in table if _table(line.cells["kind"]) == name}
        found = await rows.locked_versions(work.connection, name, ids)
        known |= {(name, record_id): version for record_id, version in found.items()}
    return known


def _judged(
    line: TableRow,
    known: Mapping[tuple[Table, str], Version],
    seen: Mapping[tuple[Table, str], MasterRecord],
    person: str,
    work: UnitOfWork,
) -> tuple[RowResult, MasterRecord | None]:
    cells = line.cells

    def result(outcome: Outcome, reason: str | None = None) -> RowResult:
        kind, own_id = cells["kind"][:40], cells["id"][:128]
        return RowResult(row=line.number, kind=kind, id=own_id, outcome=outcome, reason=reason)

    try:
        own = _own(cells)
        place = (_table(cells["kind"]), _record_id(cells))
        if place in seen:
            raise RowRefused("stands in the table twice; once would be right")
        before = known.get(place)
        record = MasterRecord(
            place[0],
            place[1],
            _version(cells, before),
            cells["name"].strip(),
            _truth(cells, "active"),
            own,
            person,
            work.now,
        )
    except RowRefused as error:
        return result("refused", str(error)), None
    if before is not None and before[1] == record.digest:
        return result("same"), None
    return result("created" if before is None else "changed"), record


def _own(cells: Mapping[str, str]) -> Own:
    """What only its kind has; raises RowRefused."""
    kind, own_id, parent = cells["kind"], cells["id"].strip(), cells.get("parent", "").strip() or None
    if kind not in KINDS:
        raise RowRefused(f"kind is {kind[:40]!r}; one of {', '.join(KINDS)} would be right")
    for name, value in (("id", own_id), ("parent", parent or "-")):
        if not value or len(value) > 128 or any(character.isspace() for character in value):
            raise RowRefused(f"{name} is {value[:40]!r}; one word of at most 128 characters would be right")
    if not cells["name"].strip() or len(cells["name"]) > NAME_CHARACTERS_MAX:
        raise RowRefused(f"name must have 1 to {NAME_CHARACTERS_MAX} characters")
    if kind == CUSTOMER:
        return parent, _truth(cells, "credit_managed")
    if kind == ORGANISATION:
        return _organisation_type(cells), parent, _zone(cells)
    return kind, own_id, parent


def _organisation_type(cells: Mapping[str, str]) -> str:
    value = cells.get("organisation_type", "")
    if value not in ("business", "legal", "group"):
        raise RowRefused(f"organisation_type is {value[:40]!r}; business, legal or group would be right")
    return value


def _zone(cells: Mapping[str, str]) -> str:
    value = cells.get("time_zone", "")
    try:
        return ZoneInfo(value).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise RowRefused(f"time_zone is {value[:40]!r}; one such as Asia/Shanghai would be right") from None


def _truth(cells: Mapping[str, str], name: str) -> bool:
    value = cells.get(name, "").strip().lower()
    if value not in ("", "yes", "no", "true", "false"):
        raise RowRefused(f"{name} is {value[:40]!r}; yes, no or nothing, which is yes, would be right")
    return value in ("", "yes", "true")


def _version(cells: Mapping[str, str], before: Version | None) -> int:
    following = before[0] + 1 if before is not None else 1
    value = cells.get("version", "")
    if not value:
        return following
    if not (value.isascii() and value.isdigit() and len(value) < 16) or int(value) < following:
        raise RowRefused(f"version is {value[:20]!r}; {following} or more would be right")
    return int(value)


def _table(kind: str) -> Table:
    return cast(Table, kind) if kind in (CUSTOMER, ORGANISATION) else "reference"


def _record_id(cells: Mapping[str, str]) -> str:
    own_id = cells["id"].strip()
    return own_id if cells["kind"] in (CUSTOMER, ORGANISATION) else reference_id(cells["kind"], own_id)
