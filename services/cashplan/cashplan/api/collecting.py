"""What is put into the pool by people: items by hand and by Excel, recurring ones, rules, calendars, batches."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime
from itertools import islice
from typing import Annotated, Any, Final

from chassis.http import CurrentPrincipal, CursorPage, FieldError, Page, Policy, Problem, Reader, Router, Work
from chassis.sheets import TableRow, UnreadableTable, table_rows
from contracts.bounds import at_most
from contracts.money import UNSIGNED_DECIMAL, decimal_string, decimals, minor_units
from contracts.text import Code, DocumentId, Id
from contracts.times import CalendarDate
from fastapi import File, Query, UploadFile
from pydantic import BaseModel, Field, StringConstraints, TypeAdapter, ValidationError

from cashplan.api.common import (
    PLAN_ADMINISTRATORS,
    PLAN_PEOPLE,
    PLAN_READERS,
    PLANNERS,
    Body,
    known_system,
    own_id,
    refusals,
    require,
    require_sight,
    sees,
)
from cashplan.api.pool import PoolItemView, item_view
from cashplan.domain import approvals
from cashplan.domain.approvals import Course
from cashplan.domain.collection import MANUAL, CollectionRule, ManualItem, manual_fact
from cashplan.domain.organisations import local_date
from cashplan.domain.pool import ItemKey
from cashplan.domain.recurring import Calendar, NoWorkingDay, RecurringItem
from cashplan.domain.systems import Step
from cashplan.flows import recurring as recurring_flow
from cashplan.flows import tasks
from cashplan.flows.pool import PoolDesk, PoolNews
from cashplan.flows.recurring import RECURRING_DUE, CalendarUnknown, next_run
from cashplan.repository import batches as batch_rows
from cashplan.repository import pool as pool_rows
from cashplan.repository import recurring as recurring_rows
from cashplan.repository import session
from cashplan.repository import settings as setting_rows
from cashplan.repository.batches import ApprovalBatch, BatchItem
from cashplan.repository.tasks import Task

router = Router(tags=["pool"])

COLLECTORS: Final = PLANNERS | PLAN_PEOPLE
IMPORT_ROWS_MAX: Final = 100_000
PART_ROWS: Final = 5_000
ERRORS_MAX: Final = 100
IMPORT_BYTES_MAX: Final = 24 * 1024 * 1024
REQUIRED: Final = ("id", "entity", "direction", "currency", "amount", "due_date", "purpose")
OPTIONAL: Final = ("item", "counterparty", "contract_number", "settlement_method", "closed")
MANUAL_SOURCE: Final = "by-hand"
ITEM: Final = TypeAdapter(ManualItem)
TIME_ZONE: Final = "Asia/Shanghai"


class Imported(BaseModel):
    """How many rows were read, and how many of them changed the pool."""

    rows: int
    changed: int


class RecurringView(BaseModel):
    recurring_id: str
    item: RecurringItem
    generated_to: date


class RecurringSaved(BaseModel):
    recurring_id: str
    occurrences_changed: int


class BatchBody(Body):
    """A batch of an entity's open items that are due in a range, or of those named."""

    entity: Id
    due_from: CalendarDate
    due_to: CalendarDate
    items: Annotated[list[DocumentId], at_most(10_000)] | None = None


class ApprovedAmount(Body):
    document_type: Code
    source: Id
    document_id: DocumentId
    amount: Annotated[str, StringConstraints(pattern=UNSIGNED_DECIMAL)]


class ApproveBody(Body):
    """Amounts that differ from what was asked for; every other item is approved as it is."""

    amounts: Annotated[list[ApprovedAmount], at_most(10_000)] = Field(default_factory=list)


class BatchItemView(BaseModel):
    document_type: str
    source: str
    document_id: str
    currency: str
    requested: str
    approved: str


class BatchView(BaseModel):
    batch_id: str
    entity: str
    state: str
    items: list[BatchItemView]
    changed_at: datetime


@router.put(
    "/pool-items/by-hand/{item_id}",
    policy=Policy("pool-item:enter", roles=COLLECTORS),
    summary="Enter or change an item by hand",
)
async def enter_item(item_id: Id, body: ManualItem, work: Work, principal: CurrentPrincipal) -> PoolItemView:
    """An item that no document brings; `closed` takes it off the pool."""
    _require_currency(body, "amount")
    await _enter(work, {item_id: body}, principal.subject)
    (found,) = await pool_rows.items_by_key(work.connection, [ItemKey(MANUAL, MANUAL_SOURCE, item_id)])
    return item_view(found)


def _require_currency(body: ManualItem, field: str) -> None:
    if body.amount.currency != body.currency:
        message = f"must be in {body.currency}, the item's currency"
        raise Problem.invalid([FieldError(field=f"{field}.currency", message=message)])


async def _enter(work: Any, items: dict[str, ManualItem], subject: str) -> int:
    keys = {item_id: ItemKey(MANUAL, MANUAL_SOURCE, item_id) for item_id in items}
    desk = PoolDesk(work)
    await desk.load(list(keys.values()), [])
    changed = 0
    for item_id, entered in items.items():
        key = keys[item_id]
        fact = manual_fact(key, desk.versions.get(key, 0) + 1, entered, "enter")
        current = desk.items.get(key)
        if current is None or _differs(current, fact, desk.chains[key].is_closed):
            desk.apply(PoolNews(fact, f"by {subject}", work.now))
            changed += 1
    await desk.save()
    work.count("pool-item", "entered")
    return changed


def _differs(current: Any, fact: Any, was_closed: bool) -> bool:
    item = fact.item
    before = (
        current.due_date,
        current.document_minor,
        current.direction,
        dict(current.attributes),
        was_closed,
    )
    return bool(
        before
        != (item.due_date, item.document_minor, item.direction, dict(item.attributes), fact.chain.is_closed)
    )


@router.post(
    "/pool-items/import",
    policy=Policy("pool-item:enter", roles=COLLECTORS),
    summary="Import items from Excel or CSV",
    body_bytes_max=IMPORT_BYTES_MAX,
)
async def import_items(
    file: Annotated[UploadFile, File()], work: Work, principal: CurrentPrincipal
) -> Imported:
    """All rows or none: wrong ones are named by row; an item known by its id is changed."""
    rows = table_rows(await file.read(), REQUIRED, OPTIONAL, rows_max=IMPORT_ROWS_MAX)
    known: set[str] = set()
    errors: list[FieldError] = []
    read = changed = 0
    while part := await _next_rows(work, rows):
        items = _read(part, known, errors)
        read += len(part)
        if len(errors) >= ERRORS_MAX:
            break
        if not errors:
            changed += await _enter(work, items, principal.subject)
    if errors:
        raise Problem.invalid(errors, type="rows-invalid")
    return Imported(rows=read, changed=changed)


async def _next_rows(work: Any, rows: Iterator[TableRow]) -> list[TableRow]:
    try:
        return await session.beside(work.connection, lambda: list(islice(rows, PART_ROWS)))
    except UnreadableTable as error:
        raise Problem.invalid(
            [FieldError(field="file", message=str(error))], type="table-unreadable"
        ) from None


def _read(rows: Sequence[TableRow], known: set[str], errors: list[FieldError]) -> dict[str, ManualItem]:
    """The items of some rows; ids are added to those known, what is wrong to the errors."""
    items: dict[str, ManualItem] = {}
    for row in rows:
        try:
            if row.cells["id"] in known:
                raise ValueError("id: is that of an earlier row too")
            known.add(row.cells["id"])
            items[row.cells["id"]] = _manual(row.cells)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(each) for each in first["loc"])
            errors.append(FieldError(field=f"row {row.number}", message=f"{where}: {first['msg']}"))
        except ValueError as error:
            errors.append(FieldError(field=f"row {row.number}", message=str(error)))
    return items


def _manual(cells: dict[str, str]) -> ManualItem:
    if not cells["id"] or any(mark.isspace() for mark in cells["id"]):
        raise ValueError("id: is required, without blanks")
    values: dict[str, Any] = {
        name: value for name, value in cells.items() if value and name not in ("id", "amount")
    }
    currency = values.get("currency", "")
    values["amount"] = {"amount": cells["amount"], "currency": currency}
    if "due_date" in values:
        values["due_date"] = values["due_date"][:10]
    if "closed" in values:
        values["closed"] = values["closed"].lower() in ("true", "yes", "1")
    return ITEM.validate_python(values)


@router.put(
    "/recurring-items/{recurring_id}",
    policy=Policy("recurring-item:write", roles=COLLECTORS),
    summary="Set up a recurring item",
)
async def store_recurring(
    recurring_id: Id, body: RecurringItem, work: Work, principal: CurrentPrincipal
) -> RecurringSaved:
    """Its occurrences stand in the pool for more than a year ahead; those to come follow every change."""
    await recurring_rows.save(work.connection, recurring_id, body, principal.subject, work.now)
    assert work.cause is not None
    try:
        number = await recurring_flow.generate(
            work, {recurring_id: body}, local_date(work.now, TIME_ZONE), work.cause.id
        )
    except CalendarUnknown as error:
        raise Problem.invalid([FieldError(field="calendar", message=str(error))]) from None
    except NoWorkingDay as error:
        raise Problem.invalid([FieldError(field="calendar", message=str(error))]) from None
    work.set_timer(RECURRING_DUE, "all", next_run(work.now))
    return RecurringSaved(recurring_id=recurring_id, occurrences_changed=number)


@router.get(
    "/recurring-items", policy=Policy("recurring-item:read", roles=PLAN_READERS), summary="Recurring items"
)
async def recurring_items(page: Page, reader: Reader) -> CursorPage[RecurringView]:
    """By id, each with the day up to which its occurrences stand in the pool."""
    after = page.after(str)
    found = await recurring_rows.after(reader, after[0] if after else "", page.rows)
    shown, following = page.page(found, lambda each: (each[0],))
    views = [RecurringView(recurring_id=each[0], item=each[1], generated_to=each[2]) for each in shown]
    return CursorPage(items=views, next=following)


@router.put(
    "/collection-rules",
    policy=Policy("collection-rule:write", roles=PLAN_ADMINISTRATORS),
    summary="Set the collection rules",
)
async def store_rules(
    body: Annotated[list[CollectionRule], at_most(500)], work: Work, principal: CurrentPrincipal
) -> list[CollectionRule]:
    """Which documents become items; without a rule for a type, receivables and payment requests all do."""
    await setting_rows.save(work.connection, "collection-rules", body, principal.subject)
    return body


@router.get(
    "/collection-rules",
    policy=Policy("collection-rule:read", roles=PLAN_READERS),
    summary="The collection rules",
)
async def rules(reader: Reader) -> list[CollectionRule]:
    return list(await setting_rows.collection_rules(reader))


@router.put(
    "/calendars", policy=Policy("calendar:write", roles=PLAN_ADMINISTRATORS), summary="Set own calendars"
)
async def store_calendars(
    body: Annotated[list[Calendar], at_most(100)], work: Work, principal: CurrentPrincipal
) -> list[Calendar]:
    """Own holidays and working days over China's calendar, plain weekdays, or every day."""
    await setting_rows.save(work.connection, "calendars", body, principal.subject)
    return body


@router.get("/calendars", policy=Policy("calendar:read", roles=PLAN_READERS), summary="Own calendars")
async def calendars(reader: Reader) -> list[Calendar]:
    return list(await setting_rows.calendars(reader))


@router.post(
    "/planning-systems/{system_id}/approval-batches",
    policy=Policy("approval-batch:submit", roles=PLAN_PEOPLE),
    summary="Submit open items for approval",
    status_code=201,
)
async def submit_batch(system_id: Id, body: BatchBody, work: Work, principal: CurrentPrincipal) -> BatchView:
    """Where the system approves items in batches, only approved ones reach its sheets, at their approved amounts."""
    system = await known_system(work.connection, system_id)
    require(system, principal, ("preparer", "administrator"), body.entity)
    organisation = system.entity_by_id[body.entity].organisation
    due = await pool_rows.due_items(
        work.connection,
        system_id,
        sorted({body.entity, organisation or body.entity}),
        body.due_from,
        body.due_to,
        batch_rows.ITEMS_MAX,
    )
    chosen = [item for item, _ in due if body.items is None or item.key.document_id in body.items]
    if not chosen:
        raise Problem.conflict("no-item", "No open item is due in the range.")
    assert work.cause is not None
    batch = ApprovalBatch(
        batch_id=own_id(work.cause.id, "approval-batch"),
        system_id=system_id,
        entity=body.entity,
        course=approvals.submitted(Course(), principal.subject, work.now),
        items=[
            BatchItem(
                key=item.key,
                requested=item.amount_minor,
                approved=item.amount_minor,
                currency=item.currency or "",
            )
            for item in chosen
        ],
        changed_at=work.now,
    )
    await batch_rows.save(work.connection, batch, work.now)
    task = Task(
        task_id="",
        kind="approve-items",
        assignee="",
        entity=body.entity,
        document_type="approval-batch",
        document_id=batch.batch_id,
        subject=f"{len(chosen)} items of {system.entity_by_id[body.entity].name}",
    )
    people = [each for each in system.holders("node-manager", body.entity) if each != principal.subject]
    await tasks.open_for(work, people, task)
    return batch_view(batch)


@router.post(
    "/approval-batches/{batch_id}/approve",
    policy=Policy("approval-batch:approve", roles=PLAN_PEOPLE),
    summary="Approve a batch",
)
async def approve_batch(
    batch_id: Id, body: ApproveBody, work: Work, principal: CurrentPrincipal
) -> BatchView:
    """Each item at what was asked for or less; 0 keeps it out of the plan."""
    batch = await batch_rows.by_id(work.connection, batch_id, locked=True)
    if batch is None:
        raise Problem.not_found()
    system = await known_system(work.connection, batch.system_id)
    require_sight(system, principal, batch.entity)
    with refusals():
        course = approvals.approved(
            batch.course, system, [Step(role="node-manager")], batch.entity, principal.subject, work.now
        )
    saved = replace(batch, course=course, items=_approved(batch, body), changed_at=work.now)
    await batch_rows.save(work.connection, saved, work.now)
    await tasks.close(work, [("approval-batch", batch_id)], "done", by=principal.subject)
    return batch_view(saved)


def _approved(batch: ApprovalBatch, body: ApproveBody) -> list[BatchItem]:
    amounts = {
        ItemKey(each.document_type, each.source, each.document_id): each.amount for each in body.amounts
    }
    unknown = amounts.keys() - {item.key for item in batch.items}
    if unknown:
        raise Problem.invalid([FieldError(field="amounts", message=f"{min(unknown)} is not in the batch")])
    found = []
    for item in batch.items:
        amount = amounts.get(item.key)
        minor = item.approved if amount is None else _minor(amount, item.currency)
        if minor > item.requested:
            message = (
                f"{item.key.document_id} is asked for {decimal_string(item.requested, item.currency)} only"
            )
            raise Problem.invalid([FieldError(field="amounts", message=message)])
        found.append(replace(item, approved=minor))
    return found


def _minor(amount: str, currency: str) -> int:
    if len(amount.partition(".")[2]) > decimals(currency):
        message = f"{amount} has more than the {decimals(currency)} decimals of {currency}"
        raise Problem.invalid([FieldError(field="amounts", message=message)])
    return minor_units(amount, currency)


@router.get(
    "/approval-batches/{batch_id}",
    policy=Policy("approval-batch:read", roles=PLAN_READERS),
    summary="One batch",
)
async def batch(batch_id: Id, reader: Reader, principal: CurrentPrincipal) -> BatchView:
    """What was asked for and what was approved."""
    found = await batch_rows.by_id(reader, batch_id)
    if found is None:
        raise Problem.not_found()
    require_sight(await known_system(reader, found.system_id), principal, found.entity)
    return batch_view(found)


@router.get(
    "/planning-systems/{system_id}/approval-batches",
    policy=Policy("approval-batch:read", roles=PLAN_READERS),
    summary="Batches of a system",
)
async def batches(
    system_id: Id,
    page: Page,
    reader: Reader,
    principal: CurrentPrincipal,
    entity: Annotated[Id | None, Query()] = None,
) -> CursorPage[dict[str, Any]]:
    """Their heads, by id."""
    system = await known_system(reader, system_id)
    after = page.after(str)
    found = await batch_rows.after(reader, system_id, entity, after[0] if after else "", page.rows)
    shown, following = page.page(found, lambda row: (row.batch_id,))
    views = [
        {"batch_id": row.batch_id, "entity": row.entity, "state": row.state, "changed_at": row.changed_at}
        for row in shown
        if sees(system, principal, row.entity)
    ]
    return CursorPage(items=views, next=following)


def batch_view(batch: ApprovalBatch) -> BatchView:
    return BatchView(
        batch_id=batch.batch_id,
        entity=batch.entity,
        state=batch.course.state,
        items=[
            BatchItemView(
                document_type=item.key.document_type,
                source=item.key.source,
                document_id=item.key.document_id,
                currency=item.currency,
                requested=decimal_string(item.requested, item.currency),
                approved=decimal_string(item.approved, item.currency),
            )
            for item in batch.items
        ],
        changed_at=batch.changed_at,
    )
