"""Allocate and reclaim between a management account and its members on a real PostgreSQL."""

from typing import Any

import httpx
import pytest
from chassis.testing import Harness, only

from contracts import AllocationRecorded, EntryPosted

pytestmark = pytest.mark.stack


@pytest.fixture
async def house(harness: Harness, make: Any) -> Harness:
    """M-1 with 1,000; A-1 and A-2 are its members, A-3 shows it nothing."""
    await harness.play(
        *make.master_data("A-1", "A-2", "A-3", "M-1", "M-2"),
        make.related("M-1", "A-1"),
        make.related("M-1", "A-2"),
        make.related("M-1", "A-3", "view-financial-information"),
        make.payment("M-1", "1000.00", payment_id="P-1"),
        make.payment("A-1", "30.00", payment_id="P-2"),
    )
    return harness


@pytest.fixture
def maker(house: Harness, client_of: Any) -> httpx.AsyncClient:
    client: httpx.AsyncClient = client_of({"finance-maker"}, "maker")
    return client


async def cash(harness: Harness) -> dict[str, int]:
    rows = await harness.rows("select account, balance from fund_account where account_type = 'cash'")
    return {row["account"]: row["balance"] for row in rows}


async def test_allocate_spend_and_reclaim_what_is_left(
    house: Harness, maker: httpx.AsyncClient, make: Any, broken: Any
) -> None:
    preview = await maker.post(
        "/allocations/preview", json=make.allocation("allocate", ("A-1", "100.00"), ("A-2", "5.00"))
    )
    assert [row["result"] for row in preview.json()["rows"]] == ["will-post", "will-post"]
    assert (await cash(house))["M-1"] == 1_000_00
    posted = await maker.post(
        "/allocations", json=make.allocation("allocate", ("A-1", "100.00"), ("A-2", "5.00"))
    )
    assert (posted.status_code, posted.json()["status"]) == (201, "posted")
    assert await cash(house) == {"M-1": 895_00, "A-1": 130_00, "A-2": 5_00}
    events = await house.drain()
    recorded = only(events, AllocationRecorded)
    assert [(one.disbursing_account, one.receiving_account, one.result) for one in recorded] == [
        ("M-1", "A-1", "succeeded"),
        ("M-1", "A-2", "succeeded"),
    ]
    assert {entry.document_type for entry in only(events, EntryPosted)} == {"allocation"}
    too_much = await maker.post("/allocations", json=make.allocation("reclaim", ("A-1", "100.01")))
    assert (too_much.status_code, too_much.json()["rows"][0]["most"]["amount"]) == (200, "100.00")
    back = await maker.post("/allocations", json=make.allocation("reclaim", ("A-1", "40.00")))
    assert back.json()["rows"][0]["total"]["amount"] == "60.00"
    assert (await cash(house))["A-1"] == 90_00
    records = (await maker.get("/allocation-records?member_account=A-1")).json()["items"]
    assert [(row["operation"], row["result"], row["disbursing_account"]) for row in records] == [
        ("reclaim", "succeeded", "A-1"),
        ("reclaim", "refused", "A-1"),
        ("allocate", "succeeded", "M-1"),
    ]
    assert await broken() == []


async def test_nothing_is_half_done_and_every_row_says_why(
    house: Harness, maker: httpx.AsyncClient, broken: Any, make: Any
) -> None:
    answer = await maker.post(
        "/allocations",
        json=make.allocation(
            "allocate",
            ("A-1", "999.00"),
            ("A-1", "1.00"),
            ("A-2", "1.01"),
            ("A-3", "1.00"),
            ("M-2", "1.00"),
            ("A-9", "1.00"),
            ("M-1", "1.00"),
            ("A-2", "0.00"),
        ),
    )
    assert answer.json()["status"] == "refused"
    assert [(row["result"], row["code"]) for row in answer.json()["rows"]] == [
        ("not-posted", None),
        ("refused", "repeated"),
        ("refused", "beyond-transferable"),
        ("refused", "permission-missing"),
        ("refused", "no-relationship"),
        ("refused", "unknown-account"),
        ("refused", "unknown-account"),
        ("refused", "zero-amount"),
    ]
    assert (await cash(house)) == {"M-1": 1_000_00, "A-1": 30_00}
    assert await broken() == []


async def test_an_ended_relationship_gives_and_takes_nothing(
    house: Harness, maker: httpx.AsyncClient, make: Any
) -> None:
    await maker.post("/allocations", json=make.allocation("allocate", ("A-1", "100.00")))
    await house.play(make.related("M-1", "A-1", version=2, state="ended"))
    answer = await maker.post("/allocations", json=make.allocation("reclaim", ("A-1", "1.00")))
    assert answer.json()["rows"][0]["code"] == "no-relationship"


async def test_allocated_money_is_not_withdrawn_and_not_allocated_further(
    house: Harness, maker: httpx.AsyncClient, make: Any
) -> None:
    await house.play(make.related("A-1", "A-2"))
    await maker.post("/allocations", json=make.allocation("allocate", ("A-1", "100.00")))
    on = await maker.post(
        "/allocations", json=make.allocation("allocate", ("A-2", "30.01"), management="A-1")
    )
    assert on.json()["rows"][0]["most"]["amount"] == "30.00"
    withdrawal = {
        "document_type": "withdrawal",
        "document_id": "W-1",
        "account": "A-1",
        "amount": {"amount": "30.01", "currency": "CNY"},
        "submit": True,
    }
    assert (await maker.post("/documents", json=withdrawal)).json()["type"].endswith("beyond-transferable")


async def test_a_management_account_allocates_for_itself_only(
    house: Harness, client_of: Any, make: Any
) -> None:
    own = client_of({"account-user"}, "boss", {"M-1"})
    assert (
        await own.post("/allocations", json=make.allocation("allocate", ("A-1", "1.00")))
    ).status_code == 201
    other = client_of({"account-user"}, "other", {"M-2"})
    assert (
        await other.post("/allocations", json=make.allocation("allocate", ("A-1", "1.00")))
    ).status_code == 404
    assert len((await own.get("/allocation-records")).json()["items"]) == 1
    assert (await other.get("/allocation-records")).json()["items"] == []


async def test_above_an_amount_another_person_approves(
    house: Harness, maker: httpx.AsyncClient, client_of: Any, broken: Any, make: Any
) -> None:
    above = {"above": {"amount": "50.00", "currency": "CNY"}}
    assert (
        await maker.put("/organisations/ORG-SHANGHAI/allocation-approval/CNY", json=above)
    ).status_code == 200
    assert (
        await maker.post("/allocations", json=make.allocation("allocate", ("A-1", "50.00")))
    ).status_code == 201
    waiting = await maker.post("/allocations", json=make.allocation("allocate", ("A-1", "50.01")))
    assert (waiting.status_code, waiting.json()["status"]) == (202, "waiting")
    path = f"/allocation-requests/{waiting.json()['batch_id']}"
    both = client_of({"finance-approver", "finance-maker"}, "maker")
    assert (await both.post(f"{path}/approve")).status_code == 403
    approver = client_of({"finance-approver"}, "approver")
    assert (await approver.post(f"{path}/approve")).json()["status"] == "posted"
    assert (await approver.post(f"{path}/approve")).status_code == 409
    assert (await maker.get(path)).json()["status"] == "posted"
    assert (await cash(house))["A-1"] == 130_01
    assert await broken() == []


async def test_the_same_command_again_allocates_once(
    house: Harness, maker: httpx.AsyncClient, broken: Any, make: Any
) -> None:
    """A client that retries after a read timeout sends the same Idempotency-Key."""
    key = {"Idempotency-Key": "again"}
    for _ in range(3):
        answer = await maker.post(
            "/allocations", json=make.allocation("allocate", ("A-1", "10.00")), headers=key
        )
        assert answer.status_code == 201
    assert (await cash(house))["A-1"] == 40_00
    assert await broken() == []


async def test_credits_records_join_the_list_once_and_its_own_are_ignored(
    house: Harness, maker: httpx.AsyncClient, make: Any
) -> None:
    await maker.post("/allocations", json=make.allocation("allocate", ("A-1", "10.00")))
    own = only(await house.drain(), AllocationRecorded)
    raw = [house.raw(own[0], source="coffer/fund-pool")]
    from dataclasses import replace

    limit = replace(own[0], record_id="L-1", method="credit-limit", operation="set", entry_id=None)
    raw += [house.raw(limit, source="coffer/credit"), house.raw(limit, source="coffer/credit")]
    await house.consume(raw)
    found = (await maker.get("/allocation-records")).json()["items"]
    assert sorted(row["method"] for row in found) == ["credit-limit", "funds"]
    export = await maker.get("/allocation-records/export?method=funds&format=csv")
    assert export.text.splitlines()[1].split(",")[3:7] == ["M-1", "A-1", "10.00", "CNY"]


async def test_the_overview_shows_a_management_account_its_members_and_a_member_itself(
    house: Harness, maker: httpx.AsyncClient, client_of: Any, make: Any
) -> None:
    await maker.post("/allocations", json=make.allocation("allocate", ("A-1", "100.00")))
    card = {"voucher_id": "K-1", "kind": "card", "amount": {"amount": "9.00", "currency": "CNY"}}
    assert (await maker.post("/accounts/A-1/vouchers", json=card)).status_code == 201
    boss = client_of({"account-user"}, "boss", {"M-1"})
    page = (await boss.get("/accounts/M-1/assets")).json()
    shown = {row["account"]: row for row in page["items"]}
    assert sorted(shown) == ["A-1", "M-1"]
    member = shown["A-1"]
    assert (member["available_quota"]["amount"], member["transferred_funds"]["amount"]) == (
        "130.00",
        "100.00",
    )
    assert (member["stored_value_cards"], member["vouchers"], member["alert_threshold"]) == (1, 0, "--")
    only_self = client_of({"account-user"}, "member", {"A-1"})
    assert [row["account"] for row in (await only_self.get("/accounts/A-1/assets")).json()["items"]] == [
        "A-1"
    ]
    assert (await only_self.get("/accounts/M-1/assets")).status_code == 404
    export = await boss.get("/accounts/M-1/assets/export?format=csv&sort=-quota")
    assert [line.split(",")[0] for line in export.text.splitlines()][1:] == ["M-1", "A-1", "total"]
    excel = await boss.get("/accounts/M-1/assets/export")
    assert excel.content[:2] == b"PK"


async def test_the_largest_batch_is_answered_row_by_row_and_its_answer_is_kept(
    house: Harness, maker: httpx.AsyncClient, make: Any
) -> None:
    """Ten thousand rows, all refused with their sentence: the answer, some megabytes, is given again to a repeat."""
    body = make.allocation("allocate", *((f"NOBODY-{number}", "1.00") for number in range(10_000)))
    key = {"Idempotency-Key": "large"}
    first, again = [await maker.post("/allocations", json=body, headers=key) for _ in range(2)]
    assert (first.status_code, first.json()["refused"]) == (200, 10_000)
    assert len(first.content) > 1_048_576
    assert again.content == first.content
