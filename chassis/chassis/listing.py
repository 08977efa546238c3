"""Lists with one way to filter, sort, page and export them, in the database or in memory.

A list names its fields once. From each field follow its query parameters, its place among the sorts, its column
in the file, and the condition in SQL. Pages are cut by key, never by offset, so that the millionth row costs what
the first one did and a row that is added meanwhile moves no other.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from operator import attrgetter
from typing import Any, Final, Generic, Literal, TypeVar
from uuid import UUID

from contracts.money import decimal_string
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.sheets import Column, ColumnKind

Row = TypeVar("Row")
FieldKind = Literal["text", "texts", "uuid", "whole", "money", "moment", "date", "flag"]
Comparison = Literal["any", "contains", "from", "before", "to"]

EXPORT_BATCH_ROWS: Final = 5_000
CURRENCY: Final = "currency"

SQL_TYPES: Final[Mapping[FieldKind, str]] = {
    "text": "text",
    "texts": "text",
    "uuid": "uuid",
    "whole": "bigint",
    "money": "bigint",
    "moment": "timestamptz",
    "date": "date",
    "flag": "boolean",
}
PYTHON_TYPES: Final[Mapping[FieldKind, type[Any]]] = {
    "text": str,
    "texts": str,
    "uuid": UUID,
    "whole": int,
    "money": int,
    "moment": datetime,
    "date": date,
    "flag": bool,
}
COLUMN_KINDS: Final[Mapping[FieldKind, ColumnKind]] = {
    "text": "text",
    "texts": "text",
    "uuid": "text",
    "whole": "whole",
    "money": "decimal",
    "moment": "moment",
    "date": "date",
    "flag": "flag",
}
OPERATORS: Final[Mapping[Comparison, str]] = {"from": ">=", "before": "<", "to": "<="}


@dataclass(frozen=True, slots=True)
class ListField(Generic[Row]):
    """One thing that a list tells of its rows.

    `sql` is its expression in the list's query, by default its name; `value` where a row has it, by default the
    attribute of its name. A `money` field counts minor units and its rows have a field `currency` beside it;
    `texts` are a list of them. Only what is never null is `sortable`. `contains` filters by a part of the text, in
    any case of letters. `spans` names the parameters for a first and a last value, where they are not the usual.
    """

    name: str
    kind: FieldKind = "text"
    sql: str = ""
    value: Callable[[Row], Any] | None = None
    heading: str = ""
    filterable: bool = True
    sortable: bool = False
    nullable: bool = False
    contains: bool = False
    exported: bool = True
    summed: bool = False
    width: int = 20
    spans: tuple[str, str] | None = None

    @property
    def expression(self) -> str:
        return self.sql or self.name

    @property
    def read(self) -> Callable[[Row], Any]:
        return self.value or attrgetter(self.name)

    def column(self) -> Column[Row]:
        """The field as a column of a file."""
        read, kind = self.read, self.kind
        if kind == "money":
            read = _told_money(self.read)
        elif kind == "texts":
            read = _told_texts(self.read)
        return Column(
            self.heading or self.name.replace("_", " "),
            read,
            COLUMN_KINDS[kind],
            self.width,
            summed=self.summed,
            sums_apart=self.name == CURRENCY,
        )


def _told_money(read: Callable[[Row], int | None]) -> Callable[[Row], str | None]:
    def told(row: Row) -> str | None:
        minor = read(row)
        return None if minor is None else decimal_string(minor, row.currency)  # type: ignore[attr-defined]

    return told


def _told_texts(read: Callable[[Row], Sequence[str] | None]) -> Callable[[Row], str]:
    return lambda row: ", ".join(read(row) or ())


@dataclass(frozen=True, slots=True)
class Condition(Generic[Row]):
    """One filter: a field, how it is compared, and with what."""

    field: ListField[Row]
    comparison: Comparison
    value: Any

    def sql(self, name: str) -> str:
        """The condition with the value bound as `name`."""
        expression, cast = self.field.expression, SQL_TYPES[self.field.kind]
        if self.field.kind == "texts":
            return f"{expression} && cast(:{name} as text[])"
        match self.comparison:
            case "any":
                return f"{expression} = any(cast(:{name} as {cast}[]))"
            case "contains":
                return f"position(lower(cast(:{name} as text)) in lower({expression})) > 0"
            case _:
                return f"{expression} {OPERATORS[self.comparison]} cast(:{name} as {cast})"

    def holds(self, row: Row) -> bool:
        found = self.field.read(row)
        match self.comparison:
            case "any":
                return bool({*found} & {*self.value}) if self.field.kind == "texts" else found in self.value
            case "contains":
                return found is not None and self.value.lower() in found.lower()
            case "from":
                return found is not None and found >= self.value
            case "before":
                return found is not None and found < self.value
            case "to":
                return found is not None and found <= self.value


@dataclass(frozen=True, slots=True)
class Listing(Generic[Row]):
    """A list: its fields, its key (fields that make a row unique), and the sort that it has when none is asked for.

    `sentence` says for people what it holds. `query` is a SELECT with a column for each field; it may bind values
    that the route gives, and `own_accounts`: those that the list must be limited to, or null for all.
    """

    name: str
    sentence: str
    fields: Sequence[ListField[Row]]
    key: Sequence[str]
    sort: str
    query: str = ""

    def __post_init__(self) -> None:
        unknown = {*self.key, self.sort.removeprefix("-")} - {field.name for field in self.fields}
        assert not unknown, f"the list {self.name} has no field {unknown}"

    def field(self, name: str) -> ListField[Row]:
        return next(field for field in self.fields if field.name == name)

    @property
    def sorts(self) -> list[str]:
        """What can be asked for as `sort`; a minus turns it round."""
        names = [field.name for field in self.fields if field.sortable]
        return [*names, *(f"-{name}" for name in names)]

    @property
    def columns(self) -> list[Column[Row]]:
        return [field.column() for field in self.fields if field.exported]

    def place(self, sort: str) -> list[ListField[Row]]:
        """The fields that order the list: the one that is asked for, then those of the key that it leaves open."""
        by = self.field(sort.removeprefix("-"))
        first = [self.field(CURRENCY), by] if by.kind == "money" else [by]
        known = {field.name for field in first}
        return [*first, *(self.field(name) for name in self.key if name not in known)]


@dataclass(frozen=True, slots=True)
class Asked(Generic[Row]):
    """What is asked of a list: filters, a sort, and the values that its query binds."""

    listing: Listing[Row]
    conditions: Sequence[Condition[Row]] = ()
    sort: str = ""
    given: Mapping[str, Any] | None = None

    def with_given(self, **values: Any) -> "Asked[Row]":
        return replace(self, given={**(self.given or {}), **values})

    @property
    def order(self) -> str:
        return self.sort or self.listing.sort

    @property
    def place(self) -> list[ListField[Row]]:
        return self.listing.place(self.order)

    @property
    def descending(self) -> bool:
        return self.order.startswith("-")

    def place_of(self, row: Row) -> tuple[Any, ...]:
        """Where a row stands in the order, as cursors hold it."""
        return tuple(field.read(row) for field in self.place)

    @property
    def place_types(self) -> tuple[type[Any], ...]:
        return tuple(PYTHON_TYPES[field.kind] for field in self.place)

    async def rows(
        self, connection: AsyncConnection, after: Sequence[Any] | None, rows_max: int
    ) -> list[Any]:  # Any: rows of the driver, with a name for each column
        """So many rows of the list behind a place in it."""
        statement, parameters = self._statement(after, rows_max)
        return list(await connection.execute(text(statement), parameters))

    async def batches(
        self, open_reader: Callable[[], Any], rows: int = EXPORT_BATCH_ROWS
    ) -> AsyncIterator[list[Any]]:
        """The whole list in batches, each read in a snapshot of its own, so that none stays open for long."""
        after: tuple[Any, ...] | None = None
        while True:
            async with open_reader() as connection:
                batch = await self.rows(connection, after, rows)
            if batch:
                yield batch
            if len(batch) < rows:
                return
            after = self.place_of(batch[-1])

    def among(self, rows: Sequence[Row]) -> list[Row]:
        """The same list made of rows in memory."""
        kept = [row for row in rows if all(condition.holds(row) for condition in self.conditions)]
        return sorted(kept, key=self.place_of, reverse=self.descending)

    def behind(self, rows: Sequence[Row], after: Sequence[Any] | None, rows_max: int) -> list[Row]:
        """So many rows of a list in memory behind a place in it."""
        if after is None:
            return list(rows[:rows_max])
        place = tuple(after)
        if self.descending:
            found = [row for row in rows if self.place_of(row) < place]
        else:
            found = [row for row in rows if self.place_of(row) > place]
        return found[:rows_max]

    def _statement(self, after: Sequence[Any] | None, rows_max: int) -> tuple[str, dict[str, Any]]:
        parameters: dict[str, Any] = {**(self.given or {}), "listing_rows": rows_max}
        wheres = []
        for number, condition in enumerate(self.conditions):
            parameters[f"listing_{number}"] = condition.value
            wheres.append(condition.sql(f"listing_{number}"))
        place = self.place
        if after is not None:
            parameters |= {f"listing_after_{number}": value for number, value in enumerate(after)}
            wheres.append(_behind(place, self.descending))
        direction = " desc" if self.descending else ""
        order = ", ".join(f"{field.expression}{direction}" for field in place)
        where = f" where {' and '.join(wheres)}" if wheres else ""
        query = f"select * from ({self.listing.query}) as listed{where} order by {order} limit :listing_rows"
        return query, parameters


def _behind(place: Sequence[ListField[Any]], descending: bool) -> str:
    left = ", ".join(field.expression for field in place)
    right = ", ".join(
        f"cast(:listing_after_{number} as {SQL_TYPES[field.kind]})" for number, field in enumerate(place)
    )
    return f"({left}) {'<' if descending else '>'} ({right})"
