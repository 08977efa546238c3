"""What fund-pool says to requests to end a relationship."""

from datetime import UTC, datetime
from typing import Any

import pytest
from chassis.testing import Harness, only
from fund_pool.domain.ends import Balance, MemberMoney, answer

from contracts import RelationshipEndAnswered, RelationshipEndRequested

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


def asked(**others: Any) -> RelationshipEndRequested:
    values: dict[str, Any] = {
        "request_id": "Q-1",
        "purpose": "end",
        "relationship_id": "R-1",
        "relationship_version": 2,
        "kind": "trusteeship",
        "management_account": "M-1",
        "member_account": "A-1",
        "requested_by": "member",
        "requested_at": NOW,
        "answer_by": NOW,
    }
    return RelationshipEndRequested(**{**values, **others})


def test_an_order_that_waits_stands_against_the_end_of_trusteeship_only() -> None:
    money = MemberMoney(pending_count=150, pending=[f"SO-{number:03}" for number in range(100)])
    refused = answer(asked(), money, NOW)
    assert (refused.outcome, refused.obstacles_count, len(refused.obstacles)) == ("refused", 150, 100)
    assert refused.obstacles[0].reference == "SO-000"
    assert answer(asked(kind="financial"), money, NOW).outcome == "agreed"


def test_what_lies_in_the_members_accounts_stays() -> None:
    told = answer(asked(), MemberMoney(balances=[Balance("cash", "KWD", 1_500)]), NOW)
    assert told.outcome == "agreed"
    assert [(each.account_type, each.amount.amount) for each in told.staying] == [("cash", "1.500")]


@pytest.mark.stack
async def test_requests_are_answered_and_counted_as_versions(harness: Harness, make: Any) -> None:
    await harness.play(*make.master_data("A-1", "M-1"), make.payment("A-1", "30.00", payment_id="P-1"))
    await harness.spoil(
        "insert into order_state (source, order_id, account, status) values"
        " ('shop', 'SO-9', 'A-1', 'pending-approval'), ('shop', 'SO-8', 'A-1', 'accepted');"
        "insert into relationship values ('R-1', 1, 'trusteeship', 'M-1', 'A-1', 'active', '{}', 'A-1', 'none'),"
        " ('R-2', 1, 'financial', 'M-1', 'A-1', 'active', '{}', 'A-1', 'none')"
    )
    told = only(
        await harness.play(
            asked(), asked(request_id="Q-2", relationship_id="R-2", kind="financial", purpose="preview")
        ),
        RelationshipEndAnswered,
    )
    assert [(each.request_id, each.outcome, each.obstacles_count) for each in told] == [
        ("Q-1", "refused", 1),
        ("Q-2", "agreed", 0),
    ]
    assert [each.amount.amount for each in told[1].staying] == ["30.00"]
    versions = await harness.rows("select relationship_id, version from relationship order by 1")
    assert [(row["relationship_id"], row["version"]) for row in versions] == [("R-1", 2), ("R-2", 1)]
