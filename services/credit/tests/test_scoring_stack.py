"""Scoring over HTTP on a real database: from the tree to the grade and what it grants."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from chassis.testing import only
from contracts.task_changed import TaskChanged

pytestmark = pytest.mark.stack

PROBLEM = "urn:coffer:problem:"
OPTIONS = [{"name": "good", "score": "80"}, {"name": "fair", "score": "60"}, {"name": "best", "score": "90"}]
RATE = [{"below": "80", "score": "0"}, {"at_least": "80", "score": "90"}]
WHY = {"reason": "yearly review"}


def key() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid4())}


async def put(bench: Any, path: str, body: dict[str, Any], status: int = 200, **who: Any) -> Any:
    async with bench.client(who.pop("roles", {"credit-manager"}), **who) as client:
        answer = await client.put(path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


async def post(bench: Any, path: str, body: dict[str, Any], status: int = 200, **who: Any) -> Any:
    async with bench.client(who.pop("roles", {"credit-manager"}), **who) as client:
        answer = await client.post(path, json=body, headers=key())
    assert answer.status_code == status, answer.text
    return answer.json()


async def get(bench: Any, path: str) -> Any:
    async with bench.client({"auditor"}) as client:
        answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def terms(amount: str) -> list[dict[str, Any]]:
    return [{"currency": "CNY", "credit_limit": {"amount": amount, "currency": "CNY"}, "enforcement": "warn"}]


async def definitions(bench: Any, **model: Any) -> None:
    """The worked model: 0.4 x (0.5 x punctual + 0.5 x honest) + 0.6 x rate, the last fed by another system."""
    await put(bench, "/indicators/conduct", {"name": "Conduct"})
    for name in ("punctual", "honest"):
        await put(bench, f"/indicators/{name}", {"name": name, "parent": "conduct", "options": OPTIONS})
    await put(bench, "/indicators/rate", {"name": "On-time", "bands": RATE, "provider": "supplied"})
    grades = [
        {"grade": "A", "at_least": "80", "terms": terms("5000.00")},
        {"grade": "B", "at_least": "0", "terms": terms("0.00")},
    ]
    await put(bench, "/grade-standards/dealers", {"name": "Dealers", "grades": grades})
    weights = {"conduct": "40", "punctual": "50", "honest": "50", "rate": "60"}
    body = {
        "name": "2026",
        "standard_id": "dealers",
        "indicators": [{"indicator_id": each, "weight_percent": weight} for each, weight in weights.items()],
    }
    await put(bench, "/scoring-models/2026", body | model)


async def started(bench: Any, objects: list[str], scorers: dict[str, str]) -> str:
    """A round led step by step; its one sheet's id, or the round's when there are several."""
    begun = await post(bench, "/scoring-rounds", {"model_id": "2026"}, 201, subject="maker")
    assert begun["missing"] == ["objects", "scorers", "deadline"]
    path = f"/scoring-rounds/{begun['round_id']}"
    async with bench.client({"credit-manager"}, subject="maker") as client:
        people = [{"person": person, "weight_percent": weight} for person, weight in scorers.items()]
        changed = await client.patch(path, json={"objects": objects, "scorers": people})
        assert changed.json()["missing"] == ["deadline"], changed.text
        early = await client.post(f"{path}/start", json=WHY, headers=key())
        assert (early.status_code, early.json()["type"]) == (422, f"{PROBLEM}round-incomplete")
        await client.patch(path, json={"deadline": "2090-01-01T00:00:00Z"})
    await post(bench, f"{path}/start", WHY, subject="maker")
    items = (await get(bench, f"/score-sheets?round_id={begun['round_id']}"))["items"]
    assert sorted(item["object_id"] for item in items) == objects
    return str(items[0]["sheet_id"]) if len(objects) == 1 else str(begun["round_id"])


async def answered(bench: Any, sheet: str, person: str, **answers: str) -> Any:
    body = {"answers": answers}
    return await put(bench, f"/score-sheets/{sheet}/answers", body, roles={"credit-scorer"}, subject=person)


async def test_from_the_tree_to_82_points_a_grade_and_a_limit(bench: Any, make: Any) -> None:
    await bench.managed_customer(make, "C-1", 100)
    await bench.play(make.customer_record("C-2"))
    await definitions(bench, grade="write")
    await put(bench, "/indicator-values/rate", {"values": [{"object_id": "C-1", "value": "96.5"}]})
    sheet = await started(bench, ["C-1"], {"ann": "100"})
    opened = only(await bench.drain(), TaskChanged)
    assert [(task.kind, task.assignee) for task in opened] == [("fill-in-score-sheets", "ann")]

    half = await answered(bench, sheet, "ann", punctual="good")
    assert (half["state"], half["score"]) == ("open", None)
    assert half["missing"] == [{"scorer": "ann", "indicator_id": "honest"}]
    whole = await answered(bench, sheet, "ann", honest="fair")
    assert (whole["state"], whole["score"], whole["grade"]) == ("complete", "82.00", "A")
    assert whole["by_indicator"] == {"honest": "60.00", "punctual": "80.00", "rate": "90.00"}
    tasks = only(await bench.drain(), TaskChanged)
    assert {(task.kind, task.state) for task in tasks} == {
        ("fill-in-score-sheets", "done"),
        ("approve-score", "opened"),
    }

    for person in ("maker", "ann"):
        own = await post(
            bench, f"/score-sheets/{sheet}/approve", WHY, 403, roles={"credit-approver"}, subject=person
        )
        assert own["type"] == f"{PROBLEM}four-eyes"
    done = await post(bench, f"/score-sheets/{sheet}/approve", WHY, roles={"credit-approver"}, subject="boss")
    assert (done["state"], done["grade_state"]) == ("approved", "written")
    assert [row["grade"] for row in (await get(bench, "/grades"))["items"]] == ["A"]
    again = await post(
        bench, f"/score-sheets/{sheet}/approve", WHY, 409, roles={"credit-approver"}, subject="boss"
    )
    assert again["type"] == f"{PROBLEM}sheet-not-complete"

    wish = {"standard_id": "dealers", "currency": "CNY", "reason": "yearly"}
    preview = await post(bench, "/grants/preview", wish)
    [change] = preview["changes"]
    assert (change["limit_before"]["amount"], change["limit"]["amount"]) == ("1.00", "5000.00")
    assert (change["new"], preview["applied"]) == (False, False)
    without = await post(bench, "/grants", wish, 409)
    assert without["type"] == f"{PROBLEM}preview-outdated"
    await post(bench, "/grants", wish | {"preview": preview["preview"]})
    profile = await get(bench, "/customers/C-1/profiles/CNY")
    assert (profile["credit_limit"]["limit"]["amount"], profile["credit_limit"]["enforcement"]) == (
        "5000.00",
        "warn",
    )
    versions = (await get(bench, f"/profiles/{profile['profile_id']}/versions"))["items"]
    assert [(row["version"], row["reason"]) for row in versions] == [
        (3, "yearly"),
        (2, f"grade A by score sheet {sheet}"),
        (1, "the test says so"),
    ]
    terms_of_profile = await get(bench, f"/profiles/{profile['profile_id']}/terms")
    assert terms_of_profile["grade"] == "A"
    assert (await post(bench, "/grants/preview", wish))["changes"] == []
    assert await bench.broken() == []


async def test_a_grade_at_once_makes_the_profile_that_is_not_there(bench: Any, make: Any) -> None:
    await bench.play(make.customer_record("C-1"))
    await definitions(bench, grade="propose", grant="at-once")
    await put(bench, "/indicator-values/rate", {"values": [{"object_id": "C-1", "value": "80"}]})
    sheet = await started(bench, ["C-1"], {"ann": "50", "bob": "50"})
    await answered(bench, sheet, "ann", punctual="good", honest="good")
    both = await answered(bench, sheet, "bob", punctual="best", honest="best")
    assert both["score"] == "88.00", "0.4 x 85 + 0.6 x 90"
    boss: Any = {"roles": {"credit-approver"}, "subject": "boss"}
    proposed = await post(bench, f"/score-sheets/{sheet}/approve", WHY, **boss)
    assert proposed["grade_state"] == "proposed"
    assert (await get(bench, "/grades"))["items"] == []
    written = await post(bench, f"/score-sheets/{sheet}/apply-grade", WHY)
    assert written["grade_state"] == "written"
    profile = await get(bench, "/customers/C-1/profiles/CNY")
    assert profile["credit_limit"]["limit"]["amount"] == "5000.00"
    checks = await bench.checks(make.order("O-1", 500_000))
    assert [check.outcome for check in checks] == ["approved"]
    assert await bench.broken() == []


async def test_only_credit_managed_customers_are_scored(bench: Any, make: Any) -> None:
    await bench.play(make.customer_record("C-1", credit_managed=False))
    await definitions(bench)
    body = {
        "model_id": "2026",
        "objects": ["C-1", "C-9"],
        "scorers": [{"person": "ann", "weight_percent": "100"}],
        "deadline": "2090-01-01T00:00:00Z",
    }
    made = await post(bench, "/scoring-rounds", body, 201)
    refused = await post(bench, f"/scoring-rounds/{made['round_id']}/start", WHY, 422)
    assert refused["type"] == f"{PROBLEM}not-credit-managed"
    assert refused["errors"][0]["message"].startswith("name C-1, C-9: only known")


async def test_what_the_deadline_finds_incomplete_lapses(bench: Any, make: Any) -> None:
    await bench.play(make.customer_record("C-1"), make.customer_record("C-2"))
    await definitions(bench)
    values = [{"object_id": each, "value": "81"} for each in ("C-1", "C-2")]
    await put(bench, "/indicator-values/rate", {"values": values})
    found = await started(bench, ["C-1", "C-2"], {"ann": "100"})
    sheets = (await get(bench, f"/score-sheets?round_id={found}"))["items"]
    first = next(sheet["sheet_id"] for sheet in sheets if sheet["object_id"] == "C-1")
    await answered(bench, first, "ann", punctual="good", honest="fair")
    await bench.drain()
    deadline = (await bench.rows("select due_at from timer where kind = 'scoring-deadline'"))[0]["due_at"]
    told = only(await bench.fire_timers(deadline + timedelta(seconds=1)), TaskChanged)
    assert [(task.kind, task.state, task.assignee) for task in told] == [
        ("fill-in-score-sheets", "withdrawn", "ann")
    ]
    states = {
        sheet["object_id"]: sheet["state"]
        for sheet in (await get(bench, f"/score-sheets?round_id={found}"))["items"]
    }
    assert states == {"C-1": "complete", "C-2": "lapsed"}
    late = await put(
        bench,
        f"/score-sheets/{first}/answers",
        {"answers": {"honest": "good"}},
        409,
        roles={"credit-scorer"},
        subject="ann",
    )
    assert late["type"] == f"{PROBLEM}sheet-closed"


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("/indicators/conduct", {"name": "C", "parent": "honest"}, "parent-is-scored"),
    ("/indicators/top", {"name": "T", "parent": "top"}, "indicator-cycle"),
    ("/indicators/x", {"name": "X", "parent": "nowhere"}, "unknown-indicator"),
    ("/indicators/x", {"name": "X", "options": OPTIONS, "bands": RATE}, "scoring-invalid"),
    ("/indicators/x", {"name": "X", "bands": RATE, "provider": "oracle"}, "scoring-invalid"),
    ("/indicators/x", {"name": "X", "options": OPTIONS, "provider": "supplied"}, "scoring-invalid"),
    ("/indicators/x", {"name": "X", "bands": [*RATE, *RATE]}, "bands-broken"),
    (
        "/grade-standards/x",
        {"name": "X", "grades": [{"grade": "A", "at_least": "1"}]},
        "grades-broken",
    ),
    (
        "/scoring-models/x",
        {
            "name": "X",
            "standard_id": "dealers",
            "indicators": [{"indicator_id": "rate", "weight_percent": "99"}],
        },
        "weights-not-whole",
    ),
    (
        "/scoring-models/x",
        {
            "name": "X",
            "standard_id": "nothing",
            "indicators": [{"indicator_id": "rate", "weight_percent": "100"}],
        },
        "scoring-invalid",
    ),
]


async def test_definitions_that_cannot_be_right_are_refused(bench: Any) -> None:
    await definitions(bench)
    for path, body, code in REFUSED:
        refused = await put(bench, path, body, 422)
        assert refused["type"] == f"{PROBLEM}{code}", (path, body)


async def test_two_changes_of_the_tree_cannot_close_a_circle_together(bench: Any) -> None:
    await put(bench, "/indicators/a", {"name": "A"})
    await put(bench, "/indicators/b", {"name": "B", "parent": "a"})
    refused = await put(bench, "/indicators/a", {"name": "A", "parent": "b"}, 422)
    assert "a under b under a" in refused["errors"][0]["message"]


async def test_answers_are_for_the_named_scorers_and_the_asked_indicators(bench: Any, make: Any) -> None:
    await bench.play(make.customer_record("C-1"))
    await definitions(bench)
    sheet = await started(bench, ["C-1"], {"ann": "100"})
    path = f"/score-sheets/{sheet}/answers"
    who: Any = {"roles": {"credit-scorer"}, "subject": "eve"}
    stranger = await put(bench, path, {"answers": {"honest": "good"}}, 403, **who)
    assert stranger["type"] == f"{PROBLEM}not-a-scorer"
    ann: Any = {"roles": {"credit-scorer"}, "subject": "ann"}
    for answers, field in (
        ({"rate": "99"}, "answers.rate"),
        ({"honest": "great"}, "answers.honest"),
        ({"nothing": "good"}, "answers.nothing"),
    ):
        refused = await put(bench, path, {"answers": answers}, 422, **ann)
        assert refused["errors"][0]["field"] == field
    await put(bench, "/indicator-values/rate", {"values": [{"object_id": "C-1", "value": "95"}]})
    await answered(bench, sheet, "ann", punctual="good", honest="good")
    fresh = await post(bench, f"/score-sheets/{sheet}/refresh", WHY, roles={"credit-scorer"}, subject="ann")
    assert (fresh["state"], fresh["score"]) == ("complete", "86.00")
    refused = await put(
        bench, "/indicator-values/honest", {"values": [{"object_id": "C-1", "value": "1"}]}, 422
    )
    assert refused["errors"][0]["field"] == "indicator_id"
