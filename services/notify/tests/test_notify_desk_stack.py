"""What people enter and ask over HTTP: rules, rehearsals, texts, silences, to-dos, people, files, resending."""

import base64
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from chassis.testing import only
from httpx import AsyncClient, Response
from notify.domain.delivery import Channel
from notify.domain.samples import EVENTS, payment_overdue, task
from notify.testing import quota_low

from contracts import NotificationStatus

pytestmark = pytest.mark.stack

LI = {"name": "李薇", "language": "en", "time_zone": "Asia/Shanghai", "email": "li.wei@example.com"}
RULE = {
    "position": 5,
    "kinds": ["quota-low-opened"],
    "conditions": [{"fact": "quota", "operator": "at-most", "value": 90_000}],
    "recipients": [{"by": "role", "id": "treasurer"}],
    "channels": ["email"],
    "fallback": ["sms"],
    "escalation": {
        "after_seconds": 3_600,
        "unless": "acknowledged",
        "recipients": [{"by": "security"}],
        "channels": ["sms"],
    },
}


def problem(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].removeprefix("urn:coffer:problem:")


async def post(client: AsyncClient, path: str, body: Any = None) -> Response:
    return await client.post(path, json=body, headers={"Idempotency-Key": str(uuid4())})


async def test_a_stored_rule_decides_before_the_products(office: Any) -> None:
    await office.contact()
    await office.contact("wu", security=False, roles=frozenset({"treasurer"}), phone=None)
    async with office.harness.client({"operator"}) as client:
        stored = await client.put("/rules/low-in-time", json=RULE)
        assert (stored.status_code, stored.json()["version"]) == (200, 1)
        assert (await client.put("/rules/low-in-time", json={**RULE, "position": 6})).json()["version"] == 2
        listed = (await client.get("/rules")).json()["items"]
        assert [one["id"] for one in listed][:2] == ["low-in-time", "allocation"]
        await office.harness.play(
            quota_low(office.now), quota_low(office.now, episode_id="E-2", quota="900.01")
        )
        assert await office.deliveries("recipient, channel, state") == [
            ("li", "email", "accepted"),
            ("li", "sms", "accepted"),
            ("wu", "email", "accepted"),
        ]
        assert (await client.delete("/rules/low-in-time")).status_code == 204
        assert problem(await client.delete("/rules/low-in-time")) == (404, "not-found")
    [sent] = await office.harness.rows("select rule, event_id from notice where rule <> 'quota-low'")
    assert sent["rule"] == "low-in-time"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kinds": ["everything"]}, "neither a kind nor a family"),
        ({"recipients": [{"by": "role"}]}, "needs an id"),
        ({"recipients": []}, "at least 1 item"),
        ({"conditions": [{"fact": "quota", "operator": "at-most", "value": "9"}]}, "whole number"),
        ({"repeat_seconds": 3_600, "repeat_max": 3}, "repeated by its producer"),
        ({"template": "no-such-kind"}, "no texts"),
        ({"channels": ["pigeon"]}, "must be"),
    ],
)
async def test_a_rule_that_makes_no_sense_is_refused(office: Any, change: Any, words: str) -> None:
    async with office.harness.client({"operator"}) as client:
        answer = await client.put("/rules/r", json={**RULE, **change})
    assert problem(answer) == (422, "invalid-request")
    assert words in answer.text


async def test_a_rehearsal_says_what_then_happens_and_does_nothing(office: Any, findings: Any) -> None:
    office.harness.now = datetime.now(UTC)
    await office.contact()
    await office.contact("wu", wants=frozenset({"quota-low"}), security=False, verified=False)
    event = quota_low(office.now)
    body = {"event_type": "quota-low.v1", "event": json.loads(event.to_json())}
    async with office.harness.client({"operator"}) as client:
        before = (await post(client, "/rehearsals", body)).json()
        assert await office.harness.rows("select * from episode union all select * from episode") == []
        assert [
            len(await office.harness.rows(f"select 1 from {table}"))
            for table in ("notice", "delivery", "outbox")
        ] == [0] * 3
        emitted = await office.harness.play(event)
        after = (await post(client, "/rehearsals", body)).json()
    assert len(only(emitted, NotificationStatus)) == 2
    said = sorted(
        (one["recipient"], one["channel"], one["state"], one["reason"]) for one in before["deliveries"]
    )
    assert said == sorted(await office.deliveries("recipient, channel, state, reason"))
    assert (before["rule"], before["known_already"], after["known_already"]) == ("quota-low", False, True)
    texts = {one["channel"]: one["text"] for one in before["deliveries"] if one["recipient"] == "li"}
    assert texts["sms"].startswith("The available quota of A-1 is CNY 900.00")
    assert texts["email"].startswith("Dear Li,")
    assert await findings() == []


@pytest.mark.parametrize(
    "event", EVENTS, ids=lambda event: f"{event.contract.name}-{getattr(event, 'kind', '')}"
)
async def test_every_event_can_be_rehearsed(office: Any, event: Any) -> None:
    body = {
        "event_type": event.contract.type,
        "event": json.loads(event.to_json()),
        "at": "2026-11-07T11:00:00+08:00",
    }
    async with office.harness.client({"operator"}) as client:
        answer = await post(client, "/rehearsals", body)
        wrong = await post(client, "/rehearsals", {**body, "event": {}})
    assert answer.status_code == 200, answer.text
    assert answer.json()["rule"] is not None
    assert wrong.status_code == 422


async def test_a_text_is_checked_kept_in_versions_and_used_from_the_next_message_on(office: Any) -> None:
    path = "/templates/quota-low-opened/sms/en"
    await office.contact()
    sender = office.sender()
    async with office.harness.client({"operator"}) as client:
        bad = await client.put(path, json={"text": "Left: {{ qouta }}"})
        assert problem(bad) == (422, "invalid-request")
        assert bad.json()["errors"] == [
            {"field": "text", "message": "uses qouta, which notices of this kind do not have"}
        ]
        shown = await post(client, path + "/preview", {"text": "剩余{{ quota }}"})
        assert shown.json() == {
            "subject": "",
            "text": "剩余CNY 355.00",
            "html": None,
            "coding": "ucs-2",
            "segments": 1,
        }
        await office.harness.play(quota_low(office.now))
        await office.send(sender)
        stored = await client.put(path, json={"text": "Only {{ quota }} left"})
        assert (stored.status_code, stored.json()["version"]) == (200, 2)
        await office.harness.play(quota_low(office.now, episode_id="E-2"))
        await office.send(sender)
        versions = (await client.get(path)).json()["items"]
        page = await client.get("/templates/quota-low-opened/email/zh-CN/preview")
    assert [sms.text for sms in office.sms.taken][1] == "Only CNY 900.00 left"
    assert [(one["version"], one["saved_by"]) for one in versions] == [(2, "tester"), (1, "coffer")]
    assert page.headers["content-type"].startswith("text/html")
    assert "srcdoc" in page.text
    assert "可用额度" in page.text


async def test_a_to_do_is_told_listed_ticked_off_and_over_when_its_producer_says_so(office: Any) -> None:
    await office.contact(
        "amal", account="the company", security=False, roles=frozenset({"credit-approver"}), phone=None
    )
    opened = replace(task(), changed_at=office.now)
    await office.harness.play(opened, replace(opened, task_id="T-2", assignee_kind="person", assignee="jo"))
    await office.send()
    [mail] = office.mail.taken
    assert mail.message["Subject"] == "To do: Approve order: Huadong Trading: order SO-1001"
    async with office.harness.client({"credit-approver"}, subject="amal") as client:
        [item] = (await client.get("/tasks")).json()["items"]
        assert (item["task_id"], item["amount"], item["ticked_at"]) == (
            "held/my-shop/SO-1001/2",
            "12010.00",
            None,
        )
        tick = {"source": "coffer/credit", "task_id": item["task_id"]}
        assert (await post(client, "/tasks/tick", tick)).json()["ticked_by"] == "amal"
        assert (await client.get("/tasks", params={"ticked": False})).json()["items"] == []
        assert problem(await post(client, "/tasks/tick", {**tick, "task_id": "T-2"})) == (404, "not-found")
        assert problem(await client.get("/tasks", params={"person": "jo"})) == (403, "forbidden")
    done = replace(opened, state="done", task_version=2, done_by="amal")
    await office.harness.play(done, replace(opened, state="opened"))
    async with office.harness.client({"operator"}) as client:
        everybody = (await client.get("/tasks", params={"person": "*"})).json()["items"]
        assert [item["task_id"] for item in everybody] == ["T-2"]
        settled = (await client.get("/tasks", params={"person": "*", "state": "done"})).json()["items"]
    assert [(item["task_id"], item["done_by"]) for item in settled] == [("held/my-shop/SO-1001/2", "amal")]
    await office.send()
    assert len(office.mail.taken) == 1


async def test_a_link_in_the_mail_verifies_its_address_when_its_button_is_pressed(office: Any) -> None:
    async with office.harness.client({"operator"}) as client:
        await client.put("/accounts/A-1/contacts/p-1", json=LI)
        await post(client, "/accounts/A-1/contacts/p-1/email/code")
        await office.send()
        found = re.search(r"/verify/\S+", office.mail.taken[0].text)
        assert found is not None
        link = found.group()
        assert (await client.get(link)).status_code == 200
        assert not (await client.get("/accounts/A-1/contacts/p-1")).json()["email"]["verified"]
        assert (await client.post("/verify/guessed")).status_code == 404
        assert (await client.post(link)).status_code == 200
        assert (await client.get("/accounts/A-1/contacts/p-1")).json()["email"]["verified"]
        assert (await client.post(link)).status_code == 404, "once"
        await client.put("/accounts/A-1/contacts/p-1", json={**LI, "email": "new@example.com"})
        office.wait(minutes=2)
        await post(client, "/accounts/A-1/contacts/p-1/email/code")
        await office.send()
        late = re.search(r"/verify/\S+", office.mail.taken[-1].text)
        assert late is not None
        office.wait(minutes=10)
        assert (await client.post(late.group())).status_code == 404, "ten minutes"


async def test_what_has_ended_is_said_once_more_when_an_operator_asks(office: Any, findings: Any) -> None:
    office.harness.now = datetime.now(UTC)
    await office.contact(phone=None)
    await office.harness.play(quota_low(office.now))
    async with office.harness.client({"operator"}) as client:
        [row] = await office.harness.rows("select id from delivery where channel = 'email'")
        path, body = f"/deliveries/{row['id']}/resend", {"account": "A-1"}
        assert problem(await post(client, path, body)) == (409, "under-way")
        await office.send()
        again = await post(client, path, body)
        assert (again.status_code, again.json()["repeat_of"]) == (202, str(row["id"]))
        assert problem(await post(client, path, body)) == (409, "not-resendable")
        assert problem(await post(client, f"/deliveries/{uuid4()}/resend", body)) == (404, "not-found")
    await office.send()
    assert [mail.message["Subject"] for mail in office.mail.taken][
        1
    ] == "[Repeat] Available quota of A-1 is low"
    assert len({mail.message["Message-ID"] for mail in office.mail.taken}) == 1


async def test_the_feed_is_searched_by_everything_that_a_question_begins_with(office: Any) -> None:
    await office.contact(phone=None)
    await office.harness.play(quota_low(office.now), quota_low(office.now, episode_id="E-2"))
    async with office.harness.client({"operator"}) as client:

        async def count(**wanted: Any) -> int:
            return len((await client.get("/deliveries", params=wanted)).json()["items"])

        assert await count() == 4
        assert await count(account="A-1", recipient="li", episode_id="E-2") == 2
        assert await count(state="suppressed", reason="no-address", channel="sms") == 2
        assert await count(family="quota-low", state="accepted") == 2
        assert await count(created_from=(office.now + timedelta(seconds=1)).isoformat()) == 0
        assert await count(created_until=(office.now + timedelta(seconds=1)).isoformat()) == 4
        assert await count(entity="RE-1") == 0
    async with office.harness.client({"account-user"}, {"A-1"}) as client:
        assert await count() == 4
        assert (await client.get("/deliveries", params={"entity": "A-1"})).status_code == 404


async def test_people_are_exported_and_imported_row_by_row(office: Any) -> None:
    rows = (
        "person,name,language,time_zone,phone,email,security,wants,roles\r\n"
        "p-1,李薇,zh-CN,Asia/Shanghai,'+8613800138000,li@example.com,yes,,treasurer\r\n"
        'p-2,"=HYPERLINK(""http://x"")",en,UTC,,wu@example.com,,quota-low task,\r\n'
        "p-3,Xu,fr,UTC,,,,,\r\n"
        "p-4,Yi,en,UTC,123,,,,\r\n"
    )
    async with office.harness.client({"operator"}) as client:
        path = "/accounts/A-1/contacts/import"
        tried = (await post(client, path, {"csv": rows, "preview": True})).json()
        assert (tried["created"], tried["refused"]) == (2, 2)
        assert (await client.get("/accounts/A-1/contacts")).json()["items"] == []
        done = (await post(client, path, {"csv": rows})).json()
        assert [(one["row"], one["outcome"]) for one in done["rows"]] == [
            (2, "created"),
            (3, "created"),
            (4, "refused"),
            (5, "refused"),
        ]
        assert "123" not in json.dumps([one["reason"] for one in done["rows"]])
        document = (await client.get("/accounts/A-1/contact-list")).text
        assert "'+8613800138000" in document
        assert "\"'=HYPERLINK" in document
        again = (await post(client, path, {"csv": document})).json()
        assert (again["created"], again["changed"], again["refused"]) == (0, 2, 0)
        excel = await client.get("/accounts/A-1/contact-list", params={"format": "xlsx"})
        sent_back = {"xlsx": base64.b64encode(excel.content).decode()}
        assert (await post(client, path, sent_back)).json()["changed"] == 2
        assert (await client.get("/accounts/A-1/contact-list")).text == document
        assert problem(await post(client, path, {"csv": "name\r\nLi\r\n"})) == (422, "invalid-request")


async def test_a_person_is_exported_and_forgotten_everywhere(office: Any, findings: Any) -> None:
    office.harness.now = datetime.now(UTC)
    await office.contact()
    await office.contact(account="A-2", phone="+8613800138001")
    await office.harness.play(quota_low(office.now))
    await office.send()
    await office.harness.play(quota_low(office.now, account="A-2"), quota_low(office.now, episode_id="E-2"))
    async with office.harness.client({"operator"}) as client:
        await client.put("/accounts/A-3/contacts/li", json=LI, headers={"Idempotency-Key": "k"})
        kept = (await client.get("/people/li")).json()
        assert [entry["account"] for entry in kept["entries"]] == ["A-1", "A-2", "A-3"]
        assert {sent["address"] for sent in kept["deliveries"]} >= {"li@example.com", "+8613800138000"}
        gone = await client.delete("/people/li")
        assert (gone.status_code, gone.json()["entries"], gone.json()["stopped"]) == (200, 3, 5)
        assert problem(await client.get("/accounts/A-1/contacts/li")) == (404, "not-found")
    everything = json.dumps(await dump(office), default=readable)
    for trace in ("li@example.com", "8613800138000", "8613800138001", "li.wei@example.com"):
        assert trace not in everything, trace
    assert await findings() == []


def readable(value: Any) -> str:
    return bytes(value).decode("latin-1") if isinstance(value, bytes | memoryview) else str(value)


async def dump(office: Any) -> list[Any]:
    tables = await office.harness.rows(
        "select table_name from information_schema.tables where table_schema = 'public' and table_type = 'BASE TABLE'"
    )
    return [await office.harness.rows(f'select * from "{table["table_name"]}"') for table in tables]


@pytest.mark.parametrize(
    ("channels", "field"),
    [
        ({"webhook": {"address": "http://example.com/hook"}}, "channels"),
        ({"webhook": {"address": "https://user:secret@example.com/hook"}}, "channels"),
        (
            {"webhook": {"address": "https://example.com/hook", "secret": "whsec_short"}},
            "channels.webhook.secret",
        ),
        ({"slack": {"address": "dingtalk://token"}}, "channels"),
        ({"apprise": {"address": "json://127.0.0.1/secret-token"}}, "channels"),
        ({"apprise": {"address": "file:///etc/passwd"}}, "channels"),
        ({"email": {"address": "li@example.com"}}, "channels"),
    ],
)
async def test_an_address_that_its_channel_does_not_take_is_refused(
    office: Any, channels: Any, field: str
) -> None:
    async with office.harness.client({"operator"}) as client:
        answer = await client.put("/accounts/A-1/contacts/p-1", json={**LI, "channels": channels})
    assert problem(answer) == (422, "invalid-request")
    assert answer.json()["errors"][0]["field"] == field
    assert "secret-token" not in answer.text


async def test_a_webhooks_secret_is_shown_once_and_its_address_masked(office: Any) -> None:
    body = {**LI, "channels": {"webhook": {"address": "https://example.com/hook/token-1"}}}
    async with office.harness.client({"operator"}) as client:
        made = (await client.put("/accounts/A-1/contacts/p-1", json=body)).json()
        assert made["webhook_secret"].startswith("whsec_")
        shown = (await client.get("/accounts/A-1/contacts/p-1")).json()
    assert shown["webhook_secret"] is None
    assert shown["channels"]["webhook"] == {"value": "https://example.com/***", "verified": False}


async def test_overdue_payments_cannot_be_switched_off(office: Any) -> None:
    async with office.harness.client({"operator"}) as client:
        answer = await client.put(
            "/accounts/A-1/contacts/p-1", json={**LI, "preferences": {"payment-overdue": []}}
        )
    assert "payment-overdue cannot be switched off" in answer.text
    assert answer.status_code == 422


async def test_entities_and_the_company_have_people_of_their_own(office: Any) -> None:
    async with office.harness.client({"operator"}) as client:
        for place in ("/entities/RE-SH", "/company"):
            stored = await client.put(f"{place}/contacts/wu", json={**LI, "roles": ["preparer"]})
            assert stored.status_code == 201
        entity = (await client.get("/entities/RE-SH/contacts/wu")).json()
        assert (entity["account"], entity["entity"], entity["roles"]) == (None, "RE-SH", ["preparer"])
        assert (await client.get("/accounts/RE-SH/contacts/wu")).status_code == 404
    async with office.harness.client({"account-user"}, {"RE-SH", "entity RE-SH"}) as client:
        assert problem(await client.get("/entities/RE-SH/contacts")) == (403, "forbidden")


async def test_canary_addresses_are_in_no_topic_log_metric_trace_dead_letter_or_error(
    office: Any, caplog: Any
) -> None:
    """Sent, refused, dead-lettered, refused over HTTP: the addresses are in notify's own tables only."""
    from chassis.metrics import REGISTRY
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from prometheus_client import generate_latest
    from structlog.testing import capture_logs

    from chassis import tracing

    phone, email = "+8613912345678", "canary.bird@example.com"
    traces = ("13912345678", "canary.bird", "canary@hook")
    spans = InMemorySpanExporter()
    tracing.use_processor("notify", "test", SimpleSpanProcessor(spans))
    with capture_logs() as logs, caplog.at_level("DEBUG"):
        async with office.harness.client({"operator"}) as client:
            body = {**LI, "phone": phone, "email": email, "security": True}
            await client.put("/accounts/A-1/contacts/p-1", json=body)
            refused = await client.put(
                "/accounts/A-1/contacts/p-2", json={**body, "phone": phone + "x", "email": email + "\n"}
            )
            for channel in ("sms", "email"):
                await post(client, f"/accounts/A-1/contacts/p-1/{channel}/code")
            office.mail.rcpt.append(f"450 4.2.1 <{email}> greylisted")
            office.sms.answers.append(f"503 no route to {phone}")
            await office.send()
            await office.harness.spoil("update contact_address set verified_at = now()")
            await office.harness.play(
                quota_low(office.now), replace(payment_overdue("opened"), account="A-1")
            )
            office.mail.rcpt.append(f"550 5.1.1 <{email}> unknown")
            office.sms.answers.append(f"403 Not routable {phone}")
            await office.send()
            office.wait(minutes=2)
            await office.send()
            metrics = (await client.get("/metrics")).text + generate_latest(REGISTRY).decode()
            feed = (await client.get("/deliveries")).text
        rows = await office.harness.rows("select topic, key, headers, body from outbox")
        await office.harness.play_raw("quota-low", b"A-1", b'{"account": "A-1"}')
        dead = await office.harness.rows("select * from dead_letter")
        history = await office.harness.rows("select answer from delivery_history")
    tracing.shutdown()
    traced = [span.to_json() for span in spans.get_finished_spans()]
    assert traced, "spans were made"
    own = [
        record.getMessage() for record in caplog.records if record.name != "mail.log"
    ]  # the test's own server
    places = {
        "log": json.dumps(logs, default=str) + "".join(own),
        "metrics": metrics,
        "traces": "".join(traced),
        "feed": feed,
        "topics": json.dumps(rows, default=readable),
        "dead letters": str(dead),
        "history": str(history),
        "error bodies": refused.text,
    }
    for place, text in places.items():
        for trace in traces:
            assert trace not in text, f"{trace} in {place}"
    assert len(office.mail.taken) + len(office.sms.taken) > 0
    assert Channel.EMAIL in {row[0] for row in await office.deliveries("channel")}


@pytest.mark.parametrize("role", ["planner", "plan-administrator", "document-maker", "credit-scorer"])
async def test_whoever_is_given_to_dos_may_see_and_tick_them(office: Any, role: str) -> None:
    own = replace(task(), changed_at=office.now, assignee_kind="person", assignee="jo")
    await office.harness.play(own)
    async with office.harness.client({role}, subject="jo") as client:
        [item] = (await client.get("/tasks")).json()["items"]
        tick = {"source": "coffer/credit", "task_id": item["task_id"]}
        assert (await post(client, "/tasks/tick", tick)).json()["ticked_by"] == "jo"
