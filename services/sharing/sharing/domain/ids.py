"""Ids that sort by the time they were made."""

from datetime import datetime
from typing import Final
from uuid import UUID

RANDOM_BYTES: Final = 10


def uuid7(now: datetime, random_bytes: bytes) -> str:
    """A UUIDv7 (RFC 9562) of a moment and ten random bytes."""
    assert len(random_bytes) == RANDOM_BYTES
    milliseconds = int(now.timestamp() * 1000)
    value = milliseconds.to_bytes(6, "big") + random_bytes
    bits = int.from_bytes(value, "big")
    bits = bits & ~(0xF << 76) | 0x7 << 76
    bits = bits & ~(0x3 << 62) | 0x2 << 62
    return str(UUID(int=bits))
