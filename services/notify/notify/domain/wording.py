"""How data becomes text that is only text: inert names, amounts, times."""

import unicodedata
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

NAME_CHARACTERS_MAX: Final = 40
ELLIPSIS: Final = "..."
LANGUAGES: Final = ("zh-CN", "en")
DEFAULT_LANGUAGE: Final = "en"
INVISIBLE_CATEGORIES: Final = frozenset({"Cf", "Cs", "Co", "Cn"})
"""Direction overrides, zero-width characters, surrogates, private and unassigned characters."""
BREAKING_CATEGORIES: Final = frozenset({"Cc", "Zl", "Zp"})
"""Controls, line and paragraph separators."""


def inert(text: str, characters_max: int = NAME_CHARACTERS_MAX) -> str:
    """A name from an event as one short line without invisible or direction-changing characters."""
    bounded = text[: characters_max * 4]
    line = " ".join("".join(map(_visible, bounded)).split())
    if len(line) <= characters_max:
        return line
    return line[: characters_max - len(ELLIPSIS)].rstrip() + ELLIPSIS


def is_inert(text: str) -> bool:
    """Whether a text entered by a person can stand in one line as it is."""
    return bool(text.strip()) and all(_visible(character) == character for character in text)


def _visible(character: str) -> str:
    category = unicodedata.category(character)
    if category in INVISIBLE_CATEGORIES:
        return ""
    return " " if category in BREAKING_CATEGORIES else character


def amount(value: str, currency: str) -> str:
    """A decimal string with its currency and thousands grouped: `amount("-1234.50", "CNY") == "CNY -1,234.50"`."""
    sign = "-" if value.startswith("-") else ""
    whole, point, fraction = value.removeprefix("-").partition(".")
    return f"{currency} {sign}{int(whole):,}{point}{fraction}"


def moment(at: datetime, time_zone: str, language: str) -> str:
    """A time on the recipient's clock, with its offset from UTC."""
    local = at.astimezone(ZoneInfo(time_zone))
    offset = local.strftime("%z")
    zone = f"UTC{offset[:3]}:{offset[3:5]}"
    if language == "zh-CN":
        return f"{local.year}年{local.month}月{local.day}日 {local:%H:%M} {zone}"
    return f"{local:%Y-%m-%d %H:%M} {zone}"


def language_chain(language: str) -> tuple[str, ...]:
    """Languages to look for a text in, best first: zh-CN, zh, then the default."""
    parts = language.split("-")
    narrower = ["-".join(parts[:length]) for length in range(len(parts), 0, -1)]
    return tuple(dict.fromkeys([*narrower, DEFAULT_LANGUAGE]))
