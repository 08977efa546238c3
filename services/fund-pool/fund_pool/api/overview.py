"""Unified assets: what a management account and its members have, on one page and as a file."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Literal

from chassis.http import DOWNLOAD, Now, Page, Policy, Reader, download
from chassis.sheets import Column, SheetFormat
from contracts.money import Money, SignedMoney, decimal_string
from contracts.text import CurrencyCode, Id
from fastapi import Query, Response
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from contracts import quota_low as contract
from fund_pool.api.common import FINANCE, pool_or_404, router
from fund_pool.domain.pool import Pool
from fund_pool.domain.quota import QuotaTerms
from fund_pool.publishing import terms_told
from fund_pool.repository import limits as limit_rows
from fund_pool.repository import overview as overview_rows
from fund_pool.repository import pools as pool_rows
from fund_pool.repository.overview import Member

EXPORT_MEMBERS_MAX: Final = 10_000
DISABLED: Final = "--"

overview = router("overview")

Sort = Literal["account", "quota", "-quota", "cash", "-cash", "outstanding", "-outstanding"]


@dataclass(frozen=True, slots=True)
class Asset:
    """One account in one currency; amounts in minor units."""

    account: str
    name: str
    display_name: str
    invoice_status: str
    currency: str
    terms: QuotaTerms
    threshold: int | None
    transferred_funds: int
    transferred_limit: int
    coupons: int
    vouchers: int
    cards: int


class AssetView(BaseModel):
    """One account in one currency; the list behind each number is `/accounts/{account}/vouchers`."""

    account: str
    account_name: str
    display_name: str
    currency: str
    available_quota: SignedMoney
    terms: contract.QuotaTerms
    alert_threshold: str = Field(description="The amount, or -- while no alert is enabled.")
    outstanding_fees: Money
    credit_limit: Money
    cash_balance: SignedMoney
    transferred_amount: Money = Field(
        description="What of it came from management accounts: funds and limit."
    )
    transferred_funds: Money
    transferred_credit_limit: Money
    coupons: int
    vouchers: int
    stored_value_cards: int
    invoice_status: str


class AssetPage(BaseModel):
    """The account itself on the first page, then its members by id; sorted within the page."""

    items: list[AssetView]
    next: str | None = None


@overview.get("/accounts/{account}/assets", policy=Policy("assets:read", FINANCE, "account"))
async def read_assets(
    account: Id,
    reader: Reader,
    page: Page,
    now: Now,
    currency: Annotated[CurrencyCode | None, Query()] = None,
    low: Annotated[bool, Query(description="Only those below their threshold.")] = False,
    sort: Annotated[Sort, Query()] = "account",
) -> AssetPage:
    """What an account and the members that it may see have."""
    own = await pool_or_404(reader, account)
    after = page.after(str)
    found = await overview_rows.members(reader, account, after[0] if after else None, page.rows)
    rows, following = page.page(found, lambda row: (row.account,))
    first = [] if after else [Member(own.account, own.account, "own")]
    assets = await _assets(reader, [*first, *rows], now)
    return AssetPage(items=[_view(one) for one in _chosen(assets, currency, low, sort)], next=following)


@overview.get(
    "/accounts/{account}/assets/export",
    policy=Policy("assets:export", FINANCE, "account"),
    response_class=Response,
    responses=DOWNLOAD,
)
async def export_assets(
    account: Id,
    reader: Reader,
    now: Now,
    currency: Annotated[CurrencyCode | None, Query()] = None,
    low: Annotated[bool, Query()] = False,
    sort: Annotated[Sort, Query()] = "account",
    file_format: Annotated[SheetFormat, Query(alias="format")] = "xlsx",
) -> Response:
    """The same as a CSV or Excel file, of at most 10,000 members."""
    own = await pool_or_404(reader, account)
    members = await overview_rows.members(reader, account, None, EXPORT_MEMBERS_MAX)
    assets = await _assets(reader, [Member(account, account, "own"), *members], now)
    rows = _chosen(assets, currency, low, sort)
    return await download(file_format, "assets", COLUMNS, rows, own.time_zone)


def _threshold(asset: Asset) -> str:
    return DISABLED if asset.threshold is None else decimal_string(asset.threshold, asset.currency)


COLUMNS: Final[Sequence[Column[Asset]]] = [
    Column("account", lambda row: row.account),
    Column("account name", lambda row: row.name),
    Column("display name", lambda row: row.display_name),
    Column("currency", lambda row: row.currency),
    Column("available quota", lambda row: decimal_string(row.terms.quota, row.currency), "decimal"),
    Column("alert threshold", _threshold),
    Column(
        "outstanding fees", lambda row: decimal_string(row.terms.outstanding_fees, row.currency), "decimal"
    ),
    Column("credit limit", lambda row: decimal_string(row.terms.credit_limit, row.currency), "decimal"),
    Column("cash balance", lambda row: decimal_string(row.terms.cash_balance, row.currency), "decimal"),
    Column("transferred funds", lambda row: decimal_string(row.transferred_funds, row.currency), "decimal"),
    Column(
        "transferred credit limit", lambda row: decimal_string(row.transferred_limit, row.currency), "decimal"
    ),
    Column("coupons", lambda row: row.coupons, "whole"),
    Column("vouchers", lambda row: row.vouchers, "whole"),
    Column("stored value cards", lambda row: row.cards, "whole"),
    Column("invoice status", lambda row: row.invoice_status),
]


async def _assets(connection: AsyncConnection, members: Sequence[Member], now: datetime) -> list[Asset]:
    accounts = [member.account for member in members]
    pools = await pool_rows.pools(connection, accounts, now=now)
    names = await overview_rows.names(connection, accounts)
    counts = await overview_rows.voucher_counts(connection, accounts, now)
    limits = {key: limit.amount for key, limit in (await limit_rows.limits(connection, accounts)).items()}
    return [
        asset
        for member in members
        if member.account in pools
        for asset in _of(member, pools[member.account], names[member.account], counts, limits)
    ]


def _of(
    member: Member,
    pool: Pool,
    name: str,
    counts: dict[tuple[str, str], int],
    limits: dict[tuple[str, str], int],
) -> list[Asset]:
    currencies = {currency for _, currency in pool.fund_accounts} | set(pool.watches) | set(pool.commons)
    return [
        Asset(
            account=pool.account,
            name=name,
            display_name=member.display_name,
            invoice_status=member.invoice_status,
            currency=currency,
            terms=pool.terms(currency),
            threshold=_enabled_threshold(pool, currency),
            transferred_funds=pool.transferred(currency),
            transferred_limit=limits.get((pool.account, currency), 0),
            coupons=counts.get((pool.account, "coupon"), 0),
            vouchers=counts.get((pool.account, "voucher"), 0),
            cards=counts.get((pool.account, "card"), 0),
        )
        for currency in sorted(currencies)
    ]


def _enabled_threshold(pool: Pool, currency: str) -> int | None:
    watch = pool.watches.get(currency)
    return watch.alert.threshold if watch is not None and watch.alert.enabled else None


def _chosen(assets: Sequence[Asset], currency: str | None, low: bool, sort: Sort) -> list[Asset]:
    chosen = [
        one
        for one in assets
        if (currency is None or one.currency == currency)
        and (not low or (one.threshold is not None and one.terms.quota < one.threshold))
    ]
    if sort == "account":
        return chosen
    term = sort.removeprefix("-")
    return sorted(chosen, key=lambda one: _term(one, term), reverse=sort.startswith("-"))


def _term(asset: Asset, term: str) -> int:
    if term == "quota":
        return asset.terms.quota
    return asset.terms.cash_balance if term == "cash" else asset.terms.outstanding_fees


def _view(asset: Asset) -> AssetView:
    currency = asset.currency
    return AssetView(
        account=asset.account,
        account_name=asset.name,
        display_name=asset.display_name,
        currency=currency,
        available_quota=SignedMoney.of(asset.terms.quota, currency),
        terms=terms_told(asset.terms, currency),
        alert_threshold=_threshold(asset),
        outstanding_fees=Money.of(asset.terms.outstanding_fees, currency),
        credit_limit=Money.of(asset.terms.credit_limit, currency),
        cash_balance=SignedMoney.of(asset.terms.cash_balance, currency),
        transferred_amount=Money.of(asset.transferred_funds + asset.transferred_limit, currency),
        transferred_funds=Money.of(asset.transferred_funds, currency),
        transferred_credit_limit=Money.of(asset.transferred_limit, currency),
        coupons=asset.coupons,
        vouchers=asset.vouchers,
        stored_value_cards=asset.cards,
        invoice_status=asset.invoice_status,
    )
