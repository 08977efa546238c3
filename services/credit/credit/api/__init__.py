"""credit over HTTP."""

from typing import Final

from credit.api import (
    alerts,
    credit_documents,
    masterdata,
    members,
    orders,
    pending,
    profile_files,
    profiles,
    queries,
    recalculation,
    rules,
    score_sheets,
    scoring,
    terms,
)

ROUTERS: Final = (
    masterdata.router,
    profiles.router,
    orders.router,
    pending.router,
    scoring.router,
    score_sheets.router,
    credit_documents.router,
    members.router,
    alerts.router,
    queries.router,
    profile_files.router,
    rules.router,
    terms.router,
    recalculation.router,
)
