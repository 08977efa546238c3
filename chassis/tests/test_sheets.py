"""Tables out and in: typed, bounded, and never a formula."""

import csv
import tracemalloc
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import pytest
from chassis.http import download
from chassis.sheets import Column, SheetFormat, UnreadableTable, csv_chunks, read_table, write_xlsx, writing
from chassis.sheets.columns import guarded, unguarded
from hypothesis import given
from hypothesis import strategies as st

ZONE = ZoneInfo("Asia/Shanghai")
MOMENT = datetime(2026, 3, 10, 16, 30, tzinfo=UTC)


@dataclass(frozen=True)
class Line:
    name: str
    count: int | None = 7
    amount: str = "-1234.50"


COLUMNS: list[Column[Line]] = [
    Column("name", lambda line: line.name),
    Column("count", lambda line: line.count, "whole"),
    Column("amount", lambda line: line.amount, "decimal"),
    Column("at", lambda line: MOMENT, "moment"),
    Column("on", lambda line: date(2026, 3, 11), "date"),
    Column("shared", lambda line: True, "flag"),
]


def lines(number: int) -> Iterator[Line]:
    return (Line(f"line {each}") for each in range(number))


def as_csv(*rows: Line) -> list[list[str]]:
    text = b"".join(csv_chunks(COLUMNS, rows, ZONE)).decode("utf-8-sig")
    return list(csv.reader(StringIO(text, newline="")))


def as_cells(path: Path, *rows: Line) -> list[list[Any]]:
    write_xlsx(path, "lines", COLUMNS, rows, ZONE)
    return [list(row) for row in openpyxl.load_workbook(path).worksheets[0].iter_rows(values_only=True)]


def test_csv_tells_moments_with_their_offset_and_numbers_bare() -> None:
    assert as_csv(Line('杭州, "West"')) == [
        ["name", "count", "amount", "at", "on", "shared"],
        ['杭州, "West"', "7", "-1234.50", "2026-03-11T00:30:00+08:00", "2026-03-11", "true"],
    ]


def test_excel_has_typed_cells_a_frozen_heading_and_the_zone_in_it(tmp_path: Path) -> None:
    path = tmp_path / "lines.xlsx"
    heading, row = as_cells(path, Line("杭州"))
    assert heading == ["name", "count", "amount", "at (Asia/Shanghai)", "on", "shared"]
    assert row == ["杭州", 7, -1234.5, datetime(2026, 3, 11, 0, 30), datetime(2026, 3, 11), True]
    sheet = openpyxl.load_workbook(path).worksheets[0]
    assert (sheet.freeze_panes, sheet.auto_filter.ref) == ("A2", "A1:F2")
    assert sheet["C2"].number_format == "#,##0.00"


def test_an_absent_value_is_an_empty_cell(tmp_path: Path) -> None:
    assert as_csv(Line("a", count=None))[1][1] == ""
    assert as_cells(tmp_path / "lines.xlsx", Line("a", count=None))[1][1] is None


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "＝1+1", '=HYPERLINK("http://x")'])
def test_no_text_becomes_a_formula(tmp_path: Path, name: str) -> None:
    assert as_csv(Line(name))[1][0] == "'" + name
    path = tmp_path / "lines.xlsx"
    as_cells(path, Line(name))
    cell = openpyxl.load_workbook(path).worksheets[0]["A2"]
    assert (cell.value, cell.data_type, cell.hyperlink) == (name, "s", None)


def test_numbers_beyond_fifteen_digits_stay_exact_as_text(tmp_path: Path) -> None:
    exact = Line("a", count=9_007_199_254_740_993, amount="12345678901234.5678")
    assert as_cells(tmp_path / "lines.xlsx", exact)[1][1:3] == ["9007199254740993", "12345678901234.5678"]
    assert as_csv(exact)[1][1:3] == ["9007199254740993", "12345678901234.5678"]


def test_what_does_not_fit_on_a_sheet_goes_on_on_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "SHEET_ROWS_MAX", 4)
    path = tmp_path / "lines.xlsx"
    assert write_xlsx(path, "lines", COLUMNS, lines(7), ZONE) == 7
    book = openpyxl.load_workbook(path)
    assert [(sheet.title, sheet.max_row) for sheet in book] == [("lines", 4), ("lines 2", 4), ("lines 3", 2)]
    assert write_xlsx(path, "lines", COLUMNS, lines(3), ZONE) == 3
    assert len(openpyxl.load_workbook(path).worksheets) == 1


@pytest.mark.parametrize("file_format", ["csv", "xlsx"])
def test_memory_does_not_grow_with_the_rows(tmp_path: Path, file_format: SheetFormat) -> None:
    tracemalloc.start()
    if file_format == "csv":
        size = sum(len(chunk) for chunk in csv_chunks(COLUMNS, lines(20_000), ZONE))
    else:
        size = write_xlsx(tmp_path / "lines.xlsx", "lines", COLUMNS, lines(20_000), ZONE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size >= 20_000
    assert peak < 4_000_000


@pytest.mark.parametrize("file_format", ["csv", "xlsx"])
async def test_a_download_is_a_stream_with_a_name(file_format: SheetFormat) -> None:
    response = await download(file_format, "共享", COLUMNS, lines(3), ZONE)
    body = b"".join([chunk async for chunk in response.body_iterator])  # type: ignore[attr-defined]
    assert response.headers["content-disposition"].endswith(f"%E5%85%B1%E4%BA%AB.{file_format}")
    if file_format == "xlsx":
        body = body[: body.rindex(b"PK\x05\x06") + 22]
        assert len(read_table(body, [*(each.heading for each in COLUMNS if each.heading != "at"), AT])) == 3
    else:
        assert [row.cells["name"] for row in read_table(body, [each.heading for each in COLUMNS])] == [
            "line 0",
            "line 1",
            "line 2",
        ]


@pytest.mark.parametrize("file_format", ["csv", "xlsx"])
async def test_no_row_is_read_before_the_snapshot_is_closed(file_format: SheetFormat) -> None:
    read: list[Line] = []

    def rows() -> Iterator[Line]:
        for line in lines(3):
            read.append(line)
            yield line

    response = await download(file_format, "lines", COLUMNS, rows(), ZONE)
    assert read == []
    assert [chunk async for chunk in response.body_iterator]  # type: ignore[attr-defined]
    assert len(read) == 3


AT = "at (Asia/Shanghai)"


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30))
def test_what_is_written_as_csv_is_read_again(text: str) -> None:
    assert unguarded(guarded(text)) == text or text.startswith("'")
    body = b"".join(csv_chunks(COLUMNS[:2], [Line(text)], ZONE))
    assert read_table(body, ["name", "count"])[0].cells["name"] == unguarded(text).strip()


HEADINGS = ["resource_id", "valid_from"]


def excel(*rows: list[Any]) -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.worksheets[0].append(row)
    file = BytesIO()
    book.save(file)
    return file.getvalue()


def test_columns_come_in_any_order_and_empty_rows_are_left_out() -> None:
    body = b"valid_from;resource_id;name\r\n2026-01-01;RI-1;a\r\n;;\r\n2026-02-01;RI-2;\r\n"
    rows = read_table(body, HEADINGS, ["name"])
    assert [(row.number, row.cells["resource_id"], row.cells["name"]) for row in rows] == [
        (2, "RI-1", "a"),
        (4, "RI-2", ""),
    ]


def test_excel_cells_are_read_as_people_typed_them() -> None:
    row = [12, 1.5, 0.1, True, date(2026, 3, 1), None, 1e21]
    headings = list("abcdefg")
    read = read_table(excel(headings, row), headings)[0]
    assert list(read.cells.values()) == [
        "12",
        "1.5",
        "0.1",
        "true",
        "2026-03-01T00:00:00",
        "",
        "1000000000000000000000",
    ]


def bomb() -> bytes:
    file = BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b" " * 70_000_000)
    return file.getvalue()


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "lacks resource_id, valid_from"),
        (b"resource_id\nRI-1\n", "lacks valid_from"),
        (b"resource_id,valid_from,colour\n", "has colour; the columns are resource_id, valid_from"),
        (b"resource_id,valid_from,resource_id\n", "names a column twice"),
        (b"resource_id,valid_from\nRI-1,2026,x\n", "row 2: has more than the 2 cells"),
        ("resource_id,valid_from\n杭州,2026\n".encode("gb18030"), "row 2: is not UTF-8 text"),
        (b"resource_id,valid_from\n\x00,2026\n", "NUL"),
        (b'resource_id,valid_from\n"RI-1,2026\n', "cannot be read as CSV"),
        (b"resource_id,valid_from\n" + b"a,b\n" * 4, "more than 3 rows"),
        (b"resource_id,valid_from\n" + b"a" * 2_001 + b",b\n", "row 2: has a cell of more than 2000"),
        (b"PK\x03\x04 nothing else", "neither CSV text nor a whole .xlsx"),
        (excel(["resource_id"], ["RI-1"]), "lacks valid_from"),
        (bomb(), "unpacks to more than 64 MiB"),
    ],
)
def test_a_wrong_file_says_what_is_wrong_and_where(body: bytes, sentence: str) -> None:
    with pytest.raises(UnreadableTable) as refused:
        read_table(body, HEADINGS, rows_max=3)
    assert sentence in str(refused.value)
