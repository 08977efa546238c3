"""Orders, profiles and gates to test with."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from typing import Any

import pytest
from contracts.money import Money
from contracts.order import OrderLine
from contracts.order_cancelled import OrderCancelled
from contracts.order_submitted import OrderSubmitted

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

    def origin(self, body: bytes, event_id: str = "E-1") -> Origin:
        return Origin("shop", event_id, blake2b(body, digest_size=16).digest(), body)

    def submission(self, *arguments: Any, **changes: Any) -> Submission:
        order = self.order(*arguments, **changes)
        return Submission(order, self.origin(order.to_json()))

    def cancelling(self, *arguments: Any, **changes: Any) -> Cancellation:
        event = self.cancellation(*arguments, **changes)
        key = (event.source, event.order_id)
        return Cancellation(
            key, event.order_revision, event.paying_account, event.reason, self.origin(event.to_json())
        )

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
