"""Requests in: load, decide, save, emit; one module per capability."""

from fund_pool.api.accounts import accounts
from fund_pool.api.alerts import alerts
from fund_pool.api.allocations import allocations
from fund_pool.api.deduction import deduction_orders
from fund_pool.api.documents import documents
from fund_pool.api.opening import opening
from fund_pool.api.orders import orders
from fund_pool.api.payments import payments
from fund_pool.api.reference import reference

ROUTERS = (accounts, alerts, allocations, deduction_orders, documents, opening, orders, payments, reference)
