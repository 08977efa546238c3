"""What treasury people ask and enter over HTTP."""

from typing import Final

from cashplan.api import accounts, organisations, pool, position

ROUTERS: Final = (pool.router, position.router, accounts.router, organisations.router)
