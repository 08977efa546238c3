"""What treasury people and planners ask and enter over HTTP."""

from typing import Final

from cashplan.api import (
    accounts,
    adjustments,
    analysis,
    collecting,
    control,
    filings,
    masterdata,
    organisations,
    pool,
    position,
    rollups,
    rounds,
    systems,
    todos,
)

ROUTERS: Final = (
    systems.router,
    rounds.router,
    filings.router,
    rollups.router,
    adjustments.router,
    control.router,
    analysis.router,
    collecting.router,
    pool.router,
    position.router,
    accounts.router,
    organisations.router,
    masterdata.router,
    todos.router,
)
