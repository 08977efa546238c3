"""The views as files: CSV and Excel, with times in a zone of one's choice."""

import asyncio
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from chassis.http import DOWNLOAD, Now, Policy, Reader, Router, download
from chassis.sheets import Column, SheetFormat
from contracts.text import Id, TimeZone
from fastapi import Query
from starlette.responses import Response

from sharing.api.sharing_models import At
from sharing.api.views import USE, Chosen, ChosenAccounts, owners, usable
from sharing.domain.dated import Binding
from sharing.domain.sharing import Sharing
from sharing.domain.views import (
    AccountLine,
    Detail,
    Details,
    TypeDetail,
    bindings_from,
    members_of,
    trustees,
)
from sharing.repository import sharing as sharing_rows
from sharing.repository.sharing import Group

router = Router(tags=["sharing"])

EXPORT: Final = Policy("sharing:read", roles=(), account="account")
Format = Annotated[SheetFormat, Query(alias="format", description="csv or xlsx")]
Zone = Annotated[TimeZone, Query(description="The time zone in which moments are told.")]


ACCOUNT_COLUMNS: Final[list[Column[AccountLine]]] = [
    Column("account", lambda line: line.account),
    Column("group", lambda line: line.group),
    Column("accepted types", lambda line: ", ".join(line.accepted_types), width=40),
    Column("usable resources", lambda line: sum(line.usable.values()), "whole"),
    Column(
        "by type", lambda line: ", ".join(f"{name} {count}" for name, count in line.usable.items()), width=40
    ),
    Column("trustee since", lambda line: line.since, "moment"),
]


@router.get(
    "/accounts/{account}/sharing/accounts/export",
    policy=EXPORT,
    summary="Sharing by account, as a file",
    response_class=Response,
    responses=DOWNLOAD,
)
async def export_accounts(
    account: Id,
    reader: Reader,
    now: Now,
    chosen: ChosenAccounts,
    at: At = None,
    file_format: Format = "csv",
    time_zone: Zone = "UTC",
) -> Response:
    moment = at or now
    sharing = await sharing_rows.sharing(reader, account, moment)
    rows = chosen.lines(sharing, trustees(sharing, moment), moment)
    return await download(file_format, "sharing-by-account", ACCOUNT_COLUMNS, rows, ZoneInfo(time_zone))


@router.get(
    "/accounts/{account}/sharing/groups/export",
    policy=EXPORT,
    summary="Sharing by user group, as a file",
    response_class=Response,
    responses=DOWNLOAD,
)
async def export_groups(
    account: Id,
    reader: Reader,
    now: Now,
    at: At = None,
    file_format: Format = "csv",
    time_zone: Zone = "UTC",
) -> Response:
    """A row for each member of a group, and one for each resource shared with it."""
    moment = at or now
    groups = await sharing_rows.groups(reader, account, at)
    sharing = await sharing_rows.sharing(reader, account, moment)
    rows = _group_rows(sharing, groups, moment)
    return await download(file_format, "sharing-by-group", GROUP_COLUMNS, rows, ZoneInfo(time_zone))


GroupRow = tuple[Group, str | None, Binding | None]
GROUP_COLUMNS: Final[list[Column[GroupRow]]] = [
    Column("group", lambda row: row[0].name, width=30),
    Column("group id", lambda row: row[0].group_id, width=38),
    Column("member", lambda row: row[1]),
    Column("resource", lambda row: row[2] and row[2].resource),
    Column("start", lambda row: row[2] and row[2].span.start, "moment"),
    Column("end", lambda row: row[2] and row[2].span.end, "moment"),
]


def _group_rows(sharing: Sharing, groups: Iterable[Group], at: datetime) -> Iterator[GroupRow]:
    for group in groups:
        for member in members_of(sharing, group.group_id, at):
            yield group, member, None
        for binding in bindings_from(sharing.bindings_of_group.get(group.group_id, ()), at):
            yield group, None, binding


DETAIL_COLUMNS: Final[list[Column[Detail]]] = [
    Column("account", lambda row: row.account),
    Column("resource", lambda row: row.resource),
    Column("resource type", lambda row: row.resource_type, width=24),
    Column("shared", lambda row: row.allowed, "flag", 10),
    Column("reason", lambda row: row.reason, width=28),
    Column("since", lambda row: row.since, "moment"),
    Column("until", lambda row: row.until, "moment"),
]


@router.get(
    "/accounts/{account}/sharing/details/export",
    policy=EXPORT,
    summary="Every account and resource in detail, as a file",
    response_class=Response,
    responses=DOWNLOAD,
)
async def export_details(
    account: Id,
    reader: Reader,
    now: Now,
    chosen: Chosen,
    at: At = None,
    file_format: Format = "csv",
    time_zone: Zone = "UTC",
) -> Response:
    """Streamed row by row, however many there are."""
    sharing = await sharing_rows.sharing(reader, account)
    found = await asyncio.to_thread(Details, sharing, at or now)
    return await download(
        file_format, "sharing-details", DETAIL_COLUMNS, chosen.rows(found), ZoneInfo(time_zone)
    )


TYPE_COLUMNS: Final[list[Column[TypeDetail]]] = [
    Column("account", lambda row: row.account),
    Column("resource type", lambda row: row.resource_type, width=24),
    Column("shared", lambda row: row.allowed, "flag", 10),
    Column("reason", lambda row: row.reason, width=28),
    Column("resources", lambda row: row.resources, "whole"),
]


@router.get(
    "/accounts/{account}/sharing/details/by-type/export",
    policy=EXPORT,
    summary="The details counted by type and reason, as a file",
    response_class=Response,
    responses=DOWNLOAD,
)
async def export_by_type(
    account: Id,
    reader: Reader,
    now: Now,
    chosen: Chosen,
    at: At = None,
    file_format: Format = "csv",
    time_zone: Zone = "UTC",
) -> Response:
    sharing = await sharing_rows.sharing(reader, account)
    found = await asyncio.to_thread(Details, sharing, at or now)
    rows = chosen.by_type(found, chosen.accounts(found))
    return await download(file_format, "sharing-by-type", TYPE_COLUMNS, rows, ZoneInfo(time_zone))


@router.get(
    "/accounts/{account}/usable-resources/export",
    policy=USE,
    summary="The resources that an account may use, as a file",
    response_class=Response,
    responses=DOWNLOAD,
)
async def export_usable(
    account: Id,
    reader: Reader,
    now: Now,
    at: At = None,
    file_format: Format = "csv",
    time_zone: Zone = "UTC",
) -> Response:
    """By owner and resource."""
    moment = at or now
    rows: list[Detail] = []
    for owner in await owners(reader, account, moment):
        sharing = await sharing_rows.sharing(reader, owner)
        rows += await asyncio.to_thread(usable, sharing, account, moment)
    return await download(file_format, "usable-resources", DETAIL_COLUMNS, rows, ZoneInfo(time_zone))
