"""What management and member accounts ask and decide over HTTP."""

from typing import Final

from sharing.api import accounts, changes, commands, ending, exports, invoicing, queries, resources, views

ROUTERS: Final = (
    commands.router,
    ending.router,
    queries.router,
    changes.router,
    views.router,
    exports.router,
    resources.router,
    invoicing.router,
    accounts.router,
)
