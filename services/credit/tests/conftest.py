"""Orders, profiles and gates to test with."""

from collections.abc import AsyncIterator, Iterable
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from typing import Any

import pytest
from chassis.invariants import run_checks
from chassis.testing import Harness, only
from contracts.credit_checked import CreditChecked
from contracts.event import Event
from contracts.master_data_changed import Customer as CustomerRecord
from contracts.master_data_changed import MasterDataChanged
from contracts.money import Money
from contracts.order import OrderLine
from contracts.order_cancelled import OrderCancelled
from contracts.order_decided import Explanation, OrderDecided
from contracts.order_submitted import OrderSubmitted
from credit.app import service
from credit.domain.arrivals import Cancellation, Origin, Submission
from credit.domain.changes import Periods
from credit.domain.customers import Customer
from credit.domain.gate import Gate
from credit.domain.order_state import OrderState
from credit.domain.profiles import Limit, Profile, Rule

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class Make:
    """Builds what the tests speak of from the few words that matter to them; amounts in minor units."""

    now = NOW
    periods = Periods(parked=timedelta(hours=24), pending=timedelta(days=7))

    def line(self, line_id: str, worth: int, currency: str = "CNY", **changes: Any) -> OrderLine:
        zero = Money.of(0, currency)
        amount = Money.of(worth, currency)
        fields: dict[str, Any] = {
            "line_id": line_id,
            "material": "M-1",
            "quantity": "1",
            "price": amount.amount,
            "discount": zero,
            "tax": zero,
            "amount": amount,
        }
        return OrderLine(**(fields | changes))

    def order(
        self,
        order_id: str = "O-1",
        amount: int = 10_000,
        revision: int = 1,
        currency: str = "CNY",
        **changes: Any,
    ) -> OrderSubmitted:
        fields: dict[str, Any] = {
            "source": "shop",
            "order_id": order_id,
            "order_revision": revision,
            "currency": currency,
            "buyer": "B-1",
            "paying_account": "A-1",
            "business_organisation": "BO-1",
            "settlement_organisation": "SO-1",
            "sales_organisation": "SA-1",
            "customer": "C-1",
            "ordering_user": "U-1",
            "payment_method": "account",
            "order_date": date(2026, 3, 1),
            "lines": [self.line("1", amount, currency)],
            "total": Money.of(amount, currency),
        }
        return OrderSubmitted(**(fields | changes))

    def cancellation(self, order_id: str = "O-1", revision: int = 2, **changes: Any) -> OrderCancelled:
        fields: dict[str, Any] = {
            "source": "shop",
            "order_id": order_id,
            "order_revision": revision,
            "paying_account": "A-1",
            "reason": "changed my mind",
            "cancelled_at": NOW,
        }
        return OrderCancelled(**(fields | changes))

    def origin(self, event: Event) -> Origin:
        body = event.to_json()
        return Origin("shop", "E-1", event.contract.type, blake2b(body, digest_size=16).digest(), body)

    def decision(self, check: CreditChecked, outcome: Any) -> OrderDecided:
        """fund-pool's answer to a check."""
        return OrderDecided(
            source=check.source,
            order_id=check.order_id,
            order_revision=check.order_revision,
            check_number=check.check_number,
            operation=check.operation,
            outcome=outcome,
            paying_account=check.paying_account,
            reasons=[],
            explanation=Explanation(text="as the test says", accounts=[], policy_version=0),
            decided_at=NOW,
        )

    def customer_record(
        self, customer_id: str = "C-1", version: int = 1, **changes: Any
    ) -> MasterDataChanged:
        fields: dict[str, Any] = {"kind": "customer", "name": f"Customer {customer_id}"}
        record = CustomerRecord(**(fields | changes))
        return MasterDataChanged(id=customer_id, version=version, changed_at=NOW, record=record)

    def limits(
        self, limit: Any, enforcement: str = "reject", currency: str = "CNY", **changes: Any
    ) -> dict[str, Any]:
        """The body that sets a profile; a limit in minor units."""
        wire = (
            {"amount": Money.of(limit, currency).amount, "currency": currency}
            if isinstance(limit, int)
            else limit
        )
        settings = {"credit_limit": {"limit": wire, "enforcement": enforcement}, "reason": "the test says so"}
        return settings | changes

    def submission(self, *arguments: Any, **changes: Any) -> Submission:
        order = self.order(*arguments, **changes)
        return Submission(order, self.origin(order))

    def cancelling(self, *arguments: Any, **changes: Any) -> Cancellation:
        event = self.cancellation(*arguments, **changes)
        key = (event.source, event.order_id)
        return Cancellation(key, event.order_revision, event.paying_account, event.reason, self.origin(event))

    def profile(
        self,
        customer: str = "C-1",
        limit: Limit = 2_400_000,
        enforcement: str = "reject",
        single: Limit = None,
        single_enforcement: str = "reject",
        currency: str = "CNY",
        used: int = 0,
        profile_id: str | None = None,
    ) -> Profile:
        rules: Any = (
            Rule("credit-limit", limit, enforcement),  # type: ignore[arg-type]  # a plain word of a test table
            Rule("single-document-limit", single, single_enforcement),  # type: ignore[arg-type]
        )
        return Profile(
            profile_id=profile_id or f"P-{customer}-{currency}",
            scope="group",
            scope_id="*",
            object_type="customer",
            object_id=customer,
            currency=currency,
            rules=rules,
            used=used,
            settled=used,
            entries=0,
        )

    def customer(self, customer_id: str = "C-1", **changes: Any) -> Customer:
        fields: dict[str, Any] = {"credit_managed": True, "active": True, "has_profile": True}
        return Customer(customer_id, **(fields | changes))

    def gate(
        self,
        *profiles: Profile,
        orders: Iterable[str] = ("O-1", "O-2", "O-3", "O-4"),
        customers: Iterable[Customer] | None = None,
    ) -> Gate:
        known = [self.customer()] if customers is None else list(customers)
        return Gate(
            [OrderState("shop", order_id) for order_id in orders],
            profiles,
            {customer.customer_id: customer for customer in known},
            NOW,
            self.periods,
        )


@pytest.fixture(scope="session")
def make() -> Make:
    return Make()


class Bench(Harness):
    """The service on a fresh database, with the few steps that most tests begin with."""

    async def managed_customer(
        self,
        make: Make,
        customer_id: str = "C-1",
        limit: Any = 2_400_000,
        enforcement: str = "reject",
        **changes: Any,
    ) -> None:
        """A customer from the ERP with a profile set over HTTP."""
        await self.play(make.customer_record(customer_id))
        await self.set_limits(customer_id, make.limits(limit, enforcement, **changes))

    async def set_limits(
        self, customer_id: str, body: dict[str, Any], currency: str = "CNY"
    ) -> dict[str, Any]:
        async with self.client({"credit-manager"}) as client:
            answer = await client.put(f"/customers/{customer_id}/profiles/{currency}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()  # type: ignore[no-any-return]

    async def right(
        self, approver: str = "tester", ceiling: int = 10_000_000, currency: str = "CNY", **changes: Any
    ) -> dict[str, Any]:
        """A right to special approval, given by somebody else."""
        body = {
            "ceiling": {"amount": Money.of(ceiling, currency).amount, "currency": currency},
            "period": "month",
            "metrics": ["credit-limit", "single-document-limit"],
            "valid_from": "2000-01-01",
            "valid_to": "2099-12-31",
            "reason": "the test says so",
        }
        async with self.client({"credit-manager"}, subject="head of credit") as client:
            answer = await client.put(f"/approval-rights/{approver}/{currency}", json=body | changes)
        assert answer.status_code == 200, answer.text
        return answer.json()  # type: ignore[no-any-return]

    async def checks(self, *events: Event) -> list[CreditChecked]:
        """Plays events; what credit passed on."""
        return only(await self.play(*events), CreditChecked)

    async def status(self, customer_id: str = "C-1") -> dict[str, str]:
        """used, settled, undecided and available of a customer's one profile."""
        async with self.client({"auditor"}) as client:
            answer = await client.get(f"/customers/{customer_id}/status")
        [status] = answer.json()["items"]
        return {
            name: status[name]["amount"] if isinstance(status[name], dict) else status[name]
            for name in ("used", "settled", "undecided", "available")
        }

    async def dead_letters(self) -> list[str]:
        return [
            row["reason"] for row in await self.rows("select reason from dead_letter order by recorded_at")
        ]

    async def broken(self) -> list[str]:
        """The invariants that do not hold."""
        findings = await run_checks(self.context.database, service.checks)
        return [finding.check.name for finding in findings if not finding.holds]


@pytest.fixture
async def bench(postgres_dsn: str) -> AsyncIterator[Bench]:
    async with Bench(service, postgres_dsn) as bench:
        yield bench
