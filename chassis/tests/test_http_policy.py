import pytest
from chassis.http import LOADED, Access, Forbidden, NotFound, Policy, Principal, authorize

BALANCE = Policy("balance:read", roles={"finance"}, account="account")
APPROVE = Policy("pending-order:approve", roles={"credit-approver"})


def who(*roles: str, accounts: tuple[str, ...] = ()) -> Principal:
    return Principal("wang", frozenset(roles), frozenset(accounts))


async def no_other(_: str) -> bool:
    return False


async def members_of_m(account: str) -> bool:
    return account in {"M-1", "M-2"}


@pytest.mark.parametrize(
    ("principal", "policy", "account"),
    [
        (who("credit-approver"), APPROVE, None),
        (who("administrator"), APPROVE, None),
        (who("finance"), BALANCE, "A-1"),
        (who("finance", "account-user"), BALANCE, "A-1"),
        (who("account-user", accounts=("A-1",)), BALANCE, "A-1"),
    ],
)
async def test_a_role_or_ownership_lets_pass(
    principal: Principal, policy: Policy, account: str | None
) -> None:
    await authorize(principal, policy, account, no_other)


@pytest.mark.parametrize(
    ("principal", "policy"),
    [
        (who(), APPROVE),
        (who("finance"), APPROVE),
        (who("auditor"), APPROVE),
        (who("account-user", accounts=("A-1",)), APPROVE),
        (who("treasurer", accounts=("A-1",)), BALANCE),
    ],
)
async def test_without_the_role_it_is_forbidden(principal: Principal, policy: Policy) -> None:
    with pytest.raises(Forbidden, match=f"do not allow {policy.action}"):
        await authorize(principal, policy, "A-1")


@pytest.mark.parametrize("account", ["B-1", "", "a-1", None])
async def test_somebody_elses_object_is_not_found(account: str | None) -> None:
    with pytest.raises(NotFound):
        await authorize(who("account-user", accounts=("A-1",)), BALANCE, account, no_other)


async def test_a_management_account_sees_its_members_only() -> None:
    manager = who("account-user", accounts=("M",))
    await authorize(manager, BALANCE, "M-1", members_of_m)
    with pytest.raises(NotFound):
        await authorize(manager, BALANCE, "N-1", members_of_m)


async def test_the_auditor_reads_everything_and_changes_nothing() -> None:
    await authorize(who("auditor"), APPROVE.for_reading())
    with pytest.raises(Forbidden):
        await authorize(who("auditor"), APPROVE)


async def test_access_limits_a_list_to_the_callers_accounts() -> None:
    policy = Policy("entry:read", roles={"finance"}, account=LOADED)
    assert Access(who("finance"), policy).accounts is None
    own = Access(who("account-user", accounts=("A-1",)), policy)
    assert own.accounts == frozenset({"A-1"})
    with pytest.raises(NotFound):
        await own.require("B-1")
