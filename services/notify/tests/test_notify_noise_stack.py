"""Noise on a real database: digests, inhibition, silences, quiet hours, acknowledgement, escalation, repeats."""

import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import uuid4

import pytest
from chassis.testing import only
from contracts.addressee import Addressee
from contracts.relationship_changed import Permission
from notify.domain.people import QuietHours
from notify.domain.samples import credit_alerted, payment_overdue, plan_due
from notify.domain.sms import segments
from notify.testing import quota_low

from contracts import NotificationStatus, PaymentOverdue, PlanDue, RelationshipChanged

pytestmark = pytest.mark.stack

NOW = datetime(2026, 3, 10, 2, 15, tzinfo=UTC)


def overdue(kind: Any = "opened", at: datetime = NOW, **changes: Any) -> PaymentOverdue:
    made = payment_overdue(kind)
    return replace(
        made, **{"account": "A-1", "episode_id": "O-1", "opened_at": NOW, "occurred_at": at, **changes}
    )


def managed(
    account: str, state: Any = "active", manager: str = "M-1", version: int = 1
) -> RelationshipChanged:
    return RelationshipChanged(
        relationship_id=f"R-{account}",
        relationship_version=version,
        kind="financial",
        management_account=manager,
        member_account=account,
        state=state,
        permissions=[Permission(name="view-financial-information", state="accepted")],
        display_name=account,
        changed_at=NOW,
    )


async def fire(office: Any, **later: float) -> None:
    """Turns the clock on, fires what is due by then, and sends."""
    at = office.wait(**later)
    await office.harness.fire_timers(at)


async def test_forty_members_of_one_management_account_become_one_mail_and_one_sms(
    office: Any, findings: Any
) -> None:
    office.harness.now = datetime.now(UTC)
    accounts = [f"A-{number}" for number in range(40)]
    await office.contact("mei", account="M-1", wants_of_members=frozenset({"quota-low"}), security=False)
    await office.harness.play(*(managed(account) for account in accounts))
    for start in (0, 15, 30):
        part = accounts[start : start + 15][: 40 - start]
        await office.harness.play(*(quota_low(office.now, account=account) for account in part))
    await office.send()
    assert (office.mail.taken, office.sms.taken) == ([], [])
    await fire(office, minutes=2, seconds=1)
    await office.send()
    assert (len(office.mail.taken), len(office.sms.taken)) == (1, 1)
    assert office.mail.taken[0].message["Subject"].startswith("40 member accounts: A-0, A-1, A-10")
    assert all(f"{account}: CNY 900.00" in office.mail.taken[0].text for account in accounts)
    assert await office.report(1) == 200
    states = Counter(await office.deliveries("channel, state, contact_place"))
    assert states == {("email", "sent", "M-1"): 41, ("sms", "delivered", "M-1"): 41}
    told = only(await office.harness.drain(), NotificationStatus)
    ends = Counter((status.channel, status.state) for status in told if status.event_type == "quota-low.v1")
    assert ends == {("email", "sent"): 40, ("sms", "delivered"): 40}
    assert await findings() == []


async def test_a_member_that_recovers_meanwhile_is_left_out_and_one_alone_goes_out_as_itself(
    office: Any,
) -> None:
    await office.contact("mei", account="M-1", wants_of_members=frozenset({"quota-low"}), phone=None)
    await office.harness.play(managed("A-1"), managed("A-2"))
    await office.harness.play(quota_low(office.now), quota_low(office.now, account="A-2"))
    await office.harness.play(quota_low(office.now, kind="superseded"))
    await fire(office, minutes=3)
    await office.send()
    [mail] = office.mail.taken
    assert mail.message["Subject"] == "Available quota of A-2 is low"


async def test_what_nobody_gathers_goes_out_by_itself(office: Any) -> None:
    await office.contact("mei", account="M-1", wants_of_members=frozenset({"quota-low"}), phone=None)
    await office.harness.play(managed("A-1"), managed("A-2"))
    await office.harness.play(quota_low(office.now), quota_low(office.now, account="A-2"))
    office.wait(minutes=8)
    await office.send()
    assert len(office.mail.taken) == 2


async def test_a_digest_that_fails_takes_its_members_along(office: Any, findings: Any) -> None:
    office.harness.now = datetime.now(UTC)
    await office.contact("mei", account="M-1", wants_of_members=frozenset({"quota-low"}), phone=None)
    await office.harness.play(managed("A-1"), managed("A-2"))
    await office.harness.play(quota_low(office.now), quota_low(office.now, account="A-2"))
    await fire(office, minutes=3)
    office.mail.rcpt.append("550 5.1.1 unknown")
    await office.send()
    states = await office.deliveries("kind, state, reason, carried_by is not null")
    mails = [row for row in states if row[1] == "failed"]
    assert sorted(mails) == [
        ("digest-quota-low-opened", "failed", "recipient-refused", False),
        ("quota-low-opened", "failed", "recipient-refused", True),
        ("quota-low-opened", "failed", "recipient-refused", True),
    ]
    assert await findings() == []


@pytest.mark.parametrize("state", ["ended", "invited"])
async def test_without_an_active_relationship_the_management_account_hears_nothing(
    office: Any, state: str
) -> None:
    await office.contact("mei", account="M-1", wants_of_members=frozenset({"quota-low"}))
    await office.harness.play(managed("A-1"), managed("A-1", state, version=2))
    await office.harness.play(quota_low(office.now))
    assert {row[0] for row in await office.deliveries("recipient")} == {"A-1"}


@pytest.mark.parametrize("first", ["quota-low", "payment-overdue"])
async def test_overdue_inhibits_a_low_quota_in_whichever_order_they_come(office: Any, first: str) -> None:
    await office.contact(phone=None)
    events = [quota_low(office.now), overdue(at=office.now)]
    for event in events if first == "quota-low" else reversed(events):
        await office.harness.play(event)
    await office.send()
    [mail] = office.mail.taken
    assert mail.message["Subject"] == "Payment of A-1 is overdue by CNY 1,245.00"
    states = await office.deliveries("kind, state, reason")
    assert ("quota-low-opened", "suppressed", "overdue") in states


async def test_after_the_clearing_a_low_quota_is_news_again_and_one_of_before_is_not(office: Any) -> None:
    await office.contact(phone=None)
    later = NOW + timedelta(hours=1)
    yen = quota_low(later, currency="JPY", quota="900", threshold="1000")
    await office.harness.play(overdue(), overdue("cleared", later))
    office.wait(hours=2)
    await office.harness.play(
        quota_low(NOW + timedelta(minutes=30)),
        quota_low(later, episode_id="E-2"),
        yen,
    )
    states = await office.deliveries("kind, state, reason")
    mails = Counter(row[1:] for row in states if row[0] == "quota-low-opened" and row[2] != "no-address")
    assert mails == {("suppressed", "overdue"): 1, ("accepted", None): 2}


async def test_a_silence_keeps_back_until_its_end_and_says_so(office: Any) -> None:
    await office.contact(phone=None)
    body = {"account": "A-1", "ends": (office.now + timedelta(hours=2)).isoformat(), "reason": "Migration"}
    async with office.harness.client({"operator"}) as client:
        made = await client.post("/silences", json=body, headers={"Idempotency-Key": str(uuid4())})
        assert made.status_code == 201
        await office.harness.play(quota_low(office.now))
        office.wait(hours=1, minutes=59)
        await office.harness.play(quota_low(office.now, episode_id="E-2"))
        office.wait(minutes=1)
        await office.harness.play(quota_low(office.now, episode_id="E-3"))
        assert (await client.get("/silences")).json()["items"] == []
    mails = [row[1:] for row in await office.deliveries("channel, state, reason") if row[0] == "email"]
    assert sorted(mails, key=str) == [
        ("accepted", None),
        ("suppressed", "silenced"),
        ("suppressed", "silenced"),
    ]


async def test_quiet_hours_hold_over_midnight_and_a_resolved_thread_lets_nothing_out(office: Any) -> None:
    """23:15 in Shanghai: held to 07:00; what has resolved at 03:00 is never said, the end of it is held too."""
    quiet = QuietHours(time(22), time(7))
    await office.contact(phone=None, quiet=quiet)
    office.harness.now = datetime(2026, 3, 10, 15, 15, tzinfo=UTC)
    await office.harness.play(quota_low(office.now), quota_low(office.now, episode_id="E-2"))
    office.wait(hours=4)
    await office.harness.play(quota_low(office.now, kind="resolved"))
    await office.send()
    assert office.mail.taken == []
    office.harness.now = datetime(2026, 3, 10, 23, 0, tzinfo=UTC)
    await office.send()
    subjects = sorted(mail.message["Subject"] for mail in office.mail.taken)
    assert subjects == ["Available quota of A-1 is low", "Available quota of A-1 is sufficient again"]
    assert ("suppressed", "episode-resolved") in await office.deliveries("state, reason")


async def test_the_reminders_of_five_days_are_one_thread(office: Any) -> None:
    await office.contact(phone=None)
    await office.harness.play(quota_low(office.now))
    await office.send()
    for number in range(1, 6):
        office.wait(hours=24)
        await office.harness.play(quota_low(office.now, kind="reminder", reminder_number=number))
        await office.harness.fire_timers(office.now)
        await office.send()
    office.wait(hours=5)
    await office.harness.play(quota_low(office.now, kind="resolved", quota="1200.00"))
    await office.send()
    subjects = [mail.message["Subject"] for mail in office.mail.taken]
    assert subjects == [
        "Available quota of A-1 is low",
        *(f"Reminder {number}: available quota of A-1 is still low" for number in range(1, 6)),
        "Available quota of A-1 is sufficient again",
    ]
    assert len({mail.message["References"] for mail in office.mail.taken}) == 1
    assert len({mail.message["Message-ID"] for mail in office.mail.taken}) == 7


def link_of(mail: Any, path: str) -> str:
    found = next(line for line in mail.text.splitlines() if path in line)
    return str(path + found.rpartition(path)[2])


async def test_an_overdue_payment_is_repeated_daily_until_it_is_acknowledged(office: Any) -> None:
    await office.contact(phone=None)
    await office.harness.play(overdue(at=office.now))
    await office.send()
    await fire(office, hours=24)
    await office.send()
    subjects = [mail.message["Subject"] for mail in office.mail.taken]
    assert subjects == [
        "Payment of A-1 is overdue by CNY 1,245.00",
        "[Reminder 1] Payment of A-1 is overdue by CNY 1,245.00",
    ]
    link = link_of(office.mail.taken[0], "/a/")
    async with office.harness.client() as client:
        asked = await client.get(link)
        assert (asked.status_code, "<form" in asked.text) == (200, True)
        await fire(office, hours=24)
        await office.send()
        assert len(office.mail.taken) == 3, "a scanner that opens the link acknowledges nothing"
        assert (await client.post(link)).status_code == 200
        assert "<form" not in (await client.get(link)).text
        assert (await client.post("/a/guessed")).status_code == 404
    for _ in range(6):
        await fire(office, hours=24)
        await office.send()
    assert len(office.mail.taken) == 3
    [episode] = await office.harness.rows("select acknowledged_by from episode")
    assert episode == {"acknowledged_by": "li"}


@pytest.mark.parametrize("language", ["zh-CN", "en"])
async def test_an_sms_is_acknowledged_by_its_short_link(office: Any, language: str) -> None:
    """At most three segments with the link; opening it does nothing, its button stops repeats; the end has no link."""
    await office.contact(email=None, language=language)
    await office.harness.play(overdue(at=office.now), quota_low(office.now))
    await office.send()
    with_link = [sms.text for sms in office.sms.taken if "http" in sms.text]
    assert len(with_link) == 1, "a low quota is not repeated by notify and waits for nobody"
    link = with_link[0].partition("http://127.0.0.1:8005")[2]
    assert re.fullmatch(r"/a/[A-Za-z0-9_-]{16}", link)
    assert with_link[0].endswith(link)
    assert segments(with_link[0]).count <= 3
    async with office.harness.client() as client:
        assert "<form" in (await client.get(link)).text
        assert await office.harness.rows("select 1 from episode where acknowledged_at is not null") == []
        assert (await client.post(link)).status_code == 200
    await fire(office, hours=24)
    await office.send()
    texts = [sms.text for sms in office.sms.taken if "A-1" in sms.text and "1,245.00" in sms.text]
    assert len(texts) == 1, "nothing is repeated any more"
    await office.harness.play(overdue("cleared", office.now))
    await office.send()
    assert "http" not in office.sms.taken[-1].text


async def test_the_fallback_of_a_notice_can_be_acknowledged_too(office: Any) -> None:
    """The mail of an order that is held is refused; the SMS that takes its place has a link of its own."""
    body = {
        "position": 1,
        "kinds": ["payment-overdue"],
        "recipients": [{"by": "security"}],
        "channels": ["email"],
        "fallback": ["sms"],
        "repeat_seconds": 86_400,
        "repeat_max": 5,
    }
    await office.contact()
    async with office.harness.client({"operator"}) as client:
        assert (await client.put("/rules/mail-first", json=body)).status_code == 200
    office.mail.rcpt.append("550 5.1.1 unknown")
    await office.harness.play(overdue(at=office.now))
    await office.send()
    await office.send()
    [sms] = office.sms.taken
    link = sms.text.partition("http://127.0.0.1:8005")[2]
    async with office.harness.client() as client:
        assert (await client.post(link)).status_code == 200
    [episode] = await office.harness.rows("select acknowledged_by from episode")
    assert episode == {"acknowledged_by": "li"}


async def test_repeats_come_to_an_end_and_the_clearing_stops_them(office: Any) -> None:
    await office.contact(phone=None)
    await office.contact(account="A-2", phone=None)
    await office.harness.play(overdue(at=office.now), overdue(at=office.now, account="A-2"))
    for day in range(9):
        if day == 2:
            await office.harness.play(overdue("cleared", office.now, account="A-2"))
        await office.send()
        await fire(office, hours=24)
    kinds = Counter(await office.deliveries("account, kind, state"))
    assert kinds["A-1", "payment-overdue-opened", "sent"] == 6
    assert kinds["A-2", "payment-overdue-opened", "sent"] == 2
    assert kinds["A-2", "payment-overdue-cleared", "sent"] == 1


async def test_who_is_not_reached_is_escalated_to_the_management_account(office: Any) -> None:
    """The mail is refused and there is no phone: after four hours M-1's security contact is told, marked, once."""
    await office.contact(phone=None)
    await office.contact("mei", account="M-1")
    await office.harness.play(managed("A-1"))
    await office.harness.play(overdue(at=office.now))
    office.mail.rcpt.append("550 5.1.1 unknown")
    await office.send()
    await fire(office, hours=4)
    await office.send()
    [mail] = office.mail.taken
    assert mail.recipients == ["mei@example.com"]
    assert mail.message["Subject"].startswith("[Escalated] Payment of A-1")
    assert [sms.text.startswith("[Escalated] ") for sms in office.sms.taken] == [True]
    await fire(office, hours=4)
    await office.send()
    assert len(office.mail.taken) == 1


async def test_who_is_reached_is_not_escalated(office: Any) -> None:
    await office.contact(phone=None)
    await office.contact("mei", account="M-1")
    await office.harness.play(managed("A-1"))
    await office.harness.play(overdue(at=office.now))
    await office.send()
    await fire(office, hours=5)
    assert {row[0] for row in await office.deliveries("recipient")} == {"li"}


@pytest.mark.parametrize("is_acknowledged", [False, True])
async def test_a_held_order_that_nobody_acknowledges_is_escalated(office: Any, is_acknowledged: bool) -> None:
    """The approver has it by SMS and mail; a day later the credit manager is told, unless somebody pressed a button."""
    company = {"account": "the company", "security": False}
    await office.contact("an", **company, roles=frozenset({"credit-approver"}))
    await office.contact("bo", **company, roles=frozenset({"credit-manager"}))
    held = replace(
        credit_alerted("order-held"),
        addressees=[Addressee(kind="role", id="credit-approver")],
        occurred_at=office.now,
    )
    await office.harness.play(held)
    await office.send()
    links = [link_of(mail, "/a/") for mail in office.mail.taken]
    assert [mail.recipients for mail in office.mail.taken] == [["an@example.com"]]
    assert len({*links, office.sms.taken[0].text.partition("http://127.0.0.1:8005")[2]}) == 2, (
        "a link for each"
    )
    if is_acknowledged:
        async with office.harness.client() as client:
            assert (await client.post(links[0])).status_code == 200
    await fire(office, hours=24)
    await office.send()
    told_later = [(mail.recipients[0], mail.message["Subject"][:12]) for mail in office.mail.taken[1:]]
    assert told_later == ([] if is_acknowledged else [("bo@example.com", "[Escalated] ")])


async def test_a_cut_off_that_is_settled_is_reminded_of_no_more(office: Any) -> None:
    def due(kind: Any, number: int) -> PlanDue:
        return replace(plan_due(kind, number), occurred_at=office.now)

    await office.contact(
        "wu", account="entity RE-SH", roles=frozenset({"preparer"}), security=False, phone=None
    )
    await office.harness.play(due("before-cut-off", 1))
    await office.send()
    await office.harness.play(due("asked", 2), due("settled", 0))
    await office.send()
    assert [mail.message["Subject"] for mail in office.mail.taken] == [
        "Cash plan 2026-12 of Shanghai branch is due by 2026-11-10 10:00 UTC+08:00"
    ]
    assert ("plan-due-asked", "suppressed", "episode-settled") in await office.deliveries(
        "kind, state, reason"
    )
