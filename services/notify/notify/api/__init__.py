"""What people, operators and the SMS gateway say to notify over HTTP."""

from typing import Final

from notify.api import (
    accounts,
    contact_files,
    contacts,
    deliveries,
    links,
    people,
    reports,
    rules,
    silences,
    tasks,
    templates,
)
from notify.message import ACKNOWLEDGE_PATH, VERIFY_PATH

ROUTERS: Final = (
    contact_files.router,
    contacts.router,
    rules.router,
    templates.router,
    silences.router,
    tasks.router,
    deliveries.router,
    people.router,
    accounts.router,
    links.router,
    reports.router,
)
OPEN_PATHS: Final = frozenset({reports.PATH, ACKNOWLEDGE_PATH + "{token}", VERIFY_PATH + "{token}"})
"""Paths without a token of ours: the secret in the path, made for one delivery, is the proof."""
