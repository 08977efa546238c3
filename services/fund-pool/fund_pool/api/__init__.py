"""Requests in: load, decide, save, emit; one module per capability."""

from fund_pool.api.accounts import accounts
from fund_pool.api.alerts import alerts
from fund_pool.api.allocations import allocations
from fund_pool.api.deduction import deduction_orders
from fund_pool.api.documents import documents
from fund_pool.api.grants import grants
from fund_pool.api.lists import lists
from fund_pool.api.opening import opening
from fund_pool.api.orders import orders
from fund_pool.api.overview import overview
from fund_pool.api.payments import payments
from fund_pool.api.reconciliations import reconciliations
from fund_pool.api.reference import reference
from fund_pool.api.settings import settings
from fund_pool.api.usage import usage_rules
from fund_pool.api.voucher_imports import voucher_imports
from fund_pool.api.vouchers import vouchers

ROUTERS = (
    lists,
    accounts,
    alerts,
    allocations,
    deduction_orders,
    documents,
    grants,
    opening,
    orders,
    overview,
    payments,
    reconciliations,
    reference,
    settings,
    usage_rules,
    voucher_imports,
    vouchers,
)
