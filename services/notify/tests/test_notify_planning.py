"""Who is told, by which channel, when, and why not."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID

import pytest
from contracts.addressee import Addressee
from notify.domain.announcements import NOTHING_TOLD, RESOLVED_STEP, Announcement, announcement
from notify.domain.delivery import Channel, Role, State
from notify.domain.noise import Silence, Spell
from notify.domain.people import Address, Contact, QuietHours
from notify.domain.places import COMPANY
from notify.domain.planning import Planned, World, escalated, plan, recipients
from notify.domain.rules import PRODUCT_RULES, By, Condition, Rule, Selector, choose
from notify.domain.samples import allocation, cash_gap, credit_alerted, payment_overdue, plan_due, task
from notify.settings import Settings
from notify.testing import quota_low

NOW = datetime(2026, 3, 10, 9, 0, tzinfo=UTC)
OPENED = announcement(quota_low(NOW), "coffer/fund-pool")
NO_SPELL = Spell()
PHONE = Address("+8613800138000", verified=True)
MAIL = Address("li@example.com", verified=True)
UNPROVEN = Address("+8613800138001", verified=False)
BOTH: dict[str, Any] = {"sms": PHONE, "email": MAIL}


def contact(person: str, place: str = "A-1", *, wants: tuple[str, ...] = (), **values: Any) -> Contact:
    addresses = {Channel(name): values.pop(name) for name in list(values) if name in list(Channel)}
    fields: dict[str, Any] = {"language": "en", "time_zone": "UTC", "name": person.title(), **values}
    return Contact(account=place, person=person, wants=frozenset(wants), addresses=addresses, **fields)


def world(*contacts: Contact, **changes: Any) -> World:
    by_place: dict[str, list[Contact]] = {}
    for one in contacts:
        by_place.setdefault(one.account, []).append(one)
    return World(
        contacts=by_place, **{"rules": PRODUCT_RULES, "rates": Settings().recipient_rates, **changes}
    )


def planned(
    told: Announcement,
    *contacts: Contact,
    last_step: int = NOTHING_TOLD,
    spell: Spell = NO_SPELL,
    age: timedelta = timedelta(0),
    **changes: Any,
) -> Sequence[Planned]:
    return plan(told, last_step, spell, world(*contacts, **changes), NOW + age).deliveries


def shape(found: Sequence[Planned]) -> list[tuple[str, str, str, str | None]]:
    return [(one.recipient, one.channel, one.state, one.reason) for one in found]


LI = contact("li", security=True, **BOTH)


def test_the_security_contact_is_told_by_both_channels() -> None:
    found = planned(OPENED, LI, contact("wu", **BOTH))
    assert shape(found) == [("li", "sms", "accepted", None), ("li", "email", "accepted", None)]
    assert [one.address for one in found] == [PHONE.value, MAIL.value]


def test_other_people_are_told_when_they_asked() -> None:
    found = planned(OPENED, contact("wu", wants=("quota-low",), **BOTH), LI, contact("xu", **BOTH))
    assert [one.recipient for one in found] == ["li", "li", "wu", "wu"]


def test_what_cannot_go_out_is_recorded_with_its_reason() -> None:
    assert shape(planned(OPENED)) == [
        ("A-1", "sms", "suppressed", "no-contact"),
        ("A-1", "email", "suppressed", "no-contact"),
    ]
    assert shape(planned(OPENED, contact("li", security=True, sms=UNPROVEN))) == [
        ("li", "sms", "suppressed", "unverified"),
        ("li", "email", "suppressed", "no-address"),
    ]


def test_a_notice_that_comes_after_a_later_one_is_overtaken() -> None:
    found = planned(OPENED, LI, last_step=RESOLVED_STEP)
    assert {(one.state, one.reason) for one in found} == {(State.SUPPRESSED, "overtaken")}


def test_a_notice_that_comes_a_day_late_is_stale() -> None:
    assert {one.state for one in planned(OPENED, LI, age=timedelta(hours=24, seconds=-1))} == {State.ACCEPTED}
    assert shape(planned(OPENED, LI, age=timedelta(hours=24)))[0][2:] == (State.EXPIRED, "stale")


@pytest.mark.parametrize(
    ("kind", "number", "expected_step", "notice"),
    [
        ("opened", 0, 0, "quota-low-opened"),
        ("reminder", 1, 1, "quota-low-reminder"),
        ("reminder", 5, 5, "quota-low-reminder"),
        ("resolved", 3, 1_000_000, "quota-low-resolved"),
        ("superseded", 3, 1_000_001, None),
    ],
)
def test_the_steps_of_an_episode(kind: str, number: int, expected_step: int, notice: str | None) -> None:
    told = announcement(quota_low(NOW, kind=kind, reminder_number=number), "coffer/fund-pool")
    assert (told.step, told.kind) == (expected_step, notice)
    assert told.business_key == f"quota-low/CNY/E-1/{expected_step}"


MANAGER = contact("mei", "M-1", wants_of_members=frozenset({"quota-low"}), **BOTH)


def test_the_management_accounts_people_hear_of_its_members_and_are_gathered() -> None:
    found = planned(OPENED, LI, MANAGER, managers={"A-1": ["M-1"]})
    assert [(one.recipient, one.contact_place, one.state, one.reason) for one in found] == [
        ("li", "A-1", "accepted", None),
        ("li", "A-1", "accepted", None),
        ("mei", "M-1", "held", "gathering"),
        ("mei", "M-1", "held", "gathering"),
    ]
    assert found[2].group_key == "M-1\nmei\nsms\nquota-low-opened"
    assert found[2].due_at == NOW + timedelta(minutes=2)
    assert [one.recipient for one in planned(OPENED, LI, MANAGER)] == ["li", "li"], (
        "no relationship, no notice"
    )


def test_an_overdue_spell_inhibits_the_low_quota_of_its_time() -> None:
    """Overdue from 8 to 10: what happened at 9 is no news, what happened at 10 is."""
    spell = Spell("E-9", NOW - timedelta(hours=1), NOW + timedelta(hours=1))
    assert {one.reason for one in planned(OPENED, LI, spell=spell)} == {"overdue"}
    later = announcement(quota_low(NOW + timedelta(hours=1)), "coffer/fund-pool")
    assert {one.reason for one in planned(later, LI, spell=spell, age=timedelta(hours=1))} == {None}
    overdue = announcement(payment_overdue("opened"), "coffer/fund-pool")
    moved = replace(overdue, occurred_at=NOW, thread=replace(overdue.thread, place="A-1"))
    assert {one.state for one in planned(moved, LI, spell=spell)} == {State.ACCEPTED}


@pytest.mark.parametrize(
    ("place", "family", "recipient", "reason"),
    [
        (None, None, None, "silenced"),
        ("A-1", "quota-low", "li", "silenced"),
        ("A-2", None, None, None),
        (None, "task", None, None),
        (None, None, "wu", None),
    ],
)
def test_a_silence_keeps_back_what_it_covers(
    place: str | None, family: str | None, recipient: str | None, reason: str | None
) -> None:
    silence = Silence(
        id=UUID(int=1),
        place=place,
        family=family,
        recipient=recipient,
        begins=NOW,
        ends=NOW + timedelta(hours=2),
    )
    assert {one.reason for one in planned(OPENED, LI, silences=[silence])} == {reason}
    assert {one.reason for one in planned(OPENED, LI, silences=[silence], age=timedelta(hours=2))} == {None}


def test_a_silence_that_names_no_family_leaves_overdue_payments_alone() -> None:
    overdue = announcement(payment_overdue("opened"), "coffer/fund-pool")
    told = replace(overdue, occurred_at=NOW, thread=replace(overdue.thread, place="A-1"))
    silence = Silence(
        id=UUID(int=1), place=None, family=None, recipient=None, begins=NOW, ends=NOW + timedelta(hours=1)
    )
    assert {one.reason for one in planned(told, LI, silences=[silence])} == {None}
    named = replace(silence, family="payment-overdue")
    assert {one.reason for one in planned(told, LI, silences=[named])} == {"silenced"}


def test_preferences_choose_channels_and_switch_off_what_is_not_mandatory() -> None:
    by_mail = contact("li", security=True, preferences={"quota-low": (Channel.EMAIL,)}, **BOTH)
    assert shape(planned(OPENED, by_mail)) == [("li", "email", "accepted", None)]
    off = {"quota-low": (), "payment-overdue": ()}
    nothing = contact("li", security=True, preferences=off, **BOTH)
    assert {one.reason for one in planned(OPENED, nothing)} == {"switched-off"}
    overdue = announcement(payment_overdue("opened"), "coffer/fund-pool")
    told = replace(overdue, occurred_at=NOW, thread=replace(overdue.thread, place="A-1"))
    assert {one.state for one in planned(told, nothing)} == {State.ACCEPTED}


def test_quiet_hours_hold_and_do_not_drop() -> None:
    """23:00 in Shanghai: held until 07:00, although the notice would be stale by then."""
    told = announcement(quota_low(NOW - timedelta(hours=23)), "coffer/fund-pool")
    at = datetime(2026, 3, 10, 15, 0, tzinfo=UTC) - NOW
    sleeper = contact(
        "li", security=True, time_zone="Asia/Shanghai", quiet=QuietHours(time(22), time(7)), **BOTH
    )
    told = replace(told, occurred_at=NOW)
    [held, _] = planned(told, sleeper, age=at)
    assert (held.state, held.reason, held.due_at) == (
        State.HELD,
        "quiet-hours",
        datetime(2026, 3, 10, 23, 0, tzinfo=UTC),
    )
    urgent = [replace(PRODUCT_RULES[0], urgent=True)]
    assert {one.state for one in planned(told, sleeper, age=at, rules=urgent)} == {State.ACCEPTED}


def test_a_recipient_gets_twenty_sms_at_once_and_one_every_three_minutes() -> None:
    shared = world(LI)
    told = [
        announcement(quota_low(NOW, episode_id=f"E-{number}"), "coffer/fund-pool") for number in range(23)
    ]
    found = [plan(one, NOTHING_TOLD, NO_SPELL, shared, NOW).deliveries[0] for one in told]
    assert [one.state for one in found] == [State.ACCEPTED] * 20 + [State.HELD] * 3
    assert [(one.due_at - NOW).total_seconds() for one in found[20:] if one.due_at] == [180, 360, 540]
    assert {one.reason for one in found[20:]} == {"rate"}


def test_where_no_channel_of_the_rule_reaches_a_person_the_first_fallback_does_at_once() -> None:
    told = announcement(plan_due("before-cut-off"), "coffer/cashplan")
    preparer = contact("wu", "entity RE-SH", roles=frozenset({"preparer"}), sms=PHONE)
    found = planned(told, preparer, age=told.occurred_at - NOW)
    assert shape(found) == [("wu", "email", "suppressed", "no-address"), ("wu", "sms", "accepted", None)]


def test_named_people_are_looked_for_among_the_companys_own_only() -> None:
    """An account that calls one of its people U-7 gets nothing that is meant for the company's U-7."""
    event = replace(
        credit_alerted("order-held"),
        addressees=[Addressee(kind="person", id="U-7"), Addressee(kind="role", id="credit-approver")],
    )
    told = announcement(event, "coffer/credit")
    impostor = contact("U-7", "A-1", **BOTH)
    approver = contact("amal", COMPANY, roles=frozenset({"credit-approver"}), **BOTH)
    own = contact("U-7", "entity ORG-1", **BOTH)
    rule = choose(PRODUCT_RULES, told)
    assert rule is not None
    assert rule.id == "order-held"
    found = recipients(told, rule.recipients, world(impostor, approver, own))
    assert [one.key for one in found] == [("entity ORG-1", "U-7"), (COMPANY, "amal")]


@pytest.mark.parametrize(
    ("event", "source", "rule", "place", "role"),
    [
        (credit_alerted("usage-high"), "credit", "credit-alerted", COMPANY, "credit-manager"),
        (plan_due("asked"), "cashplan", "plan-due", "entity RE-SH", "preparer"),
        (cash_gap("appeared"), "cashplan", "cash-gap", "entity RE-SH", "treasurer"),
        (task(), "credit", "task", COMPANY, "credit-approver"),
    ],
)
def test_the_products_rules_find_the_holders_of_a_role(
    event: Any, source: str, rule: str, place: str, role: str
) -> None:
    told = announcement(event, f"coffer/{source}")
    chosen = choose(PRODUCT_RULES, told)
    assert chosen is not None
    assert chosen.id == rule
    people = world(contact("wu", place, roles=frozenset({role}), **BOTH), contact("xu", place, **BOTH))
    assert [one.person for one in recipients(told, chosen.recipients, people)] == ["wu"]


def test_allocations_are_told_to_both_sides() -> None:
    told = announcement(allocation("succeeded"), "coffer/fund-pool")
    manager = contact("mei", "A-1000", wants_of_members=frozenset({"allocation"}), **BOTH)
    member = contact("li", "A-1001", security=True, **BOTH)
    found = planned(told, manager, member, managers={"A-1001": ["A-1000"]}, age=told.occurred_at - NOW)
    assert [(one.recipient, one.channel, one.state) for one in found] == [
        ("mei", "email", "held"),
        ("li", "email", "accepted"),
    ]


def rule(id: str, position: int, **changes: Any) -> Rule:
    values: dict[str, Any] = {
        "kinds": frozenset({"quota-low"}),
        "recipients": (Selector(By.SECURITY),),
        "channels": (Channel.EMAIL,),
        **changes,
    }
    return Rule(id=id, position=position, **values)


@pytest.mark.parametrize(
    ("condition", "fits"),
    [
        (Condition("quota", "at-most", 90_000), True),
        (Condition("quota", "at-most", 89_999), False),
        (Condition("quota", "at-least", 90_001), False),
        (Condition("currency", "is", "CNY"), True),
        (Condition("currency", "is-not", "CNY"), False),
        (Condition("quota", "is", "90000"), False),
        (Condition("no-such-fact", "is-not", "x"), False),
    ],
)
def test_a_condition_compares_with_the_notices_facts(condition: Condition, fits: bool) -> None:
    """The quota is 900.00, in minor units 90,000; text is no number, and what is absent fits nothing."""
    assert rule("r", 1, conditions=(condition,)).fits(OPENED) is fits


def test_the_first_rule_that_fits_decides() -> None:
    rules = [rule("late", 2), rule("other", 0, place="A-2"), rule("off", 0, enabled=False), rule("first", 1)]
    chosen = choose(rules, OPENED)
    assert chosen is not None
    assert chosen.id == "first"
    assert choose(rules[1:3], OPENED) is None


def test_without_a_rule_the_notice_says_so() -> None:
    assert shape(planned(OPENED, LI, rules=[])) == [("A-1", "email", "suppressed", "no-rule")]


def test_escalation_tells_others_and_marks_it() -> None:
    overdue = announcement(payment_overdue("opened"), "coffer/fund-pool")
    told = replace(overdue, occurred_at=NOW, thread=replace(overdue.thread, place="A-1"))
    chosen = choose(PRODUCT_RULES, told)
    assert chosen is not None
    assert chosen.escalation is not None
    boss = contact("mei", "M-1", security=True, **BOTH)
    people = world(LI, boss, managers={"A-1": ["M-1"]})
    made = escalated(told, chosen, chosen.escalation, people, NOW + timedelta(hours=30))
    assert [(one.recipient, one.channel, one.state, one.role) for one in made.deliveries] == [
        ("mei", "sms", "accepted", Role.ESCALATION),
        ("mei", "email", "accepted", Role.ESCALATION),
    ]
    assert made.expires_at == NOW + timedelta(hours=54), "it counts from when it is escalated"


def test_what_its_producer_numbers_is_never_repeated_by_notify() -> None:
    repeating = rule("r", 1, repeat_every=timedelta(hours=1), repeat_max=5)
    assert not repeating.may_repeat(OPENED)
    assert not repeating.may_repeat(announcement(plan_due("asked"), "coffer/cashplan"))
    assert repeating.may_repeat(announcement(payment_overdue("opened"), "coffer/fund-pool"))
    assert not repeating.may_repeat(announcement(payment_overdue("cleared"), "coffer/fund-pool"))
