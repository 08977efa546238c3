"""What credit says to requests to end a relationship."""

from datetime import UTC, datetime

import pytest
from chassis.testing import Harness, only
from credit.app import service

from contracts import RelationshipEndAnswered, RelationshipEndRequested

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.mark.stack
async def test_each_request_is_agreed_to_by_its_id(postgres_dsn: str) -> None:
    request = RelationshipEndRequested(
        request_id="Q-1",
        purpose="end",
        relationship_id="R-1",
        relationship_version=3,
        kind="financial",
        management_account="M-1",
        member_account="A-1",
        requested_by="member",
        requested_at=NOW,
        answer_by=NOW,
    )
    async with Harness(service, postgres_dsn) as harness:
        told = only(await harness.play(request), RelationshipEndAnswered)
    assert [
        (each.request_id, each.relationship_version, each.answered_by, each.outcome) for each in told
    ] == [("Q-1", 3, "credit", "agreed")]
