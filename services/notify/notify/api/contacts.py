"""The people of an account: who they are, how they are reached, and the proof that an address is theirs."""

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Final, Literal
from uuid import UUID, uuid4
from zoneinfo import available_timezones

from chassis.http import CursorPage, Page, Policy, Problem, Reader, Router, Work
from contracts.text import Id
from fastapi import Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic.config import JsonDict

from notify.addresses import email_address, phone_number
from notify.api.common import OPERATORS, Body, PersonId
from notify.bell import BELL
from notify.domain.delivery import Channel, Delivery, State
from notify.domain.planning import QUOTA_LOW, VERIFICATION_CODE, Address, Contact
from notify.domain.status import Origin
from notify.domain.verification import (
    CODE_VALID,
    TRIES_MAX,
    CheckOutcome,
    check,
    wait_before_request,
)
from notify.domain.wording import is_inert
from notify.endings import report_token
from notify.repository import contacts as contact_rows
from notify.repository import deliveries, notices, reference, verifications
from notify.repository.deliveries import NewDelivery
from notify.repository.notices import NewNotice
from notify.repository.verifications import Verification

router = Router(tags=["contacts"])

WRITE: Final = Policy("contact:write", roles=OPERATORS, account="account")
READ: Final = Policy("contact:read", roles=OPERATORS, account="account")
REQUEST_TYPE: Final = "verification-requested.v1"

CONTACT_EXAMPLE: Final[JsonDict] = {
    "name": "李薇",
    "language": "zh-CN",
    "time_zone": "Asia/Shanghai",
    "phone": "+8613800138000",
    "email": "li.wei@example.com",
    "security": True,
    "wants": [],
}
ADDRESS_EXAMPLES: Final[JsonDict] = {
    "phone": {"value": "+8613800138000", "verified": True},
    "email": {"value": "li.wei@example.com", "verified": False},
}


def _one_line(name: str) -> str:
    if not is_inert(name):
        raise ValueError("must be one line without control or invisible characters")
    return name.strip()


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _known_zone(zone: str) -> str:
    if zone not in _zones():
        raise ValueError("must be a time zone of the IANA database, such as Asia/Shanghai")
    return zone


PersonName = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(_one_line)]
KnownZone = Annotated[str, StringConstraints(max_length=64), AfterValidator(_known_zone)]
Phone = Annotated[str, StringConstraints(max_length=40), AfterValidator(phone_number)]
Email = Annotated[str, StringConstraints(max_length=254), AfterValidator(email_address)]


class ContactBody(Body):
    """A person's whole entry; an address that changes must be verified anew."""

    model_config = ConfigDict(json_schema_extra={"examples": [CONTACT_EXAMPLE]})

    name: PersonName
    language: Literal["zh-CN", "en"]
    time_zone: KnownZone
    phone: Phone | None = Field(default=None, description="With its country code; kept in E.164.")
    email: Email | None = None
    security: bool = Field(
        default=False, description="Makes this person the account's one security contact, told by default."
    )
    wants: list[Literal["quota-low"]] = Field(
        default=[], max_length=10, description="Kinds of notice for a person who is not the security contact."
    )


class AddressView(BaseModel):
    """An address; it is used once it is verified."""

    value: str
    verified: bool


class ContactView(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"account": "A-1001", "person": "p-17", **CONTACT_EXAMPLE, **ADDRESS_EXAMPLES}]
        }
    )

    account: str
    person: str
    name: str
    language: str
    time_zone: str
    phone: AddressView | None
    email: AddressView | None
    security: bool
    wants: list[str]


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


@router.get("/accounts/{account}/contacts", policy=READ, summary="The people of an account")
async def contacts(account: Id, page: Page, reader: Reader) -> CursorPage[ContactView]:
    """By person id."""
    after = page.after(str)
    found = await contact_rows.after(reader, account, after[0] if after else "", page.rows)
    rows, following = page.page(found, key=lambda contact: (contact.person,))
    return CursorPage(items=[contact_view(row) for row in rows], next=following)


@router.get("/accounts/{account}/contacts/{person}", policy=READ, summary="One person")
async def contact(account: Id, person: PersonId, reader: Reader) -> ContactView:
    found = await contact_rows.one(reader, account, person)
    if found is None:
        raise Problem.not_found()
    return contact_view(found)


@router.put(
    "/accounts/{account}/contacts/{person}",
    policy=WRITE,
    summary="Store a person",
    responses={201: {"model": ContactView, "description": "The person is new"}},
)
async def store_contact(
    account: Id, person: PersonId, body: ContactBody, work: Work, response: Response
) -> ContactView:
    """Stores a person; with `security` the account's former security contact is one no more."""
    await reference.lock_account(work.connection, account)
    stored = _contact(account, person, body)
    if await contact_rows.save(work.connection, stored, work.now):
        response.status_code = 201
    found = await contact_rows.one(work.connection, account, person)
    assert found is not None, "it was stored in this transaction"
    return contact_view(found)


@router.delete(
    "/accounts/{account}/contacts/{person}", policy=WRITE, status_code=204, summary="Forget a person"
)
async def remove_contact(account: Id, person: PersonId, work: Work) -> Response:
    """Forgets a person and the addresses; what is on its way to them and not yet gone is not sent."""
    await reference.lock_account(work.connection, account)
    if not await contact_rows.remove(work.connection, account, person):
        raise Problem.not_found()
    return Response(status_code=204)


@router.post(
    "/accounts/{account}/contacts/{person}/{channel}/code",
    policy=WRITE,
    status_code=202,
    summary="Send a code to an address",
)
async def request_code(account: Id, person: PersonId, channel: Channel, work: Work) -> CodeRequested:
    """Sends a code of six digits to the person's phone (sms) or e-mail address (email), valid for ten minutes."""
    await reference.lock_account(work.connection, account)
    found = await contact_rows.one(work.connection, account, person)
    address = found.addresses.get(channel) if found else None
    if found is None or address is None:
        raise Problem.not_found("This person has no such address.")
    if address.verified:
        raise Problem.conflict("already-verified", "This address is verified.")
    await _require_patience(work, account, address.value)
    delivery_id = await _send_code(work, found, channel, address.value)
    return CodeRequested(
        delivery_id=delivery_id,
        valid_minutes=int(CODE_VALID.total_seconds()) // 60,
        tries_max=TRIES_MAX,
    )


async def _require_patience(work: Work, account: str, address: str) -> None:
    asked = await verifications.requests(work.connection, account, address, work.now)
    wait_seconds = int(wait_before_request(asked, work.now).total_seconds())
    if wait_seconds > 0:
        raise Problem(
            429,
            "too-many-codes",
            detail=f"Codes were asked for too often; try again in {wait_seconds} seconds.",
            headers={"Retry-After": str(wait_seconds)},
        )


async def _send_code(work: Work, contact: Contact, channel: Channel, address: str) -> UUID:
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


def _code_notice(work: Work, asked: Verification) -> NewNotice:
    assert work.cause is not None, "a command has a cause"
    origin = Origin(
        work.cause.source, work.cause.id, REQUEST_TYPE, work.cause.correlation_id, work.cause.traceparent
    )
    return NewNotice(
        account=asked.account,
        id=asked.id,
        kind=VERIFICATION_CODE,
        business_key=f"{VERIFICATION_CODE}/{asked.id}",
        currency=None,
        episode_id=None,
        origin=origin,
        data=b"{}",
        occurred_at=work.now,
        expires_at=work.now + CODE_VALID,
    )


@router.post(
    "/accounts/{account}/contacts/{person}/{channel}/code/check",
    policy=WRITE,
    summary="Tell the code that was received",
)
async def check_code(
    account: Id, person: PersonId, channel: Channel, body: CodeBody, work: Work
) -> CodeChecked:
    """Verifies the address when the code is the last one sent to it; five tries per code."""
    found = await contact_rows.one(work.connection, account, person)
    latest = await verifications.locked_latest(work.connection, account, person, channel)
    address = found.addresses.get(channel) if found else None
    if address is None or latest is None:
        raise Problem.not_found("No code was sent to this address.")
    verification_id, code = latest
    outcome = check(code, address.value, body.code, work.now)
    is_verified = outcome is CheckOutcome.VERIFIED
    if outcome in (CheckOutcome.VERIFIED, CheckOutcome.WRONG_CODE):
        await verifications.count_try(work.connection, account, verification_id, is_verified, work.now)
    if is_verified:
        await contact_rows.mark_verified(work.connection, account, person, channel, address.value, work.now)
    work.count("verification", outcome)
    tries = code.tries + 1 if code else TRIES_MAX
    return CodeChecked(outcome=outcome, verified=is_verified, tries_left=max(TRIES_MAX - tries, 0))


def _contact(account: str, person: str, body: ContactBody) -> Contact:
    values = {Channel.SMS: body.phone, Channel.EMAIL: body.email}
    return Contact(
        account=account,
        person=person,
        name=body.name,
        language=body.language,
        time_zone=body.time_zone,
        security=body.security,
        wants=frozenset(body.wants) & {QUOTA_LOW},
        addresses={channel: Address(value, False) for channel, value in values.items() if value},
    )


def contact_view(contact: Contact) -> ContactView:
    return ContactView(
        account=contact.account,
        person=contact.person,
        name=contact.name,
        language=contact.language,
        time_zone=contact.time_zone,
        phone=_address_view(contact.addresses, Channel.SMS),
        email=_address_view(contact.addresses, Channel.EMAIL),
        security=contact.security,
        wants=sorted(contact.wants),
    )


def _address_view(addresses: Mapping[Channel, Address], channel: Channel) -> AddressView | None:
    address = addresses.get(channel)
    return AddressView(value=address.value, verified=address.verified) if address else None
