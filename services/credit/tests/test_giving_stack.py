"""Temporary credit, credit changes and members' limits on a real database."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from chassis.testing import only
from contracts.allocation_recorded import AllocationRecorded
from contracts.credit_alerted import CreditAlerted
from contracts.credit_limit_answered import CreditLimitAnswered
from contracts.credit_limit_changed import CreditLimitChanged
from contracts.credit_limit_proposed import CreditLimitProposed
from contracts.money import Money, SignedMoney
from contracts.order import Reason
from contracts.relationship_changed import Permission, RelationshipChanged
from contracts.relationship_end_answered import RelationshipEndAnswered
from contracts.relationship_end_requested import RelationshipEndRequested
from contracts.task_changed import TaskChanged
from credit.giving_invariants import CHECKS
from credit.repository.credit_documents import temporary_credits
from credit.repository.members import SYNC_CREDIT, VIEW_FINANCES

pytestmark = pytest.mark.stack

PROBLEM = "urn:coffer:problem:"
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ENTERPRISE = "/enterprises/M-1/CNY"
WHY = {"reason": "as agreed"}


def cny(minor: int) -> dict[str, str]:
    return {"amount": Money.of(minor, "CNY").amount, "currency": "CNY"}


async def send(
    bench: Any,
    method: str,
    path: str,
    body: Any,
    status: int = 200,
    roles: Any = ("credit-manager",),
    **who: Any,
) -> Any:
    async with bench.client(roles, **who) as client:
        answer = await client.request(method, path, json=body, headers={"Idempotency-Key": str(uuid4())})
    assert answer.status_code == status, answer.text
    return answer.json()


async def get(bench: Any, path: str) -> Any:
    async with bench.client({"auditor"}) as client:
        answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def related(member: str = "A-2", version: int = 1, **changes: Any) -> RelationshipChanged:
    fields: dict[str, Any] = {
        "relationship_id": f"R-{member}",
        "relationship_version": version,
        "kind": "financial",
        "management_account": "M-1",
        "member_account": member,
        "state": "active",
        "permissions": [Permission(name=name, state="accepted") for name in (SYNC_CREDIT, VIEW_FINANCES)],
        "display_name": "East",
        "changed_at": NOW,
    }
    return RelationshipChanged(**(fields | changes))


def end_request(request_id: str = "Q-1", purpose: Any = "end", version: int = 2) -> RelationshipEndRequested:
    return RelationshipEndRequested(
        request_id=request_id,
        purpose=purpose,
        relationship_id="R-A-2",
        relationship_version=version,
        kind="financial",
        management_account="M-1",
        member_account="A-2",
        requested_by="management",
        requested_at=NOW,
        answer_by=NOW + timedelta(hours=24),
    )


def limit_answer(
    proposal: CreditLimitProposed, outcome: Any, smallest: int | None = None
) -> CreditLimitAnswered:
    accepted = outcome == "accepted"
    return CreditLimitAnswered(
        account=proposal.account,
        limit_version=proposal.limit_version,
        outcome=outcome,
        proposed_limit=proposal.proposed_limit,
        limit=proposal.proposed_limit if accepted else proposal.current_limit,
        smallest_limit=Money.of(smallest, "CNY") if smallest is not None else None,
        available_quota=SignedMoney.of(1, "CNY"),
        reasons=[] if accepted else [Reason(code="quota-not-above-zero", text="The quota would be gone.")],
        answered_at=NOW,
    )


async def enterprise(bench: Any, limit: int = 100_000, mode: str = "member-limits", status: int = 200) -> Any:
    body = {"limit": cny(limit), "mode": mode, "reason": "frame contract"}
    return await send(bench, "PUT", ENTERPRISE, body, status)


async def change(
    bench: Any, operation: str, minor: int, status: int = 200, member: str = "A-2", **who: Any
) -> Any:
    body = {"operation": operation, "amount": cny(minor)}
    return await send(bench, "POST", f"{ENTERPRISE}/members/{member}/limit", body, status, **who)


async def test_a_raise_goes_out_at_once_and_only_within_the_free_credit(bench: Any) -> None:
    await enterprise(bench)
    await bench.play(related("A-2"), related("A-3"))
    await change(bench, "set", 60_000)
    raised = await bench.drain()
    [told] = only(raised, CreditLimitChanged)
    assert (told.account, told.limit_version, told.limit.amount) == ("A-2", 1, "600.00")
    [record] = only(raised, AllocationRecorded)
    assert (record.operation, record.result, record.method, record.limit_version) == (
        "set",
        "succeeded",
        "credit-limit",
        1,
    )
    assert (record.disbursing_account, record.receiving_account) == ("M-1", "A-2")
    beyond = await change(bench, "allocate", 40_001, 409, "A-3")
    assert (beyond["type"], beyond["free_minor"]) == (f"{PROBLEM}beyond-free-credit", 40_000)
    given = await change(bench, "allocate", 40_000, 200, "A-3")
    assert (given["own"]["amount"], given["allocated"]["amount"]) == ("0.00", "400.00")
    stands = await get(bench, ENTERPRISE)
    assert (stands["committed"]["amount"], stands["free"]["amount"]) == ("1000.00", "0.00")
    lower = await enterprise(bench, 99_999, status=409)
    assert lower["type"] == f"{PROBLEM}below-committed"
    assert await bench.broken() == []


async def test_a_lowering_is_proposed_and_taken_over_from_the_answer(bench: Any) -> None:
    await enterprise(bench)
    await bench.play(related())
    await change(bench, "allocate", 60_000)
    await bench.drain()
    asked = await change(bench, "reclaim", 50_000)
    assert (asked["result"], asked["limit"]["amount"], asked["pending_version"]) == ("pending", "600.00", 2)
    told = await bench.drain()
    [proposal] = only(told, CreditLimitProposed)
    assert only(told, AllocationRecorded) == []
    assert (proposal.current_limit.amount, proposal.proposed_limit.amount) == ("600.00", "100.00")
    busy = await change(bench, "allocate", 1, 409)
    assert busy["type"] == f"{PROBLEM}change-pending"
    assert (await get(bench, ENTERPRISE))["free"]["amount"] == "400.00", "a pending lowering frees nothing"
    [record] = only(await bench.play(limit_answer(proposal, "accepted")), AllocationRecorded)
    assert (record.operation, record.result, record.amount.amount) == ("reclaim", "succeeded", "500.00")
    assert (record.disbursing_account, record.receiving_account) == ("A-2", "M-1")
    assert await bench.play(limit_answer(proposal, "accepted")) == [], "a repeated answer changes nothing"
    assert (await get(bench, ENTERPRISE))["free"]["amount"] == "900.00"
    assert (await get(bench, "/members/A-2/limits/CNY"))["limit"]["amount"] == "100.00"
    too_much = await change(bench, "reclaim", 10_001, 409)
    assert too_much["type"] == f"{PROBLEM}beyond-allocated"
    assert await bench.broken() == []


async def test_a_refused_lowering_keeps_the_limit_and_says_the_smallest_that_would_pass(bench: Any) -> None:
    await enterprise(bench)
    await bench.play(related())
    await change(bench, "set", 60_000)
    await change(bench, "set", 1_000)
    [proposal] = only(await bench.drain(), CreditLimitProposed)
    [record] = only(await bench.play(limit_answer(proposal, "refused", 35_001)), AllocationRecorded)
    assert (record.result, record.total and record.total.amount) == ("refused", "600.00")
    assert [reason.code for reason in record.reasons] == ["quota-not-above-zero"]
    newest, _ = (await get(bench, f"{ENTERPRISE}/limit-changes?member=A-2"))["items"]
    assert (newest["result"], newest["smallest_limit"]["amount"]) == ("refused", "350.01")
    again = await change(bench, "set", 35_001)
    assert (again["limit_version"], again["result"]) == (3, "pending")
    assert await bench.broken() == []


async def test_an_answer_to_what_was_never_proposed_is_a_dead_letter(bench: Any) -> None:
    stray = CreditLimitProposed(
        account="A-9",
        limit_version=7,
        current_limit=Money.of(2, "CNY"),
        proposed_limit=Money.of(1, "CNY"),
        proposed_at=NOW,
    )
    await bench.play(limit_answer(stray, "accepted"))
    assert await bench.dead_letters() == ["unknown-proposal"]


async def test_members_need_a_relationship_with_both_permissions(bench: Any) -> None:
    await enterprise(bench)
    assert (await change(bench, "set", 1, 409))["type"] == f"{PROBLEM}not-related"
    one = [Permission(name=SYNC_CREDIT, state="accepted"), Permission(name=VIEW_FINANCES, state="refused")]
    await bench.play(related(permissions=one))
    assert (await change(bench, "set", 1, 409))["type"] == f"{PROBLEM}not-related"
    await bench.play(related(version=3), related(version=2, state="ended"))
    assert (await change(bench, "set", 1))["result"] == "succeeded", "the highest version counts"


async def test_a_management_account_gives_to_its_own_members_only(bench: Any) -> None:
    await enterprise(bench)
    await bench.play(related())
    person: Any = {"roles": {"account-user"}, "accounts": {"M-1"}}
    await change(bench, "set", 500, **person)
    stranger: Any = {"roles": {"account-user"}, "accounts": {"A-2"}}
    await change(bench, "set", 600, 404, **stranger)
    async with bench.client({"account-user"}, {"A-2"}) as client:
        assert (await client.get("/members/A-2/limits/CNY")).json()["limit"]["amount"] == "5.00"
        assert (await client.get(ENTERPRISE)).status_code == 404


async def test_entity_level_credit_is_one_line_of_the_management_account(bench: Any) -> None:
    await enterprise(bench, mode="entity")
    await bench.play(related())
    wrong = await change(bench, "set", 100, 409)
    assert wrong["type"] == f"{PROBLEM}wrong-mode"
    await change(bench, "set", 80_000, member="M-1")
    [told] = only(await bench.drain(), CreditLimitChanged)
    assert (told.account, told.limit.amount) == ("M-1", "800.00")
    assert (await enterprise(bench, mode="member-limits", status=409))["type"] == f"{PROBLEM}mode-in-use"
    [answer] = only(await bench.play(end_request()), RelationshipEndAnswered)
    assert answer.outcome == "agreed", "with one shared line there is nothing to reclaim"


async def test_a_relationship_ends_only_without_a_limit_and_nothing_new_is_given_meanwhile(
    bench: Any,
) -> None:
    await enterprise(bench)
    await bench.play(related())
    await change(bench, "allocate", 500)
    [refused] = only(await bench.play(end_request("Q-1")), RelationshipEndAnswered)
    assert (refused.outcome, refused.obstacles_count) == ("refused", 1)
    assert [(each.code, each.amount and each.amount.amount) for each in refused.obstacles] == [
        ("allocated-credit-limit", "5.00")
    ]
    await change(bench, "allocate", 1)
    await change(bench, "reclaim", 501)
    [proposal] = only(await bench.drain(), CreditLimitProposed)
    [busy] = only(await bench.play(end_request("Q-2")), RelationshipEndAnswered)
    assert [each.code for each in busy.obstacles] == ["change-pending"]
    await bench.play(limit_answer(proposal, "accepted"))
    [preview] = only(await bench.play(end_request("Q-3", "preview")), RelationshipEndAnswered)
    assert preview.outcome == "agreed"
    await change(bench, "set", 0)
    [agreed] = only(await bench.play(end_request("Q-4", version=5)), RelationshipEndAnswered)
    assert agreed.outcome == "agreed"
    frozen = await change(bench, "set", 100, 409)
    assert frozen["type"] == f"{PROBLEM}relationship-ending"
    await bench.play(related(version=6, request_id="Q-4", end_outcome="withdrawn"))
    assert (await change(bench, "set", 100))["result"] == "succeeded"
    assert await bench.broken() == []


async def test_a_request_that_comes_after_its_own_end_freezes_nothing(bench: Any) -> None:
    await enterprise(bench)
    await bench.play(related(version=3, request_id="Q-1", end_outcome="timed-out"))
    [late] = only(await bench.play(end_request("Q-1")), RelationshipEndAnswered)
    assert late.outcome == "agreed"
    assert (await change(bench, "set", 100))["result"] == "succeeded"


async def test_sixteen_raises_at_once_never_pass_the_enterprise(bench: Any) -> None:
    await enterprise(bench, 10_000)
    await bench.play(*(related(f"A-{number}") for number in range(16)))

    async def raise_one(number: int) -> int:
        async with bench.client({"credit-manager"}) as client:
            body = {"operation": "set", "amount": cny(1_500)}
            headers = {"Idempotency-Key": str(uuid4())}
            path = f"{ENTERPRISE}/members/A-{number}/limit"
            return int((await client.post(path, json=body, headers=headers)).status_code)

    answers = await asyncio.gather(*(raise_one(number) for number in range(16)))
    assert sorted(answers) == [200] * 6 + [409] * 10
    assert (await get(bench, ENTERPRISE))["committed"]["amount"] == "90.00"
    assert await bench.broken() == []


async def profile_of(bench: Any, make: Any, limit: int = 10_000) -> str:
    await bench.managed_customer(make, "C-1", limit)
    return str((await get(bench, "/customers/C-1/profiles/CNY"))["profile_id"])


def temporary(profile_id: str, **changes: Any) -> dict[str, Any]:
    body = {
        "document_id": "TC-1",
        "profile_id": profile_id,
        "amount": cny(2_000),
        "valid_from": "2026-06-01",
        "valid_to": "2026-08-31",
        "reason": "season",
    }
    return body | changes


async def test_temporary_credit_holds_once_another_person_approves_it(bench: Any, make: Any) -> None:
    bench.now = NOW
    profile_id = await profile_of(bench, make)
    maker: Any = {"roles": {"credit-manager", "credit-approver"}, "subject": "ann"}
    boss: Any = {"roles": {"credit-approver"}, "subject": "boss"}
    await send(bench, "POST", "/temporary-credits", temporary(profile_id), 201, **maker)
    [task] = only(await bench.drain(), TaskChanged)
    assert (task.kind, task.assignee_kind, task.assignee) == (
        "approve-temporary-credit",
        "role",
        "credit-approver",
    )
    again = await send(bench, "POST", "/temporary-credits", temporary(profile_id), **maker)
    assert again["state"] == "submitted"
    other = await send(
        bench, "POST", "/temporary-credits", temporary(profile_id, amount=cny(1)), 409, **maker
    )
    assert other["type"] == f"{PROBLEM}document-exists"
    own = await send(bench, "POST", "/credit-documents/TC-1/approve", WHY, 403, **maker)
    assert own["type"] == f"{PROBLEM}four-eyes"
    async with bench.connection() as connection:
        assert await temporary_credits(connection, [profile_id], date(2026, 6, 1)) == {}
    done = await send(bench, "POST", "/credit-documents/TC-1/approve", WHY, **boss)
    assert (done["state"], done["decided_by"]) == ("approved", "boss")
    async with bench.connection() as connection:
        [given] = (await temporary_credits(connection, [profile_id], date(2026, 6, 1)))[profile_id]
    assert (given.amount, given.mode) == (2_000, "add")
    twice = await send(bench, "POST", "/credit-documents/TC-1/reject", WHY, 409, **boss)
    assert twice["type"] == f"{PROBLEM}document-decided"
    assert await bench.broken() == []


async def test_temporary_credit_is_announced_a_week_before_it_ends_where_it_holds(
    bench: Any, make: Any
) -> None:
    bench.now = NOW
    group = {"name": "Group", "organisation_type": "group", "time_zone": "Asia/Shanghai"}
    await send(bench, "PUT", "/organisations/G-1", group)
    profile_id = await profile_of(bench, make)
    await send(bench, "POST", "/temporary-credits", temporary(profile_id), 201, subject="ann")
    boss: Any = {"roles": {"credit-approver"}, "subject": "boss"}
    await send(bench, "POST", "/credit-documents/TC-1/approve", WHY, **boss)
    await bench.drain()
    assert await bench.fire_timers(datetime(2026, 8, 23, 15, 59, tzinfo=UTC)) == []
    [opened] = only(await bench.fire_timers(datetime(2026, 8, 23, 16, 0, tzinfo=UTC)), CreditAlerted)
    assert (opened.kind, opened.state, opened.valid_until) == (
        "temporary-credit-ending",
        "opened",
        date(2026, 8, 31),
    )
    [resolved] = only(await bench.fire_timers(datetime(2026, 8, 31, 16, 0, tzinfo=UTC)), CreditAlerted)
    assert (resolved.state, resolved.episode_id) == ("resolved", opened.episode_id)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"valid_to": "2026-05-31"}, "valid_to"),
        ({"valid_from": "2020-01-01", "valid_to": "2020-01-31"}, "valid_to"),
        ({"amount": {"amount": "0.00", "currency": "CNY"}}, "amount.amount"),
        ({"amount": {"amount": "5", "currency": "JPY"}}, "currency"),
    ],
)
async def test_temporary_credit_that_cannot_be_right_is_refused(
    bench: Any, make: Any, changes: dict[str, Any], field: str
) -> None:
    bench.now = NOW
    profile_id = await profile_of(bench, make)
    refused = await send(bench, "POST", "/temporary-credits", temporary(profile_id, **changes), 422)
    assert refused["errors"][0]["field"] == field


async def test_a_credit_change_sets_the_limit_and_keeps_the_history(bench: Any, make: Any) -> None:
    profile_id = await profile_of(bench, make)
    body = {
        "document_id": "CC-1",
        "profile_id": profile_id,
        "credit_limit": cny(30_000),
        "enforcement": "warn",
        "reason": "review",
    }
    boss: Any = {"roles": {"credit-approver"}, "subject": "boss"}
    await send(bench, "POST", "/credit-changes", body, 201, subject="ann")
    await send(bench, "POST", "/credit-documents/CC-1/approve", WHY, **boss)
    profile = await get(bench, "/customers/C-1/profiles/CNY")
    assert (profile["credit_limit"], profile["version"]) == (
        {"limit": cny(30_000), "enforcement": "warn"},
        2,
    )
    newest, _ = (await get(bench, f"/profiles/{profile_id}/versions"))["items"]
    assert (newest["reason"], newest["changed_by"]) == ("credit change CC-1: review", "boss")
    await send(bench, "POST", "/credit-changes", body | {"document_id": "CC-2"}, 201, subject="ann")
    await bench.set_limits("C-1", make.limits(5))
    stale = await send(bench, "POST", "/credit-documents/CC-2/approve", WHY, 409, **boss)
    assert stale["type"] == f"{PROBLEM}profile-changed"
    eve = await send(bench, "POST", "/credit-documents/CC-2/withdraw", WHY, 403, subject="eve")
    assert eve["type"] == f"{PROBLEM}not-the-maker"
    gone = await send(bench, "POST", "/credit-documents/CC-2/withdraw", WHY, subject="ann")
    assert gone["state"] == "withdrawn"
    [listed] = (await get(bench, "/credit-documents?state=approved"))["items"]
    assert (listed["document_id"], listed["content"]["limit"]) == ("CC-1", cny(30_000))
    assert await bench.broken() == []


SPOILT = {
    "members-within-enterprise": "update enterprise set limit_minor = 1",
    "limits-equal-history": "update member_limit set own_minor = own_minor - 1",
    "one-limit-change-under-way": "update member_limit set pending_version = null",
    "temporary-credit-is-approved": "delete from temporary_credit",
    "grades-come-from-sheets": """
        with made as (
            insert into scoring_round (round_id, state, draft, made_by, made_at)
            values ('00000000-0000-0000-0000-000000000001', 'draft', '{}', 'x', now())),
        sheet as (
            insert into score_sheet (sheet_id, round_id, scope, scope_id, object_type, object_id, state, grade_state)
            values ('00000000-0000-0000-0000-000000000002', '00000000-0000-0000-0000-000000000001', 'group', '*',
                    'customer', 'C-1', 'open', 'none'))
        insert into credit_grade values ('group', '*', 'customer', 'C-1', 's', 'A', 90,
                                         '00000000-0000-0000-0000-000000000002', 'x', now())
    """,
}


async def test_spoiled_data_is_reported_by_its_check(bench: Any, make: Any) -> None:
    bench.now = NOW
    await enterprise(bench)
    await bench.play(related())
    await change(bench, "set", 60_000)
    await change(bench, "set", 50_000)
    profile_id = await profile_of(bench, make)
    await send(bench, "POST", "/temporary-credits", temporary(profile_id), 201, subject="ann")
    boss: Any = {"roles": {"credit-approver"}, "subject": "boss"}
    await send(bench, "POST", "/credit-documents/TC-1/approve", WHY, **boss)
    assert await bench.broken() == []
    assert set(SPOILT) == {check.name for check in CHECKS}
    owner = await asyncpg.connect(bench.dsn(f"{bench.role}_owner"))
    for check in CHECKS:
        spoiling = owner.transaction()
        await spoiling.start()
        await owner.execute(SPOILT[check.name])
        assert await owner.fetch(check.sql), check.name
        await spoiling.rollback()
    await owner.close()
