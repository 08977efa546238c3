"""Accounts: their fund accounts, balances now and as of a moment, and statements."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from secrets import token_bytes
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from chassis.http import (
    DOWNLOAD,
    Context,
    CurrentPrincipal,
    Now,
    Page,
    Policy,
    Problem,
    Reader,
    Work,
    asked_of,
    stream,
)
from chassis.listing import Asked
from chassis.sheets import Column, SheetFormat
from contracts.money import Amount, Money, SignedMoney, decimal_string
from contracts.text import Code, CurrencyCode, Id
from fastapi import Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from fund_pool.api.common import FINANCE, MAKERS, Body, locked_pool_or_404, pool_or_404, router, zoned
from fund_pool.domain.ids import RANDOM_BYTES, uuid7
from fund_pool.domain.ledger import Document
from fund_pool.domain.limits import in_use, set_line
from fund_pool.domain.opening import OpeningRow, fates
from fund_pool.domain.pool import FundAccount, Pool
from fund_pool.publishing import publish
from fund_pool.repository import fund_accounts as fund_account_rows
from fund_pool.repository import ledger as ledger_rows
from fund_pool.repository import limits as limit_rows
from fund_pool.repository import opening as opening_rows
from fund_pool.repository import reference as reference_rows
from fund_pool.repository import statements as statement_rows
from fund_pool.repository.lists import MOVEMENTS
from fund_pool.repository.statements import FundAccountBalance, Period

EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)

accounts = router("accounts")

CASH_EXAMPLE: Final[JsonDict] = {
    "account_type": "cash",
    "currency": "CNY",
    "balance": {"amount": "120.00", "currency": "CNY"},
    "usable": {"amount": "120.00", "currency": "CNY"},
    "held": {"amount": "0.00", "currency": "CNY"},
}
OVERDRAFT_EXAMPLE: Final[JsonDict] = {
    "account_type": "overdraft",
    "currency": "CNY",
    "balance": {"amount": "-2000.00", "currency": "CNY"},
    "usable": {"amount": "3000.00", "currency": "CNY"},
    "held": {"amount": "0.00", "currency": "CNY"},
    "granted": {"amount": "5000.00", "currency": "CNY"},
    "used": {"amount": "2000.00", "currency": "CNY"},
    "valid_until": "2026-12-31",
}


class AccountView(BaseModel):
    """An account: one customer in one settlement organisation."""

    account: str
    name: str
    customer: str
    settlement_organisation: str
    active: bool


class FundAccountView(BaseModel):
    """One purse; `usable` is what it could pay while it is valid; granted and used where it has a line."""

    model_config = ConfigDict(json_schema_extra={"examples": [CASH_EXAMPLE, OVERDRAFT_EXAMPLE]})

    account_type: str
    currency: str
    balance: SignedMoney
    usable: Money
    held: Money = Field(description="What live holds have set aside, now.")
    granted: Money | None = None
    used: Money | None = None
    valid_from: date | None = None
    valid_until: date | None = None
    opening_balance_import: UUID | None = Field(
        default=None, description="The draft of its initial balance, to be approved by another person."
    )


class Balances(BaseModel):
    """The fund accounts of an account as of a moment of posting time."""

    account: str
    as_of: datetime
    fund_accounts: list[FundAccountView]


class Opening(Body):
    """A fund account to open; its first and last day in the settlement organisation's time zone.

    An initial balance, or for an overdraft what is granted and used, is drafted as an opening balance: once, and
    posted when another person approves it.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "account_type": "overdraft",
                    "currency": "CNY",
                    "valid_until": "2026-12-31",
                    "granted": {"amount": "5000.00", "currency": "CNY"},
                }
            ]
        },
    )

    account_type: Code
    currency: CurrencyCode
    valid_from: date | None = None
    valid_until: date | None = None
    initial_balance: Amount | None = None
    granted: Amount | None = None
    used: Amount | None = None

    def opening_row(self, account: str) -> OpeningRow | None:
        """The opening balance that is asked for; None where the fund account starts at zero."""
        amounts = [self.initial_balance, self.granted, self.used]
        for name, amount in zip(("initial_balance", "granted", "used"), amounts, strict=True):
            if amount is not None and amount.currency != self.currency:
                raise Problem.invalid([{"field": f"{name}.currency", "message": f"must be {self.currency}"}])
        if all(amount is None for amount in amounts):
            return None
        balance, granted, used = (None if one is None else one.minor for one in amounts)
        return OpeningRow(1, account, self.account_type, self.currency, balance, granted, used)


class Validity(Body):
    """The first and last day on which a fund account pays and is topped up; refunds still land outside."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"valid_from": "2026-01-01", "valid_until": "2026-12-31"}]},
    )

    valid_from: date | None = None
    valid_until: date | None = None


class LineSource(Body):
    """Where the line of an overdraft comes from."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"line_source": "member-limit"}]}
    )

    line_source: Literal["documents", "member-limit"]


class MovementView(BaseModel):
    """One change with its document; `balance` is after it."""

    entry_number: int
    posted_at: datetime
    effective_date: date
    document_type: str
    document: str
    amount: SignedMoney
    balance: SignedMoney


class Statement(BaseModel):
    """Opening balance, one page of movements, closing balance; opening + all movements = closing."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "account": "A-1001",
                    "account_type": "cash",
                    "currency": "CNY",
                    "since": "2026-03-01T00:00:00Z",
                    "until": "2026-04-01T00:00:00Z",
                    "opening": {"amount": "0.00", "currency": "CNY"},
                    "movements": [
                        {
                            "entry_number": 1,
                            "posted_at": "2026-03-02T09:30:00Z",
                            "effective_date": "2026-03-02",
                            "document_type": "top-up",
                            "document": "P-1/1",
                            "amount": {"amount": "120.00", "currency": "CNY"},
                            "balance": {"amount": "120.00", "currency": "CNY"},
                        }
                    ],
                    "closing": {"amount": "120.00", "currency": "CNY"},
                    "next": None,
                }
            ]
        }
    )

    account: str
    account_type: str
    currency: str
    since: datetime
    until: datetime
    opening: SignedMoney
    movements: list[MovementView]
    closing: SignedMoney
    next: str | None = Field(default=None, description="Send it as `cursor` to get the next page.")


def asked_period(
    now: Now,
    account: str,
    account_type: Annotated[Code, Query(examples=["cash"])],
    currency: Annotated[CurrencyCode, Query(examples=["CNY"])],
    since: Annotated[datetime | None, Query(description="From this posting time on.")] = None,
    until: Annotated[datetime | None, Query(description="Before this posting time.")] = None,
) -> Period:
    """The span of a statement; by default everything until now."""
    begin = zoned(since, "since") if since is not None else EARLIEST
    end = zoned(until, "until") if until is not None else now
    if end < begin:
        raise Problem.invalid([{"field": "until", "message": "must not be before since"}])
    return Period(account, account_type, currency, begin, end)


AskedPeriod = Annotated[Period, Depends(asked_period)]
AskedMovements = Annotated[Asked[Any], Depends(asked_of(MOVEMENTS, "/accounts/{account}/statement"))]


@accounts.get("/accounts/{account}", policy=Policy("account:read", FINANCE, "account"))
async def read_account(account: Id, reader: Reader) -> AccountView:
    """An account as master data tells it."""
    known = await reference_rows.known_account(reader, account)
    if known is None:
        raise Problem.not_found(f"There is no account {account}.")
    return AccountView(
        account=known.account,
        name=known.name,
        customer=known.customer,
        settlement_organisation=known.settlement_organisation,
        active=known.active,
    )


@accounts.get("/accounts/{account}/balances", policy=Policy("balance:read", FINANCE, "account"))
async def read_balances(
    account: Id,
    reader: Reader,
    now: Now,
    as_of: Annotated[datetime | None, Query(description="A moment of posting time; default now.")] = None,
    effective_on: Annotated[
        date | None, Query(description="Instead: what counts up to this day, whenever it was posted.")
    ] = None,
) -> Balances:
    """Every fund account of an account, now, as it stood at a moment, or by what counts up to a day."""
    pool = await pool_or_404(reader, account)
    if as_of is not None and effective_on is not None:
        raise Problem.invalid([{"field": "effective_on", "message": "goes without as_of"}])
    moment = zoned(as_of, "as_of") if as_of is not None else None
    if effective_on is not None:
        found = await statement_rows.balances_effective_on(reader, account, effective_on)
    else:
        found = await statement_rows.balances(reader, account, moment)
    return Balances(
        account=account,
        as_of=moment or now,
        fund_accounts=[
            _balance_view(row, pool, now_held=moment is None and effective_on is None) for row in found
        ],
    )


@accounts.post(
    "/accounts/{account}/fund-accounts", policy=Policy("fund-account:open", MAKERS), status_code=201
)
async def open_fund_account(
    account: Id, body: Opening, work: Work, principal: CurrentPrincipal
) -> FundAccountView:
    """Opens a fund account at zero; an initial balance waits for another person's approval."""
    pool = await locked_pool_or_404(work.connection, account)
    kind = pool.types.get(body.account_type)
    if kind is None:
        raise Problem.invalid(
            [{"field": "account_type", "message": f"there is no account type {body.account_type}"}]
        )
    _require_order(body.valid_from, body.valid_until)
    if pool.find(body.account_type, body.currency) is not None:
        raise Problem.conflict(
            "already-open", f"{account} has {body.account_type} in {body.currency} already."
        )
    opened = pool.open(kind, body.currency, body.valid_from, body.valid_until)
    await ledger_rows.save(work.connection, [pool], work.now)
    view = _fund_account_view(opened)
    row = body.opening_row(account)
    if row is not None:
        view.opening_balance_import = await _draft_opening(work, row, pool, principal.subject)
    return view


async def _draft_opening(work: Work, row: OpeningRow, pool: Pool, made_by: str) -> UUID:
    done = await opening_rows.opened_before(work.connection, [pool.account])
    (fate,) = fates([row], {pool.account: pool}, done, work.now)
    if fate.fault is not None:
        field = "initial_balance" if fate.fault.field == "amount" else fate.fault.field
        raise Problem.invalid([{"field": field, "message": fate.fault.text}], type=fate.fault.code)
    import_id = uuid7(work.now, token_bytes(RANDOM_BYTES))
    await opening_rows.add_draft(work.connection, import_id, [row], made_by, work.now)
    return import_id


@accounts.put(
    "/accounts/{account}/fund-accounts/{account_type}/{currency}/validity",
    policy=Policy("fund-account:set-validity", MAKERS),
)
async def set_validity(
    account: Id, account_type: Code, currency: CurrencyCode, body: Validity, work: Work
) -> FundAccountView:
    """Sets the days on which a fund account pays and is topped up."""
    pool = await locked_pool_or_404(work.connection, account)
    purse = _purse_or_404(pool, account_type, currency)
    _require_order(body.valid_from, body.valid_until)
    purse.valid_from, purse.valid_until = body.valid_from, body.valid_until
    await fund_account_rows.save_validity(work.connection, account, purse)
    return _fund_account_view(purse)


@accounts.get("/accounts/{account}/statement", policy=Policy("statement:read", FINANCE, "account"))
async def read_statement(reader: Reader, period: AskedPeriod, asked: AskedMovements, page: Page) -> Statement:
    """The movements of one fund account in a span of posting times, with the balances around them."""
    _purse_or_404(await pool_or_404(reader, period.account), period.account_type, period.currency)
    asked = asked.with_given(**period.parameters)
    page.narrow(asked.order)
    found = await asked.rows(reader, page.after(*asked.place_types), page.rows)
    rows, following = page.page(found, asked.place_of)
    return Statement(
        account=period.account,
        account_type=period.account_type,
        currency=period.currency,
        since=period.since,
        until=period.until,
        opening=await _balance_at(reader, period, period.since),
        movements=[_movement_view(row) for row in rows],
        closing=await _balance_at(reader, period, period.until),
        next=following,
    )


@accounts.get(
    "/accounts/{account}/statement/export",
    policy=Policy("statement:export", FINANCE, "account"),
    response_class=Response,
    responses=DOWNLOAD,
)
async def export_statement(
    reader: Reader,
    context: Context,
    period: AskedPeriod,
    asked: AskedMovements,
    file_format: Annotated[SheetFormat, Query(alias="format")] = "xlsx",
) -> Response:
    """The statement as a file, however long it is, with the balances around its movements in rows of their own."""
    pool = await pool_or_404(reader, period.account)
    _purse_or_404(pool, period.account_type, period.currency)
    opening = await statement_rows.balance_before(reader, period, period.since)
    closing = await statement_rows.balance_before(reader, period, period.until)
    batches = asked.with_given(**period.parameters).batches(context.database.reader)
    await reader.rollback()  # its snapshot would wait, open and idle, until a long file is made
    lines = _lines(period, opening, closing, batches)
    return await stream(file_format, "statement", COLUMNS, lines, pool.time_zone)


@accounts.put(
    "/accounts/{account}/fund-accounts/overdraft/{currency}/line-source",
    policy=Policy("fund-account:set-line-source", MAKERS),
)
async def set_line_source(
    account: Id, currency: CurrencyCode, body: LineSource, work: Work
) -> FundAccountView:
    """Lets a line come from documents or follow the member's credit limit, never both."""
    pool = await locked_pool_or_404(work.connection, account)
    purse = _purse_or_404(pool, "overdraft", currency)
    purse.line_source = body.line_source
    await limit_rows.follow(work.connection, account, currency, body.line_source)
    kept = (await limit_rows.limits(work.connection, [account])).get((account, currency))
    if body.line_source == "member-limit" and kept is not None:
        if kept.amount < in_use(pool, currency):
            raise Problem.conflict("limit-below-use", "More of the line is in use than the limit grants.")
        posted = set_line(pool, currency, kept.amount, kept.version, work.now)
        if posted is not None:
            publish(work, posted, pool)
            await ledger_rows.save(work.connection, [pool], work.now)
    return _fund_account_view(purse)


@dataclass(frozen=True, slots=True)
class Line:
    """One row of an exported statement; amounts in minor units."""

    posted_at: datetime
    document_type: str
    balance: int
    currency: str
    entry_number: int | None = None
    effective_date: date | None = None
    document_source: str = ""
    document_id: str = ""
    document_number: int = 0
    amount: int | None = None


async def _lines(
    period: Period, opening: int, closing: int, batches: AsyncIterator[Sequence[Any]]
) -> AsyncIterator[Sequence[Any]]:
    """The movements between their balances; a movement is a row of the list, with the same names."""
    yield [Line(period.since, "opening balance", opening, period.currency)]
    async for batch in batches:
        yield batch
    yield [Line(period.until, "closing balance", closing, period.currency)]


def _reference(line: Any) -> str | None:
    return None if line.entry_number is None else _document(line).reference


def _amount(line: Any) -> str | None:
    return None if line.amount is None else decimal_string(line.amount, line.currency)


COLUMNS: Final[Sequence[Column[Any]]] = [
    Column("entry", lambda line: line.entry_number, "whole"),
    Column("posted at", lambda line: line.posted_at, "moment"),
    Column("effective date", lambda line: line.effective_date, "date"),
    Column("document type", lambda line: line.document_type),
    Column("document", _reference, width=40),
    Column("amount", _amount, "decimal", summed=True),
    Column("balance", lambda line: decimal_string(line.balance, line.currency), "decimal"),
    Column("currency", lambda line: line.currency, sums_apart=True),
]


def _require_order(valid_from: date | None, valid_until: date | None) -> None:
    if valid_from is not None and valid_until is not None and valid_until < valid_from:
        raise Problem.invalid([{"field": "valid_until", "message": "must not be before valid_from"}])


def _purse_or_404(pool: Pool, account_type: str, currency: str) -> FundAccount:
    purse = pool.find(account_type, currency)
    if purse is None:
        raise Problem.not_found(f"{pool.account} has no {account_type} in {currency}.")
    return purse


async def _balance_at(reader: Reader, period: Period, moment: datetime) -> SignedMoney:
    return SignedMoney.of(await statement_rows.balance_before(reader, period, moment), period.currency)


def _fund_account_view(purse: FundAccount) -> FundAccountView:
    return FundAccountView(
        account_type=purse.type.code,
        currency=purse.currency,
        balance=SignedMoney.of(purse.balance, purse.currency),
        usable=Money.of(purse.usable, purse.currency),
        held=Money.of(purse.held, purse.currency),
        granted=Money.of(purse.line, purse.currency) if purse.type.has_line else None,
        used=Money.of(purse.used, purse.currency) if purse.type.has_line else None,
        valid_from=purse.valid_from,
        valid_until=purse.valid_until,
    )


def _balance_view(row: FundAccountBalance, pool: Pool, *, now_held: bool) -> FundAccountView:
    purse = pool.find(row.account_type, row.currency)
    held = purse.held if purse is not None and now_held else 0
    kind = pool.types[row.account_type]
    return _fund_account_view(
        FundAccount(kind, row.currency, row.balance, row.line, row.valid_from, row.valid_until, held)
    )


def _movement_view(row: Any) -> MovementView:
    return MovementView(
        entry_number=row.entry_number,
        posted_at=row.posted_at,
        effective_date=row.effective_date,
        document_type=row.document_type,
        document=_document(row).reference,
        amount=SignedMoney.of(row.amount, row.currency),
        balance=SignedMoney.of(row.balance, row.currency),
    )


def _document(row: Any) -> Document:
    return Document(row.document_type, row.document_source, row.document_id, row.document_number)
