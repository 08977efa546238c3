"""How a relationship comes about, changes and ends."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from contracts.relationship_changed import Permission, PermissionName
from hypothesis import given
from hypothesis import strategies as st
from sharing.domain.accounts import Account, newest
from sharing.domain.ids import RANDOM_BYTES, uuid7
from sharing.domain.relationships import (
    AlreadyAccepted,
    EndOutcome,
    EndRequested,
    NotEnding,
    PermissionNotOffered,
    Relationship,
    RelationshipError,
    RelationshipOver,
    accept,
    decline,
    end,
    invite,
    refuse,
    relationship_changed,
    rename,
    repeats,
    request_end,
    set_invoice_status,
    settle_end,
)

NOW = datetime(2026, 3, 10, 8, 5, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
SYNC: PermissionName = "sync-credit-identity"
VIEW: PermissionName = "view-financial-information"
INVOICES: PermissionName = "manage-invoices"


def invited(*permissions: PermissionName, **others: Any) -> Relationship:
    terms = {
        "relationship_id": "R-1",
        "kind": "financial",
        "management_account": "A-GROUP",
        "member_account": "A-1",
        "permissions": permissions,
        "display_name": "One",
        "now": NOW,
    }
    return invite(**{**terms, **others})


def answers(relationship: Relationship) -> dict[str, str]:
    return {permission.name: permission.state for permission in relationship.permissions}


def test_an_invitation_offers_everything_and_accepts_nothing() -> None:
    relationship = invited(SYNC, VIEW)
    assert (relationship.version, relationship.state) == (1, "invited")
    assert answers(relationship) == {SYNC: "offered", VIEW: "offered"}


def test_the_member_accepts_permission_by_permission() -> None:
    first = accept(invited(SYNC, VIEW, INVOICES), [SYNC], LATER)
    assert (first.version, first.state) == (2, "active")
    assert answers(first) == {SYNC: "accepted", VIEW: "offered", INVOICES: "offered"}
    second = accept(first, [VIEW], LATER)
    assert (second.version, answers(second)[VIEW]) == (3, "accepted")


def test_the_relationship_can_be_accepted_without_any_permission() -> None:
    relationship = accept(invited(SYNC), [], LATER)
    assert (relationship.state, answers(relationship)) == ("active", {SYNC: "offered"})


def test_an_acceptance_can_be_taken_back_and_given_again() -> None:
    active = accept(invited(SYNC, VIEW), [SYNC, VIEW], LATER)
    taken_back = refuse(active, [VIEW], LATER)
    assert (taken_back.state, answers(taken_back)) == ("active", {SYNC: "accepted", VIEW: "refused"})
    assert answers(accept(taken_back, [VIEW], LATER)) == {SYNC: "accepted", VIEW: "accepted"}


def test_a_permission_that_was_not_offered_is_refused_by_name_and_position() -> None:
    with pytest.raises(PermissionNotOffered) as refused:
        accept(invited(SYNC), [SYNC, VIEW, INVOICES], LATER)
    assert refused.value.names == (VIEW, INVOICES)
    assert refused.value.positions == (1, 2)


def test_repeating_a_step_changes_nothing() -> None:
    relationship = invited(SYNC, VIEW)
    active = accept(relationship, [SYNC], LATER)
    ended = end(relationship, LATER)
    declined = decline(relationship, LATER)
    assert accept(active, [SYNC], LATER) is active
    assert rename(active, "One", LATER) is active
    assert end(ended, LATER) is ended
    assert decline(declined, LATER) is declined


@pytest.mark.parametrize("state", ["declined", "ended"])
def test_what_is_over_does_not_change_any_more(state: str) -> None:
    over = decline(invited(SYNC), NOW) if state == "declined" else end(invited(SYNC), NOW)
    steps: list[Callable[[], Relationship]] = [
        lambda: accept(over, [SYNC], LATER),
        lambda: refuse(over, [SYNC], LATER),
        lambda: rename(over, "Two", LATER),
        lambda: end(over, LATER) if state == "declined" else decline(over, LATER),
    ]
    for step in steps:
        with pytest.raises(RelationshipOver):
            step()


def test_an_accepted_relationship_is_ended_and_not_declined() -> None:
    for step in (decline, end):
        with pytest.raises(AlreadyAccepted):
            step(accept(invited(SYNC), [SYNC], NOW), LATER)


def test_the_management_account_can_take_an_invitation_back() -> None:
    assert end(invited(SYNC), LATER).state == "ended"


def test_a_change_is_never_dated_before_the_one_it_follows() -> None:
    relationship = accept(invited(SYNC), [SYNC], LATER)
    assert refuse(relationship, [SYNC], NOW).changed_at == LATER


@pytest.mark.parametrize(
    ("outcome", "state"),
    [("ended", "ended"), ("refused", "active"), ("withdrawn", "active"), ("timed-out", "active")],
)
def test_a_request_to_end_leaves_the_relationship_as_it_is_until_its_outcome(
    outcome: EndOutcome, state: str
) -> None:
    asked = request_end(accept(invited(SYNC), [SYNC], NOW), "Q-1", LATER)
    assert (asked.version, asked.state, asked.ending) == (3, "active", "Q-1")
    with pytest.raises(EndRequested):
        request_end(asked, "Q-2", LATER)
    settled = settle_end(asked, outcome, LATER)
    assert (settled.version, settled.state, settled.ending) == (4, state, None)
    with pytest.raises(NotEnding):
        settle_end(settled, outcome, LATER)
    told = relationship_changed(settled, "Q-1", outcome)
    assert (told.request_id, told.end_outcome, told.relationship_version) == ("Q-1", outcome, 4)


def test_copied_invoicing_becomes_the_members_own_when_the_permission_goes() -> None:
    copied = set_invoice_status(accept(invited(SYNC, INVOICES), [INVOICES], NOW), "copied", NOW)
    assert rename(copied, "Two", LATER).invoice_status == "copied"
    assert refuse(copied, [INVOICES], LATER).invoice_status == "own"
    assert settle_end(request_end(copied, "Q-1", LATER), "ended", LATER).invoice_status == "own"


@pytest.mark.parametrize(
    ("others", "same"),
    [
        ({}, True),
        ({"permissions": (VIEW, SYNC)}, True),
        ({"permissions": (SYNC,)}, False),
        ({"management_account": "A-OTHER"}, False),
        ({"display_name": "One"}, True),
        ({"display_name": "Two"}, False),
    ],
)
def test_an_invitation_is_repeated_by_the_same_terms_only(others: dict[str, Any], same: bool) -> None:
    terms = {"management_account": "A-GROUP", "permissions": (SYNC, VIEW), "display_name": None}
    assert repeats(invited(SYNC, VIEW), **{**terms, **others}) is same


def test_the_event_tells_the_full_state() -> None:
    told = relationship_changed(accept(invited(SYNC, VIEW), [SYNC], LATER))
    assert told.key() == "A-1"
    assert (told.relationship_id, told.relationship_version, told.state) == ("R-1", 2, "active")
    assert told.permissions == [
        Permission(name=SYNC, state="accepted"),
        Permission(name=VIEW, state="offered"),
    ]
    assert (told.display_name, told.invoice_status, told.changed_at) == ("One", "none", LATER)


PERMISSIONS: st.SearchStrategy[list[PermissionName]] = st.lists(
    st.sampled_from([SYNC, VIEW, INVOICES]), unique=True
)
STEPS = st.lists(
    st.tuples(st.sampled_from(["accept", "refuse", "decline", "end", "rename"]), PERMISSIONS), max_size=12
)


def take(standing: Relationship, step: str, permissions: list[PermissionName], now: datetime) -> Relationship:
    match step:
        case "accept":
            return accept(standing, permissions, now)
        case "refuse":
            return refuse(standing, permissions, now)
        case "decline":
            return decline(standing, now)
        case "end":
            return end(standing, now)
        case _:
            return rename(standing, f"Name {len(permissions)}", now)


@given(PERMISSIONS, STEPS)
def test_any_steps_keep_versions_gapless_and_permissions_within_the_offer(
    offered: list[PermissionName], steps: list[tuple[str, list[PermissionName]]]
) -> None:
    standing = invited(*offered)
    for number, (step, permissions) in enumerate(steps):
        before = standing
        try:
            standing = take(before, step, permissions, NOW + timedelta(minutes=number))
        except RelationshipError:
            continue
        assert standing.version == before.version + (standing is not before)
        assert standing.accepted | standing.refused <= frozenset(offered)
        assert not standing.accepted & standing.refused
        assert before.is_live or standing is before


def test_ids_sort_by_the_time_they_were_made() -> None:
    first, second = (
        uuid7(NOW, b"\xff" * RANDOM_BYTES),
        uuid7(NOW + timedelta(milliseconds=1), b"\0" * RANDOM_BYTES),
    )
    assert first < second
    assert UUID(first).version == 7
    assert UUID(first).variant == UUID("019a1b2c-7d3e-7f40-8a51-b2c3d4e5f607").variant


def test_the_newest_account_counts() -> None:
    told = [
        Account(account_id="A", version=version, name=name, active=True)
        for version, name in [(2, "second"), (1, "first"), (2, "again")]
    ]
    assert [account.name for account in newest(told)] == ["second"]
