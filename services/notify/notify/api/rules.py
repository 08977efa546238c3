"""Rules and their rehearsal: who would get what, when, and why not, from the code that decides it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import uuid4

from chassis.http import Context, CurrentPrincipal, CursorPage, Policy, Problem, Reader, Router, Work
from contracts.event import EXTERNAL, TYPES
from contracts.text import Code
from fastapi import Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic.config import JsonDict

from chassis import Cause, UnitOfWork
from notify.api.common import OPERATORS, Body, settings_of
from notify.desk import Desk, Told, is_acknowledgeable
from notify.domain.announcements import ANNOUNCED, announcement
from notify.domain.contexts import place_name, words
from notify.domain.delivery import Channel, State
from notify.domain.places import is_account
from notify.domain.planning import Plan, Planned, expiry
from notify.domain.rules import PRODUCT_RULES, RULES_MAX, Rule
from notify.domain.status import Origin
from notify.domain.templates import Style, TemplateBook, style_of
from notify.domain.words import phrase
from notify.message import sample_link
from notify.rendering import NotRenderable, preview
from notify.rendering import Reader as TextReader
from notify.repository import reference
from notify.repository import rules as rule_rows
from notify.repository import templates as template_rows
from notify.rule_bodies import EXAMPLE, RuleBody

router = Router(tags=["rules"])

READ: Final = Policy("rule:read", roles=OPERATORS)
WRITE: Final = Policy("rule:write", roles=OPERATORS)


class RuleView(RuleBody):
    """A rule as it is in force; the product's have version 0."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"id": "low-in-time", "version": 1, **EXAMPLE}]}
    )

    id: str
    version: int
    changed_at: datetime | None
    changed_by: str | None


@router.get("/rules", policy=READ, summary="The rules in force")
async def rules(reader: Reader) -> CursorPage[RuleView]:
    """In the order in which they are tried, all of them: the stored ones and the product's that none replaces."""
    rows = await rule_rows.stored(reader)
    found = [_stored_view(row) for row in rows]
    names = {row.id for row in rows}
    found += [
        _view(rule.id, 0, RuleBody.of(rule), None, None) for rule in PRODUCT_RULES if rule.id not in names
    ]
    return CursorPage(items=sorted(found, key=lambda one: (one.position, one.id)), next=None)


@router.put("/rules/{rule}", policy=WRITE, summary="Store a rule")
async def store_rule(rule: Code, body: RuleBody, work: Work, principal: CurrentPrincipal) -> RuleView:
    """Stores a rule, or the next version of one; with the id of a product rule it takes that rule's place."""
    if await rule_rows.count_others(work.connection, rule) >= RULES_MAX:
        raise Problem.conflict("too-many-rules", f"There are {RULES_MAX} rules, the most there can be.")
    document = body.model_dump(mode="json", exclude_defaults=True)
    version = await rule_rows.save(work.connection, rule, document, principal.subject, work.now)
    return _view(rule, version, body, work.now, principal.subject)


@router.delete("/rules/{rule}", policy=WRITE, status_code=204, summary="Remove a rule")
async def remove_rule(rule: Code, work: Work) -> Response:
    """Removes a stored rule; a product rule that it replaced is in force again."""
    if not await rule_rows.remove(work.connection, rule):
        raise Problem.not_found()
    return Response(status_code=204)


def _stored_view(row: Any) -> RuleView:
    body = RuleBody.model_validate(row.body)
    return _view(row.id, row.version, body, row.changed_at, row.changed_by)


def _view(
    id: str, version: int, body: RuleBody, changed_at: datetime | None, changed_by: str | None
) -> RuleView:
    values = body.model_dump(mode="json")
    return RuleView(**values, id=id, version=version, changed_at=changed_at, changed_by=changed_by)


REHEARSAL_EXAMPLE: Final[JsonDict] = {
    "event_type": "quota-low.v1",
    "event": {"account": "A-1001", "currency": "CNY", "kind": "opened", "episode_id": "E-1", "...": "..."},
    "at": "2026-11-07T23:30:00+08:00",
}


class RehearsalBody(Body):
    """An event as its topic would carry it, and optionally the moment at which it would come."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [REHEARSAL_EXAMPLE]})

    event_type: Annotated[str, Field(pattern=r"^[a-z-]+\.v[0-9]+$", max_length=80)]
    event: dict[str, Any]
    at: AwareDatetime | None = None


class RehearsedDelivery(BaseModel):
    """Who would be told, how and when, or why not; `subject` and `text` are what they would read."""

    recipient: str
    place: str
    channel: Channel
    state: State
    reason: str | None
    due_at: datetime | None
    expires_at: datetime
    fallback: list[Channel]
    gathered: bool
    subject: str | None
    text: str | None


class RehearsalView(BaseModel):
    """What would happen: the rule that decides, and every delivery. Nothing has been stored or sent."""

    kind: str | None
    rule: str | None
    known_already: bool
    ends_thread: str | None
    escalates_at: datetime | None
    repeats_at: datetime | None
    deliveries: list[RehearsedDelivery]


@router.post("/rehearsals", policy=READ, summary="Rehearse an event")
async def rehearse(body: RehearsalBody, work: Work, context: Context) -> RehearsalView:
    """Decides about an event as if it came now, and takes everything back."""
    told = _told(body)
    rehearsal = UnitOfWork(
        service=work.service, connection=work.connection, now=body.at or work.now, cause=work.cause
    )
    savepoint = await work.connection.begin_nested()
    try:
        desk = await Desk.load(rehearsal, [told.announcement])
        desk.take(told)
        names = await reference.names(work.connection, {told.announcement.place})
        book = await template_rows.book(work.connection)
        link = sample_link(settings_of(context).public_url)
        return _rehearsal_view(told, desk, Shown(names.get(told.announcement.place, ""), book, link))
    finally:
        await savepoint.rollback()


def _told(body: RehearsalBody) -> Told:
    contract = TYPES.get(body.event_type)
    if contract is None or contract.model not in ANNOUNCED:
        known = ", ".join(sorted(model.contract.type for model in ANNOUNCED))
        raise Problem.invalid([{"field": "event_type", "message": f"must be one of {known}"}])
    try:
        event = contract.adapter.validate_python(body.event, strict=False)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(["event", *(str(step) for step in first["loc"])])
        raise Problem.invalid([{"field": field, "message": str(first["msg"])}]) from None
    producer = next(name for name in contract.producers if name != EXTERNAL)
    source = f"coffer/{producer}"
    event_id = str(uuid4())
    origin = Origin(source, event_id, contract.type, event_id, None)
    return Told(announcement(event, source), origin, Cause(source, event_id, event_id))


@dataclass(frozen=True, slots=True)
class Shown:
    """What the texts of a rehearsal need besides the plan; `link` is what a link to acknowledge by looks like."""

    account_name: str
    book: TemplateBook
    link: str


def _rehearsal_view(told: Told, desk: Desk, shown: Shown) -> RehearsalView:
    said = told.announcement
    made = desk.plans[0] if desk.plans else None
    rule = made.rule if made else None
    now = desk.work.now
    acts = rule is not None and not said.ends
    return RehearsalView(
        kind=said.kind,
        rule=rule.id if rule else None,
        known_already=said.kind is not None and made is None,
        ends_thread=said.ends,
        escalates_at=now + rule.escalation.after if acts and rule and rule.escalation else None,
        repeats_at=now + rule.repeat_every
        if acts and rule and rule.may_repeat(said) and rule.repeat_every
        else None,
        deliveries=[_rehearsed(told, one, made, shown) for one in made.deliveries] if made else [],
    )


def _rehearsed(told: Told, one: Planned, made: Plan, shown: Shown) -> RehearsedDelivery:
    subject, text = _texts(told, one, made.rule, shown)
    return RehearsedDelivery(
        recipient=one.recipient,
        place=one.contact_place,
        channel=one.channel,
        state=one.state,
        reason=one.reason,
        due_at=one.due_at,
        expires_at=expiry(one, made.expires_at),
        fallback=list(one.fallback),
        gathered=one.group_key is not None,
        subject=subject,
        text=text,
    )


def _texts(told: Told, one: Planned, rule: Rule | None, shown: Shown) -> tuple[str | None, str | None]:
    """What the recipient would read; nothing where nothing goes out."""
    said, contact = told.announcement, one.contact
    if contact is None or one.address is None or said.kind is None or one.channel is Channel.WEBHOOK:
        return None, None
    template = rule.template if rule else None
    found = shown.book.find(template or said.kind, style_of(one.channel), contact.language)
    if found is None:
        return None, None
    place = place_name(said.place, shown.account_name) if is_account(contact.account) else ""
    reader = TextReader(
        name=contact.name,
        language=contact.language,
        time_zone=contact.time_zone,
        place=place,
        link=shown.link if is_acknowledgeable(said, rule) else None,
        link_text=phrase("acknowledge", contact.language),
    )
    try:
        written = preview(
            found, reader, words(said.kind, said.event_type, said.data, reader.reading(shown.account_name))
        )
    except NotRenderable as error:
        return None, f"({error.reason}: {error.detail})"
    return (None if found.key.style is Style.SMS else written.subject), written.text
