"""What people, operators and the SMS gateway say to notify over HTTP."""

from typing import Final

from notify.api import accounts, contacts, deliveries, reports

ROUTERS: Final = (contacts.router, deliveries.router, accounts.router, reports.router)
OPEN_PATHS: Final = frozenset({reports.PATH})
"""Paths without a token of ours: a delivery report proves itself by the secret in its path."""
