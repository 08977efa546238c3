"""credit over HTTP."""

from typing import Final

from credit.api import (
    alerts,
    approvals,
    credit_documents,
    detail,
    initialization,
    masterdata,
    masterdata_files,
    members,
    orders,
    pending,
    profile_files,
    profiles,
    queries,
    recalculation,
    rule_files,
    rules,
    score_sheets,
    scoring,
    terms,
)

ROUTERS: Final = (
    masterdata.router,
    masterdata_files.router,
    profiles.router,
    orders.router,
    pending.router,
    approvals.router,
    scoring.router,
    score_sheets.router,
    credit_documents.router,
    members.router,
    alerts.router,
    queries.router,
    detail.router,
    profile_files.router,
    rules.router,
    rule_files.router,
    terms.router,
    recalculation.router,
    initialization.router,
)
