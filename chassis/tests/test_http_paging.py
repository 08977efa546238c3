from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest
from chassis.http import Problem
from chassis.http.paging import PageRequest, decode_cursor, encode_cursor
from hypothesis import given
from hypothesis import strategies as st

LIST = "/accounts/A-1/entries"


@given(
    st.datetimes(timezones=st.just(UTC)),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=50),
    st.integers(-(2**63), 2**63 - 1),
    st.uuids(),
    st.dates(),
)
def test_a_cursor_gives_its_place_back(moment: datetime, text: str, number: int, id: UUID, day: date) -> None:
    place = (moment, text, number, id, day)
    assert decode_cursor(LIST, encode_cursor(LIST, place), (datetime, str, int, UUID, date)) == place


CURSOR = encode_cursor(LIST, (datetime(2026, 3, 1, tzinfo=UTC), "J-1"))


def tampered() -> str:
    packed = urlsafe_b64decode(CURSOR + "=" * (-len(CURSOR) % 4))
    return urlsafe_b64encode(packed.replace(b"J-1", b"J-9")).decode().rstrip("=")


@pytest.mark.parametrize(
    ("scope", "cursor", "types"),
    [
        (LIST, tampered(), (datetime, str)),
        (LIST, CURSOR[:-1], (datetime, str)),
        (LIST, CURSOR + "A", (datetime, str)),
        (LIST, "", (datetime, str)),
        (LIST, "%%%", (datetime, str)),
        (LIST, "数", (datetime, str)),
        (LIST, CURSOR, (datetime, int)),
        (LIST, CURSOR, (str,)),
        ("/accounts/B-1/entries", CURSOR, (datetime, str)),
    ],
)
def test_a_damaged_or_foreign_cursor_is_a_400(scope: str, cursor: str, types: tuple[type[Any], ...]) -> None:
    with pytest.raises(Problem) as refused:
        decode_cursor(scope, cursor, types)
    assert (refused.value.status, refused.value.type) == (400, "bad-cursor")
    assert refused.value.errors[0]["field"] == "cursor"


def pages(numbers: list[int], limit: int) -> list[list[int]]:
    """Reads a whole list page by page, as a caller would."""
    found, cursor = [], None
    while True:
        page = PageRequest(LIST, limit, cursor)
        after = page.after(int)
        rows = [number for number in numbers if after is None or number > after[0]][: page.rows]
        items, cursor = page.page(rows, key=lambda number: (number,))
        found.append(list(items))
        if cursor is None:
            return found


@pytest.mark.parametrize(
    ("count", "sizes"), [(0, [0]), (1, [1]), (3, [3]), (4, [3, 1]), (6, [3, 3]), (7, [3, 3, 1])]
)
def test_pages_cover_a_list_once(count: int, sizes: list[int]) -> None:
    found = pages(list(range(count)), 3)
    assert [len(page) for page in found] == sizes
    assert [number for page in found for number in page] == list(range(count))
