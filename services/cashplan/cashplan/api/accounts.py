"""Position accounts and their dated balances, entered by treasury people."""

from datetime import date, datetime
from typing import Annotated, Final

from chassis.http import CurrentPrincipal, CursorPage, FieldError, Page, Policy, Problem, Reader, Router, Work
from contracts.money import Amount, Money, SignedAmount, SignedMoney
from contracts.text import CurrencyCode, Id, Name
from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from cashplan.api.common import PLANNERS, READERS, Body
from cashplan.domain.accounts import BalanceEntry, PositionAccount
from cashplan.domain.organisations import TIME_ZONE_DEFAULT, local_date
from cashplan.repository import organisations as organisation_rows
from cashplan.repository import position as position_rows

router = Router(tags=["position accounts"])

ACCOUNT_EXAMPLE: Final[JsonDict] = {
    "entity": "ORG-SHANGHAI",
    "currency": "CNY",
    "bank": "ICBC Shanghai",
    "name": "Main account",
    "minimum_balance": {"amount": "50000.00", "currency": "CNY"},
    "active": True,
}
BALANCE_EXAMPLE: Final[JsonDict] = {
    "as_of": "2026-03-10",
    "balance": {"amount": "312500.00", "currency": "CNY"},
}


class AccountBody(Body):
    """One of the enterprise's own accounts; entity and currency are fixed once it is stored."""

    model_config = ConfigDict(json_schema_extra={"examples": [ACCOUNT_EXAMPLE]})

    entity: Id
    currency: CurrencyCode
    bank: Name
    name: Name
    minimum_balance: Amount | None = Field(
        default=None, description="What must stay on the account; 0 if absent."
    )
    active: bool = Field(default=True, description="An account that is not active counts in no position.")


class Account(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"account_id": "BANK-1", **ACCOUNT_EXAMPLE}]})

    account_id: str
    entity: str
    currency: str
    bank: str
    name: str
    minimum_balance: Money
    active: bool


class BalanceBody(Body):
    """What the bank shows for the end of a day, or during today; items still open that day are not in it."""

    model_config = ConfigDict(json_schema_extra={"examples": [BALANCE_EXAMPLE]})

    as_of: date
    balance: SignedAmount


class Balance(BaseModel):
    """A balance as it was entered; of several for one date the last counts."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "entry_number": 7,
                    **BALANCE_EXAMPLE,
                    "entered_by": "lin.treasury",
                    "entered_at": "2026-03-10T08:05:00Z",
                }
            ]
        }
    )

    entry_number: int
    as_of: date
    balance: SignedMoney
    entered_by: str
    entered_at: datetime


@router.put(
    "/position-accounts/{account_id}",
    policy=Policy("position-account:write", roles=PLANNERS),
    summary="Store a position account",
)
async def store_account(
    account_id: Id, body: AccountBody, work: Work, principal: CurrentPrincipal
) -> Account:
    """Stores an account or its changed bank, name, minimum balance and activity."""
    if body.minimum_balance is not None and body.minimum_balance.currency != body.currency:
        raise _other_currency("minimum_balance.currency", body.currency)
    if not await organisation_rows.organisations_by_id(work.connection, {body.entity}):
        errors = [FieldError(field="entity", message="is not an organisation that is known here")]
        raise Problem.invalid(errors, type="unknown-organisation")
    account = _account(account_id, body)
    if not await position_rows.save_account(work.connection, account, principal.subject, work.now):
        raise Problem.conflict(
            "position-account-fixed",
            "The account is stored with another entity or currency, and these do not change.",
            errors=[FieldError(field="entity", message="or currency is not that of the stored account")],
        )
    return account_view(account)


def _account(account_id: str, body: AccountBody) -> PositionAccount:
    return PositionAccount(
        account_id=account_id,
        entity=body.entity,
        currency=body.currency,
        bank=body.bank,
        name=body.name,
        minimum_minor=body.minimum_balance.minor if body.minimum_balance else 0,
        active=body.active,
    )


@router.get(
    "/position-accounts",
    policy=Policy("position-account:read", roles=READERS),
    summary="Position accounts",
)
async def accounts(
    page: Page,
    reader: Reader,
    entity: Annotated[Id | None, Query(examples=["ORG-SHANGHAI"])] = None,
    currency: Annotated[CurrencyCode | None, Query(examples=["CNY"])] = None,
) -> CursorPage[Account]:
    """By account id."""
    after = page.after(str)
    found = await position_rows.accounts_after(reader, entity, currency, after[0] if after else "", page.rows)
    shown, following = page.page(found, lambda account: (account.account_id,))
    return CursorPage(items=[account_view(account) for account in shown], next=following)


@router.get(
    "/position-accounts/{account_id}",
    policy=Policy("position-account:read", roles=READERS),
    summary="One position account",
)
async def account(account_id: Id, reader: Reader) -> Account:
    """An account as it is stored now."""
    return account_view(_found(await position_rows.account_by_id(reader, account_id)))


@router.post(
    "/position-accounts/{account_id}/balances",
    policy=Policy("position-balance:enter", roles=PLANNERS),
    summary="Enter a dated balance",
    status_code=201,
)
async def enter_balance(
    account_id: Id, body: BalanceBody, work: Work, principal: CurrentPrincipal
) -> Balance:
    """Appends a balance; one for a date that has one corrects it, and an equal one changes nothing."""
    stored = _found(await position_rows.locked_account(work.connection, account_id))
    if body.balance.currency != stored.currency:
        raise _other_currency("balance.currency", stored.currency)
    entities = await organisation_rows.organisations_by_id(work.connection, {stored.entity})
    if body.as_of > local_date(
        work.now, entities[stored.entity].time_zone if entities else TIME_ZONE_DEFAULT
    ):
        raise Problem.invalid([FieldError(field="as_of", message="must not be after today")])
    standing = await position_rows.standing_balance(work.connection, account_id, body.as_of)
    if standing is not None and standing.balance_minor == body.balance.minor:
        return balance_view(standing, stored.currency)
    entry = await position_rows.add_balance(
        work.connection,
        account_id,
        body.as_of,
        body.balance.minor,
        entered_by=principal.subject,
        entered_at=work.now,
    )
    return balance_view(entry, stored.currency)


@router.get(
    "/position-accounts/{account_id}/balances",
    policy=Policy("position-account:read", roles=READERS),
    summary="History of an account's balances",
)
async def balances(account_id: Id, page: Page, reader: Reader) -> CursorPage[Balance]:
    """Every entry, corrections included, in the order in which they were made."""
    stored = _found(await position_rows.account_by_id(reader, account_id))
    after = page.after(int)
    found = await position_rows.balances_after(reader, account_id, after[0] if after else 0, page.rows)
    shown, following = page.page(found, lambda entry: (entry.entry_number,))
    return CursorPage(items=[balance_view(entry, stored.currency) for entry in shown], next=following)


def _found(account: PositionAccount | None) -> PositionAccount:
    if account is None:
        raise Problem.not_found("No position account has this id.")
    return account


def _other_currency(field: str, currency: str) -> Problem:
    return Problem.invalid(
        [FieldError(field=field, message=f"must be {currency}, the account's currency")],
        type="currency-mismatch",
    )


def account_view(account: PositionAccount) -> Account:
    return Account(
        account_id=account.account_id,
        entity=account.entity,
        currency=account.currency,
        bank=account.bank,
        name=account.name,
        minimum_balance=Money.of(account.minimum_minor, account.currency),
        active=account.active,
    )


def balance_view(entry: BalanceEntry, currency: str) -> Balance:
    return Balance(
        entry_number=entry.entry_number,
        as_of=entry.as_of,
        balance=SignedMoney.of(entry.balance_minor, currency),
        entered_by=entry.entered_by,
        entered_at=entry.entered_at,
    )
