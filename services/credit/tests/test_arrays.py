"""Arrays written as text hold what they were given, whatever that is."""

from typing import Any

import asyncpg
import pytest
from credit.repository.arrays import literal, nested, optional, quoted

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
