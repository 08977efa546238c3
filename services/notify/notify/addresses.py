"""What counts as a phone number and an e-mail address; what is refused is never repeated."""

import base64
import binascii
import re
from collections.abc import Collection, Mapping
from typing import Final
from urllib.parse import urlsplit

import phonenumbers
from apprise import Apprise
from email_validator import EmailNotValidError, validate_email

EMAIL_CHARACTERS_MAX: Final = 254
SECRET_BYTES_MIN: Final = 24
SECRET_BYTES_MAX: Final = 64
CATALOGUE_SCHEMAS: Final[Mapping[str, frozenset[str]]] = {
    "dingtalk": frozenset({"dingtalk"}),
    "wecom": frozenset({"wecombot"}),
    "feishu": frozenset({"feishu", "lark"}),
    "slack": frozenset({"slack"}),
    "twilio": frozenset({"twilio"}),
}
"""Apprise's names of the channels that have one of their own; `apprise` takes whatever the settings allow."""
E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")


def phone_number(text: str) -> str:
    """A phone number in E.164; raises ValueError unless it is one that can exist."""
    if not text.isascii() or not text.isprintable():
        raise ValueError("must be a phone number with its country code, such as +442079460018")
    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        raise ValueError("must be a phone number with its country code, such as +442079460018") from None
    formatted = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    if number.extension or not phonenumbers.is_valid_number(number) or not E164.fullmatch(formatted):
        raise ValueError("is not a phone number that exists in its country")
    return formatted


def email_address(text: str) -> str:
    """An e-mail address in ASCII, its domain in lower case; raises ValueError when it has not the form of one.

    Whether it exists is not asked here: the code that is sent to it tells. Hence names reserved for tests pass.
    """
    if len(text) > EMAIL_CHARACTERS_MAX or not text.isprintable():
        raise ValueError("must be an e-mail address in one line")
    try:
        checked = validate_email(
            text, check_deliverability=False, allow_smtputf8=False, test_environment=True
        )
    except EmailNotValidError:
        raise ValueError("must be an e-mail address with ASCII characters before the @") from None
    if checked.ascii_email is None:
        raise ValueError("must be an e-mail address that every mail server can take")
    return checked.ascii_email


def webhook_url(text: str, *, allows_private: bool) -> str:
    """The address of a webhook: https, without user and fragment; raises ValueError."""
    parts = urlsplit(text)
    schemes = ("https", "http") if allows_private else ("https",)
    if not text.isascii() or not text.isprintable() or parts.scheme not in schemes or not parts.hostname:
        raise ValueError("must be an address such as https://example.com/notices")
    if parts.username or parts.password or parts.fragment:
        raise ValueError("must have neither a user nor a fragment")
    return text


def catalogue_url(text: str, channel: str, schemas: Collection[str]) -> str:
    """An Apprise address of the channel's service; raises ValueError, and never repeats the address."""
    scheme = text.partition("://")[0].lower()
    wanted = CATALOGUE_SCHEMAS.get(channel, frozenset(schemas))
    if not text.isascii() or not text.isprintable() or scheme not in wanted or scheme not in schemas:
        allowed = ", ".join(sorted(wanted & frozenset(schemas)))
        raise ValueError(f"must be an Apprise address with one of the schemas {allowed}")
    if Apprise.instantiate(text, suppress_exceptions=True) is None:
        raise ValueError("is not an address that its service understands")
    return text


def webhook_secret(text: str) -> str:
    """A Standard Webhooks secret: whsec_ and 24 to 64 bytes in base64; raises ValueError."""
    try:
        key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise ValueError("must be whsec_ and base64") from None
    if not text.startswith("whsec_") or not SECRET_BYTES_MIN <= len(key) <= SECRET_BYTES_MAX:
        raise ValueError("must be whsec_ and 24 to 64 bytes in base64")
    return text
