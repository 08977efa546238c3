"""An account's people as a table: out as CSV or Excel, and in again with a result for each row."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated, Any, Final, Literal, Self
from zoneinfo import ZoneInfo

from chassis.http import Context, Policy, Problem, Reader, Router, Work
from chassis.http.downloads import DOWNLOAD, download
from chassis.sheets import Column, SheetFormat, TableRow, UnreadableTable, read_table
from contracts.text import Id
from fastapi import Query
from fastapi.responses import Response
from pydantic import Base64Bytes, BaseModel, Field, TypeAdapter, ValidationError, model_validator

from notify.api.common import OPERATORS, Body, PersonId, settings_of
from notify.api.contact_bodies import ContactBody
from notify.domain.delivery import Channel
from notify.domain.people import Address, Contact
from notify.repository import contacts as contact_rows
from notify.repository import reference

router = Router(tags=["contacts"])

ROWS_MAX: Final = 2_000
DOCUMENT_CHARACTERS_MAX: Final = 900_000
PERSON: Final[TypeAdapter[str]] = TypeAdapter(PersonId)
REQUIRED: Final = ("person", "name", "language", "time_zone")


def _address(channel: Channel) -> Callable[[Contact], str | None]:
    return lambda contact: contact.addresses[channel].value if channel in contact.addresses else None


COLUMNS: Final[list[Column[Contact]]] = [
    Column("person", lambda contact: contact.person),
    Column("name", lambda contact: contact.name),
    Column("language", lambda contact: contact.language),
    Column("time_zone", lambda contact: contact.time_zone),
    Column("phone", _address(Channel.SMS)),
    Column("email", _address(Channel.EMAIL)),
    Column("security", lambda contact: "yes" if contact.security else None),
    Column("wants", lambda contact: " ".join(sorted(contact.wants)) or None),
    Column("wants_of_members", lambda contact: " ".join(sorted(contact.wants_of_members)) or None),
    Column("roles", lambda contact: " ".join(sorted(contact.roles)) or None),
    Column("quiet_begins", lambda contact: f"{contact.quiet.begins:%H:%M}" if contact.quiet else None),
    Column("quiet_ends", lambda contact: f"{contact.quiet.ends:%H:%M}" if contact.quiet else None),
]
OPTIONAL: Final = tuple(column.heading for column in COLUMNS if column.heading not in REQUIRED)


class ImportBody(Body):
    """A table with a line of names, as CSV or as an Excel file in base64; `preview` stores nothing."""

    csv: Annotated[str, Field(min_length=1, max_length=DOCUMENT_CHARACTERS_MAX)] | None = None
    xlsx: Annotated[Base64Bytes, Field(max_length=DOCUMENT_CHARACTERS_MAX)] | None = None
    preview: bool = False

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if (self.csv is None) == (self.xlsx is None):
            raise ValueError("send either csv or xlsx")
        return self

    @property
    def table(self) -> bytes:
        return self.xlsx if self.xlsx is not None else (self.csv or "").encode()


class RowResult(BaseModel):
    """What became of one row, by its line in the table; a refused row keeps none of the others back."""

    row: int
    person: str
    outcome: Literal["created", "changed", "refused"]
    reason: str | None = None


class ImportResult(BaseModel):
    preview: bool
    created: int
    changed: int
    refused: int
    rows: list[RowResult]


@router.get(
    "/accounts/{account}/contact-list",
    policy=Policy("contact:read", roles=OPERATORS, account="account"),
    response_class=Response,
    responses=DOWNLOAD,
    summary="An account's people as a file",
)
async def export(account: Id, reader: Reader, format: Annotated[SheetFormat, Query()] = "csv") -> Response:
    """At most 2,000 people; in CSV a cell that a spreadsheet would calculate begins with an apostrophe."""
    found = await contact_rows.after(reader, account, "", ROWS_MAX)
    return await download(format, "contacts", COLUMNS, found, ZoneInfo("UTC"))


@router.post(
    "/accounts/{account}/contacts/import",
    policy=Policy("contact:write", roles=OPERATORS, account="account"),
    summary="Store people from a table",
)
async def import_contacts(account: Id, body: ImportBody, work: Work, context: Context) -> ImportResult:
    """Stores each row that is right; channels, preferences and verified addresses of known people stay."""
    rows = _rows(body.table)
    await reference.lock_account(work.connection, account)
    known = {c.person: c for c in (await contact_rows.at_places(work.connection, [account])).get(account, [])}
    results: list[RowResult] = []
    for row in rows:
        person = row.cells.get("person", "").strip()
        try:
            contact = _contact(account, person, row.cells, known.get(person), settings_of(context))
        except (ValidationError, ValueError) as error:
            reason = _reason(error)
            results.append(RowResult(row=row.number, person=person[:64], outcome="refused", reason=reason))
            continue
        if not body.preview:
            await contact_rows.save(work.connection, contact, work.now)
        outcome: Literal["created", "changed"] = "changed" if person in known else "created"
        results.append(RowResult(row=row.number, person=person, outcome=outcome))
        known[person] = contact
    counts = {name: sum(one.outcome == name for one in results) for name in ("created", "changed", "refused")}
    return ImportResult(preview=body.preview, rows=results, **counts)


def _rows(table: bytes) -> list[TableRow]:
    try:
        return read_table(table, REQUIRED, OPTIONAL, rows_max=ROWS_MAX)
    except UnreadableTable as error:
        raise Problem.invalid([{"field": "table", "message": str(error)}]) from None


def _contact(
    account: str, person: str, row: Mapping[str, str], known: Contact | None, settings: Any
) -> Contact:
    values: dict[str, Any] = {
        "name": row.get("name", ""),
        "language": row.get("language", ""),
        "time_zone": row.get("time_zone", ""),
        "phone": row.get("phone") or None,
        "email": row.get("email") or None,
        "security": row.get("security", "").strip().lower() in ("yes", "true", "1"),
        **{key: row.get(key, "").split() for key in ("wants", "wants_of_members", "roles")},
    }
    if row.get("quiet_begins") or row.get("quiet_ends"):
        values["quiet_hours"] = {"begins": row.get("quiet_begins", ""), "ends": row.get("quiet_ends", "")}
    made = ContactBody.model_validate(values).contact(account, PERSON.validate_python(person), settings)
    if known is None:
        return made
    kept: dict[Channel, Address] = {
        c: a for c, a in known.addresses.items() if c not in (Channel.SMS, Channel.EMAIL)
    }
    return replace(made, addresses={**kept, **made.addresses}, preferences=known.preferences)


def _reason(error: Exception) -> str:
    """What is wrong with a row, without what it says."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_input=False, include_url=False)[0]
    field = ".".join(str(step) for step in first["loc"]) or "person"
    return f"{field}: {first['msg'].removeprefix('Value error, ')}"[:300]
