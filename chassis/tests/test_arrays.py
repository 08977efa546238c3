"""Arrays written as text hold what they were given, whatever that is."""

from datetime import UTC, date, datetime
from typing import Any

import asyncpg
import pytest
from chassis.arrays import Columns, literal, nested, optional, quoted
from chassis.database import sqlalchemy_url
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

pytestmark = pytest.mark.stack

ODD = ["plain", 'a"b', "c\\d", "{e}", "f,g", "NULL", "null", "'h'", "\\", '"', "", "华信", "%s", ":i", "😀"]


async def test_any_text_survives_the_way_through_an_array(postgres_dsn: str) -> None:
    connection = await asyncpg.connect(postgres_dsn)

    async def back(array: str, kind: str = "text") -> Any:
        return await connection.fetchval(f"select cast($1::text as {kind}[])", array)

    assert await back(quoted(ODD)) == ODD
    assert await back(quoted(["a", "b"])) == ["a", "b"]
    assert await back(quoted([])) == []
    assert await back(optional([None, *ODD, None])) == [None, *ODD, None]
    assert await back(optional(["a", "b"])) == ["a", "b"]
    assert await back(literal([1, None, -3]), "bigint") == [1, None, -3]
    assert await back(literal([True, False]), "boolean") == [True, False]
    arrays = await back("{" + ",".join([nested([]), nested({3, 1})]) + "}")
    assert [await back(array, "integer") for array in arrays] == [[], [1, 3]]
    await connection.close()


async def test_rows_come_back_from_columns_as_they_were(postgres_dsn: str) -> None:
    columns = Columns(names="text", numbers="bigint", moments="timestamptz", days="date", bodies="bytea")
    at = datetime(2026, 3, 1, 23, 59, 59, 123456, UTC)
    rows = [("a,b", 1, at, date(2026, 3, 1), b"\0"), (None, None, None, None, None), ("", -2, at, None, b"")]
    engine = create_async_engine(sqlalchemy_url(postgres_dsn))
    async with engine.begin() as connection:
        found = await connection.execute(
            text(f"select * from unnest({columns.sql})"), columns.parameters(rows)
        )
        assert [tuple(row) for row in found] == rows
        found = await connection.execute(text(f"select * from unnest({columns.sql})"), columns.parameters([]))
        assert found.all() == []
    await engine.dispose()
