"""How a text travels in short messages: alphabets, parts, and what is lost on the way (3GPP TS 23.038)."""

from dataclasses import dataclass

BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENDED = frozenset("^{}\\[~]|€\f")  # each takes two places
UCS2 = "2"


@dataclass(frozen=True, slots=True)
class Alphabet:
    """How many places one message has, and one of several that belong together."""

    single: int
    part: int


GSM_PLACES = Alphabet(single=160, part=153)
UCS2_PLACES = Alphabet(single=70, part=67)


@dataclass(frozen=True, slots=True)
class Carried:
    """What arrives of a text."""

    text: str
    parts: int


def carry(text: str, coding: str, parts_max: int) -> Carried:
    """What a gateway delivers: unknown characters become `?`, and what is too long is cut without a word."""
    wide = coding == UCS2
    alphabet = UCS2_PLACES if wide else GSM_PLACES
    known = text if wide else "".join(char if char in BASIC or char in EXTENDED else "?" for char in text)
    sizes = [_places(char, wide) for char in known]
    if sum(sizes) <= alphabet.single:
        return Carried(known, 1)
    kept = _fitting(sizes, alphabet.part * parts_max)
    return Carried(known[:kept], -(-sum(sizes[:kept]) // alphabet.part))


def _places(char: str, wide: bool) -> int:
    if wide:
        return len(char.encode("utf-16-be")) // 2
    return 2 if char in EXTENDED else 1


def _fitting(sizes: list[int], places: int) -> int:
    used = 0
    for index, size in enumerate(sizes):
        used += size
        if used > places:
            return index
    return len(sizes)
