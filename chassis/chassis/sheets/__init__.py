"""Tables for spreadsheets: lists out as CSV and Excel however long they are, and tables in, bounded."""

from chassis.sheets.columns import Column, ColumnKind
from chassis.sheets.reading import TableRow, UnreadableTable, read_table, table_rows
from chassis.sheets.writing import CSV, XLSX, CsvTable, ExcelTable, SheetFormat, csv_chunks, write_xlsx

__all__ = [
    "CSV",
    "XLSX",
    "Column",
    "ColumnKind",
    "CsvTable",
    "ExcelTable",
    "SheetFormat",
    "TableRow",
    "UnreadableTable",
    "csv_chunks",
    "read_table",
    "table_rows",
    "write_xlsx",
]
