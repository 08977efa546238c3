"""The deduction walk: who gives how much to an order, all or nothing, and why."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final, Literal

from fund_pool.domain.account_types import VOUCHER_KINDS
from fund_pool.domain.flow import assign
from fund_pool.domain.pool import FundAccount, Pool
from fund_pool.domain.usage import UNRESTRICTED, Purpose, UsagePolicy, UsageRule
from fund_pool.domain.vouchers import Voucher

ShareCode = Literal[
    "paid",
    "held",
    "not-needed",
    "not-enough",
    "empty",
    "held-by-others",
    "line-used-up",
    "not-opened",
    "expired",
    "not-yet-valid",
    "not-in-usage-rule",
    "outside-material-scope",
    "below-minimum-order",
    "used-before",
    "not-for-orders",
    "not-in-deduction-order",
    "relationship-ending",
]


@dataclass(slots=True)
class LineAmount:
    """What is owed for one order line, in minor units."""

    line_id: str
    amount: int
    material: str = ""
    material_group: str | None = None


@dataclass(slots=True)
class LinePaid:
    """What one fund account, or one voucher, has paid of one line, in minor units, refunds taken off."""

    account: str
    account_type: str
    line_id: str
    amount: int
    voucher_id: str | None = None


@dataclass(slots=True)
class Share:
    """One source's part in a walk; `available` is what it could have given, `rule` what governs it."""

    account_type: str
    fund_account: FundAccount | None
    available: int
    gave: int
    code: ShareCode
    voucher: Voucher | None = None
    account: str = ""
    rule: UsageRule | None = None

    @property
    def sets_aside(self) -> bool:
        """Whether its money is held instead of taken."""
        return self.rule is not None and self.rule.hold_hours is not None

    def covers(self, line: LineAmount) -> bool:
        scope = self.voucher or self.rule
        return scope is None or scope.covers(line.material, line.material_group)


@dataclass(slots=True)
class Walk:
    """The outcome: nothing is given when there is a shortfall; `payments` say what each gave to each line."""

    shares: list[Share]
    payments: list[LinePaid]
    shortfall: int


NOTHING: Final = Walk([], [], 0)


def walk(
    pool: Pool,
    currency: str,
    lines: Sequence[LineAmount],
    today: date,
    policy: UsagePolicy = UNRESTRICTED,
    purpose: Purpose = "order-payment",
    order_total: int | None = None,
) -> Walk:
    """Each source of the deduction order gives as much as it can without making the lines unpayable.

    Vouchers, coupons and cards come first unless the deduction order names their places; `order_total` is what
    a coupon's minimum is compared with.
    """
    owed = [line for line in lines if line.amount]
    total = sum(line.amount for line in lines) if order_total is None else order_total
    shares = _sources(pool, currency, owed, today, policy, purpose, total)
    payments = _assigned(pool.account, shares, owed)
    paid = sum(share.gave for share in shares)
    shortfall = sum(line.amount for line in owed) - paid
    for share in shares:
        share.code = _code(share, shortfall)
        if shortfall:
            share.gave = 0
    return Walk(shares + _bystanders(pool, currency), [] if shortfall else payments, shortfall)


def _sources(
    pool: Pool,
    currency: str,
    owed: Sequence[LineAmount],
    today: date,
    policy: UsagePolicy,
    purpose: Purpose,
    total: int,
) -> list[Share]:
    named = pool.deduction.account_types
    shares: list[Share] = []
    if pool.vouchers:
        for kind in VOUCHER_KINDS:
            if kind not in named:
                shares += _vouchers(pool, kind, currency, today, total)
    for code in named:
        if code in VOUCHER_KINDS:
            shares += _vouchers(pool, code, currency, today, total)
        else:
            shares.append(_candidate(pool, code, currency, today, policy, purpose))
    for share in shares:
        if share.available and owed and not any(share.covers(line) for line in owed):
            share.available, share.code = 0, "outside-material-scope"
    return shares


def _vouchers(pool: Pool, kind: str, currency: str, today: date, total: int) -> list[Share]:
    """The vouchers of one kind that the account may draw on, soonest to expire first."""
    drawable = (
        voucher
        for voucher in pool.vouchers.values()
        if voucher.kind == kind and voucher.currency == currency and pool.account in voucher.members
    )
    return [_voucher(pool.account, one, today, total) for one in sorted(drawable, key=lambda one: one.turn)]


def _voucher(account: str, voucher: Voucher, today: date, total: int) -> Share:
    share = Share(voucher.kind, None, 0, 0, "empty", voucher, account)
    if not voucher.is_valid(today):
        expired = voucher.valid_until is not None and voucher.valid_until < today
        share.code = "expired" if expired else "not-yet-valid"
    elif total < voucher.minimum_order:
        share.code = "below-minimum-order"
    elif voucher.usable:
        share.available = voucher.usable
    elif voucher.held and voucher.remaining:
        share.code = "held-by-others"
    elif voucher.kind == "coupon":
        share.code = "used-before"
    return share


def _candidate(
    pool: Pool, code: str, currency: str, today: date, policy: UsagePolicy, purpose: Purpose
) -> Share:
    rule = policy.rule(code)
    if rule is not None and purpose == "final-payment":
        rule = replace(rule, hold_hours=None)
    owner, purse = _purse(pool, code, currency)
    share = Share(code, purse, 0, 0, "empty", None, owner, rule)
    if purse is None:
        share.code = "not-opened"
    elif policy.forbids(code, purpose):
        share.code = "not-in-usage-rule"
    elif purpose == "order-payment" and _is_ending(pool, code, currency):
        share.code = "relationship-ending"
    elif (validity := purse.validity(today)) != "valid":
        share.code = validity
    elif purse.usable:
        share.available = purse.usable
    elif purse.balance + purse.line > 0:
        share.code = "held-by-others"
    elif purse.type.has_line and purse.line:
        share.code = "line-used-up"
    return share


def _purse(pool: Pool, code: str, currency: str) -> tuple[str, FundAccount | None]:
    """The fund account of a type; under entity-level credit the common line stands in for the overdraft."""
    common = pool.commons.get(currency)
    if common is not None and common.purse.type.code == code:
        return common.owner, common.purse
    return pool.account, pool.find(code, currency)


def _is_ending(pool: Pool, code: str, currency: str) -> bool:
    """Whether the purse is a common line that the account may soon have no part in any more."""
    common = pool.commons.get(currency)
    return common is not None and common.ending and common.purse.type.code == code


def _code(share: Share, shortfall: int) -> ShareCode:
    if not share.available:
        return share.code
    if shortfall:
        return "not-enough"
    if not share.gave:
        return "not-needed"
    return "held" if share.sets_aside else "paid"


def _bystanders(pool: Pool, currency: str) -> list[Share]:
    """The fund accounts in this currency that the deduction order leaves out."""
    return [
        Share(code, fund_account, 0, 0, _why_apart(fund_account), None, pool.account)
        for (code, of_currency), fund_account in pool.fund_accounts.items()
        if of_currency == currency and code not in pool.deduction.account_types
    ]


def _why_apart(fund_account: FundAccount) -> ShareCode:
    return "not-in-deduction-order" if fund_account.type.pays_orders else "not-for-orders"


def _assigned(account: str, shares: Sequence[Share], owed: Sequence[LineAmount]) -> list[LinePaid]:
    """Sets what each source gives, and says what of it goes to each line: first givers pay first lines."""
    limited = [share for share in shares if share.voucher is not None or share.rule is not None]
    classes = _classes(limited, owed)
    flow = assign(
        [share.available for share in shares],
        [[at for at, (_, lines) in enumerate(classes) if share.covers(lines[0])] for share in shares],
        [amount for amount, _ in classes],
    )
    payments = []
    for at, (_, lines) in enumerate(classes):
        payments += _spread(account, shares, [given[at] for given in flow], lines)
    for share, given in zip(shares, flow, strict=True):
        share.gave = sum(given)
    return payments


def _classes(limited: Sequence[Share], owed: Sequence[LineAmount]) -> list[tuple[int, list[LineAmount]]]:
    """The lines that the same sources may pay, together: how much is owed in all, and the lines."""
    if not limited:
        return [(sum(line.amount for line in owed), list(owed))] if owed else []
    groups: dict[tuple[bool, ...], list[LineAmount]] = {}
    for line in owed:
        groups.setdefault(tuple(share.covers(line) for share in limited), []).append(line)
    return [(sum(line.amount for line in lines), lines) for lines in groups.values()]


def _spread(
    account: str, shares: Sequence[Share], gave: Sequence[int], lines: Sequence[LineAmount]
) -> list[LinePaid]:
    payments = []
    owing = iter(lines)
    line, open_amount = None, 0
    for share, given in zip(shares, gave, strict=True):
        left = given
        while left:
            if not open_amount:
                line = next(owing)
                open_amount = line.amount
            assert line is not None
            part = min(left, open_amount)
            voucher_id = None if share.voucher is None else share.voucher.voucher_id
            payer = share.account or account
            payments.append(LinePaid(payer, share.account_type, line.line_id, part, voucher_id))
            left -= part
            open_amount -= part
    return payments
