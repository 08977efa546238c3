"""What management and member accounts ask and decide over HTTP."""

from typing import Final

from sharing.api import accounts, commands, queries

ROUTERS: Final = (commands.router, queries.router, accounts.router)
