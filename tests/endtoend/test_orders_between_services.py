"""Orders between credit and fund-pool, each on its own real database: what one says, the other one hears."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any
from uuid import uuid4

import pytest
from chassis.invariants import run_checks
from chassis.testing import Harness
from contracts.document_posted import DocumentLine, DocumentPosted, Upstream
from contracts.event import Event
from contracts.master_data_changed import Account, Customer, MasterDataChanged, Organisation, UserRight
from contracts.money import Money
from contracts.order import OrderLine, ReturnDocument, ReturnedLine
from contracts.order_changed import OrderChanged
from contracts.order_decided import OrderDecided
from contracts.order_returned import OrderReturned
from contracts.order_status_changed import OrderStatusChanged
from contracts.order_submitted import OrderSubmitted
from credit.app import service as credit_service
from fund_pool.app import service as fund_pool_service

from contracts import CreditChecked, PaymentReceived

pytestmark = pytest.mark.stack

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
ORGANISATION = "ORG-1"


@dataclass
class Pair:
    """Both services; `play` lets an event and all that follows from it run through to the end."""

    credit: Harness
    pool: Harness

    async def play(self, *events: Event) -> list[OrderDecided]:
        """What order systems are answered."""
        answers: list[OrderDecided] = []
        coming: Sequence[Event] = events
        while coming:
            told = await self.credit.play(*coming)
            checks = [event for event in told if isinstance(event, CreditChecked)]
            decided = [event for event in await self.pool.play(*checks) if isinstance(event, OrderDecided)]
            answers += decided
            coming = decided
        return answers

    async def command(self, house: Harness, method: str, path: str, body: Any, *roles: str) -> Any:
        async with house.client(set(roles), subject="head") as client:
            answer = await client.request(method, path, json=body, headers={"Idempotency-Key": str(uuid4())})
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    async def cash(self) -> int:
        [row] = await self.pool.rows("select balance from fund_account where account_type = 'cash'")
        return int(row["balance"])

    async def used(self) -> int:
        [row] = await self.credit.rows("select used_minor from credit_profile")
        return int(row["used_minor"])

    async def broken(self) -> list[str]:
        """The invariants of either that do not hold."""
        found = []
        for house, service in ((self.credit, credit_service), (self.pool, fund_pool_service)):
            findings = await run_checks(house.context.database, service.checks)
            found += [f"{one.check.name}: {one.rows}" for one in findings if not one.holds]
        return found


@pytest.fixture
async def pair(postgres_dsn: str) -> AsyncIterator[Pair]:
    """A customer with a limit of 1,000.00, and its account with 1,000.00 of cash."""
    async with (
        Harness(credit_service, postgres_dsn) as credit,
        Harness(fund_pool_service, postgres_dsn) as pool,
    ):
        both = Pair(credit, pool)
        zone = Organisation(
            kind="organisation", name="Shanghai", organisation_type="legal", time_zone="Asia/Shanghai"
        )
        account = Account(kind="account", name="A", customer="C-1", settlement_organisation=ORGANISATION)
        right = UserRight(kind="user-right", user="U-1", account="A-1", right="use-balance")
        records: list[tuple[str, Any]] = [
            (ORGANISATION, zone),
            ("A-1", account),
            ("U-1@A-1", right),
            ("C-1", Customer(kind="customer", name="Huaxin")),
        ]
        master = [MasterDataChanged(id=name, version=1, changed_at=NOW, record=one) for name, one in records]
        await credit.play(*master)
        await pool.play(*master)
        cash = Money("1000.00", "CNY")
        await pool.play(
            PaymentReceived(
                payment_id="P-1",
                payer="A-1",
                account="A-1",
                account_type="cash",
                amount=cash,
                received_on=date(2026, 3, 1),
            )
        )
        limits = {
            "credit_limit": {"limit": {"amount": "1000.00", "currency": "CNY"}, "enforcement": "reject"},
            "reason": "the test says so",
        }
        await both.command(credit, "PUT", "/customers/C-1/profiles/CNY", limits, "credit-manager")
        yield both


def order(amount: int, revision: int = 1, order_id: str = "O-1", **more: Any) -> OrderSubmitted:
    """An order of ten pieces that is worth `amount` in minor units."""
    zero = Money.of(0, "CNY")
    line = OrderLine(
        line_id="1",
        material="M-1",
        quantity="10",
        price=Money.of(amount // 10, "CNY").amount,
        discount=zero,
        tax=zero,
        amount=Money.of(amount, "CNY"),
    )
    fields: dict[str, Any] = {
        "source": "shop",
        "order_id": order_id,
        "order_revision": revision,
        "currency": "CNY",
        "buyer": "B-1",
        "paying_account": "A-1",
        "business_organisation": "BUS-1",
        "settlement_organisation": ORGANISATION,
        "sales_organisation": "SA-1",
        "customer": "C-1",
        "ordering_user": "U-1",
        "payment_method": "account",
        "order_date": date(2026, 3, 2),
        "lines": [line],
        "total": Money.of(amount, "CNY"),
    }
    return OrderSubmitted(**(fields | more))


def changed(amount: int, revision: int) -> OrderChanged:
    base = order(amount, revision)
    names = [name for name in OrderChanged.__dataclass_fields__ if hasattr(base, name)]
    return OrderChanged(**{name: getattr(base, name) for name in names})


def status(operation: str, revision: int, stance: str = "fact") -> OrderStatusChanged:
    return OrderStatusChanged(
        source="shop",
        order_id="O-1",
        order_revision=revision,
        paying_account="A-1",
        operation=operation,  # type: ignore[arg-type]  # a plain word of a test
        stance=stance,  # type: ignore[arg-type]
        changed_at=NOW,
    )


def notice(
    quantity: int, name: str = "N-1", revision: int = 1, operation: str = "audit", **more: Any
) -> DocumentPosted:
    """A delivery notice of pieces of the order, worth 60.00 each."""
    worth = Money.of(quantity * 6_000, "CNY")
    link = Upstream(document_type="sales-order", source="shop", document_id="O-1", line_id="1")
    line = DocumentLine(line_id="1", material="M-1", quantity=str(quantity), amount=worth, upstream=[link])
    fields: dict[str, Any] = {
        "source": "erp",
        "document_type": "delivery-notice",
        "document_id": name,
        "document_revision": revision,
        "operation": operation,
        "party": "A-1",
        "customer": "C-1",
        "sales_organisation": "SA-1",
        "currency": "CNY",
        "document_date": date(2026, 3, 3),
        "lines": [line],
        "total": worth,
        "posted_at": NOW,
    }
    return DocumentPosted(**(fields | more))


def outcomes(answers: list[OrderDecided]) -> list[str]:
    return [answer.outcome for answer in answers]


async def hold_rule(pair: Pair) -> None:
    body = {"currency": "CNY", "account_type": "cash", "hold_hours": 48}
    await pair.command(pair.pool, "POST", "/organisations/BUS-1/usage-rules", body, "finance-maker")


async def test_an_order_is_paid_changed_returned_and_closed_by_both(pair: Pair) -> None:
    """600.00 paid; 800.00 after a change; 1,200.00 beyond the limit changes nothing; 80.00 come back; closed."""
    assert outcomes(await pair.play(order(60_000))) == ["accepted"]
    assert (await pair.cash(), await pair.used()) == (40_000, 60_000)
    assert outcomes(await pair.play(changed(80_000, 2))) == ["changed"]
    assert (await pair.cash(), await pair.used()) == (20_000, 80_000)
    assert outcomes(await pair.play(changed(120_000, 3))) == ["change-declined"]
    assert (await pair.cash(), await pair.used()) == (20_000, 80_000)
    returned = OrderReturned(
        source="shop",
        order_id="O-1",
        order_revision=4,
        paying_account="A-1",
        document=ReturnDocument(
            document_id="R-1",
            posted_on=date(2026, 3, 4),
            lines=[ReturnedLine(line_id="1", quantity="1", amount=Money("80.00", "CNY"))],
            total=Money("80.00", "CNY"),
        ),
        returned_at=NOW,
    )
    assert outcomes(await pair.play(returned)) == ["refunded"]
    assert (await pair.cash(), await pair.used()) == (28_000, 80_000)
    assert outcomes(await pair.play(status("close", 5))) == ["closed"]
    assert (await pair.cash(), await pair.used()) == (28_000, 0)
    assert await pair.broken() == []


async def test_what_fund_pool_cannot_pay_frees_the_credit_again(pair: Pair) -> None:
    limits = {"credit_limit": {"limit": "unlimited", "enforcement": "reject"}, "reason": "the test says so"}
    await pair.command(pair.credit, "PUT", "/customers/C-1/profiles/CNY", limits, "credit-manager")
    assert outcomes(await pair.play(order(100_010))) == ["declined"]
    assert (await pair.cash(), await pair.used()) == (100_000, 0)
    assert outcomes(await pair.play(order(60_000, 2))) == ["accepted"]
    assert outcomes(await pair.play(changed(200_000, 3))) == ["change-declined"]
    assert (await pair.cash(), await pair.used()) == (40_000, 60_000)
    assert await pair.broken() == []


async def test_a_reopening_is_checked_again_and_refused_leaves_the_order_closed(pair: Pair) -> None:
    """Limit 1,000: order A 600, closed; order B 500; reopening A asks for 1,100: declined, A stays closed."""
    await pair.play(order(60_000), status("close", 2))
    assert outcomes(await pair.play(order(40_000, order_id="O-2"))) == ["accepted"]
    assert (await pair.cash(), await pair.used()) == (0, 40_000)
    credit_order = replace(order(50_000, order_id="O-3"), payment_method="credit-terms")
    assert outcomes(await pair.play(credit_order)) == ["accepted"]
    assert outcomes(await pair.play(status("reopen", 3, "request"))) == ["reopen-declined"]
    assert await pair.used() == 90_000
    [row] = await pair.credit.rows("select status from sales_order where order_id = 'O-1'")
    assert row["status"] == "closed"
    assert await pair.broken() == []


async def test_delivery_notices_capture_a_hold_and_the_last_one_frees_the_rest(pair: Pair) -> None:
    """600.00 held; 4 of 10 pieces take 240.00; told again, nothing; the final 5 take 300.00, and 60.00 are free."""
    await hold_rule(pair)
    assert outcomes(await pair.play(order(60_000))) == ["accepted"]
    assert await pair.cash() == 100_000
    assert outcomes(await pair.play(notice(4))) == ["captured"]
    assert (await pair.cash(), await pair.used()) == (76_000, 60_000)
    assert outcomes(await pair.play(notice(4))) == []
    assert outcomes(await pair.play(notice(4, revision=2, operation="close"))) == []
    assert outcomes(await pair.play(notice(4, revision=3, operation="reopen"))) == []
    assert await pair.cash() == 76_000
    assert outcomes(await pair.play(notice(5, "N-2", final=True))) == ["captured"]
    assert await pair.cash() == 46_000
    [row] = await pair.pool.rows("select coalesce(sum(placed - captured - released), 0) as held from hold")
    assert row["held"] == 0
    assert await pair.broken() == []


async def test_a_notice_that_came_before_its_order_is_drawn_when_the_order_comes(pair: Pair) -> None:
    await hold_rule(pair)
    assert await pair.play(notice(4)) == []
    assert outcomes(await pair.play(order(60_000))) == ["accepted", "captured"]
    assert (await pair.cash(), await pair.used()) == (76_000, 60_000)
    assert await pair.broken() == []


async def test_a_notice_that_is_only_granted_draws_when_its_fact_confirms_it(pair: Pair) -> None:
    await hold_rule(pair)
    await pair.play(order(60_000))
    assert await pair.play(notice(4, stance="request")) == []
    assert await pair.cash() == 100_000
    assert outcomes(await pair.play(notice(4))) == ["captured"]
    assert await pair.cash() == 76_000
    assert await pair.broken() == []


async def test_the_final_payment_is_walked_at_the_first_notice(pair: Pair) -> None:
    rule = {"currency": "CNY", "account_type": "cash", "lead_time_days": 30, "first_payment_percent": "50.00"}
    await pair.command(pair.pool, "POST", "/organisations/BUS-1/usage-rules", rule, "finance-maker")
    [answer] = await pair.play(order(60_000, requested_delivery_date=date(2026, 5, 1)))
    assert (answer.outcome, await pair.cash()) == ("accepted", 70_000)
    assert outcomes(await pair.play(notice(4))) == ["final-paid"]
    assert await pair.cash() == 40_000
    assert await pair.broken() == []


async def test_an_order_that_is_audited_later_is_paid_at_submit_and_controlled_at_audit(pair: Pair) -> None:
    assert outcomes(await pair.play(order(60_000, audited=False))) == ["accepted"]
    assert (await pair.cash(), await pair.used()) == (40_000, 0)
    assert outcomes(await pair.play(status("audit", 2, "request"))) == ["audited"]
    assert await pair.used() == 60_000
    assert outcomes(await pair.play(status("un-audit", 3))) == ["un-audited"]
    assert outcomes(await pair.play(status("recall", 4))) == ["recalled"]
    assert (await pair.cash(), await pair.used()) == (100_000, 0)
    assert await pair.broken() == []
