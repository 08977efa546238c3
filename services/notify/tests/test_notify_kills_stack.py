"""SIGKILL while sending: every notice comes to its end, and doubles are counted beside what explains them."""

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from chassis.testing import AUDIENCE, ISSUER
from notify.domain.delivery import Channel
from notify.testing import HOST, PASSWORD, USERNAME, quota_low

pytestmark = pytest.mark.stack

NOTICES = int(os.environ.get("COFFER_KILL_NOTICES", "60"))
KILLS = int(os.environ.get("COFFER_KILLS", "5"))
"""300 and 20 are the bigger setting."""
HANDS = int(os.environ.get("COFFER_KILL_HANDS", "1"))
"""How many attempts are under way at once; with one, a kill cuts at most one."""
PROGRAM = Path(__file__).with_name("sending.py")
WITHOUT_RELAY_AND_CLOCK = {"delivery-not-forgotten", "outbox-drains"}
"""No relay runs here, and the clock that is passed in runs ahead of the database's."""
IN_DOUBT = "select account, id from delivery where phase = 'transmitting'"


class Taken(list[Any]):
    """Mails that were taken; the one that brings them to `fatal_length` kills who sent it."""

    fatal_length: int = 0
    kill: Callable[[], None] | None = None

    def append(self, mail: Any) -> None:
        super().append(mail)
        if self.kill is not None and len(self) >= self.fatal_length:
            kill, self.kill = self.kill, None
            kill()


def settings(office: Any, folder: Path) -> str:
    return json.dumps(
        {
            "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
            "database_dsn": office.harness.dsn(),
            "oidc_issuer": ISSUER,
            "oidc_audience": AUDIENCE,
            "oidc_jwks": office.harness.context.settings.oidc_jwks,
            "smtp_host": HOST,
            "smtp_port": office.mail.port,
            "smtp_username": USERNAME,
            "smtp_password": PASSWORD,
            "smtp_ca_file": office.mail.ca_file(folder),
            "sms_url": office.sms.url,
            "delivery_poll_seconds": 0.05,
            "deliveries_at_once_max": HANDS,
        }
    )


async def test_killed_while_sending_every_notice_arrives_and_doubles_are_explained(
    office: Any, findings: Any, tmp_path: Path
) -> None:
    """Every other kill falls the moment the server has taken a mail, before it says so; the rest anywhere."""
    random = Random(20260310)
    office.mail.taken = Taken()
    office.harness.now = datetime.now(UTC)
    for number in range(NOTICES):
        await office.contact(f"p-{number}", account=f"A-{number}", phone=None)
    await office.harness.play(*(quota_low(office.now, account=f"A-{number}") for number in range(NOTICES)))
    cut: list[set[str]] = []
    for kill in range(KILLS):
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(PROGRAM), settings(office, tmp_path)
        )
        enough = (kill + 1) * NOTICES // (KILLS + 1) - random.randrange(3)
        if kill % 2:
            office.mail.taken.fatal_length, office.mail.taken.kill = enough, process.kill
        await office.until(lambda enough=enough: len(office.mail.taken) >= enough, seconds=30)
        await asyncio.sleep(random.random() * 0.02)  # the kill falls anywhere in an attempt
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        cut.append({str(row["id"]) for row in await office.harness.rows(IN_DOUBT)} - set().union(*cut))
    survivor = office.sender()
    for _ in range(30):
        office.harness.now = office.now + timedelta(minutes=6)
        claims = await survivor.claim([Channel.EMAIL], 100)
        await asyncio.gather(
            *(survivor.deliver(outgoing) for outgoing in claims.to_send),
            *(survivor.settle(outgoing) for outgoing in claims.to_settle),
        )
    arrived = Counter(id_of(mail) for mail in office.mail.taken)
    unmarked = Counter(id_of(mail) for mail in office.mail.taken if not is_repeat(mail))
    doubles = sum(count - 1 for count in arrived.values())
    accepted = [len(attempts & set(unmarked)) for attempts in cut]
    kills_between = sum(count > 0 for count in accepted)
    print(
        f"{NOTICES} notices, {KILLS} kills, {kills_between} of them between the acceptance and our commit, where "
        f"{sum(accepted)} mails were: {doubles} doubles, each marked as a repeat; "
        f"{sum(map(len, cut)) - sum(accepted)} attempts were cut before the acceptance, and arrived once"
    )
    assert len(arrived) == NOTICES, "every notice has arrived"
    assert doubles == sum(accepted), (
        "each mail that was accepted and not noted is said once more, and no other"
    )
    assert doubles <= kills_between * HANDS
    assert set(unmarked.values()) == {1}, "nothing is sent again without its mark"
    open_ones = await office.harness.rows("select id from delivery where ended_at is null and due_at is null")
    assert open_ones == []
    assert await office.harness.rows("select id from delivery where ended_at is null") == []
    assert set(await findings()) <= WITHOUT_RELAY_AND_CLOCK


def id_of(mail: Any) -> str:
    """The delivery that a mail belongs to: a repeat bears the id of what it repeats."""
    return str(mail.message["Message-ID"]).strip("<>").partition("@")[0]


def is_repeat(mail: Any) -> bool:
    return str(mail.message["Subject"]).startswith("[Repeat] ")
