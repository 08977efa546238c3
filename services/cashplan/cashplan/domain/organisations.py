"""Organisations as master data tells them: the newest version counts."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

TIME_ZONE_DEFAULT: Final = "UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisation:
    """An entity of the cash position; its dates are local to `time_zone`."""

    organisation_id: str
    version: int
    name: str
    time_zone: str
    active: bool


def newest(organisations: Iterable[Organisation]) -> list[Organisation]:
    """One per id, sorted by id: the highest version, the first of equal ones."""
    highest: dict[str, Organisation] = {}
    for organisation in organisations:
        known = highest.get(organisation.organisation_id)
        if known is None or organisation.version > known.version:
            highest[organisation.organisation_id] = organisation
    return [highest[organisation_id] for organisation_id in sorted(highest)]


def local_date(moment: datetime, time_zone: str) -> date:
    """The date that it is in a time zone at a moment."""
    return moment.astimezone(ZoneInfo(time_zone)).date()
