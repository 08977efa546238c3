"""credit over HTTP."""

from typing import Final

from credit.api import masterdata, orders, pending, profiles

ROUTERS: Final = (masterdata.router, profiles.router, orders.router, pending.router)
