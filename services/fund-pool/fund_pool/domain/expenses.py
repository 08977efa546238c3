"""Approved expense claims: each is credited once, and a later revision of a claim is credited the difference."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from fund_pool.domain.account_types import CASH
from fund_pool.domain.documents import spend_own_first
from fund_pool.domain.ledger import EXPENSE_CLEARING, EXPENSE_REIMBURSEMENT, Document
from fund_pool.domain.pool import Move, Pool, Posted

Outcome = Literal["posted", "unchanged", "known-already", "superseded"]


@dataclass(slots=True)
class Claim:
    """A claim as its newest revision tells it, and what has been credited for it; in minor units."""

    claim_id: str
    revision: int
    account: str
    account_type: str
    currency: str
    amount: int
    approved_on: date
    credited: int = 0


class ClaimRefused(ValueError):
    """A claim that cannot be credited, with a stable reason."""

    def __init__(self, reason: str, text: str) -> None:
        self.reason = reason
        super().__init__(text)


def reimburse(
    kept: Claim | None, told: Claim, pools: Mapping[str, Pool], now: datetime
) -> tuple[Claim, Posted | None]:
    """Credits what the claim is worth beyond what it has been credited; returns it as it is kept from now on.

    Errors: ClaimRefused; nothing has changed then.
    """
    if kept is not None and told.revision <= kept.revision:
        _require_same(kept, told)
        return kept, None
    if kept is not None and (kept.account, kept.account_type, kept.currency) != (
        told.account,
        told.account_type,
        told.currency,
    ):
        raise ClaimRefused(
            "claim-conflict", f"claim {told.claim_id} was for {kept.account_type} of {kept.account}"
        )
    pool = pools.get(told.account)
    if pool is None:
        raise ClaimRefused("unknown-account", f"there is no account {told.account}")
    told.credited = 0 if kept is None else kept.credited
    posted = _credit(told, pool, now)
    told.credited = told.amount
    return told, posted


def _require_same(kept: Claim, told: Claim) -> None:
    same = (kept.account, kept.account_type, kept.currency, kept.amount) == (
        told.account,
        told.account_type,
        told.currency,
        told.amount,
    )
    if told.revision == kept.revision and not same:
        raise ClaimRefused(
            "claim-conflict",
            f"revision {told.revision} of claim {told.claim_id} came before with other content",
        )


def _credit(claim: Claim, pool: Pool, now: datetime) -> Posted | None:
    change = claim.amount - claim.credited
    if not change:
        return None
    kind = pool.types.get(claim.account_type)
    if kind is None or kind.has_line:
        raise ClaimRefused("unknown-account-type", f"{claim.account_type} takes no reimbursement")
    purse = pool.find(claim.account_type, claim.currency)
    if purse is None:
        if not kind.opens_on_first_use:
            raise ClaimRefused(
                "fund-account-not-opened", f"{pool.account} has no {kind.code} in {claim.currency}"
            )
        purse = pool.open(kind, claim.currency)
    if change > 0 and not pool.has_room(claim.currency, change):
        raise ClaimRefused("balance-too-large", "the account would hold more than can be stored")
    if change < 0 and -change > purse.usable:
        raise ClaimRefused(
            "beyond-balance", f"{kind.code} of {pool.account} cannot give back what the claim lost"
        )
    document = Document(EXPENSE_REIMBURSEMENT, "", claim.claim_id, claim.revision)
    if change < 0 and kind.code == CASH.code:
        spend_own_first(pool, claim.currency, -change)
    return pool.post(document, [Move(purse, change, EXPENSE_CLEARING)], claim.approved_on, now)
