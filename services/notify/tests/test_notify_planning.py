"""Who is told, by which channel, and why not."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from notify.domain.delivery import Channel, State
from notify.domain.planning import (
    NOTHING_TOLD,
    RESOLVED_STEP,
    Address,
    Contact,
    Planned,
    business_key,
    notice_kind,
    plan,
    recipients,
    step,
)
from notify.testing import quota_low

NOW = datetime(2026, 3, 10, 9, 0, tzinfo=UTC)
OPENED = quota_low(NOW)


def contact(person: str, *, security: bool = False, wants: bool = False, **addresses: Address) -> Contact:
    return Contact(
        account="A-1",
        person=person,
        name=person.title(),
        language="en",
        time_zone="UTC",
        security=security,
        wants=frozenset({"quota-low"} if wants else ()),
        addresses={Channel(name): address for name, address in addresses.items()},
    )


PHONE = Address("+8613800138000", verified=True)
MAIL = Address("li@example.com", verified=True)
UNPROVEN = Address("+8613800138001", verified=False)


def planned(
    *contacts: Contact, last_step: int = NOTHING_TOLD, age: timedelta = timedelta(0)
) -> Sequence[Planned]:
    return plan(OPENED, last_step, contacts, NOW + age, NOW + timedelta(hours=24))


def shape(found: Sequence[Planned]) -> list[tuple[str, str, str, str | None]]:
    return [(one.recipient, one.channel, one.state, one.reason) for one in found]


def test_the_security_contact_is_told_by_both_channels() -> None:
    found = planned(contact("li", security=True, sms=PHONE, email=MAIL), contact("wu", sms=PHONE, email=MAIL))
    assert shape(found) == [("li", "sms", "accepted", None), ("li", "email", "accepted", None)]
    assert [one.address for one in found] == [PHONE.value, MAIL.value]


def test_other_people_are_told_when_they_asked() -> None:
    found = recipients([contact("wu", wants=True), contact("li", security=True), contact("xu")])
    assert [one.person for one in found] == ["li", "wu"]


def test_what_cannot_go_out_is_recorded_with_its_reason() -> None:
    assert shape(planned()) == [
        ("A-1", "sms", "suppressed", "no-contact"),
        ("A-1", "email", "suppressed", "no-contact"),
    ]
    assert shape(planned(contact("li", security=True, sms=UNPROVEN))) == [
        ("li", "sms", "suppressed", "unverified"),
        ("li", "email", "suppressed", "no-address"),
    ]


def test_a_notice_that_comes_after_a_later_one_is_overtaken() -> None:
    found = planned(contact("li", security=True, sms=PHONE, email=MAIL), last_step=RESOLVED_STEP)
    assert {(one.state, one.reason) for one in found} == {(State.SUPPRESSED, "overtaken")}


def test_a_notice_that_comes_a_day_late_is_stale() -> None:
    li = contact("li", security=True, sms=PHONE, email=MAIL)
    assert {one.state for one in planned(li, age=timedelta(hours=24, seconds=-1))} == {State.ACCEPTED}
    assert shape(planned(li, age=timedelta(hours=24)))[0][2:] == (State.EXPIRED, "stale")


@pytest.mark.parametrize(
    ("kind", "number", "expected_step", "notice"),
    [
        ("opened", 0, 0, "quota-low-opened"),
        ("reminder", 1, 1, "quota-low-reminder"),
        ("reminder", 5, 5, "quota-low-reminder"),
        ("resolved", 3, 100, "quota-low-resolved"),
        ("superseded", 3, 101, None),
    ],
)
def test_the_steps_of_an_episode(kind: str, number: int, expected_step: int, notice: str | None) -> None:
    event = quota_low(NOW, kind=kind, reminder_number=number)
    assert (step(event), notice_kind(event)) == (expected_step, notice)
    assert business_key(event) == f"quota-low/CNY/E-1/{expected_step}"
