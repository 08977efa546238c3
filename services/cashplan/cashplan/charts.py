"""The forecast as a picture: SVG, and a workbook with a chart inside."""

import sys
from collections.abc import Sequence
from decimal import Decimal
from io import BytesIO
from typing import Any, Final
from xml.etree import ElementTree

import pygal
import xlsxwriter
from contracts.money import decimals

from cashplan.domain.forecast import Forecast

# pygal adds a finder of an old form by which nothing else can be imported any more in the newer ways.
sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, pygal.PluginImportFixer)]

SVG: Final = "image/svg+xml"
LABELS_MAX: Final = 12
ROWS_DRAWN_MAX: Final = 200

Chart = tuple[str, int, Sequence[int]]
"""Its kind, the column of categories, and the columns of values."""


def units(minor: int, currency: str) -> float:
    """For a picture only: whole currency units as a float."""
    return float(Decimal(minor).scaleb(-decimals(currency)))


def forecast_svg(title: str, told: Forecast, currency: str) -> bytes:
    """Closing balances day by day, beside what must be kept."""
    chart = pygal.Line(
        title=title,
        show_dots=False,
        show_minor_x_labels=False,
        x_label_rotation=30,
        y_title=currency,
        js=[],
        disable_xml_declaration=False,
        include_x_axis=True,
    )
    days = [day.day.isoformat() for day in told.days]
    chart.x_labels = days
    chart.x_labels_major = days[:: max(1, len(days) // LABELS_MAX)]
    chart.add("Closing balance", [units(day.closing, currency) for day in told.days])
    chart.add("Must be kept", [units(told.kept, currency)] * len(days))
    return _without_scripts(chart.render_tree())


def _without_scripts(tree: Any) -> bytes:
    """The picture alone: nothing in it runs, wherever it is shown."""
    for parent in list(tree.iter()):
        for child in list(parent):
            if isinstance(child.tag, str) and child.tag.rpartition("}")[2] == "script":
                parent.remove(child)
    rendered: bytes = ElementTree.tostring(tree, encoding="utf-8", xml_declaration=True)
    return rendered


def forecast_workbook(title: str, told: Forecast, currency: str) -> bytes:
    """A row per day, and a line chart of the balances."""
    headings = ["Day", "Opening", "Receipts", "Payments", "Closing", "Must be kept", "Unplanned receipts",
                "Unplanned payments"]  # fmt: skip
    rows = [
        [
            day.day.isoformat(),
            *(units(each, currency) for each in (day.opening, day.receipts, day.payments, day.closing)),
            units(told.kept, currency),
            units(day.unplanned_receipts, currency),
            units(day.unplanned_payments, currency),
        ]
        for day in told.days
    ]
    return table_workbook(title, headings, rows, chart=("line", 0, [4, 5]))


def table_svg(title: str, headings: Sequence[str], rows: Sequence[Sequence[Any]], chart: Chart) -> bytes:
    """The chart of a table's first rows, as its workbook has it inside."""
    kind, categories, columns = chart
    drawn = (pygal.Line if kind == "line" else pygal.Bar)(
        title=title, x_label_rotation=30, js=[], disable_xml_declaration=False
    )
    shown = rows[:ROWS_DRAWN_MAX]
    drawn.x_labels = [str(row[categories]) for row in shown]
    for column in columns:
        values = [None if row[column] is None else float(row[column]) for row in shown]
        drawn.add(headings[column], values)
    return _without_scripts(drawn.render_tree())


def table_workbook(
    title: str,
    headings: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    chart: Chart | None = None,
) -> bytes:
    """A table with headings, and its chart inside."""
    file = BytesIO()
    book = xlsxwriter.Workbook(
        file, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    )
    sheet = book.add_worksheet("Table")
    bold = book.add_format({"bold": True})
    number = book.add_format({"num_format": "#,##0.00"})
    sheet.write_row(0, 0, headings, bold)
    for at, row in enumerate(rows, start=1):
        for column, value in enumerate(row):
            if isinstance(value, int | float | Decimal):
                sheet.write_number(at, column, float(value), number)
            elif value is not None:
                sheet.write_string(at, column, str(value))
    sheet.freeze_panes(1, 0)
    sheet.set_column(0, len(headings), 16)
    if chart is not None and rows:
        _add_chart(book, sheet, title, headings, len(rows), chart)
    book.close()
    return file.getvalue()


def _add_chart(
    book: Any,
    sheet: Any,
    title: str,
    headings: Sequence[str],
    rows: int,
    chart: Chart,
) -> None:
    kind, categories, columns = chart
    drawn = book.add_chart({"type": kind})
    for column in columns:
        drawn.add_series(
            {
                "name": ["Table", 0, column],
                "categories": ["Table", 1, categories, rows, categories],
                "values": ["Table", 1, column, rows, column],
            }
        )
    drawn.set_title({"name": title})
    drawn.set_size({"width": 960, "height": 420})
    sheet.insert_chart(1, len(headings) + 1, drawn)
