"""What one request works with, and how an endpoint asks for it."""

from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Final

from fastapi import Depends
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request

from chassis.http.auth import Principal
from chassis.http.policy import Access
from chassis.http.ports import HttpContext
from chassis.work import UnitOfWork

STATE: Final = "exchange"


class NoTransaction(RuntimeError):
    """An endpoint that reads asked for a unit of work."""

    def __init__(self) -> None:
        super().__init__("a GET endpoint has no unit of work; take a Reader, or change the method")


@dataclass(slots=True)
class Exchange:
    """One attempt at answering a request: its caller, and its transaction or snapshot."""

    context: HttpContext
    principal: Principal
    access: Access
    stack: AsyncExitStack
    work: UnitOfWork | None = None
    _reader: AsyncConnection | None = field(default=None)

    async def reader(self) -> AsyncConnection:
        """The transaction of a command; of a query, a read-only snapshot opened when first asked for."""
        if self.work is not None:
            return self.work.connection
        if self._reader is None:
            self._reader = await self.stack.enter_async_context(self.context.database.reader())
        return self._reader


def exchange_of(request: Request) -> Exchange:
    exchange = getattr(request.state, STATE)
    assert isinstance(exchange, Exchange)
    return exchange


async def current_work(request: Request) -> UnitOfWork:
    work = exchange_of(request).work
    if work is None:
        raise NoTransaction
    return work


async def current_reader(request: Request) -> AsyncConnection:
    return await exchange_of(request).reader()


async def current_time(request: Request) -> datetime:
    exchange = exchange_of(request)
    if exchange.work is not None:
        return exchange.work.now
    given = exchange.context.now()
    if given is not None:
        return given
    reader = await exchange.reader()
    moment: datetime = (await reader.execute(text("select clock_timestamp()"))).scalar_one()
    return moment


async def current_principal(request: Request) -> Principal:
    return exchange_of(request).principal


async def current_access(request: Request) -> Access:
    return exchange_of(request).access


async def current_context(request: Request) -> HttpContext:
    return exchange_of(request).context


Work = Annotated[UnitOfWork, Depends(current_work)]
Now = Annotated[datetime, Depends(current_time)]
Reader = Annotated[AsyncConnection, Depends(current_reader)]
CurrentPrincipal = Annotated[Principal, Depends(current_principal)]
CurrentAccess = Annotated[Access, Depends(current_access)]
Context = Annotated[HttpContext, Depends(current_context)]
