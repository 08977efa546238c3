"""Documents with two people, withdrawals, top-ups, reversals and expenses on a real PostgreSQL."""

import asyncio
from collections.abc import Callable
from datetime import date
from typing import Any

import httpx
import pytest
from chassis.testing import Harness, only
from contracts.money import Money

from contracts import (
    BalanceChanged,
    EntryPosted,
    ExpenseApproved,
    PaymentReversed,
    PayoutRequested,
    PayoutSettled,
    ReceiptRequested,
    TaskChanged,
)

pytestmark = pytest.mark.stack


def cny(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "CNY"}


def body(kind: str, document_id: str, amount: str, **more: Any) -> dict[str, Any]:
    return {
        "document_type": kind,
        "document_id": document_id,
        "account": "A-1",
        "amount": cny(amount),
        "submit": True,
        **more,
    }


class People:
    """A maker and an approver at their clients."""

    def __init__(self, client_of: Callable[..., httpx.AsyncClient]) -> None:
        self.maker = client_of({"finance-maker"}, "maker")
        self.approver = client_of({"finance-approver", "finance-maker"}, "approver")
        self.dealer = client_of({"account-user"}, "dealer", {"A-1"})
        self.stranger = client_of({"account-user"}, "stranger", {"A-2"})

    async def make(self, kind: str, document_id: str, amount: str, **more: Any) -> httpx.Response:
        return await self.maker.post("/documents", json=body(kind, document_id, amount, **more))

    async def approve(self, kind: str, document_id: str) -> httpx.Response:
        return await self.approver.post(f"/documents/{kind}/{document_id}/approve")

    async def post(self, kind: str, document_id: str, amount: str, **more: Any) -> dict[str, Any]:
        made = await self.make(kind, document_id, amount, **more)
        assert made.status_code == 201, made.text
        approved = await self.approve(kind, document_id)
        assert approved.status_code == 200, approved.text
        answer: dict[str, Any] = approved.json()
        return answer


@pytest.fixture
async def people(harness: Harness, make: Any, client_of: Any) -> People:
    await harness.play(*make.master_data("A-1"), make.payment("A-1", "100.00", payment_id="P-1"))
    return People(client_of)


async def balances(harness: Harness) -> dict[str, int]:
    rows = await harness.rows("select account_type, balance from fund_account order by account_type")
    return {row["account_type"]: row["balance"] for row in rows}


async def test_one_makes_another_approves_and_the_erp_is_asked_for_the_receipt(
    harness: Harness, people: People, broken: Any
) -> None:
    made = await people.make("top-up-offline", "TU-1", "50.00", account_type="cash")
    assert (made.status_code, made.json()["status"]) == (201, "submitted")
    own = await people.maker.post("/documents/top-up-offline/TU-1/approve")
    assert own.status_code == 403
    assert await balances(harness) == {"cash": 100_00}
    assert (await people.approve("top-up-offline", "TU-1")).json()["status"] == "posted"
    again = await people.approve("top-up-offline", "TU-1")
    assert (again.status_code, again.json()["type"].rsplit(":", 1)[-1]) == (409, "already-decided")
    events = await harness.drain()
    assert await balances(harness) == {"cash": 150_00}
    assert [task.state for task in only(events, TaskChanged)] == ["opened", "done"]
    receipt = only(events, ReceiptRequested)[0]
    assert (receipt.channel, receipt.amount, receipt.document_id) == (
        "offline",
        Money("50.00", "CNY"),
        "TU-1/1",
    )
    entry = only(events, EntryPosted)[0]
    assert [(one.ledger_account, one.amount.amount) for one in entry.postings] == [
        ("cash", "50.00"),
        ("bank-clearing", "-50.00"),
    ]
    assert entry.chain_hash == only(events, BalanceChanged)[0].chain_hash
    assert await broken() == []


async def test_approving_oneself_is_refused_also_with_the_role(people: People) -> None:
    own = body("other-credit", "OC-1", "1.00", reason="gift")
    assert (await people.approver.post("/documents", json=own)).status_code == 201
    answer = await people.approve("other-credit", "OC-1")
    assert (answer.status_code, answer.json()["type"].rsplit(":", 1)[-1]) == (403, "same-person")


async def test_the_same_id_is_the_same_document_and_other_content_is_named(people: People) -> None:
    assert (await people.make("other-credit", "OC-1", "1.00", reason="gift")).status_code == 201
    assert (await people.make("other-credit", "OC-1", "1.00", reason="gift")).status_code == 200
    answer = await people.make("other-credit", "OC-1", "2.00", reason="gift")
    assert answer.status_code == 409
    assert "amount was 1.00 CNY, now 2.00 CNY" in answer.json()["detail"]


@pytest.mark.parametrize(
    "amount",
    ["0.00", "-1.00", "1.001", "1e3", "100000000000000", "٣", "NaN"],
)
async def test_amounts_that_are_none(people: People, amount: str) -> None:
    assert (await people.make("top-up-offline", "TU-9", amount)).status_code == 422


async def test_a_document_that_no_longer_fits_at_its_approval_changes_nothing(
    harness: Harness, people: People, broken: Any
) -> None:
    assert (await people.make("other-debit", "OD-1", "80.00", reason="fee")).status_code == 201
    assert (await people.make("other-debit", "OD-2", "80.00", reason="fee")).status_code == 201
    assert (await people.approve("other-debit", "OD-1")).status_code == 200
    late = await people.approve("other-debit", "OD-2")
    assert (late.status_code, late.json()["detail"]) == (409, "Cash can give at most 20.00 CNY.")
    assert await balances(harness) == {"cash": 20_00}
    reject = await people.approver.post("/documents/other-debit/OD-2/reject", json={"reason": "no cover"})
    assert reject.json()["status"] == "rejected"
    assert await broken() == []


async def test_an_un_post_reverses_once_and_is_named_by_both(
    harness: Harness, people: People, broken: Any
) -> None:
    await people.post("top-up-offline", "TU-1", "50.00")
    reverses = {"document_type": "top-up-offline", "document_id": "TU-1"}
    taken = await people.post("un-post", "UP-1", "50.00", reverses=reverses, reason="entered twice")
    assert await balances(harness) == {"cash": 100_00}
    kept = (await people.maker.get("/documents/top-up-offline/TU-1")).json()
    assert kept["reversed_by"] == taken["entry_number"]
    twice = await people.make("un-post", "UP-2", "50.00", reverses=reverses, reason="again")
    assert twice.json()["type"].rsplit(":", 1)[-1] == "already-reversed"
    reversals = [event.reverses for event in only(await harness.drain(), EntryPosted) if event.reverses]
    assert len(reversals) == 1
    assert await broken() == []


async def test_a_withdrawal_is_held_until_the_bank_has_answered(
    harness: Harness, people: People, broken: Any
) -> None:
    assert (await people.post("withdrawal", "W-1", "70.00"))["status"] == "approved"
    asked = only(await harness.drain(), PayoutRequested)[0]
    assert (asked.payout_id, asked.amount) == ("W-1", Money("70.00", "CNY"))
    quota = (await people.maker.get("/accounts/A-1/quota")).json()["quotas"][0]
    assert (quota["quota"]["amount"], quota["terms"]["unsettled"]["amount"]) == ("30.00", "70.00")
    more = await people.make("withdrawal", "W-2", "30.01")
    assert "At most 30.00 CNY" in more.json()["detail"]
    settled = PayoutSettled(payout_id="W-1", account="A-1", outcome="paid", settled_on=date(2026, 3, 3))
    await harness.play(settled, settled)
    assert await balances(harness) == {"cash": 30_00}
    await harness.play(
        PayoutSettled(payout_id="W-1", account="A-1", outcome="failed", settled_on=date(2026, 3, 3))
    )
    letters = await harness.rows("select reason from dead_letter")
    assert [letter["reason"] for letter in letters] == ["payout-conflict"]
    assert await broken() == []


async def test_a_payout_that_failed_gives_the_money_back_once(
    harness: Harness, people: People, broken: Any
) -> None:
    await people.post("withdrawal", "W-1", "70.00")
    failed = PayoutSettled(payout_id="W-1", account="A-1", outcome="failed", settled_on=date(2026, 3, 3))
    await harness.play(failed)
    await harness.spoil("delete from inbox")
    await harness.play(failed)
    hold = (await harness.rows("select captured, released from hold"))[0]
    assert hold == {"captured": 0, "released": 70_00}
    assert await balances(harness) == {"cash": 100_00}
    quota = (await people.maker.get("/accounts/A-1/quota")).json()["quotas"][0]
    assert quota["quota"]["amount"] == "100.00"
    assert await broken() == []


async def test_a_dealer_opens_a_top_up_and_the_payment_that_names_it_settles_it(
    harness: Harness, people: People, make: Any, broken: Any
) -> None:
    dealer, stranger = people.dealer, people.stranger
    opened = await dealer.post(
        "/accounts/A-1/top-ups", json={"top_up_id": "TO-1", "account_type": "cash", "amount": cny("40.00")}
    )
    assert opened.status_code == 201, opened.text
    assert (await dealer.get("/documents/top-up-online/TO-1")).json()["status"] == "submitted"
    assert (await stranger.get("/documents/top-up-online/TO-1")).status_code == 404
    assert (await dealer.get("/documents?account=A-1")).json()["items"][0]["document_id"] == "TO-1"
    assert (await stranger.get("/documents?account=A-1")).json()["items"] == []
    await harness.play(
        make.payment("A-1", "39.00", payment_id="P-2", top_up_id="TO-1"),
        make.payment("A-1", "40.00", payment_id="P-3", top_up_id="TO-1"),
        make.payment("A-1", "40.00", payment_id="P-4", top_up_id="TO-1"),
        make.payment("A-1", "40.00", payment_id="P-5", top_up_id="TO-9"),
    )
    rows = await harness.rows("select payment_id, status, reason from payment order by payment_id")
    assert [(row["payment_id"], row["status"], row["reason"]) for row in rows] == [
        ("P-1", "posted", None),
        ("P-2", "unmatched", "top-up-differs"),
        ("P-3", "posted", None),
        ("P-4", "unmatched", "top-up-decided"),
        ("P-5", "unmatched", "unknown-top-up"),
    ]
    assert await balances(harness) == {"cash": 140_00}
    assert (await dealer.get("/documents/top-up-online/TO-1")).json()["status"] == "posted"
    assert await broken() == []


async def test_a_reversal_posts_whatever_there_is_and_owes_the_rest(
    harness: Harness, people: People, make: Any, broken: Any
) -> None:
    """100 came, 80 were spent, the payment is taken back: 20 go, 80 are owed and outstanding."""
    await harness.play(make.check(make.order("A-1", "80.00")))
    back = PaymentReversed(
        reversal_id="R-1",
        payment_id="P-1",
        payer="A-1",
        amount=Money("100.00", "CNY"),
        reversed_on=date(2026, 3, 3),
    )
    await harness.play(back, back)
    await harness.spoil("delete from inbox")
    await harness.play(back)
    assert await balances(harness) == {"cash": 0}
    quota = (await people.maker.get("/accounts/A-1/quota")).json()["quotas"][0]
    assert (quota["quota"]["amount"], quota["terms"]["outstanding_fees"]["amount"]) == ("-80.00", "80.00")
    assert await broken() == []


async def test_a_reversal_that_comes_before_its_payment_waits_for_it(
    harness: Harness, people: People, make: Any, broken: Any
) -> None:
    await harness.play(
        PaymentReversed(
            reversal_id="R-2",
            payment_id="P-2",
            payer="A-1",
            amount=Money("30.00", "CNY"),
            reversed_on=date(2026, 3, 3),
        )
    )
    await harness.play(make.payment("A-1", "50.00", payment_id="P-2"))
    assert await balances(harness) == {"cash": 120_00}
    assert (await harness.rows("select status from payment_reversal"))[0]["status"] == "posted"
    assert await broken() == []


async def test_a_claim_is_credited_once_and_its_revision_by_the_difference(
    harness: Harness, people: People, broken: Any
) -> None:
    def claim(revision: int, amount: str, account_type: str = "cash") -> ExpenseApproved:
        return ExpenseApproved(
            claim_id="EXP-1",
            document_revision=revision,
            account="A-1",
            account_type=account_type,
            amount=Money(amount, "CNY"),
            approved_on=date(2026, 3, 2),
        )

    await harness.play(claim(1, "30.00"), claim(1, "30.00"))
    await harness.play(claim(3, "25.00"), claim(2, "28.00"))
    assert await balances(harness) == {"cash": 125_00}
    await harness.play(claim(3, "26.00"), claim(4, "1.00", "deposit"))
    letters = await harness.rows("select reason from dead_letter")
    assert [letter["reason"] for letter in letters] == ["claim-conflict", "claim-conflict"]
    assert await broken() == []


async def test_an_acceptance_counts_in_the_quota_until_it_is_cashed(
    harness: Harness, people: People, make: Any, broken: Any
) -> None:
    await harness.play(make.payment("A-1", "10.00", payment_id="P-2", instrument="bankers-acceptance"))

    async def told() -> tuple[str, str]:
        quota = (await people.maker.get("/accounts/A-1/quota")).json()["quotas"][0]
        return quota["quota"]["amount"], quota["terms"]["bankers_acceptance"]["amount"]

    assert await told() == ("110.00", "10.00")
    await harness.play(make.payment("A-1", "10.00", payment_id="P-3", cashes="P-2"))
    assert await told() == ("110.00", "0.00")
    assert await broken() == []


async def test_transfers_in_opposite_directions_and_debits_never_pass_what_is_there(
    harness: Harness, people: People, broken: Any
) -> None:
    """Batches and requests that lock the same account in any order end; each amount moves once."""
    opened = await people.maker.post(
        "/accounts/A-1/fund-accounts", json={"account_type": "deposit", "currency": "CNY"}
    )
    assert opened.status_code == 201
    await people.post("transfer", "T-0", "50.00", to_account_type="deposit")

    async def transfer(number: int) -> int:
        there = {"account_type": "cash", "to_account_type": "deposit"}
        back = {"account_type": "deposit", "to_account_type": "cash"}
        more = there if number % 2 else back
        made = await people.make("transfer", f"T-{number}", "30.00", **more)
        if made.status_code != 201:
            return made.status_code
        return (await people.approve("transfer", f"T-{number}")).status_code

    codes = await asyncio.gather(*(transfer(number) for number in range(1, 13)))
    assert set(codes) <= {200, 409}
    found = await balances(harness)
    assert sum(found.values()) == 100_00
    assert min(found.values()) >= 0
    assert await broken() == []


async def test_an_unmatched_payment_is_placed_by_one_and_approved_by_another(
    harness: Harness, people: People, make: Any, broken: Any
) -> None:
    await harness.play(make.payment(None, "7.00", payment_id="P-7"))
    body = {"document_id": "TU-7", "account": "A-1"}
    placed = await people.maker.post("/unmatched-payments/P-7/place", json=body)
    assert placed.status_code == 201, placed.text
    assert (await people.maker.get("/unmatched-payments")).json()["items"] == []
    reject = await people.approver.post(
        "/documents/top-up-offline/TU-7/reject", json={"reason": "another customer's"}
    )
    assert reject.status_code == 200
    assert len((await people.maker.get("/unmatched-payments")).json()["items"]) == 1
    again = await people.maker.post("/unmatched-payments/P-7/place", json={**body, "document_id": "TU-8"})
    assert again.status_code == 201
    assert (await people.approve("top-up-offline", "TU-8")).status_code == 200
    assert await balances(harness) == {"cash": 107_00}
    assert (await harness.rows("select status from payment where payment_id = 'P-7'"))[0][
        "status"
    ] == "posted"
    export = await people.maker.get(
        "/accounts/A-1/statement/export?account_type=cash&currency=CNY&format=csv"
    )
    assert [line.split(",")[3] for line in export.text.splitlines()[1:]] == [
        "opening balance",
        "top-up",
        "top-up-offline",
        "closing balance",
        "",
    ]
    day = await people.maker.get("/accounts/A-1/balances?effective_on=2026-03-01")
    assert day.json()["fund_accounts"][0]["balance"]["amount"] == "0.00"
    assert await broken() == []


async def test_a_grant_narrows_who_may_make_and_approve(people: People, client_of: Any) -> None:
    admin = client_of({"administrator"}, "admin")
    treasurer = client_of({"finance-approver", "treasurer"}, "treasurer")
    grant = await admin.put("/grants/other-debit/approve", json={"roles": ["treasurer"]})
    assert grant.status_code == 200, grant.text
    assert (await people.maker.put("/grants/transfer/make", json={"roles": []})).status_code == 403
    assert (await people.make("other-debit", "OD-1", "1.00", reason="fee")).status_code == 201
    assert (await people.approve("other-debit", "OD-1")).json()["type"].endswith("not-granted")
    assert (await treasurer.post("/documents/other-debit/OD-1/approve")).status_code == 200
    assert (await admin.delete("/grants/other-debit/approve")).status_code == 204
    assert (await people.maker.get("/grants")).json()["items"] == []
