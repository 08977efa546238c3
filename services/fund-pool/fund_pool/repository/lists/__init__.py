"""Every list of fund-pool: its query, and the fields by which it is filtered, sorted and exported."""

from fund_pool.repository.lists.books import DEDUCTION_ORDERS, GRANTS, OPENING_IMPORTS, USAGE_RULES
from fund_pool.repository.lists.documents import (
    ALLOCATION_RECORDS,
    ALLOCATION_REQUESTS,
    DOCUMENTS,
    ORDERS,
    RECONCILIATIONS,
    UNMATCHED_PAYMENTS,
)
from fund_pool.repository.lists.money import (
    ENTRIES,
    FUND_ACCOUNTS,
    HOLDS,
    MOVEMENTS,
    OPEN_ITEMS,
    QUOTA_ALERTS,
    QUOTA_EPISODES,
    TRANSFER_BOOKS,
    VOUCHER_POOLS,
    VOUCHERS,
)

__all__ = [
    "ALLOCATION_RECORDS",
    "ALLOCATION_REQUESTS",
    "DEDUCTION_ORDERS",
    "DOCUMENTS",
    "ENTRIES",
    "FUND_ACCOUNTS",
    "GRANTS",
    "HOLDS",
    "MOVEMENTS",
    "OPENING_IMPORTS",
    "OPEN_ITEMS",
    "ORDERS",
    "QUOTA_ALERTS",
    "QUOTA_EPISODES",
    "RECONCILIATIONS",
    "TRANSFER_BOOKS",
    "UNMATCHED_PAYMENTS",
    "USAGE_RULES",
    "VOUCHERS",
    "VOUCHER_POOLS",
]
