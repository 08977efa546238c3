"""The people of an account, of a reporting entity, and of the company: how they are reached, and the proof of it."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final
from uuid import UUID, uuid4

from chassis.http import Context, CursorPage, Page, Policy, Problem, Reader, Router, Work
from fastapi import Depends, Response
from pydantic import BaseModel, ConfigDict, StringConstraints

from chassis import UnitOfWork
from notify.api.common import (
    OPERATORS,
    Body,
    PersonId,
    Place,
    account_place,
    company_place,
    entity_place_of,
    settings_of,
)
from notify.api.contact_bodies import ContactBody, ContactView, contact_view
from notify.bell import BELL
from notify.domain.announcements import VERIFICATION, VERIFICATION_CODE
from notify.domain.delivery import Channel, Delivery, State
from notify.domain.people import Contact
from notify.domain.status import Origin
from notify.domain.verification import (
    CODE_VALID,
    TRIES_MAX,
    CheckOutcome,
    check,
    wait_before_request,
)
from notify.endings import report_token
from notify.repository import contacts as contact_rows
from notify.repository import deliveries, notices, reference, verifications
from notify.repository.deliveries import NewDelivery
from notify.repository.notices import NewNotice
from notify.repository.verifications import Verification

router = Router(tags=["contacts"])

REQUEST_TYPE: Final = "verification-requested.v1"
FindPlace = Callable[..., Awaitable[Place]]


class CodeRequested(BaseModel):
    """A code is on its way; `delivery_id` finds it in the feed."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "delivery_id": "019a2f10-0f5e-7b3a-9d6b-0a7c3f6f1e21",
                    "valid_minutes": 10,
                    "tries_max": 5,
                }
            ]
        }
    )

    delivery_id: UUID
    valid_minutes: int
    tries_max: int


class CodeBody(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"code": "048213"}]})

    code: Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$")]


class CodeChecked(BaseModel):
    """Whether the code was right. A wrong one is an answer, not an error, because it counts."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"outcome": "wrong-code", "verified": False, "tries_left": 4}]}
    )

    outcome: CheckOutcome
    verified: bool
    tries_left: int


def declare(prefix: str, find: FindPlace, account: str | None, whose: str) -> None:
    """The routes of one kind of place; accounts' own users reach those of their accounts."""
    read = Policy("contact:read", roles=OPERATORS, account=account)
    write = Policy("contact:write", roles=OPERATORS, account=account)
    place_of = Depends(find)

    @router.get(f"{prefix}/contacts", policy=read, summary=f"The people of {whose}")
    async def contacts(
        place: Annotated[Place, place_of], page: Page, reader: Reader
    ) -> CursorPage[ContactView]:
        """By person id."""
        after = page.after(str)
        found = await contact_rows.after(reader, place.key, after[0] if after else "", page.rows)
        rows, following = page.page(found, key=lambda contact: (contact.person,))
        return CursorPage(items=[contact_view(row, place.named) for row in rows], next=following)

    @router.get(f"{prefix}/contacts/{{person}}", policy=read, summary=f"One person of {whose}")
    async def contact(place: Annotated[Place, place_of], person: PersonId, reader: Reader) -> ContactView:
        return contact_view(await _found(reader, place, person), place.named)

    @router.put(
        f"{prefix}/contacts/{{person}}",
        policy=write,
        summary=f"Store a person of {whose}",
        responses={201: {"model": ContactView, "description": "The person is new"}},
    )
    async def store_contact(
        place: Annotated[Place, place_of],
        person: PersonId,
        body: ContactBody,
        work: Work,
        context: Context,
        response: Response,
    ) -> ContactView:
        """Stores a person; with `security` the place's former security contact is one no more."""
        created, view = await store(work, context, place, person, body)
        if created:
            response.status_code = 201
        return view

    @router.delete(
        f"{prefix}/contacts/{{person}}", policy=write, status_code=204, summary=f"Forget a person of {whose}"
    )
    async def remove_contact(place: Annotated[Place, place_of], person: PersonId, work: Work) -> Response:
        """Forgets a person and the addresses; what is on its way to them and not yet gone is not sent."""
        await reference.lock_account(work.connection, place.key)
        if not await contact_rows.remove(work.connection, place.key, person):
            raise Problem.not_found()
        return Response(status_code=204)

    @router.post(
        f"{prefix}/contacts/{{person}}/{{channel}}/code",
        policy=write,
        status_code=202,
        summary="Send a code to an address",
    )
    async def request_code(
        place: Annotated[Place, place_of], person: PersonId, channel: Channel, work: Work
    ) -> CodeRequested:
        """Sends a code of six digits by the channel, valid for ten minutes; an e-mail has a link besides."""
        return await send_code(work, place, person, channel)

    @router.post(
        f"{prefix}/contacts/{{person}}/{{channel}}/code/check",
        policy=write,
        summary="Tell the code that was received",
    )
    async def check_code(
        place: Annotated[Place, place_of], person: PersonId, channel: Channel, body: CodeBody, work: Work
    ) -> CodeChecked:
        """Verifies the address when the code is the last one sent to it; five tries per code."""
        return await tell_code(work, place, person, channel, body.code)


declare("/accounts/{account}", account_place, "account", "an account")
declare("/entities/{entity}", entity_place_of, None, "a reporting entity or organisation")
declare("/company", company_place, None, "the company as a whole")


async def _found(reader: Any, place: Place, person: str) -> Contact:
    found = await contact_rows.one(reader, place.key, person)
    if found is None:
        raise Problem.not_found()
    return found


async def store(
    work: UnitOfWork, context: Any, place: Place, person: str, body: ContactBody
) -> tuple[bool, ContactView]:
    """Stores a person; whether it is new, and how it is shown."""
    await reference.lock_account(work.connection, place.key)
    try:
        stored = body.contact(place.key, person, settings_of(context))
    except ValueError as error:
        raise Problem.invalid([{"field": "channels", "message": str(error)}]) from None
    former = await contact_rows.one(work.connection, place.key, person)
    secret, is_made = body.webhook_secret()
    signing = {Channel.WEBHOOK: secret} if secret else {}
    created = await contact_rows.save(work.connection, stored, work.now, signing)
    found = await contact_rows.one(work.connection, place.key, person)
    assert found is not None, "it was stored in this transaction"
    view = contact_view(found, place.named)
    is_new_address = former is None or former.addresses.get(Channel.WEBHOOK) is None
    if is_made and (is_new_address or not found.addresses[Channel.WEBHOOK].verified):
        view.webhook_secret = await contact_rows.secret(work.connection, place.key, person, Channel.WEBHOOK)
    return created, view


async def send_code(work: UnitOfWork, place: Place, person: str, channel: Channel) -> CodeRequested:
    await reference.lock_account(work.connection, place.key)
    found = await contact_rows.one(work.connection, place.key, person)
    address = found.addresses.get(channel) if found else None
    if found is None or address is None:
        raise Problem.not_found("This person has no such address.")
    if address.verified:
        raise Problem.conflict("already-verified", "This address is verified.")
    await _require_patience(work, place.key, address.value)
    delivery_id = await _queue_code(work, found, channel, address.value)
    return CodeRequested(
        delivery_id=delivery_id,
        valid_minutes=int(CODE_VALID.total_seconds()) // 60,
        tries_max=TRIES_MAX,
    )


async def _require_patience(work: UnitOfWork, place: str, address: str) -> None:
    asked = await verifications.requests(work.connection, place, address, work.now)
    wait_seconds = int(wait_before_request(asked, work.now).total_seconds())
    if wait_seconds > 0:
        raise Problem(
            429,
            "too-many-codes",
            detail=f"Codes were asked for too often; try again in {wait_seconds} seconds.",
            headers={"Retry-After": str(wait_seconds)},
        )


async def _queue_code(work: UnitOfWork, contact: Contact, channel: Channel, address: str) -> UUID:
    """Stores the notice and its delivery; the code itself is made when it is sent and kept nowhere."""
    asked = Verification(
        account=contact.account, id=uuid4(), person=contact.person, channel=channel, address=address
    )
    await verifications.insert(work.connection, asked, work.now)
    notice = _code_notice(work, asked)
    delivery = Delivery(
        account=contact.account,
        id=uuid4(),
        notice_id=notice.id,
        kind=notice.kind,
        recipient=contact.person,
        contact_place=contact.account,
        channel=channel,
        state=State.ACCEPTED,
        expires_at=notice.expires_at,
        due_at=work.now,
    )
    new = NewDelivery(
        delivery=delivery,
        address=address,
        name=contact.name,
        language=contact.language,
        time_zone=contact.time_zone,
        report_token=report_token(),
    )
    await notices.insert_notices(work.connection, [notice], {}, work.now)
    await deliveries.insert_deliveries(work.connection, [new], work.now)
    work.count(f"delivery-{channel}", State.ACCEPTED)
    BELL.ring()
    return delivery.id


def _code_notice(work: UnitOfWork, asked: Verification) -> NewNotice:
    assert work.cause is not None, "a command has a cause"
    origin = Origin(
        work.cause.source, work.cause.id, REQUEST_TYPE, work.cause.correlation_id, work.cause.traceparent
    )
    return NewNotice(
        account=asked.account,
        id=asked.id,
        family=VERIFICATION,
        kind=VERIFICATION_CODE,
        business_key=f"{VERIFICATION_CODE}/{asked.id}",
        currency=None,
        episode_id=None,
        origin=origin,
        data=b"{}",
        occurred_at=work.now,
        expires_at=work.now + CODE_VALID,
    )


async def tell_code(work: UnitOfWork, place: Place, person: str, channel: Channel, told: str) -> CodeChecked:
    found = await contact_rows.one(work.connection, place.key, person)
    latest = await verifications.locked_latest(work.connection, place.key, person, channel)
    address = found.addresses.get(channel) if found else None
    if address is None or latest is None:
        raise Problem.not_found("No code was sent to this address.")
    verification_id, code = latest
    outcome = check(code, address.value, told, work.now)
    is_verified = outcome is CheckOutcome.VERIFIED
    if outcome in (CheckOutcome.VERIFIED, CheckOutcome.WRONG_CODE):
        await verifications.count_try(work.connection, place.key, verification_id, is_verified, work.now)
    if is_verified:
        await contact_rows.mark_verified(work.connection, place.key, person, channel, address.value, work.now)
    work.count("verification", outcome)
    tries = code.tries + 1 if code else TRIES_MAX
    return CodeChecked(outcome=outcome, verified=is_verified, tries_left=max(TRIES_MAX - tries, 0))
