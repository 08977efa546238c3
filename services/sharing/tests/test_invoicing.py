"""Invoicing: tax ids with their check character, batch settings where accepted, live copies."""

from typing import Any

import pytest
from chassis.testing import only
from hypothesis import given
from hypothesis import strategies as st
from sharing.domain.invoicing import Invoicing, InvoicingError, Title, checked
from sharing.domain.tax_ids import WrongTaxId, unified_social_credit_code
from stdnum.cn import uscc

from contracts import RelationshipChanged

Town = Any
"""Of conftest, which tests cannot import from."""
ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
CODE = "91110000600037341L"


def test_a_code_comes_back_in_its_written_form() -> None:
    assert unified_social_credit_code("9111 0000-600037341l") == CODE


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("91110000600037341M", "ends with the check character M; for 91110000600037341 it would be L"),
        ("91110000600037431L", "it would be"),
        ("9111000060003734", "must be a unified social credit code"),
        ("91110000600037341I", "without I, O, S, V and Z"),
        ("91A10000600037341L", "must be"),
        ("٩1110000600037341L", "must be"),
        ("", "must be"),
    ],
)
def test_a_wrong_code_says_what_would_be_right(code: str, sentence: str) -> None:
    with pytest.raises(WrongTaxId, match=sentence):
        unified_social_credit_code(code)


BODIES = st.builds(
    "".join,
    st.tuples(
        st.text(ALPHABET, min_size=2, max_size=2),
        st.text("0123456789", min_size=6, max_size=6),
        st.text(ALPHABET, min_size=9, max_size=9),
    ),
)


@given(BODIES, st.integers(0, 16), st.sampled_from(ALPHABET))
def test_one_character_typed_wrong_is_always_noticed(body: str, place: int, other: str) -> None:
    """With the check character of an implementation that is not ours."""
    right = body + uscc.calc_check_digit(body)
    assert unified_social_credit_code(right) == right
    wrong = right[:place] + other + right[place + 1 :]
    if wrong != right:
        with pytest.raises(WrongTaxId):
            unified_social_credit_code(wrong)


@pytest.mark.parametrize(
    ("titles", "reason", "field"),
    [
        ([{"title_type": "enterprise"}], "tax-id-missing", "titles[0].tax_id"),
        ([{"title_type": "organisation", "tax_id": "1"}], "wrong-tax-id", "titles[0].tax_id"),
        (
            [{"title_type": "individual", "is_default": True}] * 2,
            "two-defaults",
            "titles[1].is_default",
        ),
    ],
)
def test_a_wrong_title_says_which_field(titles: list[dict[str, Any]], reason: str, field: str) -> None:
    with pytest.raises(InvoicingError) as refused:
        checked(Invoicing(titles=tuple(Title(name="x", **each) for each in titles)))
    assert (refused.value.reason, refused.value.field) == (reason, field)


def test_the_default_title_counts_else_the_first() -> None:
    one, two = (
        Title(title_type="individual", name="One"),
        Title(title_type="individual", name="Two", is_default=True),
    )
    assert Invoicing(titles=(one, two)).title == two
    assert Invoicing(titles=(one,)).title == one
    assert Invoicing().title is None


def values(name: str, **others: Any) -> dict[str, Any]:
    title = {"title_type": "enterprise", "name": name, "tax_id": CODE}
    return {"titles": [title], "addresses": [], "email": "a@example.com", **others}


async def statuses(town: Town) -> list[tuple[str, str]]:
    events = only(await town.harness.drain(), RelationshipChanged)
    return [(event.member_account, event.invoice_status) for event in events]


@pytest.mark.stack
async def test_a_member_sets_its_own_and_the_check_character_is_checked(town: Town) -> None:
    await town.relate("S1", "financial")
    await statuses(town)
    member = town.person("S1")
    wrong = values("Branch")
    wrong["titles"][0]["tax_id"] = "91110000600037341M"
    refused = (await member.http.put("/accounts/S1/invoicing", json=wrong)).json()
    assert (refused["type"], refused["errors"][0]["field"]) == (
        "urn:coffer:problem:wrong-tax-id",
        "titles[0].tax_id",
    )
    stored = (await member.http.put("/accounts/S1/invoicing", json=values("Branch"))).json()
    assert (stored["status"], stored["title"]["name"], stored["version"]) == ("own", "Branch", 1)
    assert await statuses(town) == [("S1", "own")]
    again = (await member.http.put("/accounts/S1/invoicing", json=values("Branch"))).json()
    assert again["version"] == 1
    assert (await town.management.http.get("/accounts/S1/invoicing")).status_code == 404


@pytest.mark.stack
async def test_the_management_account_sets_many_only_where_accepted(town: Town) -> None:
    for member in ("S1", "S2"):
        await town.relate(member, "financial", "manage-invoices")
    await town.relate("S3", "financial")
    path = "/accounts/M/members/invoicing"
    refused = await town.management.post(path, {"accounts": ["S1", "S3"], "invoicing": values("All")})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (403, "accounts[1]")
    assert await town.harness.rows("select * from invoicing_history") == []
    done = await town.management.post(path, {"accounts": ["S2", "S1"], "invoicing": values("All")})
    assert [(each["account"], each["title"]["name"]) for each in done.json()] == [
        ("S2", "All"),
        ("S1", "All"),
    ]
    listed = (await town.management.get(path))["items"]
    assert [each["account"] for each in listed] == ["S1", "S2"]
    one = await town.management.get(path, member=["S2", "S3"])
    assert [each["account"] for each in one["items"]] == ["S2"]
    history = (await town.person("S1").get("/accounts/S1/invoicing/history"))["items"]
    assert [(each["version"], each["changed_by"]) for each in history] == [(1, "user of M")]
    assert await town.broken() == []


@pytest.mark.stack
async def test_a_copy_follows_is_read_only_and_its_values_stay_when_the_permission_goes(town: Town) -> None:
    relationship_id = await town.relate("S1", "financial", "manage-invoices")
    await town.management.http.put("/accounts/M/invoicing", json=values("Group"))
    await town.harness.drain()
    path = "/accounts/M/members/invoicing/copies"
    copied = (await town.management.post(path, {"accounts": ["S1"]})).json()
    assert (copied[0]["status"], copied[0]["copied_from"], copied[0]["title"]["name"]) == (
        "copied",
        "M",
        "Group",
    )
    assert await statuses(town) == [("S1", "copied")]
    await town.management.http.put("/accounts/M/invoicing", json=values("Renamed group"))
    member = town.person("S1")
    assert (await member.get("/accounts/S1/invoicing"))["title"]["name"] == "Renamed group"
    for refused in (
        await member.http.put("/accounts/S1/invoicing", json=values("Mine")),
        await town.management.post(
            "/accounts/M/members/invoicing", {"accounts": ["S1"], "invoicing": values("x")}
        ),
    ):
        assert refused.json()["type"] == "urn:coffer:problem:invoicing-copied"
    await member.post(f"/relationships/{relationship_id}/refuse", {"permissions": ["manage-invoices"]})
    assert await statuses(town) == [("S1", "own")]
    await town.management.http.put("/accounts/M/invoicing", json=values("Later"))
    kept = await member.get("/accounts/S1/invoicing")
    assert (kept["status"], kept["title"]["name"]) == ("own", "Renamed group")
    assert (await member.http.put("/accounts/S1/invoicing", json=values("Mine"))).status_code == 200
    assert await town.broken() == []


@pytest.mark.stack
async def test_a_copy_can_be_ended_and_copies_do_not_chain(town: Town) -> None:
    await town.relate("S1", "financial", "manage-invoices")
    await town.relate("S2", "financial", "manage-invoices", management="S1")
    await town.management.http.put("/accounts/M/invoicing", json=values("Group"))
    path = "/accounts/M/members/invoicing/copies"
    await town.management.post(path, {"accounts": ["S1"]})
    chained = await town.person("S1").post("/accounts/S1/members/invoicing/copies", {"accounts": ["S2"]})
    assert chained.json()["type"] == "urn:coffer:problem:invoicing-copied"
    ended = (await town.management.post(f"{path}/end", {"accounts": ["S1"]})).json()
    assert (ended[0]["status"], ended[0]["title"]["name"]) == ("own", "Group")
    chained = await town.person("S1").post("/accounts/S1/members/invoicing/copies", {"accounts": ["S2"]})
    assert chained.status_code == 200
    back = await town.management.post(path, {"accounts": ["S1"]})
    assert back.json()["type"] == "urn:coffer:problem:invoicing-is-copied"
