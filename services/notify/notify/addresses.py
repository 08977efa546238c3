"""What counts as a phone number and an e-mail address; what is refused is never repeated."""

import re
from typing import Final

import phonenumbers
from email_validator import EmailNotValidError, validate_email

EMAIL_CHARACTERS_MAX: Final = 254
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
