"""How a person is written and shown: the checks of every field."""

import base64
import re
import secrets
from collections.abc import Mapping
from datetime import time
from functools import cache
from typing import Annotated, Any, Final, Literal
from zoneinfo import available_timezones

from contracts.text import Code
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)
from pydantic.config import JsonDict

from notify.addresses import catalogue_url, email_address, phone_number, webhook_secret, webhook_url
from notify.api.common import Body
from notify.domain.delivery import CATALOGUE, Channel
from notify.domain.people import FAMILIES, MANDATORY, Address, Contact, QuietHours
from notify.domain.wording import is_inert
from notify.settings import Settings

FURTHER: Final = CATALOGUE | {Channel.WEBHOOK}
CONTACT_EXAMPLE: Final[JsonDict] = {
    "name": "李薇",
    "language": "zh-CN",
    "time_zone": "Asia/Shanghai",
    "phone": "+8613800138000",
    "email": "li.wei@example.com",
    "security": True,
    "wants": ["allocation"],
    "wants_of_members": ["quota-low"],
    "roles": ["treasurer"],
    "preferences": {"quota-low": ["email"]},
    "quiet_hours": {"begins": "22:00", "ends": "07:00"},
}
SHOWN_EXAMPLE: Final[JsonDict] = {
    **CONTACT_EXAMPLE,
    "account": "A-1001",
    "entity": None,
    "person": "p-17",
    "phone": {"value": "+8613800138000", "verified": True},
    "email": {"value": "li.wei@example.com", "verified": False},
    "channels": {},
    "webhook_secret": None,
}
CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
MASKED: Final = "***"


def one_line(name: str) -> str:
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


def _clock(text: str) -> str:
    if not CLOCK.fullmatch(text):
        raise ValueError("must be a time such as 22:00")
    return text


PersonName = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(one_line)]
KnownZone = Annotated[str, StringConstraints(max_length=64), AfterValidator(_known_zone)]
Phone = Annotated[str, StringConstraints(max_length=40), AfterValidator(phone_number)]
Email = Annotated[str, StringConstraints(max_length=254), AfterValidator(email_address)]
Clock = Annotated[str, StringConstraints(max_length=5), AfterValidator(_clock)]
Family = Literal[
    "quota-low",
    "payment-overdue",
    "allocation",
    "credit-alerted",
    "plan-due",
    "plan-exceeded",
    "cash-gap",
    "task",
]
assert set(FAMILIES) == set(Family.__args__)  # type: ignore[attr-defined]  # a Literal's members


class QuietBody(Body):
    """Local times between which notices wait; it may pass midnight."""

    begins: Clock
    ends: Clock

    @model_validator(mode="after")
    def _is_a_span(self) -> "QuietBody":
        if self.begins == self.ends:
            raise ValueError("begins and ends must differ")
        return self

    def hours(self) -> QuietHours:
        return QuietHours(time.fromisoformat(self.begins), time.fromisoformat(self.ends))


class FurtherAddress(Body):
    """The address of a further channel; a webhook has a secret to sign with, made when it is left out."""

    address: Annotated[str, StringConstraints(min_length=1, max_length=2_000)]
    secret: Annotated[str, StringConstraints(max_length=100), AfterValidator(webhook_secret)] | None = None


class ContactBody(Body):
    """A person's whole entry; an address that changes must be verified anew."""

    model_config = ConfigDict(json_schema_extra={"examples": [CONTACT_EXAMPLE]})

    name: PersonName
    language: Literal["zh-CN", "en"]
    time_zone: KnownZone
    phone: Phone | None = Field(default=None, description="With its country code; kept in E.164.")
    email: Email | None = None
    channels: dict[Channel, FurtherAddress] = Field(
        default={}, max_length=9, description="webhook, dingtalk, wecom, feishu, slack, twilio, apprise"
    )
    security: bool = Field(
        default=False, description="Makes this person the place's one security contact, told by default."
    )
    wants: list[Family] = Field(
        default=[], max_length=10, description="Families of notices for one who is not the security contact."
    )
    wants_of_members: list[Family] = Field(
        default=[], max_length=10, description="Families of notices of the accounts that this one manages."
    )
    roles: list[Code] = Field(default=[], max_length=20, description="Such as preparer or treasurer.")
    preferences: dict[Family, list[Channel]] = Field(
        default={}, description="The channels of a family of notices; none of them switches it off."
    )
    quiet_hours: QuietBody | None = None

    @field_validator("channels")
    @classmethod
    def _are_further(cls, given: dict[Channel, FurtherAddress]) -> dict[Channel, FurtherAddress]:
        for channel, entry in given.items():
            if channel not in FURTHER:
                raise ValueError(f"{channel} has a field of its own")
            if entry.secret and channel is not Channel.WEBHOOK:
                raise ValueError("only a webhook has a secret")
        return given

    @field_validator("preferences")
    @classmethod
    def _keep_mandatory(cls, given: dict[str, list[Channel]]) -> dict[str, list[Channel]]:
        for family, channels in given.items():
            if not channels and family in MANDATORY:
                raise ValueError(f"{family} cannot be switched off")
        return given

    def contact(self, place: str, person: str, settings: Settings) -> Contact:
        """The person; raises ValueError for an address that its channel does not take."""
        values = {Channel.SMS: self.phone, Channel.EMAIL: self.email}
        further = {
            channel: _checked(channel, entry.address, settings) for channel, entry in self.channels.items()
        }
        addresses = {channel: Address(value, False) for channel, value in values.items() if value}
        return Contact(
            account=place,
            person=person,
            name=self.name,
            language=self.language,
            time_zone=self.time_zone,
            security=self.security,
            wants=frozenset(self.wants),
            wants_of_members=frozenset(self.wants_of_members),
            roles=frozenset(self.roles),
            preferences={family: tuple(dict.fromkeys(many)) for family, many in self.preferences.items()},
            quiet=self.quiet_hours.hours() if self.quiet_hours else None,
            addresses=addresses | {channel: Address(value, False) for channel, value in further.items()},
        )

    def webhook_secret(self) -> tuple[str | None, bool]:
        """The secret of the webhook, and whether it was made here."""
        entry = self.channels.get(Channel.WEBHOOK)
        if entry is None:
            return None, False
        if entry.secret:
            return entry.secret, False
        return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode(), True


def _checked(channel: Channel, address: str, settings: Settings) -> str:
    if channel is Channel.WEBHOOK:
        return webhook_url(address, allows_private=settings.webhook_private)
    return catalogue_url(address, channel, settings.catalogue_schemas.split(","))


class AddressView(BaseModel):
    """An address; it is used once it is verified. What a further channel's address keeps secret is not shown."""

    value: str
    verified: bool


class ContactView(BaseModel):
    """`webhook_secret` is shown once, when it has been made."""

    model_config = ConfigDict(json_schema_extra={"examples": [SHOWN_EXAMPLE]})

    account: str | None
    entity: str | None
    person: str
    name: str
    language: str
    time_zone: str
    phone: AddressView | None
    email: AddressView | None
    channels: dict[Channel, AddressView]
    security: bool
    wants: list[str]
    wants_of_members: list[str]
    roles: list[str]
    preferences: dict[str, list[Channel]]
    quiet_hours: dict[str, str] | None
    webhook_secret: str | None = None


def contact_view(contact: Contact, named: Mapping[str, Any]) -> ContactView:
    """A person as it is shown; `named` says the account or entity of the place."""
    further = {
        channel: AddressView(value=masked(address.value), verified=address.verified)
        for channel, address in contact.addresses.items()
        if channel in FURTHER
    }
    quiet = contact.quiet
    return ContactView(
        account=named.get("account"),
        entity=named.get("entity"),
        person=contact.person,
        name=contact.name,
        language=contact.language,
        time_zone=contact.time_zone,
        phone=_address_view(contact.addresses, Channel.SMS),
        email=_address_view(contact.addresses, Channel.EMAIL),
        channels=further,
        security=contact.security,
        wants=sorted(contact.wants),
        wants_of_members=sorted(contact.wants_of_members),
        roles=sorted(contact.roles),
        preferences={family: list(channels) for family, channels in contact.preferences.items()},
        quiet_hours={"begins": f"{quiet.begins:%H:%M}", "ends": f"{quiet.ends:%H:%M}"} if quiet else None,
    )


def masked(address: str) -> str:
    """An address of a further channel without its tokens: scheme and, of a webhook, host."""
    scheme, _, rest = address.partition("://")
    host = rest.partition("/")[0] if scheme in ("http", "https") else ""
    return f"{scheme}://{host}/{MASKED}" if host else f"{scheme}://{MASKED}"


def _address_view(addresses: Mapping[Channel, Address], channel: Channel) -> AddressView | None:
    address = addresses.get(channel)
    return AddressView(value=address.value, verified=address.verified) if address else None
