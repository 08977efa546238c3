"""The whole service against mail servers that misbehave: which state, how many messages arrived, what history says."""

from dataclasses import replace
from typing import Any

import pytest
from notify.domain.samples import plan_exceeded
from notify.testing import mail_server, quota_low

pytestmark = pytest.mark.stack

HISTORY = """
    select d.account, h.state, h.verdict, h.code
    from delivery_history h join delivery d on d.account = h.account and d.id = h.delivery_id
    where d.channel = 'email' and d.role = 'first'
    order by d.account, h.step
"""
TAKEN = ["accepted", "sending", "sending", "sent accepted 250"]
"""Claimed, then noted that the server may have it, then its answer."""
TRIED_AGAIN = ["sending", "sending", "sent accepted 250"]


async def histories(office: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in await office.harness.rows(HISTORY):
        words = [row["state"], row["verdict"], row["code"]]
        found.setdefault(row["account"], []).append(" ".join(str(word) for word in words if word is not None))
    return found


async def mails(office: Any, columns: str) -> list[tuple[Any, ...]]:
    rows = await office.harness.rows(
        f"select {columns} from delivery where channel = 'email' order by account"
    )
    return [tuple(row.values()) for row in rows]


async def states(office: Any) -> dict[str, str]:
    return dict(await mails(office, "account, state"))


async def test_mixed_answers_are_each_recipients_own(office: Any) -> None:
    """421, 450, 451, 452, 550 and 250 in one batch: 1 mail arrives at once, 5 in the end, none twice."""
    replies = [
        "421 4.3.2 closing",
        "450 4.2.1 greylisted",
        "451 4.3.0 later",
        "452 4.2.2 full",
        "550 5.1.1 unknown",
    ]
    for number in range(6):
        await office.contact(f"p-{number}", account=f"A-{number}", phone=None)
    await office.harness.play(*(quota_low(office.now, account=f"A-{number}") for number in range(6)))
    office.mail.rcpt.extend(replies)
    sender = office.sender()
    await office.send(sender)
    assert await states(office) == {
        **{f"A-{number}": "sending" for number in range(4)},
        "A-4": "failed",
        "A-5": "sent",
    }
    assert [mail.recipients for mail in office.mail.taken] == [["p-5@example.com"]]
    office.wait(seconds=31)
    await office.send(sender)
    assert await states(office) == {f"A-{number}": "failed" if number == 4 else "sent" for number in range(6)}
    arrived = sorted(mail.recipients[0] for mail in office.mail.taken)
    assert arrived == [f"p-{number}@example.com" for number in (0, 1, 2, 3, 5)]
    found = await histories(office)
    found["A-0"] = [
        step.removesuffix(" 421") for step in found["A-0"]
    ]  # who closes at once may be heard or not
    assert found == {
        "A-0": ["accepted", "sending", "sending transient", *TRIED_AGAIN],
        "A-1": ["accepted", "sending", "sending transient 450", *TRIED_AGAIN],
        "A-2": ["accepted", "sending", "sending transient 451", *TRIED_AGAIN],
        "A-3": ["accepted", "sending", "sending transient 452", *TRIED_AGAIN],
        "A-4": ["accepted", "sending", "failed permanent 550"],
        "A-5": TAKEN,
    }


@pytest.mark.parametrize(
    ("entry", "state", "arrived", "history"),
    [
        ("slow", "sent", 1, TAKEN),
        ("451 4.3.0 later", "sending", 0, ["accepted", "sending", "sending", "sending transient 451"]),
        ("554 5.7.1 spam", "failed", 0, ["accepted", "sending", "sending", "failed permanent 554"]),
        ("close", "unknown", 1, ["accepted", "sending", "sending", "unknown unclear"]),
        ("drop", "unknown", 0, ["accepted", "sending", "sending", "unknown unclear"]),
    ],
)
async def test_behind_the_final_dot(
    office: Any, entry: str, state: str, arrived: int, history: list[str]
) -> None:
    """What is unknown is not sent again blindly: a plan that is exceeded is not said once more, ever."""
    place = "entity RE-SH"
    await office.contact("wu", account=place, security=False, roles=frozenset({"preparer"}), phone=None)
    await office.harness.play(replace(plan_exceeded(), occurred_at=office.now))
    office.mail.data.append(entry)
    await office.send()
    assert (await states(office), len(office.mail.taken)) == ({place: state}, arrived)
    assert await histories(office) == {place: history}
    if state == "unknown":
        office.wait(minutes=16)
        await office.send()
        office.wait(hours=2)
        await office.send()
        assert (await states(office), len(office.mail.taken)) == ({place: "unknown"}, arrived)


@pytest.mark.parametrize("fault", ["no-starttls", "certificate"])
async def test_without_verified_encryption_nothing_leaves_and_everything_waits(
    office: Any, fault: str
) -> None:
    """Tried again every quarter of an hour with an alarm; once the server is right, the mail arrives, once."""
    await office.contact(phone=None)
    right, right_ca = office.mail, office.ca_file
    options: dict[str, Any] = {"starttls": False} if fault == "no-starttls" else {"names": ("other.test",)}
    async with mail_server(**options) as wrong:
        office.mail = wrong
        await office.harness.play(quota_low(office.now))
        await office.send()
        reason = {"no-starttls": "encryption-unavailable", "certificate": "certificate-invalid"}[fault]
        assert await mails(office, "state, reason, attempts") == [("sending", reason, 1)]
        office.wait(minutes=14)
        await office.send()
        assert await mails(office, "attempts") == [(1,)]
        assert (wrong.attempts, wrong.taken) == (0, [])
    office.mail, office.ca_file = right, right_ca
    office.wait(minutes=2)
    await office.send()
    assert len(right.taken) == 1
    assert (await histories(office))["A-1"] == ["accepted", "sending", "sending transient", *TRIED_AGAIN]
