"""Where people belong: an account, a reporting entity or organisation, or the company as a whole.

A place is one text, so that a notice, its deliveries and its people share one key. The company's own places contain a
blank, which no id has: nobody can name an account so that it becomes one of them.
"""

from typing import Final

COMPANY: Final = "the company"
COMPANY_ID: Final = "company"
ENTITY_PREFIX: Final = "entity "


def entity_place(entity: str | None) -> str:
    """The place of a reporting entity or organisation; without one, the company as a whole."""
    return ENTITY_PREFIX + entity if entity else COMPANY


def is_account(place: str) -> bool:
    return " " not in place


def outward(place: str) -> str:
    """The place as an id that may stand in events, where nobody of it could be found."""
    return shown(place) or COMPANY_ID


def shown(place: str) -> str:
    """The place as people know it: an account's or an entity's id, or nothing for the whole company."""
    if place == COMPANY:
        return ""
    return place.removeprefix(ENTITY_PREFIX)
