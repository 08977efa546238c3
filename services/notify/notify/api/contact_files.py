"""An account's people as a CSV document: out, and in again with a result for each row."""

import csv
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Final, Literal

from chassis.http import Context, Policy, Problem, Reader, Router, Work
from contracts.text import Id
from fastapi.responses import Response
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from notify.api.common import OPERATORS, Body, PersonId, settings_of
from notify.api.contact_bodies import ContactBody
from notify.domain.delivery import Channel
from notify.domain.people import Address, Contact
from notify.domain.sheets import read, written
from notify.repository import contacts as contact_rows
from notify.repository import reference

router = Router(tags=["contacts"])

COLUMNS: Final = (
    "person",
    "name",
    "language",
    "time_zone",
    "phone",
    "email",
    "security",
    "wants",
    "wants_of_members",
    "roles",
    "quiet_begins",
    "quiet_ends",
)
ROWS_MAX: Final = 2_000
DOCUMENT_CHARACTERS_MAX: Final = 900_000
PERSON: Final[TypeAdapter[str]] = TypeAdapter(PersonId)


class ImportBody(Body):
    """A CSV document with a line of names; `preview` says each row's fate and stores nothing."""

    csv: Annotated[str, Field(min_length=1, max_length=DOCUMENT_CHARACTERS_MAX)]
    preview: bool = False


class RowResult(BaseModel):
    """What became of one row, counted from 1; a refused row keeps none of the others back."""

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
    "/accounts/{account}/contacts.csv",
    policy=Policy("contact:read", roles=OPERATORS, account="account"),
    response_class=Response,
    summary="An account's people as CSV",
)
async def export(account: Id, reader: Reader) -> Response:
    """At most 2,000 people; a cell that a spreadsheet would calculate begins with an apostrophe."""
    found = await contact_rows.after(reader, account, "", ROWS_MAX)
    document = written(COLUMNS, [_cells(contact) for contact in found])
    headers = {"Content-Disposition": 'attachment; filename="contacts.csv"'}
    return Response(document, media_type="text/csv; charset=utf-8", headers=headers)


@router.post(
    "/accounts/{account}/contacts/import",
    policy=Policy("contact:write", roles=OPERATORS, account="account"),
    summary="Store people from a CSV document",
)
async def import_contacts(account: Id, body: ImportBody, work: Work, context: Context) -> ImportResult:
    """Stores each row that is right; channels, preferences and verified addresses of known people stay."""
    rows = _rows(body.csv)
    await reference.lock_account(work.connection, account)
    known = {c.person: c for c in (await contact_rows.at_places(work.connection, [account])).get(account, [])}
    results: list[RowResult] = []
    for number, row in enumerate(rows, start=1):
        person = row.get("person", "").strip()
        try:
            contact = _contact(account, person, row, known.get(person), settings_of(context))
        except (ValidationError, ValueError) as error:
            results.append(
                RowResult(row=number, person=person[:64], outcome="refused", reason=_reason(error))
            )
            continue
        if not body.preview:
            await contact_rows.save(work.connection, contact, work.now)
        outcome: Literal["created", "changed"] = "changed" if person in known else "created"
        results.append(RowResult(row=number, person=person, outcome=outcome))
        known[person] = contact
    counts = {name: sum(one.outcome == name for one in results) for name in ("created", "changed", "refused")}
    return ImportResult(preview=body.preview, rows=results, **counts)


def _rows(document: str) -> list[dict[str, str]]:
    try:
        rows = read(document)
    except csv.Error as error:
        raise Problem.invalid([{"field": "csv", "message": f"is not CSV: {error}"}]) from None
    unknown = sorted(set(rows[0]) - set(COLUMNS)) if rows else []
    missing = sorted({"person", "name", "language", "time_zone"} - set(rows[0])) if rows else []
    if unknown or missing or len(rows) > ROWS_MAX:
        what = (
            f"has no column {missing[0]}"
            if missing
            else f"has an unknown column {unknown[0][:40]}"
            if unknown
            else ""
        )
        raise Problem.invalid([{"field": "csv", "message": what or f"has more than {ROWS_MAX} rows"}])
    return rows


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


def _cells(contact: Contact) -> dict[str, str]:
    addresses, quiet = contact.addresses, contact.quiet
    return {
        "person": contact.person,
        "name": contact.name,
        "language": contact.language,
        "time_zone": contact.time_zone,
        "phone": addresses[Channel.SMS].value if Channel.SMS in addresses else "",
        "email": addresses[Channel.EMAIL].value if Channel.EMAIL in addresses else "",
        "security": "yes" if contact.security else "",
        "wants": " ".join(sorted(contact.wants)),
        "wants_of_members": " ".join(sorted(contact.wants_of_members)),
        "roles": " ".join(sorted(contact.roles)),
        "quiet_begins": f"{quiet.begins:%H:%M}" if quiet else "",
        "quiet_ends": f"{quiet.ends:%H:%M}" if quiet else "",
    }
