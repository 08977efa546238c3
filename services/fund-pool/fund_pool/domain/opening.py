"""Opening balances: each fund account's balance from before Coffer, entered once."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from fund_pool.domain.account_types import AccountType
from fund_pool.domain.ledger import CREDIT_LINES, OPENING_BALANCE, OPENING_BALANCES, Document
from fund_pool.domain.pool import FundAccount, Move, Pool, Posted

FundAccountKey = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class OpeningRow:
    """One row of an import, in minor units: `granted` and `used` for a type with a line, else `amount`.

    `unreadable` names the column of a file's row that cannot be read, and says why.
    """

    number: int
    account: str
    account_type: str
    currency: str
    amount: int | None = None
    granted: int | None = None
    used: int | None = None
    effective_date: date | None = None
    unreadable: tuple[str, str] | None = None

    @property
    def key(self) -> FundAccountKey:
        return (self.account, self.account_type, self.currency)


@dataclass(frozen=True, slots=True)
class RowFault:
    """Why a row cannot be posted."""

    code: str
    field: str
    text: str


@dataclass(frozen=True, slots=True)
class Fate:
    """What will become, or became, of a row; `entry_number` once it is posted."""

    row: OpeningRow
    fault: RowFault | None
    entry_number: int | None = None


def fates(
    rows: Sequence[OpeningRow], pools: Mapping[str, Pool], done: Collection[FundAccountKey], now: datetime
) -> list[Fate]:
    """The fate of each row, were the import posted now; `done` are the fund accounts that have had theirs."""
    seen: set[FundAccountKey] = set()
    judged = []
    for row in rows:
        fault = (
            _unreadable(row) or _repeated(row, seen, done) or _unpostable(row, pools.get(row.account), now)
        )
        seen.add(row.key)
        judged.append(Fate(row, fault))
    return judged


def post(row: OpeningRow, pool: Pool, import_id: str, now: datetime) -> Posted:
    """Posts a row without fault: the balance, and for a type with a line what is granted and used of it."""
    kind = pool.types[row.account_type]
    fund_account = pool.find(kind.code, row.currency) or pool.open(kind, row.currency)
    document = Document(OPENING_BALANCE, "", import_id, row.number)
    effective_date = row.effective_date or pool.today(now)
    return pool.post(document, _moves(row, kind, fund_account), effective_date, now)


def _moves(row: OpeningRow, kind: AccountType, fund_account: FundAccount) -> list[Move]:
    if not kind.has_line:
        return [Move(fund_account, row.amount or 0, OPENING_BALANCES)]
    moves = [Move(fund_account, row.granted or 0, CREDIT_LINES, "line")]
    if row.used:
        moves.append(Move(fund_account, -row.used, OPENING_BALANCES))
    return moves


def _unreadable(row: OpeningRow) -> RowFault | None:
    if row.unreadable is None:
        return None
    column, text = row.unreadable
    return RowFault("unreadable", column, text)


def _repeated(
    row: OpeningRow, seen: Collection[FundAccountKey], done: Collection[FundAccountKey]
) -> RowFault | None:
    if row.key in seen:
        return RowFault("repeated-in-import", "account", "an earlier row is for the same fund account")
    if row.key in done:
        return RowFault("already-imported", "account", "this fund account has had its opening balance")
    return None


def _unpostable(row: OpeningRow, pool: Pool | None, now: datetime) -> RowFault | None:
    if pool is None:
        return RowFault("unknown-account", "account", f"there is no account {row.account}")
    kind = pool.types.get(row.account_type)
    if kind is None:
        return RowFault("unknown-account-type", "account_type", f"there is no type {row.account_type}")
    if not pool.active:
        return RowFault("account-inactive", "account", f"account {row.account} is closed")
    if row.effective_date is not None and row.effective_date > pool.today(now):
        return RowFault("effective-date-ahead", "effective_date", "an opening balance is not of the future")
    fault = _line_fault(row) if kind.has_line else _amount_fault(row)
    if fault is None and not pool.has_room(row.currency, (row.amount or 0) + 2 * (row.granted or 0)):
        return RowFault("too-large", "amount", "the account would hold more than can be stored")
    return fault


def _amount_fault(row: OpeningRow) -> RowFault | None:
    if row.granted is not None or row.used is not None:
        return RowFault("line-not-possible", "granted", f"{row.account_type} has no line to grant or use")
    if not row.amount:
        return RowFault("amount-missing", "amount", "an opening balance is more than 0")
    return None


def _line_fault(row: OpeningRow) -> RowFault | None:
    if row.amount is not None:
        return RowFault("amount-not-possible", "amount", f"{row.account_type} takes granted and used instead")
    if not row.granted:
        return RowFault("granted-missing", "granted", "the granted line is more than 0")
    if (row.used or 0) > row.granted:
        return RowFault("used-above-granted", "used", "not more can be used than is granted")
    return None
