"""Every list: one declaration gives it filters, sorts, cursors, and itself as a CSV or Excel file."""

from functools import partial
from typing import Annotated, Any

from chassis.http import LOADED, CurrentPrincipal, Now, Policy, Reader, listed
from chassis.http.policy import ADMINISTRATOR, AUDITOR
from contracts.text import Id
from fastapi import Depends

from fund_pool.api.common import FINANCE, ORDER_READERS, pool_or_404, router
from fund_pool.domain.pool import Pool
from fund_pool.repository import grants as grant_rows
from fund_pool.repository import lists as listings

lists = router("lists")


async def known_account(account: Id, reader: Reader) -> Pool:
    """The pool that a list is about; 404 for an account that master data does not tell of."""
    return await pool_or_404(reader, account)


KnownPool = Annotated[Pool, Depends(known_account)]


async def of_account(pool: KnownPool, now: Now) -> dict[str, Any]:
    """What the lists of one account bind: its moment and the day in its organisation's time zone."""
    return {"account": pool.account, "now": now, "today": pool.today(now)}


async def at_this_moment(now: Now) -> dict[str, Any]:
    return {"now": now}


async def not_granted(reader: Reader, principal: CurrentPrincipal) -> dict[str, Any]:
    """The document types that grants keep from this principal."""
    if principal.roles & {ADMINISTRATOR, AUDITOR}:
        return {"hidden": []}
    granted = [one for one in await grant_rows.grants(reader) if one.action == "view"]
    return {"hidden": [one.object for one in granted if not principal.roles & set(one.roles)]}


def _all() -> None:
    every, accounts, people = (
        partial(Policy, roles=FINANCE, account=LOADED),
        partial(Policy, roles=FINANCE, account="account"),
        partial(Policy, roles=FINANCE),
    )
    listed(lists, "/documents", listings.DOCUMENTS, every("document:list"), given=not_granted)
    listed(lists, "/allocation-records", listings.ALLOCATION_RECORDS, every("allocation-record:list"))
    listed(lists, "/allocation-requests", listings.ALLOCATION_REQUESTS, every("allocation:list"))
    listed(lists, "/unmatched-payments", listings.UNMATCHED_PAYMENTS, people("unmatched-payment:list"))
    listed(lists, "/orders", listings.ORDERS, Policy("order:list", ORDER_READERS, LOADED))
    listed(lists, "/fund-accounts", listings.FUND_ACCOUNTS, every("balance:list"), given=at_this_moment)
    listed(lists, "/quota-alerts", listings.QUOTA_ALERTS, every("quota-alert:list"))
    listed(lists, "/grants", listings.GRANTS, people("grant:list"))
    listed(lists, "/opening-balance-imports", listings.OPENING_IMPORTS, people("opening-balance:list"))
    for path, listing, action in (
        ("/organisations/{organisation}/usage-rules", listings.USAGE_RULES, "usage-rule:list"),
        ("/deduction-orders/{organisation}/versions", listings.DEDUCTION_ORDERS, "deduction-order:list"),
    ):
        listed(lists, path, listing, people(action))
    for name, listing, action in (
        ("entries", listings.ENTRIES, "entry:list"),
        ("holds", listings.HOLDS, "hold:list"),
        ("open-items", listings.OPEN_ITEMS, "open-item:list"),
        ("transfer-books", listings.TRANSFER_BOOKS, "transfer-book:list"),
        ("vouchers", listings.VOUCHERS, "voucher:list"),
        ("voucher-pools", listings.VOUCHER_POOLS, "voucher-pool:list"),
        ("quota-episodes", listings.QUOTA_EPISODES, "quota-episode:list"),
        ("reconciliations", listings.RECONCILIATIONS, "reconciliation:list"),
    ):
        listed(lists, f"/accounts/{{account}}/{name}", listing, accounts(action), given=of_account)


_all()
