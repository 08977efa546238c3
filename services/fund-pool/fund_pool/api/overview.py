"""Unified assets: what a management account and its members have, on one page and as a file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from chassis.http import Now, Policy, Reader, listed
from chassis.listing import ListField, Listing
from contracts.money import Money, SignedMoney, decimal_string
from contracts.text import Id
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

MEMBERS_MAX: Final = 10_000
DISABLED: Final = "--"

overview = router("overview")


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


async def assets_of(account: Id, reader: Reader, now: Now) -> list[Asset]:
    """What an account and the members that it may see have."""
    own = await pool_or_404(reader, account)
    members = await overview_rows.members(reader, account, MEMBERS_MAX)
    return await _assets(reader, [Member(own.account, own.account, "own"), *members], now)


def _threshold(asset: Asset) -> str:
    return DISABLED if asset.threshold is None else decimal_string(asset.threshold, asset.currency)


def _money(name: str, value: Callable[[Asset], int]) -> ListField[Asset]:
    return ListField(name, "money", value=value, sortable=True, summed=True)


ASSETS: Final[Listing[Asset]] = Listing(
    name="assets",
    sentence="What an account and the members that it may see have, each in each currency.",
    fields=[
        ListField("account", sortable=True),
        ListField("account_name", value=lambda row: row.name, contains=True, sortable=True),
        ListField("display_name", contains=True, sortable=True),
        ListField("currency"),
        _money("quota", lambda row: row.terms.quota),
        ListField("alert_threshold", value=_threshold, filterable=False),
        _money("outstanding", lambda row: row.terms.outstanding_fees),
        _money("credit_limit", lambda row: row.terms.credit_limit),
        _money("cash", lambda row: row.terms.cash_balance),
        _money("transferred_funds", lambda row: row.transferred_funds),
        _money("transferred_credit_limit", lambda row: row.transferred_limit),
        ListField("coupons", "whole", sortable=True),
        ListField("vouchers", "whole", sortable=True),
        ListField("stored_value_cards", "whole", value=lambda row: row.cards, sortable=True),
        ListField("invoice_status"),
        ListField(
            "low", "flag", value=lambda row: row.threshold is not None and row.terms.quota < row.threshold
        ),
    ],
    key=("account", "currency"),
    sort="account",
)


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


listed(
    overview,
    "/accounts/{account}/assets",
    ASSETS,
    Policy("assets:read", FINANCE, "account"),
    view=AssetView,
    told=_view,
    rows_of=assets_of,
)
