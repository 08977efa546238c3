"""Documents that people make and others approve: what each would post, or why it may not."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from types import MappingProxyType
from typing import Final, Literal

from contracts.money import decimal_string

from fund_pool.domain.account_types import CASH, OVERDRAFT
from fund_pool.domain.available import own_cash, transferable
from fund_pool.domain.books import spend
from fund_pool.domain.errors import BalanceOverflow, LimitPassed, VoucherExceeded
from fund_pool.domain.items import OpenItem
from fund_pool.domain.ledger import (
    BANK_CLEARING,
    CREDIT_LINES,
    OTHER_CLEARING,
    TRANSFERS,
    Document,
    Posting,
)
from fund_pool.domain.pool import AnyMove, FundAccount, InternalMove, Move, Pool, Posted

DocumentType = Literal[
    "top-up-online",
    "top-up-offline",
    "line-increase",
    "line-decrease",
    "other-credit",
    "other-debit",
    "transfer",
    "credit-repayment",
    "withdrawal",
    "un-post",
]
Status = Literal["draft", "submitted", "approved", "posted", "rejected", "withdrawn", "failed"]

REASON_REQUIRED: Final = ("other-credit", "other-debit", "un-post")
REVERSIBLE: Final = (
    "top-up-offline",
    "top-up-online",
    "line-increase",
    "line-decrease",
    "other-credit",
    "other-debit",
    "transfer",
)
OPEN: Final = ("draft", "submitted", "approved")


@dataclass(frozen=True, slots=True)
class Content:
    """What a document says, amounts in minor units; the same document never says anything else.

    `account_type` names the fund account that it moves, of a transfer the source; `reverses` the posted
    document (type, id) that an un-post takes back.
    """

    type: DocumentType
    document_id: str
    account: str
    currency: str
    amount: int
    account_type: str
    to_account_type: str | None = None
    effective_date: date | None = None
    reason: str | None = None
    payee: str | None = None
    reverses: tuple[str, str] | None = None
    payment_id: str | None = None

    def difference(self, other: "Content") -> str | None:
        """What another document of the same id says differently, None when nothing."""
        told = (
            ("account", self.account, other.account),
            ("amount", self.money, other.money),
            ("account_type", self.account_type, other.account_type),
            ("to_account_type", self.to_account_type, other.to_account_type),
            ("effective_date", self.effective_date, other.effective_date),
            ("reason", self.reason, other.reason),
            ("payee", self.payee, other.payee),
            ("reverses", self.reverses, other.reverses),
            ("payment_id", self.payment_id, other.payment_id),
        )
        return "; ".join(f"{name} was {was}, now {now}" for name, was, now in told if was != now) or None

    @property
    def money(self) -> str:
        return f"{decimal_string(self.amount, self.currency)} {self.currency}"

    @property
    def document(self) -> Document:
        return Document(self.type, "", self.document_id)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a document may not be posted; `most` is the largest amount that would pass, where one would."""

    code: str
    field: str
    text: str
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Reversed:
    """The posted entry that an un-post takes back."""

    entry_number: int
    postings: Sequence[Posting]


@dataclass(slots=True)
class Plan:
    """What a document would do: what it posts, or what it only sets aside; and which bills it repays."""

    moves: list[AnyMove] = field(default_factory=list)
    held: FundAccount | None = None
    from_own_cash_first: int = 0
    repaid: list[tuple[OpenItem, int]] = field(default_factory=list)
    reverses: int | None = None


def plan(
    content: Content, pool: Pool, now: datetime, reversed_entry: Reversed | None = None
) -> Plan | Refusal:
    """What the document would do to the pool now; changes nothing."""
    refusal = _unfit(content, pool, now)
    if refusal is not None:
        return refusal
    if content.type == "un-post":
        return _un_post(content, pool, reversed_entry)
    return _PLANS[content.type](content, pool, now)


def post(content: Content, pool: Pool, planned: Plan, now: datetime) -> Posted | Refusal:
    """Posts a plan that was made under the same lock; refused where a limit stands against it."""
    before = pool.quotas([content.currency])
    if planned.from_own_cash_first:
        spend_own_first(pool, content.currency, planned.from_own_cash_first)
    for item, amount in planned.repaid:
        item.settled += amount
        item.overdraft_settled += amount
        pool.touched_items[item.item_id] = item
    effective_date = content.effective_date or pool.today(now)
    try:
        return pool.post(content.document, planned.moves, effective_date, now, planned.reverses, before)
    except (LimitPassed, BalanceOverflow, VoucherExceeded) as error:
        return Refusal("beyond-limit", "amount", str(error))


def spend_own_first(pool: Pool, currency: str, amount: int) -> None:
    """Takes a debit that is no consumption out of own cash, then out of the transfer books; before its posting."""
    if not pool.books:
        return
    cash = pool.fund_accounts[CASH.code, currency]
    own = cash.balance - pool.transferred(currency)
    for share in spend(list(pool.books.values()), currency, amount, own, "own-first"):
        pool.touched_books[share.giver, currency] = pool.books[share.giver, currency]


def overdraft_repaid(pool: Pool, currency: str, amount: int) -> list[tuple[OpenItem, int]]:
    """Which bills a repayment settles by their overdraft parts, first due first."""
    found = []
    bills = (item for item in pool.items.values() if item.currency == currency and item.overdraft_outstanding)
    for bill in sorted(bills, key=lambda item: (item.due_on, item.item_id)):
        part = min(amount, bill.overdraft_outstanding, bill.outstanding)
        if part:
            found.append((bill, part))
            amount -= part
    return found


def _unfit(content: Content, pool: Pool, now: datetime) -> Refusal | None:
    if not pool.active:
        return Refusal("account-inactive", "account", f"account {pool.account} is closed")
    if content.amount <= 0:
        return Refusal("zero-amount", "amount", "the amount is more than 0")
    if content.type in REASON_REQUIRED and not (content.reason or "").strip():
        return Refusal("reason-missing", "reason", f"a document of type {content.type} says why")
    if content.effective_date is not None and content.effective_date > pool.today(now):
        return Refusal(
            "effective-date-ahead", "effective_date", "a document does not count from a future day"
        )
    return None


def _purse(pool: Pool, code: str, currency: str, field: str = "account_type") -> FundAccount | Refusal:
    if code not in pool.types:
        return Refusal("unknown-account-type", field, f"there is no account type {code}")
    purse = pool.find(code, currency)
    if purse is None:
        return Refusal("fund-account-not-opened", field, f"{pool.account} has no {code} in {currency}")
    return purse


def _invalid(purse: FundAccount, day: date, field: str) -> Refusal | None:
    validity = purse.validity(day)
    if validity == "valid":
        return None
    said = "has expired" if validity == "expired" else "is not valid yet"
    return Refusal(
        f"fund-account-{validity}", field, f"on {day} {purse.type.code} in {purse.currency} {said}"
    )


def _receiving(content: Content, pool: Pool, now: datetime) -> FundAccount | Refusal:
    """The fund account that a top-up or a transfer brings money to, while it is valid and has room."""
    code = content.to_account_type or content.account_type
    field = "to_account_type" if content.to_account_type else "account_type"
    kind = pool.types.get(code)
    if kind is not None and kind.opens_on_first_use and pool.find(code, content.currency) is None:
        pool.open(kind, content.currency)
    purse = _purse(pool, code, content.currency, field)
    if isinstance(purse, Refusal):
        return purse
    return _invalid(purse, content.effective_date or pool.today(now), field) or _without_room(
        content, pool, purse
    )


def _without_room(content: Content, pool: Pool, purse: FundAccount) -> FundAccount | Refusal:
    if not pool.has_room(content.currency, content.amount):
        return Refusal("too-large", "amount", "the account would hold more than can be stored")
    return purse


def _top_up(content: Content, pool: Pool, now: datetime) -> Plan | Refusal:
    kind = pool.types.get(content.account_type)
    if kind is not None and kind.has_line:
        return Refusal("no-top-up", "account_type", f"{kind.code} is not topped up; transfer money into it")
    if content.type == "top-up-online" and kind is not None and not kind.takes_online_top_ups:
        return Refusal("no-online-top-up", "account_type", f"{kind.code} takes no online top-ups")
    purse = _receiving(content, pool, now)
    return purse if isinstance(purse, Refusal) else Plan([Move(purse, content.amount, BANK_CLEARING)])


def _line(content: Content, pool: Pool, now: datetime) -> Plan | Refusal:
    purse = _purse(pool, content.account_type, content.currency)
    if isinstance(purse, Refusal):
        return purse
    if not purse.type.has_line:
        return Refusal("no-line", "account_type", f"{purse.type.code} has no line")
    if purse.line_source != "documents":
        return Refusal("line-follows-limit", "account_type", "this line follows the member's credit limit")
    if content.type == "line-decrease":
        most = max(0, min(purse.line, purse.usable))
        if content.amount > most:
            text = f"at most {_said(most, content)} of the line is neither used nor held"
            return Refusal("beyond-line", "amount", text, most)
        return Plan([Move(purse, -content.amount, CREDIT_LINES, "line")])
    if not pool.has_room(content.currency, 2 * content.amount):
        return Refusal("too-large", "amount", "the account would hold more than can be stored")
    return Plan([Move(purse, content.amount, CREDIT_LINES, "line")])


def _other(content: Content, pool: Pool, now: datetime) -> Plan | Refusal:
    purse = _purse(pool, content.account_type, content.currency)
    if isinstance(purse, Refusal):
        return purse
    if content.type == "other-credit":
        purse_or_refusal = _without_room(content, pool, purse)
        if isinstance(purse_or_refusal, Refusal):
            return purse_or_refusal
        return Plan([Move(purse, content.amount, OTHER_CLEARING)])
    if content.amount > purse.usable:
        return Refusal(
            "beyond-limit",
            "amount",
            f"{purse.type.code} can give at most {_said(purse.usable, content)}",
            purse.usable,
        )
    own_first = content.amount if purse.type.code == CASH.code else 0
    return Plan([Move(purse, -content.amount, OTHER_CLEARING)], from_own_cash_first=own_first)


def _transfer(content: Content, pool: Pool, now: datetime) -> Plan | Refusal:
    if content.to_account_type is None or content.to_account_type == content.account_type:
        return Refusal("same-type", "to_account_type", "a transfer goes to another account type")
    source = _purse(pool, content.account_type, content.currency)
    if isinstance(source, Refusal):
        return source
    if source.type.has_line:
        return Refusal("overdraft-is-no-source", "account_type", f"{source.type.code} is never a source")
    invalid = _invalid(source, pool.today(now), "account_type")
    if invalid is not None:
        return invalid
    target = _receiving(content, pool, now)
    if isinstance(target, Refusal):
        return target
    most = own_cash(pool, content.currency) if source.type.code == CASH.code else source.usable
    if target.type.has_line:
        most = min(most, target.used)
    if content.amount > most:
        return Refusal("beyond-limit", "amount", f"at most {_said(most, content)} can move", most)
    moves: list[AnyMove] = [
        Move(source, -content.amount, TRANSFERS),
        Move(target, content.amount, TRANSFERS),
    ]
    repaid = overdraft_repaid(pool, content.currency, content.amount) if target.type.has_line else []
    return Plan(moves, repaid=repaid)


def _repayment(content: Content, pool: Pool, now: datetime) -> Plan | Refusal:
    cash = _purse(pool, CASH.code, content.currency)
    overdraft = _purse(pool, OVERDRAFT.code, content.currency)
    for purse in (cash, overdraft):
        if isinstance(purse, Refusal):
            return purse
    assert isinstance(cash, FundAccount)
    assert isinstance(overdraft, FundAccount)
    if content.amount > overdraft.used:
        text = f"only {_said(overdraft.used, content)} is owed"
        return Refusal("beyond-owed", "amount", text, min(overdraft.used, own_cash(pool, content.currency)))
    own = own_cash(pool, content.currency)
    if content.amount > own:
        return Refusal("beyond-limit", "amount", f"own cash can give at most {_said(own, content)}", own)
    moves: list[AnyMove] = [
        Move(cash, -content.amount, TRANSFERS),
        Move(overdraft, content.amount, TRANSFERS),
    ]
    return Plan(moves, repaid=overdraft_repaid(pool, content.currency, content.amount))


def _withdrawal(content: Content, pool: Pool, now: datetime) -> Plan | Refusal:
    if content.account_type != CASH.code:
        return Refusal("own-cash-only", "account_type", "only own cash is withdrawn")
    cash = _purse(pool, CASH.code, content.currency)
    if isinstance(cash, Refusal):
        return cash
    invalid = _invalid(cash, pool.today(now), "account_type")
    if invalid is not None:
        return invalid
    most = transferable(pool, content.currency)
    if content.amount > most:
        return Refusal("beyond-transferable", "amount", f"at most {_said(most, content)} may leave", most)
    return Plan(held=cash)


def _un_post(content: Content, pool: Pool, entry: Reversed | None) -> Plan | Refusal:
    if entry is None:
        return Refusal("not-posted", "reverses", "there is no posted entry of this document to take back")
    moves: list[AnyMove] = []
    for posting in entry.postings:
        if posting.bucket == "internal":
            moves.append(InternalMove(posting.account_type, posting.currency, -posting.amount))
            continue
        purse = pool.fund_accounts[posting.account_type, posting.currency]
        bucket: Literal["balance", "line"] = "line" if posting.bucket == "line" else "balance"
        moves.append(Move(purse, -posting.amount, None, bucket))
        beyond = _beyond_when_reversed(purse, posting, content)
        if beyond is not None:
            return beyond
    if any(
        isinstance(move, Move) and move.bucket == "balance" and move.fund_account.type.has_line
        for move in moves
    ):
        text = "what was paid into an overdraft may have settled bills; debit the account instead"
        return Refusal("not-reversible", "reverses", text)
    taken = sum(
        posting.amount
        for posting in entry.postings
        if posting.bucket == "balance" and posting.account_type == CASH.code
    )
    return Plan(moves, from_own_cash_first=max(0, taken), reverses=entry.entry_number)


def _beyond_when_reversed(purse: FundAccount, posting: Posting, content: Content) -> Refusal | None:
    free = purse.usable if posting.bucket == "balance" else min(purse.line, purse.usable)
    if posting.amount > free:
        text = f"{purse.type.code} can give back at most {_said(free, content)}"
        return Refusal("beyond-limit", "reverses", text, free)
    return None


def _said(amount: int, content: Content) -> str:
    return f"{decimal_string(amount, content.currency)} {content.currency}"


_PLANS: Final[Mapping[str, Callable[[Content, Pool, datetime], Plan | Refusal]]] = MappingProxyType(
    {
        "top-up-online": _top_up,
        "top-up-offline": _top_up,
        "line-increase": _line,
        "line-decrease": _line,
        "other-credit": _other,
        "other-debit": _other,
        "transfer": _transfer,
        "credit-repayment": _repayment,
        "withdrawal": _withdrawal,
    }
)
