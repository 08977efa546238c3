"""The available quota, its alert thresholds, and the episodes in which it was low."""

from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Final, Literal
from uuid import UUID

from chassis.http import LOADED, CurrentAccess, Policy, Problem, Reader, Work
from chassis.http.policy import Access
from contracts.money import Amount, Money, SignedMoney, decimal_string
from contracts.text import CurrencyCode, Id
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from contracts import quota_low as contract
from fund_pool.api.common import FINANCE, Body, locked_pool_or_404, pool_or_404, router
from fund_pool.domain.access import alert_accounts
from fund_pool.domain.pool import Pool
from fund_pool.domain.quota import Alert, Watch
from fund_pool.publishing import publish_notices, schedule_reminder, terms_told
from fund_pool.repository import alerts as alert_rows
from fund_pool.repository import pools as pool_rows
from fund_pool.repository import reference as reference_rows

ACCOUNTS_MAX: Final = 1_000
DISABLED: Final = "--"

alerts = router("quota")

ALERT_EXAMPLE: Final[JsonDict] = {
    "threshold": {"amount": "500.00", "currency": "CNY"},
    "enabled": True,
    "margin_percent": "10",
}


class Margin(Body):
    """Beyond the threshold by this much an episode ends: an amount, or percent of the threshold."""

    enabled: Annotated[bool, Field(strict=True)] = True
    margin: Amount | None = None
    margin_percent: Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,3})(\.[0-9]{1,2})?$")] | None = None


class NewAlert(Margin):
    """A threshold below which people are told."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [ALERT_EXAMPLE]})

    threshold: Amount


class NewAlerts(NewAlert):
    """One threshold for many accounts."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"accounts": ["A-1001", "A-1002"], **ALERT_EXAMPLE}]}
    )

    accounts: Annotated[list[Id], Field(min_length=1, max_length=ACCOUNTS_MAX)]


class AlertView(BaseModel):
    """The alert of one currency; its threshold reads `--` while it is disabled."""

    currency: str
    threshold: str = Field(description="The amount, or -- while the alert is disabled.", examples=["500.00"])
    enabled: bool
    margin: Money
    margin_percent: str
    resolved_from: Money | None = Field(description="The quota at which an open episode ends.")


class KeptAlertView(AlertView):
    """An alert with who set it, and when."""

    changed_by: str
    changed_at: datetime


class AlertResult(BaseModel):
    """What became of one account of a batch."""

    account: str
    result: Literal["set", "not-found", "repeated"]


class AlertResults(BaseModel):
    """The result of each account, in the order in which they were named."""

    results: list[AlertResult]


class EpisodeView(BaseModel):
    """A time in which the quota was low; it is open while `ended_at` is null."""

    currency: str
    episode_id: UUID
    opened_at: datetime
    reminder_number: int
    ended_at: datetime | None = None
    ending: str | None = None


class QuotaView(BaseModel):
    """The available quota of one currency with every term of it.

    quota = cash_balance + bankers_acceptance + credit_limit + credit_refund - unsettled
            - (outstanding_fees - negative_bill)
    """

    currency: str
    quota: SignedMoney
    terms: contract.QuotaTerms
    alert: AlertView | None
    episode: EpisodeView | None


class Quotas(BaseModel):
    """The available quota of an account by currency."""

    account: str
    quotas: list[QuotaView]


@alerts.get("/accounts/{account}/quota", policy=Policy("quota:read", FINANCE, "account"))
async def read_quota(account: Id, reader: Reader) -> Quotas:
    """The available quota in each currency that the account has a fund account or an alert in."""
    pool = await pool_or_404(reader, account)
    currencies = {currency for _, currency in pool.fund_accounts} | set(pool.watches) | set(pool.commons)
    return Quotas(account=account, quotas=[_quota_view(pool, currency) for currency in sorted(currencies)])


@alerts.get("/accounts/{account}/quota-alerts", policy=Policy("quota-alert:read", FINANCE, "account"))
async def read_alerts(account: Id, reader: Reader) -> list[KeptAlertView]:
    """The alerts of an account by currency."""
    await pool_or_404(reader, account)
    return [
        KeptAlertView(
            **_alert_view(kept.currency, kept.alert).model_dump(),
            changed_by=kept.changed_by,
            changed_at=kept.changed_at,
        )
        for kept in await alert_rows.alerts(reader, account)
    ]


@alerts.put(
    "/accounts/{account}/quota-alerts/{currency}", policy=Policy("quota-alert:set", FINANCE, "account")
)
async def set_alert(
    account: Id, currency: CurrencyCode, body: NewAlert, work: Work, access: CurrentAccess
) -> AlertView:
    """Sets an account's threshold; disabling ends the episode, a change re-evaluates it, none opens one."""
    allowed = await _settable(work, access)
    if allowed is not None and account not in allowed:
        raise Problem.forbidden("The alert of a managed account is set by its management account.")
    alert = _alert(body, currency)
    pool = await locked_pool_or_404(work.connection, account)
    _apply(work, pool, currency, alert)
    await alert_rows.save(work.connection, [pool], currency, access.principal.subject, work.now)
    return _alert_view(currency, alert)


@alerts.post("/quota-alerts", policy=Policy("quota-alert:set-many", FINANCE, LOADED))
async def set_alerts(body: NewAlerts, work: Work, access: CurrentAccess) -> AlertResults:
    """Sets one threshold for many accounts; each has its own result."""
    currency = body.threshold.currency
    alert = _alert(body, currency)
    allowed = await _settable(work, access)
    named = [account for account in body.accounts if allowed is None or account in allowed]
    pools = await pool_rows.locked_pools(work.connection, set(named))
    for pool in pools.values():
        _apply(work, pool, currency, alert)
    await alert_rows.save(work.connection, pools.values(), currency, access.principal.subject, work.now)
    return AlertResults(results=_results(body.accounts, pools.keys()))


async def _settable(work: Work, access: Access) -> frozenset[str] | None:
    """The accounts whose alerts the caller may set; None means all of them."""
    own = access.accounts
    if own is None:
        return None
    return alert_accounts(await reference_rows.relationships_of(work.connection, own), own)


def _apply(work: Work, pool: Pool, currency: str, alert: Alert) -> None:
    watch = pool.watches.setdefault(currency, Watch(currency, alert))
    notice = watch.after_alert_change(alert, pool.terms(currency), work.now)
    if notice is not None:
        publish_notices(work, [notice], pool)
    else:
        schedule_reminder(work, pool.account, watch)


def _results(accounts: list[str], known: Collection[str]) -> list[AlertResult]:
    seen: set[str] = set()
    results = []
    for account in accounts:
        outcome: Literal["set", "not-found", "repeated"] = "set" if account in known else "not-found"
        results.append(AlertResult(account=account, result="repeated" if account in seen else outcome))
        seen.add(account)
    return results


def _alert(body: NewAlert, currency: str) -> Alert:
    for field, amount in (("threshold", body.threshold), ("margin", body.margin)):
        if amount is not None and amount.currency != currency:
            raise Problem.invalid([{"field": f"{field}.currency", "message": f"must be {currency}"}])
    return Alert(
        threshold=body.threshold.minor,
        enabled=body.enabled,
        margin=body.margin.minor if body.margin is not None else 0,
        margin_basis_points=int(Decimal(body.margin_percent or "0") * 100),
    )


def _quota_view(pool: Pool, currency: str) -> QuotaView:
    terms = pool.terms(currency)
    watch = pool.watches.get(currency)
    episode = watch.episode if watch is not None else None
    return QuotaView(
        currency=currency,
        quota=SignedMoney.of(terms.quota, currency),
        terms=terms_told(terms, currency),
        alert=_alert_view(currency, watch.alert) if watch is not None else None,
        episode=EpisodeView(
            currency=currency,
            episode_id=episode.episode_id,
            opened_at=episode.opened_at,
            reminder_number=episode.reminder_number,
        )
        if episode is not None
        else None,
    )


def _alert_view(currency: str, alert: Alert) -> AlertView:
    threshold = decimal_string(alert.threshold, currency) if alert.enabled else DISABLED
    return AlertView(
        currency=currency,
        threshold=threshold,
        enabled=alert.enabled,
        margin=Money.of(alert.margin, currency),
        margin_percent=str((Decimal(alert.margin_basis_points) / 100).normalize()),
        resolved_from=Money.of(alert.resolved_from, currency) if alert.enabled else None,
    )
