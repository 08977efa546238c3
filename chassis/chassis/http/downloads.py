"""Lists as files: CSV streamed while it is made, Excel streamed from a file that is gone with the answer."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

from starlette.responses import Response, StreamingResponse

from chassis.sheets import CSV, XLSX, Column, CsvTable, ExcelTable, SheetFormat, csv_chunks, write_xlsx

BLOCK_BYTES: Final = 256 * 1024
DOWNLOAD: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The table as a file", "content": {CSV.partition(";")[0]: {}, XLSX: {}}}
}
"""As a route's `responses`, for its OpenAPI page."""


async def stream(
    file_format: SheetFormat,
    name: str,
    columns: Sequence[Column[Any]],
    batches: AsyncIterator[Sequence[Any]],
    zone: ZoneInfo,
) -> Response:
    """The table as a file `name`, of rows that come in batches: no more than one of them is held at a time."""
    if file_format == "csv":
        return StreamingResponse(
            _csv_stream(columns, batches, zone), media_type=CSV, headers=_named(name, "csv")
        )
    file = await _excel_file(name, columns, batches, zone)
    return StreamingResponse(_blocks(file), media_type=XLSX, headers=_named(name, "xlsx"))


async def _csv_stream(
    columns: Sequence[Column[Any]], batches: AsyncIterator[Sequence[Any]], zone: ZoneInfo
) -> AsyncIterator[bytes]:
    table = CsvTable(columns, zone)
    async for batch in batches:
        yield await asyncio.to_thread(table.add, batch)
    yield table.end()


async def _excel_file(
    name: str, columns: Sequence[Column[Any]], batches: AsyncIterator[Sequence[Any]], zone: ZoneInfo
) -> BinaryIO:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.xlsx"
        table = await asyncio.to_thread(ExcelTable, path, name, columns, zone)
        async for batch in batches:
            await asyncio.to_thread(table.add, batch)
        await asyncio.to_thread(table.close)
        return path.open("rb")


async def download(
    file_format: SheetFormat, name: str, columns: Sequence[Column[Any]], rows: Iterable[Any], zone: ZoneInfo
) -> Response:
    """The table as a file `name`; `rows` are read in another thread and once the snapshot is closed.

    So they must need no connection, and no transaction waits while a long table is written.
    """
    if file_format == "csv":
        return StreamingResponse(csv_chunks(columns, rows, zone), media_type=CSV, headers=_named(name, "csv"))
    blocks = _xlsx_blocks(name, columns, rows, zone)
    return StreamingResponse(blocks, media_type=XLSX, headers=_named(name, "xlsx"))


def _named(name: str, extension: str) -> dict[str, str]:
    return {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}.{extension}"}


def _xlsx_blocks(
    name: str, columns: Sequence[Column[Any]], rows: Iterable[Any], zone: ZoneInfo
) -> Iterator[bytes]:
    """The Excel file, written when its first block is asked for."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.xlsx"
        write_xlsx(path, name, columns, rows, zone)
        yield from _blocks(path.open("rb"))


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while block := file.read(BLOCK_BYTES):
            yield block
