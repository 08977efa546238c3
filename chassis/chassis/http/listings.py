"""A list as two routes: a page of it, and all of it as a file; with the same filters and sorts."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from functools import partial
from inspect import Parameter, Signature, signature
from typing import Annotated, Any, Final, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from contracts.money import SIGNED_DECIMAL, SignedMoney, TooManyDecimals, UnknownCurrency, minor_units
from fastapi import Depends, Path, Query
from pydantic import Field as Limits
from pydantic import create_model
from starlette.requests import Request
from starlette.responses import Response

from chassis.http.downloads import DOWNLOAD, stream
from chassis.http.exchange import Context, Reader, exchange_of
from chassis.http.paging import CursorPage, Page
from chassis.http.policy import Policy
from chassis.http.problems import Problem
from chassis.http.router import Router
from chassis.listing import CURRENCY, Asked, Comparison, Condition, FieldKind, ListField, Listing
from chassis.sheets import SheetFormat

VALUES_MAX: Final = 100
TEXT_CHARACTERS_MAX: Final = 200
WHOLE_MAX: Final = 2**63 - 1
OWN: Final = ":own_accounts"

Given = Callable[..., Any]
"""A dependency that returns the values which a list's query binds beside the path's; it may refuse the request."""

TextValues = Annotated[
    list[Annotated[str, Limits(max_length=TEXT_CHARACTERS_MAX)]], Limits(max_length=VALUES_MAX)
]
UuidValues = Annotated[list[UUID], Limits(max_length=VALUES_MAX)]
Part = Annotated[str, Limits(min_length=1, max_length=TEXT_CHARACTERS_MAX)]
Whole = Annotated[int, Limits(ge=-WHOLE_MAX, le=WHOLE_MAX)]
Decimal = Annotated[str, Limits(pattern=SIGNED_DECIMAL)]
PathText = Annotated[str, Path(min_length=1, max_length=TEXT_CHARACTERS_MAX)]
Format = Annotated[SheetFormat, Query(alias="format")]
Zone = Annotated[str, Query(max_length=60, description="What moments are told in, such as Asia/Shanghai.")]

JSON_TYPES: Final[Mapping[FieldKind, Any]] = {
    "text": str,
    "texts": list[str],
    "uuid": UUID,
    "whole": int,
    "money": SignedMoney,
    "moment": datetime,
    "date": date,
    "flag": bool,
}
PARAMETER_TYPES: Final[Mapping[FieldKind, Any]] = {
    "text": TextValues,
    "texts": TextValues,
    "uuid": UuidValues,
    "whole": Whole,
    "money": Decimal,
    "moment": datetime,
    "date": date,
    "flag": bool,
}
COMPARED: Final[Mapping[Comparison, str]] = {
    "any": "Any of these.",
    "contains": "A part of it.",
    "from": "From this on.",
    "before": "Before this.",
    "to": "Up to and with this.",
}


async def nothing_given() -> dict[str, Any]:
    return {}


def listed(
    router: Router,
    path: str,
    listing: Listing[Any],
    policy: Policy,
    *,
    view: Any = None,  # Any: a type made at run time where none is given
    told: Callable[[Any], Any] | None = None,
    given: Given = nothing_given,
    rows_of: Given | None = None,
) -> None:
    """Declares GET `path` and GET `path`/export for a list.

    `told` makes the `view` of a row; without them it shows each field. A list without a query is made of the rows
    that the dependency `rows_of` returns.
    """
    view = view or view_of(listing)
    told = told or partial(_told, listing, view)
    asked = Annotated[Asked[Any], Depends(asked_of(listing, path, given))]
    in_memory = Annotated[Any, Depends(rows_of or nothing_given)]

    async def read(page: Page, reader: Reader, **asked_for: Any) -> CursorPage[Any]:
        asked: Asked[Any] = asked_for["asked"]
        page.narrow(asked.order)
        after = page.after(*asked.place_types)
        if rows_of is None:
            rows = await asked.rows(reader, after, page.rows)
        else:
            rows = asked.behind(asked.among(asked_for["found"]), after, page.rows)
        kept, following = page.page(rows, asked.place_of)
        return CursorPage[Any](items=[told(row) for row in kept], next=following)

    async def export(
        context: Context,
        reader: Reader,
        file_format: Format = "xlsx",
        time_zone: Zone = "UTC",
        **asked_for: Any,
    ) -> Response:
        asked: Asked[Any] = asked_for["asked"]
        zone = zone_named(time_zone)
        await reader.rollback()  # its snapshot would wait, open and idle, until a long file is made
        in_turn = (
            asked.batches(context.database.reader)
            if rows_of is None
            else once(asked.among(asked_for["found"]))
        )
        return await stream(file_format, listing.name, listing.columns, in_turn, zone)

    title = listing.name.replace("-", " ")
    exporting = Policy(f"{policy.action}-export", policy.roles, policy.account, visible=policy.visible)
    router.get(
        f"{path}/export",
        policy=exporting,
        summary=f"{title.capitalize()}, as a file",
        description="The whole list with the same filters and sorts, streamed as CSV or Excel.",
        response_class=Response,
        responses=DOWNLOAD,
    )(_signed(export, f"export_{listing.name}", asked=asked, found=in_memory))
    router.get(
        path,
        policy=policy,
        response_model=CursorPage[view],
        summary=title.capitalize(),
        description=f"{listing.sentence} By default sorted by `{listing.sort}`.",
    )(_signed(read, f"list_{listing.name}", asked=asked, found=in_memory))


def _signed(endpoint: Any, name: str, **dependencies: Any) -> Any:
    """The endpoint with its dependencies as parameters, which is where FastAPI reads them."""
    own = list(signature(endpoint).parameters.values())[:-1]
    more = [Parameter(each, Parameter.KEYWORD_ONLY, annotation=one) for each, one in dependencies.items()]
    endpoint.__signature__ = Signature([*(one.replace(kind=Parameter.KEYWORD_ONLY) for one in own), *more])
    endpoint.__name__ = name.replace("-", "_")
    return endpoint


def view_of(listing: Listing[Any]) -> Any:
    """What one row of a list looks like as JSON."""
    fields: dict[str, Any] = {
        field.name: (JSON_TYPES[field.kind] | None if field.nullable else JSON_TYPES[field.kind], ...)
        for field in listing.fields
    }
    name = "".join(part.capitalize() for part in listing.name.split("-"))
    return create_model(f"{name}Row", __doc__=listing.sentence, **fields)


def _told(listing: Listing[Any], view: Any, row: Any) -> Any:
    return view(**{field.name: _said(field, row) for field in listing.fields})


def _said(field: ListField[Any], row: Any) -> Any:
    value = field.read(row)
    if field.kind != "money" or value is None:
        return value
    return SignedMoney.of(value, row.currency)


async def once(rows: list[Any]) -> Any:
    """A list in memory as one batch."""
    yield rows


def zone_named(name: str) -> ZoneInfo:
    """Raises Problem 422 for a name that no time zone has."""
    try:
        return ZoneInfo(name)
    except (ValueError, LookupError, OSError):
        message = f"{name!r} is no time zone such as Asia/Shanghai"
        raise Problem.invalid([{"field": "time_zone", "message": message}]) from None


def asked_of(listing: Listing[Any], path: str, given: Given = nothing_given) -> Callable[..., Any]:
    """A dependency that reads what is asked of a list; its parameters are those of the list's fields."""
    of_path = re.findall(r"{(\w+)}", path)
    parameters = {
        name: (field, comparison) for field, name, comparison in filters(listing) if name not in of_path
    }

    async def asked(request: Request, bound: dict[str, Any], **values: Any) -> Asked[Any]:
        found = {name: value for name, value in values.items() if name in parameters and value is not None}
        currencies = found.get(CURRENCY, ())
        conditions = [
            Condition(*parameters[name], _value(parameters[name][0], name, value, currencies))
            for name, value in found.items()
        ]
        scope = {"own_accounts": _own(request)} if OWN in listing.query else {}
        return Asked(listing, conditions, values["sort"], {**request.path_params, **bound, **scope})

    asked.__signature__ = Signature(  # type: ignore[attr-defined]  # where FastAPI reads the parameters
        [
            _parameter("request", Request),
            _parameter("bound", Annotated[dict[str, Any], Depends(given)]),
            *(_parameter(name, PathText) for name in of_path),
            *(_parameter(name, _annotation(*one), None) for name, one in parameters.items()),
            _parameter("sort", Annotated[Literal[tuple(listing.sorts)], Query()], listing.sort),
        ]
    )
    return asked


def _parameter(name: str, annotation: Any, default: Any = Parameter.empty) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


def _own(request: Request) -> list[str] | None:
    accounts = exchange_of(request).access.accounts
    return None if accounts is None else sorted(accounts)


def filters(listing: Listing[Any]) -> Iterator[tuple[ListField[Any], str, Comparison]]:
    """The query parameters of a list: field, name, comparison."""
    for field in listing.fields:
        if not field.filterable:
            continue
        match field.kind:
            case "text" | "texts" | "uuid" | "flag":
                yield field, field.name, "contains" if field.contains else "any"
            case "moment":
                first, last = field.spans or (f"{field.name}_since", f"{field.name}_until")
                yield field, first, "from"
                yield field, last, "before"
            case "date":
                first, last = field.spans or (f"{field.name}_from", f"{field.name}_to")
                yield field, first, "from"
                yield field, last, "to"
            case "whole" | "money":
                first, last = field.spans or (f"{field.name}_min", f"{field.name}_max")
                yield field, first, "from"
                yield field, last, "to"


def _annotation(field: ListField[Any], comparison: Comparison) -> Any:
    told = COMPARED[comparison] + (" It goes with one currency." if field.kind == "money" else "")
    kind = Part if comparison == "contains" else PARAMETER_TYPES[field.kind]
    return Annotated[kind | None, Query(description=told)]


def _value(field: ListField[Any], name: str, value: Any, currencies: Any) -> Any:
    if field.kind == "flag":
        return [value]
    if field.kind == "moment" and value.tzinfo is None:
        message = "must have an offset, such as 2026-03-02T09:30:00+08:00"
        raise Problem.invalid([{"field": name, "message": message}])
    if field.kind != "money":
        return value
    if len(currencies) != 1:
        raise Problem.invalid([{"field": name, "message": "an amount goes with one currency; give currency"}])
    try:
        sign = -1 if value.startswith("-") else 1
        return sign * minor_units(value.removeprefix("-"), currencies[0])
    except (TooManyDecimals, UnknownCurrency) as wrong:
        raise Problem.invalid([{"field": name, "message": str(wrong)}]) from None
