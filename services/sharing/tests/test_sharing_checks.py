"""Each check of what is shared reports what it is there for."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sharing.app import service

pytestmark = pytest.mark.stack

NOW = datetime(2026, 3, 10, 8, 0, tzinfo=UTC)
RI = "reserved-instance"
Town = Any
"""Of conftest, which tests cannot import from."""
SPOILED = [
    (
        "end-request-named-by-its-relationship",
        "update relationship set ending = 'Q-1' where kind = 'trusteeship'",
    ),
    ("trusteeship-equals-its-relationship", "delete from trusteeship"),
    (
        "trusteeship-equals-its-relationship",
        "update relationship set state = 'ended' where kind = 'trusteeship'",
    ),
    ("sharing-with-trustees-only", "update trusteeship set ends_at = starts_at"),
    ("sharing-facts-apart", "insert into membership select 'M', 'S1', group_id, now(), null from membership"),
    (
        "sharing-hundred-accounts",
        "insert into accepted_type select 'M', 'T' || n, 'savings-plan', now(), null from generate_series(1, 101) n",
    ),
    ("sharing-changes-gapless", "delete from sharing_change where change_number = 2"),
    ("sharing-told-to-the-end", "update sharer set told_part = 3"),
    ("invoicing-equals-its-history", "update invoicing set body = '{}'"),
    ("invoicing-copied-where-allowed", "update relationship set accepted = '{}' where kind = 'financial'"),
]


@pytest.mark.parametrize(("check", "sql"), SPOILED, ids=[name for name, _ in SPOILED])
async def test_each_check_reports_spoiled_data(town: Town, check: str, sql: str) -> None:
    await town.resources("RI1")
    await town.change("share-types", types=[RI, "savings-plan"])
    await town.trustees("S1")
    group = (await town.change("create-group", name="West", accounts=["S1"]))["group"]
    await town.change("share-with-groups", bindings=[{"resource": "RI1", "group": group}])
    await town.relate("S1", "financial", "manage-invoices")
    title = {"title_type": "individual", "name": "One"}
    await town.management.http.put("/accounts/M/invoicing", json={"titles": [title]})
    await town.management.post("/accounts/M/members/invoicing/copies", {"accounts": ["S1"]})
    assert await town.broken() == []
    await town.harness.spoil(sql)
    assert check in await town.broken()


def test_every_check_is_spoiled_once() -> None:
    about_sharing = {check.name for check in service.checks if not check.name.startswith("relationship-")}
    assert about_sharing == {name for name, _ in SPOILED}
