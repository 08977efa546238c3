"""What a management account sees and may set."""

import pytest
from fund_pool.domain.access import Relationship, alert_accounts, may_see


def relationship(
    management: str = "M",
    member: str = "A",
    state: str = "active",
    permissions: tuple[str, ...] = ("view-financial-information",),
) -> Relationship:
    return Relationship(
        f"{management}-{member}", 1, "financial", management, member, state, frozenset(permissions), member
    )


@pytest.mark.parametrize(
    ("known", "visible"),
    [
        (relationship(), True),
        (relationship(state="ended"), False),
        (relationship(state="invited"), False),
        (relationship(permissions=()), False),
        (relationship(permissions=("manage-invoices",)), False),
        (relationship(management="N"), False),
        (relationship(member="B"), False),
        (relationship(management="A", member="M"), False),
    ],
)
def test_a_member_is_seen_only_by_an_active_relationship_with_its_permission(
    known: Relationship, visible: bool
) -> None:
    assert may_see([known], {"M"}, "A") is visible


def test_alerts_are_set_by_the_management_account_or_by_an_account_that_nobody_manages() -> None:
    known = [relationship("M", "A"), relationship("M", "B", permissions=())]
    assert alert_accounts(known, {"M"}) == {"M", "A"}
    assert alert_accounts(known, {"A"}) == set()
    assert alert_accounts(known, {"B"}) == set()
    assert alert_accounts([relationship(state="ended")], {"A"}) == {"A"}
