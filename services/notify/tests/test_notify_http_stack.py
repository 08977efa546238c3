"""People and their addresses, codes, and the feed, over HTTP."""

import json
import logging
import re
from typing import Any
from uuid import uuid4

import pytest
from chassis.http import OPEN_PATHS, unprotected_routes
from chassis.metrics import exposition
from httpx import AsyncClient, Response
from notify import api
from notify.testing import quota_low

pytestmark = pytest.mark.stack

CONTACTS = "/accounts/A-1/contacts"
LI = {
    "name": "李薇",
    "language": "zh-CN",
    "time_zone": "Asia/Shanghai",
    "phone": "+86 138 0013 8000",
    "email": "Li.Wei@Example.com",
    "security": True,
}


def problem(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].removeprefix("urn:coffer:problem:")


async def post(client: AsyncClient, path: str, **body: Any) -> Response:
    return await client.post(path, json=body or None, headers={"Idempotency-Key": str(uuid4())})


def code_in(text: str) -> str:
    found = re.search(r"(?<!\d)\d{6}(?!\d)", text)
    assert found is not None
    return found.group()


async def test_only_health_documentation_and_delivery_reports_need_no_token(office: Any) -> None:
    """Delivery reports and the links in messages prove themselves by the secret in their paths."""
    own = {"/sms-reports/{token}", "/a/{token}", "/verify/{token}"}
    assert frozenset(own) == api.OPEN_PATHS
    app = office.harness.context.application()
    assert unprotected_routes(app, open_paths=OPEN_PATHS | api.OPEN_PATHS) == []


async def test_a_person_is_stored_shown_and_forgotten(office: Any) -> None:
    async with office.harness.client({"operator"}) as client:
        created = await client.put(f"{CONTACTS}/p-1", json=LI)
        assert (created.status_code, created.json()) == (
            201,
            {
                "account": "A-1",
                "entity": None,
                "person": "p-1",
                "name": "李薇",
                "language": "zh-CN",
                "time_zone": "Asia/Shanghai",
                "phone": {"value": "+8613800138000", "verified": False},
                "email": {"value": "Li.Wei@example.com", "verified": False},
                "channels": {},
                "security": True,
                "wants": [],
                "wants_of_members": [],
                "roles": [],
                "preferences": {},
                "quiet_hours": None,
                "webhook_secret": None,
            },
        )
        changed = await client.put(f"{CONTACTS}/p-1", json={**LI, "phone": None, "wants": ["quota-low"]})
        assert (changed.status_code, changed.json()["phone"], changed.json()["wants"]) == (
            200,
            None,
            ["quota-low"],
        )
        assert (await client.delete(f"{CONTACTS}/p-1")).status_code == 204
        assert problem(await client.get(f"{CONTACTS}/p-1")) == (404, "not-found")
        assert problem(await client.delete(f"{CONTACTS}/p-1")) == (404, "not-found")


async def test_an_account_has_one_security_contact(office: Any) -> None:
    async with office.harness.client({"operator"}) as client:
        for person in ("p-1", "p-2", "p-3"):
            body = {**LI, "security": person != "p-3"}
            assert (await client.put(f"{CONTACTS}/{person}", json=body)).status_code == 201
        first = (await client.get(CONTACTS, params={"limit": 2})).json()
        second = (await client.get(CONTACTS, params={"limit": 2, "cursor": first["next"]})).json()
    people = [(item["person"], item["security"]) for item in first["items"] + second["items"]]
    assert people == [("p-1", False), ("p-2", True), ("p-3", False)]
    assert second["next"] is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("phone", "13800138000"),
        ("phone", "+8613800138000\r\nX-Kannel-To: +1"),
        ("email", "li@example.com\r\nBcc: all@example.com"),
        ("email", "用户@example.com"),
        ("name", "Li\r\nBcc: all@example.com"),
        ("name", "\u202eLi"),
        ("name", "x" * 101),
        ("language", "fr"),
        ("time_zone", "Asia/Atlantis"),
        ("wants", ["everything"]),
        ("unknown_field", 1),
    ],
)
async def test_a_bad_body_says_which_field_and_repeats_nothing(office: Any, field: str, value: Any) -> None:
    async with office.harness.client({"operator"}) as client:
        answer = await client.put(f"{CONTACTS}/p-1", json={**LI, field: value})
    assert problem(answer) == (422, "invalid-request")
    assert {error["field"].split("[")[0] for error in answer.json()["errors"]} == {field}
    for secret in ("13800138000", "all@example.com", "Li.Wei"):
        assert secret not in answer.text


@pytest.mark.parametrize("person", ["13800138000", "li@example.com", "-x", "a" * 65])
async def test_a_person_id_says_nothing_about_the_person(office: Any, person: str) -> None:
    async with office.harness.client({"operator"}) as client:
        assert (await client.put(f"{CONTACTS}/{person}", json=LI)).status_code == 422


async def test_an_address_is_used_once_its_code_was_told(office: Any) -> None:
    async with office.harness.client({"account-user"}, {"A-1"}) as client:
        await client.put(f"{CONTACTS}/p-1", json=LI)
        for channel in ("sms", "email"):
            asked = await post(client, f"{CONTACTS}/p-1/{channel}/code")
            assert (asked.status_code, asked.json()["valid_minutes"]) == (202, 10)
        await office.send()
        codes = {"sms": code_in(office.sms.taken[0].text), "email": code_in(office.mail.taken[0].text)}
        assert "验证码" in office.sms.taken[0].text
        for channel, code in codes.items():
            told = await post(client, f"{CONTACTS}/p-1/{channel}/code/check", code=code)
            assert told.json() == {"outcome": "verified", "verified": True, "tries_left": 4}
        stored = (await client.get(f"{CONTACTS}/p-1")).json()
        assert (stored["phone"]["verified"], stored["email"]["verified"]) == (True, True)
        assert problem(await post(client, f"{CONTACTS}/p-1/sms/code")) == (409, "already-verified")
        changed = await client.put(f"{CONTACTS}/p-1", json={**LI, "email": "new@example.com"})
        assert (changed.json()["phone"]["verified"], changed.json()["email"]["verified"]) == (True, False)
    everything = json.dumps(await dump(office), default=str)
    for code in codes.values():
        assert not re.search(rf"(?<!\d){code}(?!\d)", everything), "a code is kept as a hash only"


async def test_a_code_allows_five_tries_and_ten_minutes(office: Any) -> None:
    async with office.harness.client({"operator"}) as client:
        await client.put(f"{CONTACTS}/p-1", json=LI)
        check = f"{CONTACTS}/p-1/sms/code/check"
        assert problem(await post(client, check, code="000000")) == (404, "not-found")
        await post(client, f"{CONTACTS}/p-1/sms/code")
        assert (await post(client, check, code="000000")).json()["outcome"] == "no-code"
        await office.send()
        code = code_in(office.sms.taken[0].text)
        wrong = str((int(code) + 1) % 10**6).rjust(6, "0")
        left = [(await post(client, check, code=wrong)).json() for _ in range(5)]
        assert [answer["tries_left"] for answer in left] == [4, 3, 2, 1, 0]
        assert (await post(client, check, code=code)).json()["outcome"] == "too-many-tries"
        assert problem(await post(client, f"{CONTACTS}/p-1/sms/code")) == (429, "too-many-codes")
        office.wait(seconds=61)
        await post(client, f"{CONTACTS}/p-1/sms/code")
        await office.send()
        office.wait(minutes=10)
        code = code_in(office.sms.taken[1].text)
        assert (await post(client, check, code=code)).json()["outcome"] == "expired"
        for _ in range(3):
            assert (await post(client, f"{CONTACTS}/p-1/sms/code")).status_code == 202
            office.wait(seconds=61)
        refused = await post(client, f"{CONTACTS}/p-1/sms/code")
        assert problem(refused) == (429, "too-many-codes")
        assert int(refused.headers["Retry-After"]) > 80_000


async def test_a_code_that_may_have_got_lost_is_never_repeated(office: Any) -> None:
    async with office.harness.client({"operator"}) as client:
        await client.put(f"{CONTACTS}/p-1", json=LI)
        await post(client, f"{CONTACTS}/p-1/email/code")
    office.mail.data.append("close")
    for _ in range(4):
        await office.send()
        office.wait(minutes=16)
    assert await office.deliveries() == [("email", "unknown", "no-answer")]
    assert len(office.mail.taken) == 1


async def test_the_feed_shows_every_attempt_and_no_address(office: Any) -> None:
    await office.contact()
    office.mail.rcpt.append("450 4.2.0 li@example.com greylisted")
    await office.harness.consume([office.harness.raw(quota_low(office.now), event_id="event-1")])
    await office.send()
    await office.report(8, "ACK/")
    await office.report(1, "to 8613800138000")
    office.wait(minutes=1)
    await office.send()
    async with office.harness.client({"auditor"}) as client:
        answer = await client.get("/deliveries", params={"account": "A-1"})
        items = {item["channel"]: item for item in answer.json()["items"]}
        one = await client.get(f"/accounts/A-1/deliveries/{items['sms']['delivery_id']}")
        assert one.json() == items["sms"]
        missing = await client.get(f"/accounts/A-2/deliveries/{items['sms']['delivery_id']}")
        assert problem(missing) == (404, "not-found")
    mail, sms = items["email"], items["sms"]
    assert (mail["state"], mail["kind"], mail["event_id"]) == ("sent", "quota-low-opened", "event-1")
    assert [(a["number"], a["verdict"], a["code"], a["answer"]) for a in mail["attempts"]] == [
        (1, "transient", 450, "4.2.0 *** greylisted"),
        (2, "accepted", 250, mail["attempts"][1]["answer"]),
    ]
    assert [a["handed_over_at"] is None for a in mail["attempts"]] == [True, False]
    assert [(step["state"], step["reason"]) for step in mail["history"]] == [
        ("accepted", None),
        ("sending", None),
        ("sending", "temporarily-refused"),
        ("sending", None),
        ("sent", None),
    ]
    assert [(report["status"], report["reply"]) for report in sms["reports"]] == [(1, "to ***"), (8, "ACK/")]
    assert "13800138000" not in answer.text
    assert "li@example.com" not in answer.text


async def test_the_feed_is_filtered_and_paged(office: Any) -> None:
    for account in ("A-1", "A-2"):
        await office.contact(f"li-{account.lower()}", account=account)
        for number in range(3):
            office.wait(seconds=1)
            await office.harness.play(
                quota_low(office.now, account=account, episode_id=f"E-{account}-{number}")
            )
    async with office.harness.client({"operator"}) as client:

        async def found(**wanted: str) -> int:
            return len((await client.get("/deliveries", params=wanted)).json()["items"])

        assert await found() == 12
        assert await found(account="A-2") == 6
        assert await found(recipient="li-a-1") == 6
        assert await found(episode_id="E-A-1-2") == 2
        assert await found(state="accepted") == 12
        assert await found(state="failed") == 0
        [event] = await office.harness.rows("select event_id from notice where episode_id = 'E-A-2-0'")
        assert await found(event_id=event["event_id"]) == 2
        seen, cursor = [], None
        while True:
            params = {"limit": "5", **({"cursor": cursor} if cursor else {})}
            page = (await client.get("/deliveries", params=params)).json()
            seen += [item["delivery_id"] for item in page["items"]]
            cursor = page["next"]
            if cursor is None:
                break
        assert len(seen) == len(set(seen)) == 12


async def test_who_may_do_what(office: Any) -> None:
    await office.contact()
    await office.harness.play(quota_low(office.now))
    [row] = await office.harness.rows("select id from delivery limit 1")
    reads = [CONTACTS, f"{CONTACTS}/li", "/deliveries?account=A-1", f"/accounts/A-1/deliveries/{row['id']}"]
    async with office.harness.client() as nobody:
        for path in reads:
            assert (await nobody.get(path)).status_code == 401
    async with office.harness.client({"treasurer"}) as other_role:
        for path in reads:
            assert (await other_role.get(path)).status_code == 403
        assert (await other_role.put(f"{CONTACTS}/li", json=LI)).status_code == 403
    async with office.harness.client({"account-user"}, {"A-2"}) as stranger:
        for path in reads:
            assert (await stranger.get(path)).status_code == 404
        assert (await stranger.put(f"{CONTACTS}/li", json=LI)).status_code == 404
        assert (await stranger.get("/deliveries")).json()["items"] == []
    async with office.harness.client({"account-user"}, {"A-1"}) as own:
        for path in reads:
            assert (await own.get(path)).status_code == 200
        assert len((await own.get("/deliveries")).json()["items"]) == 2
    async with office.harness.client({"auditor"}) as auditor:
        for path in reads:
            assert (await auditor.get(path)).status_code == 200
        assert (await auditor.put(f"{CONTACTS}/li", json=LI)).status_code == 403


async def test_a_code_asked_for_twice_with_one_key_is_sent_once(office: Any) -> None:
    async with office.harness.client({"operator"}) as client:
        await client.put(f"{CONTACTS}/p-1", json=LI)
        path, key = f"{CONTACTS}/p-1/sms/code", {"Idempotency-Key": "one"}
        first = await client.post(path, headers=key)
        again = await client.post(path, headers=key)
        assert first.json() == again.json()
        assert (await client.post(path)).status_code == 400
    await office.send()
    assert len(office.sms.taken) == 1


async def test_an_account_has_a_name_by_http(office: Any) -> None:
    async with office.harness.client({"order-system"}) as client:
        stored = await client.put("/accounts/A-1", json={"version": 2, "name": "Huadong"})
        assert stored.json() == {"account": "A-1", "version": 2, "name": "Huadong"}
        older = await client.put("/accounts/A-1", json={"version": 1, "name": "Old"})
        assert older.json()["name"] == "Huadong"


async def test_every_route_has_an_example(office: Any) -> None:
    document = office.harness.context.application().openapi()
    schemas = document["components"]["schemas"]
    for name in ("ContactBody", "ContactView", "DeliveryView", "CodeBody", "CodeChecked", "CodeRequested"):
        assert schemas[name]["examples"]


async def dump(office: Any) -> dict[str, Any]:
    tables = await office.harness.rows("select tablename from pg_tables where schemaname = 'public'")
    names = [row["tablename"] for row in tables if not row["tablename"].startswith("delivery_history_")]
    return {name: await office.harness.rows(f"select * from {name}") for name in names}


async def test_addresses_stay_in_our_tables(office: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Canary addresses through everything that can go wrong: in no event, log line, metric or problem."""
    canaries = {"phone": "+8613912345678", "email": "canary.bird@example.com"}
    caplog.set_level(logging.DEBUG)
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    logging.getLogger("aiosmtpd").setLevel(logging.ERROR)
    await office.contact(**canaries)
    office.mail.rcpt.extend(["450 <canary.bird@example.com> later", "550 <canary.bird@example.com> unknown"])
    office.sms.answers.extend(["503 +8613912345678 later", "400 bad number 8613912345678"])
    await office.harness.play(quota_low(office.now))
    for _ in range(3):
        await office.send()
        office.wait(minutes=2)
    await office.harness.play(quota_low(office.now, episode_id="E-2"))
    await office.send()
    await office.report(16, "no such number +8613912345678")
    outbox = await office.harness.rows("select convert_from(body, 'UTF8') as body from outbox")
    async with office.harness.client({"operator"}) as client:
        wrong = await client.put(f"{CONTACTS}/p-9", json={**LI, **canaries, "time_zone": "x"})
        feed = await client.get("/deliveries")
    logged = "\n".join(line for line in caplog.text.splitlines() if "http://service.test" not in line)
    for text in (logged, str(outbox), exposition().decode(), wrong.text, feed.text):
        assert "13912345678" not in text
        assert "canary.bird" not in text
