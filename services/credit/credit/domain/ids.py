"""Ids that sort by time."""

from datetime import datetime
from typing import Final
from uuid import UUID

RANDOM_BYTES: Final = 10


def uuid7(now: datetime, randomness: bytes) -> UUID:
    """A UUIDv7 (RFC 9562) of a moment and ten random bytes."""
    milliseconds = int(now.timestamp() * 1000).to_bytes(6, "big")
    packed = bytearray(milliseconds + randomness[:RANDOM_BYTES])
    packed[6] = 0x70 | packed[6] & 0x0F
    packed[8] = 0x80 | packed[8] & 0x3F
    return UUID(bytes=bytes(packed))
