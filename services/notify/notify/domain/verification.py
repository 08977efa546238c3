"""An address is used once its owner has told us the code that was sent to it."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import scrypt
from typing import Final, Self

CODE_DIGITS: Final = 6
CODE_VALID: Final = timedelta(minutes=10)
TRIES_MAX: Final = 5
PAUSE: Final = timedelta(seconds=60)
REQUESTS_WINDOW: Final = timedelta(hours=24)
REQUESTS_PER_ADDRESS_MAX: Final = 5
REQUESTS_PER_ACCOUNT_MAX: Final = 50
SALT_BYTES: Final = 16
HASH_COST: Final = 2**13
"""scrypt's n: 8 MiB and some 20 ms; six digits are few, so a guess must cost something."""


class CheckOutcome(StrEnum):
    """What telling a code comes to."""

    VERIFIED = "verified"
    WRONG_CODE = "wrong-code"
    EXPIRED = "expired"
    TOO_MANY_TRIES = "too-many-tries"
    NO_CODE = "no-code"


@dataclass(frozen=True, slots=True)
class HashedCode:
    """What is kept of a code: never itself."""

    salt: bytes
    hash: bytes

    @classmethod
    def of(cls, code: str, salt: bytes) -> Self:
        return cls(salt, scrypt(code.encode(), salt=salt, n=HASH_COST, r=8, p=1, dklen=32))

    def is_of(self, told: str) -> bool:
        return hmac.compare_digest(self.of(told, self.salt).hash, self.hash)


@dataclass(frozen=True, slots=True)
class Code:
    """A code that was sent to an address."""

    address: str
    hashed: HashedCode
    sent_at: datetime
    tries: int


@dataclass(frozen=True, slots=True)
class Requests:
    """Codes asked for in the last 24 hours: when for this address, and how many for the whole account."""

    for_address: Sequence[datetime]
    for_account: int


def code_text(number: int) -> str:
    """The six digits of a random number below 10**6."""
    assert 0 <= number < 10**CODE_DIGITS
    return str(number).rjust(CODE_DIGITS, "0")


def wait_before_request(requests: Requests, now: datetime) -> timedelta:
    """How long until another code may be asked for; zero when it may be now."""
    if requests.for_account >= REQUESTS_PER_ACCOUNT_MAX:
        return REQUESTS_WINDOW
    if not requests.for_address:
        return timedelta(0)
    waits = [max(requests.for_address) + PAUSE - now]
    if len(requests.for_address) >= REQUESTS_PER_ADDRESS_MAX:
        waits.append(sorted(requests.for_address)[-REQUESTS_PER_ADDRESS_MAX] + REQUESTS_WINDOW - now)
    return max(timedelta(0), *waits)


def check(code: Code | None, address: str | None, told: str, now: datetime) -> CheckOutcome:
    """Whether the code that was told proves the address that the contact has now."""
    if code is None or code.address != address:
        return CheckOutcome.NO_CODE
    if now >= code.sent_at + CODE_VALID:
        return CheckOutcome.EXPIRED
    if code.tries >= TRIES_MAX:
        return CheckOutcome.TOO_MANY_TRIES
    if code.hashed.is_of(told):
        return CheckOutcome.VERIFIED
    return CheckOutcome.WRONG_CODE
