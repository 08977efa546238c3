"""Ending a relationship: fund-pool and credit are asked first, and their answers are played by plain events."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from chassis.testing import only
from contracts.money import Money
from contracts.relationship_end_answered import Obstacle, Staying

from contracts import RelationshipChanged, RelationshipEndRequested, SharingChanged

pytestmark = pytest.mark.stack

NOW = datetime(2026, 3, 10, 8, 0, tzinfo=UTC)
Town = Any
"""Of conftest, which tests cannot import from."""
OBSTACLE = Obstacle(code="pending-order", text="Order SO-9 is not decided.", reference="SO-9")
STAYING = Staying(account_type="cash", amount=Money(amount="400.00", currency="CNY"), text="Cash.")


async def outcomes(town: Town) -> list[tuple[str, str | None]]:
    changed = only(await town.harness.drain(), RelationshipChanged)
    return [(event.state, event.end_outcome) for event in changed if event.request_id is not None]


async def test_one_refusal_keeps_the_relationship_and_says_why(town: Town) -> None:
    relationship_id = await town.relate("S1", "financial", "sync-credit-identity")
    asked = await town.end("S1", relationship_id)
    told = only(await town.harness.drain(), RelationshipEndRequested)
    assert [(each.purpose, each.relationship_version, each.requested_by) for each in told] == [
        ("end", 3, "member")
    ]
    again = await town.end("M", relationship_id)
    assert (again["request_id"], again["version"]) == (asked["request_id"], 3)
    await town.answer_end(asked, "fund-pool", "refused", obstacles=[OBSTACLE], obstacles_count=1)
    assert await outcomes(town) == [("active", "refused")]
    await town.answer_end(asked, "credit")
    assert await outcomes(town) == []
    path = f"/relationships/{relationship_id}/end-requests/{asked['request_id']}"
    seen = await town.management.get(path)
    assert (seen["outcome"], seen["answers"][0]["obstacles"][0]["reference"]) == ("refused", "SO-9")
    assert (await town.management.get(f"/relationships/{relationship_id}"))["ending"] is None
    assert await town.broken() == []


async def test_without_every_answer_the_request_is_over_after_a_day(town: Town) -> None:
    relationship_id = await town.relate("S1", "financial")
    asked = await town.end("S1", relationship_id)
    await town.answer_end(asked, "fund-pool")
    await town.harness.drain()
    assert await town.harness.fire_timers(NOW + timedelta(hours=23)) == []
    told = only(await town.harness.fire_timers(NOW + timedelta(hours=24, minutes=1)), RelationshipChanged)
    assert [(event.state, event.end_outcome) for event in told] == [("active", "timed-out")]
    await town.answer_end(asked, "credit")
    assert await outcomes(town) == []


async def test_the_side_that_asked_withdraws(town: Town) -> None:
    relationship_id = await town.relate("S1", "trusteeship")
    asked = await town.end("S1", relationship_id)
    path = f"/relationships/{relationship_id}/end/withdraw"
    assert (await town.management.post(path)).json()["type"] == "urn:coffer:problem:not-your-side"
    assert (await town.person("S1").post(path)).json()["ending"] is None
    assert await outcomes(town) == [("active", "withdrawn")]
    assert (await town.person("S1").post(path)).json()["type"] == "urn:coffer:problem:not-ending"
    assert await town.harness.rows("select * from timer") == []
    await town.answer_end(asked, "fund-pool")
    await town.answer_end(asked, "credit")
    assert (await town.management.get(f"/relationships/{relationship_id}"))["state"] == "active"


async def test_a_preview_lists_what_stands_against_it_what_stays_and_what_is_lost(town: Town) -> None:
    relationship_id = await town.relate("S1", "trusteeship")
    await town.resources("RI1")
    await town.change("share-types", types=["reserved-instance"])
    await town.change("accept-types", accounts=["S1"], types=["reserved-instance"])
    seen = (await town.person("S1").post(f"/relationships/{relationship_id}/end-previews")).json()
    assert [(each["resource"], each["change"]) for each in seen["losses"]] == [("RI1", "lost")]
    again = (await town.management.post(f"/relationships/{relationship_id}/end-previews")).json()
    assert again["request_id"] == seen["request_id"]
    asked = {
        "request_id": seen["request_id"],
        "relationship_id": relationship_id,
        "version": 2,
        "member_account": "S1",
    }
    events = await town.harness.drain()
    assert [each.purpose for each in only(events, RelationshipEndRequested)] == ["preview"]
    await town.answer_end(asked, "credit")
    await town.answer_end(
        asked, "fund-pool", "refused", obstacles=[OBSTACLE], obstacles_count=1, staying=[STAYING]
    )
    path = f"/relationships/{relationship_id}/end-requests/{seen['request_id']}"
    seen = await town.person("S1").get(path)
    assert seen["outcome"] == "answered"
    assert [each["amount"]["amount"] for each in seen["answers"][1]["staying"]] == ["400.00"]
    assert only(await town.harness.drain(), RelationshipChanged) == []
    listed = await town.management.get(f"/relationships/{relationship_id}/end-requests")
    assert [each["purpose"] for each in listed["items"]] == ["preview"]
    assert (await town.person("S2").http.get(path)).status_code == 404


async def test_both_answers_in_one_batch_end_it_and_repeats_change_nothing(town: Town) -> None:
    relationship_id = await town.relate("S1", "financial")
    asked = await town.end("S1", relationship_id)
    for service in ("credit", "fund-pool", "credit"):
        await town.answer_end(asked, service)
    assert await outcomes(town) == [("ended", "ended")]
    unknown = {**asked, "request_id": "nobody-asked"}
    await town.answer_end(unknown, "credit")
    refused = await town.harness.rows("select reason from dead_letter")
    assert [row["reason"] for row in refused] == ["unknown-end-request"]
    again = await town.relate("S1", "financial")
    assert again != relationship_id
    assert only(await town.harness.drain(), SharingChanged) == []
