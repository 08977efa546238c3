"""SMS: which coding a text needs and into how many segments it is cut (3GPP TS 23.038, 23.040)."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

GSM_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_EXTENSION: Final = frozenset("^{}\\[~]|€\f")
"""Characters that take two of the seven-bit places."""

GSM_SINGLE: Final = 160
GSM_PART: Final = 153
UCS2_SINGLE: Final = 70
UCS2_PART: Final = 67


class Coding(IntEnum):
    """Kannel's number of a coding."""

    GSM_7 = 0
    UCS_2 = 2


@dataclass(frozen=True, slots=True)
class Segments:
    coding: Coding
    count: int


def segments(text: str) -> Segments:
    """The coding that loses nothing of the text, and how many segments it then takes."""
    if all(character in GSM_BASIC or character in GSM_EXTENSION for character in text):
        widths = [2 if character in GSM_EXTENSION else 1 for character in text]
        return Segments(Coding.GSM_7, _count(widths, GSM_SINGLE, GSM_PART))
    widths = [2 if ord(character) > 0xFFFF else 1 for character in text]
    return Segments(Coding.UCS_2, _count(widths, UCS2_SINGLE, UCS2_PART))


def _count(widths: list[int], single: int, part: int) -> int:
    """Segments of characters that are not split between two segments; at least one."""
    if sum(widths) <= single:
        return 1
    count, used = 1, 0
    for width in widths:
        if used + width > part:
            count, used = count + 1, 0
        used += width
    return count
