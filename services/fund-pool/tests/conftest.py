"""What fund-pool's tests say events and pools with: short names, amounts as people write them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import partial
from itertools import count
from typing import Any
from uuid import uuid4

import httpx
import pytest
from chassis.invariants import run_checks
from chassis.testing import Harness
from contracts.event import Event
from contracts.master_data_changed import Account, Organisation, UserRight
from contracts.money import Money, minor_units
from contracts.order import Order, OrderLine, Reason
from contracts.relationship_changed import Permission
from fund_pool.app import service
from fund_pool.domain.account_types import PRESETS
from fund_pool.domain.ledger import OPENING_BALANCE, OPENING_BALANCES, Document
from fund_pool.domain.pool import FundAccount, Move, Pool

from contracts import CreditChecked, MasterDataChanged, PaymentReceived, RelationshipChanged

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
ORGANISATION = "ORG-SHANGHAI"
SHOP = "shop-east"
USER = "U-1"


@dataclass
class Maker:
    """Builds events and pools; every event it makes is valid on the wire."""

    numbers: Any = field(default_factory=lambda: count(1))

    def organisation(self, name: str = ORGANISATION, time_zone: str = "Asia/Shanghai") -> MasterDataChanged:
        record = Organisation(
            kind="organisation", name="Shanghai", organisation_type="legal", time_zone=time_zone
        )
        return MasterDataChanged(id=name, version=1, changed_at=NOW, record=record)

    def account(
        self, account: str, *, customer: str = "C-1", version: int = 1, active: bool = True
    ) -> MasterDataChanged:
        record = Account(
            kind="account", name=f"Account {account}", customer=customer, settlement_organisation=ORGANISATION
        )
        return MasterDataChanged(id=account, version=version, active=active, changed_at=NOW, record=record)

    def right(
        self, account: str, user: str = USER, *, version: int = 1, active: bool = True
    ) -> MasterDataChanged:
        record = UserRight(kind="user-right", user=user, account=account, right="use-balance")
        return MasterDataChanged(
            id=f"{user}@{account}", version=version, active=active, changed_at=NOW, record=record
        )

    def master_data(self, *accounts: str) -> list[Event]:
        """An organisation, these accounts, and the right of USER to use each."""
        return [
            self.organisation(),
            *(event for account in accounts for event in (self.account(account), self.right(account))),
        ]

    def relationship(
        self,
        management: str,
        member: str,
        *,
        version: int = 1,
        state: str = "active",
        view: str = "accepted",
    ) -> RelationshipChanged:
        return RelationshipChanged(
            relationship_id=f"R-{management}-{member}",
            relationship_version=version,
            kind="financial",
            management_account=management,
            member_account=member,
            state=state,  # type: ignore[arg-type]
            permissions=[Permission(name="view-financial-information", state=view)],  # type: ignore[arg-type]
            display_name=member,
            changed_at=NOW,
        )

    def related(
        self,
        management: str,
        member: str,
        *accepted: str,
        version: int = 1,
        state: str = "active",
    ) -> RelationshipChanged:
        """A financial relationship with these permissions; with both by default."""
        permissions = [
            Permission(name=name, state="accepted")  # type: ignore[arg-type]
            for name in accepted or ("sync-credit-identity", "view-financial-information")
        ]
        told = self.relationship(management, member, version=version, state=state)
        return replace(told, permissions=permissions)

    def allocation(self, operation: str, *rows: tuple[str, str], management: str = "M-1") -> dict[str, Any]:
        """The body of an allocation in CNY."""
        return {
            "operation": operation,
            "management_account": management,
            "rows": [
                {"member_account": member, "amount": {"amount": amount, "currency": "CNY"}}
                for member, amount in rows
            ],
        }

    def payment(
        self,
        account: str | None,
        amount: str,
        currency: str = "CNY",
        *,
        payment_id: str | None = None,
        account_type: str = "cash",
        **more: Any,
    ) -> PaymentReceived:
        return PaymentReceived(
            payment_id=payment_id or f"P-{next(self.numbers)}",
            payer=account or "IBAN-1",
            account=account,
            account_type=account_type,
            amount=Money(amount, currency),
            received_on=date(2026, 3, 2),
            **more,
        )

    def order(
        self,
        account: str,
        *amounts: str,
        order_id: str = "SO-1",
        currency: str = "CNY",
        revision: int = 1,
        method: str = "account",
        user: str = USER,
        **more: Any,
    ) -> Order:
        zero = Money.of(0, currency)
        lines = [
            OrderLine(
                line_id=str(number),
                material=f"M-{number}",
                quantity="1",
                price=amount,
                discount=zero,
                tax=zero,
                amount=Money(amount, currency),
            )
            for number, amount in enumerate(amounts, start=1)
        ]
        total = sum(minor_units(amount, currency) for amount in amounts)
        return Order(
            source=SHOP,
            order_id=order_id,
            order_revision=revision,
            currency=currency,
            buyer="B-1",
            paying_account=account,
            business_organisation="BUS-1",
            settlement_organisation=ORGANISATION,
            sales_organisation="SALES-1",
            customer="C-1",
            ordering_user=user,
            payment_method=method,
            order_date=date(2026, 3, 1),
            lines=lines,
            total=Money.of(total, currency),
            **more,
        )

    def check(
        self,
        order: Order,
        number: int = 1,
        *,
        outcome: str = "approved",
        reasons: Sequence[Reason] = (),
    ) -> CreditChecked:
        return CreditChecked(
            source=order.source,
            order_id=order.order_id,
            order_revision=order.order_revision,
            check_number=number,
            paying_account=order.paying_account,
            operation="submit",
            outcome=outcome,  # type: ignore[arg-type]
            reasons=list(reasons),
            metrics=[],
            order=order,
            checked_at=NOW,
        )

    def cancel(
        self,
        account: str,
        number: int = 2,
        *,
        order_id: str = "SO-1",
        outcome: str = "approved",
        order: Order | None = None,
    ) -> CreditChecked:
        return CreditChecked(
            source=SHOP,
            order_id=order_id,
            order_revision=number,
            check_number=number,
            paying_account=account,
            operation="cancel",
            outcome=outcome,  # type: ignore[arg-type]
            reasons=[],
            metrics=[],
            order=order,
            checked_at=NOW,
        )

    def pool(self, account: str = "A-1", **fund_accounts: str | tuple[str, str]) -> Pool:
        """A pool in CNY: `cash="100.00"`, `overdraft=("500.00", "200.00")` granted and used."""
        pool = Pool(account, users=frozenset({USER}))
        for number, (code, amount) in enumerate(fund_accounts.items(), start=1):
            purse = pool.open(PRESETS[code], "CNY")
            pool.post(Document(OPENING_BALANCE, "", "I-1", number), _opening(purse, amount), NOW.date(), NOW)
        return pool


def _opening(purse: FundAccount, amount: str | tuple[str, str]) -> list[Move]:
    if isinstance(amount, str):
        return [Move(purse, minor_units(amount, "CNY"), OPENING_BALANCES)]
    granted, used = (minor_units(part, "CNY") for part in amount)
    return [Move(purse, granted, OPENING_BALANCES, "line"), Move(purse, -used, OPENING_BALANCES)]


@pytest.fixture
def make() -> Maker:
    return Maker()


Commander = Callable[..., httpx.AsyncClient]


@pytest.fixture
def client_of(harness: Harness) -> Commander:
    """Makes clients: `client_of({"finance-maker"}, "maker")`."""
    return partial(commander, harness)


@pytest.fixture
async def harness(postgres_dsn: str) -> AsyncIterator[Harness]:
    async with Harness(service, postgres_dsn) as running:
        yield running


async def _with_key(request: httpx.Request) -> None:
    request.headers.setdefault("Idempotency-Key", str(uuid4()))


def commander(
    harness: Harness, roles: Iterable[str], subject: str = "tester", accounts: Iterable[str] = ()
) -> httpx.AsyncClient:
    """A client each of whose commands is a new one."""
    client = harness.client(roles=roles, accounts=accounts, subject=subject)
    client.event_hooks["request"].append(_with_key)
    return client


Broken = Callable[[], Awaitable[list[str]]]


@pytest.fixture
def broken(harness: Harness) -> Broken:
    """What `verify` would say is broken of what fund-pool itself promises."""

    async def found() -> list[str]:
        findings = await run_checks(harness.context.database, service.checks)
        return [f"{one.check.name}: {one.rows}" for one in findings if not one.holds]

    return found
