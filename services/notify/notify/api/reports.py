"""Delivery reports of the SMS gateway: any order, any number of times.

The gateway can only call with GET and has no token of ours; the secret in the path, made for one delivery and told
to nobody else, is the proof. Hence these routes stand beside those with a policy.
"""

from functools import partial
from typing import Annotated, Final
from uuid import uuid4

from chassis.http import HttpContext, Problem, Router, retried
from fastapi import Path, Query, Request
from fastapi.responses import PlainTextResponse

from chassis import Cause
from notify.domain.answers import gateway_report, redacted
from notify.domain.delivery import reported
from notify.endings import Outcome, conclude
from notify.repository import deliveries, reports

PATH: Final = "/sms-reports/{token}"

router = Router(tags=["delivery reports"])


@router.api.get(
    PATH,
    response_class=PlainTextResponse,
    summary="Take a delivery report",
    responses={
        200: {"content": {"text/plain": {"example": "OK"}}},
        404: {"description": "No delivery has this token"},
    },
)
async def take_report(
    request: Request,
    token: Annotated[str, Path(max_length=100)],
    status: Annotated[
        int, Query(ge=1, le=255, description="1 delivered, 2 failed, 8 taken by the SMSC, 16 rejected")
    ],
    reply: Annotated[str, Query(max_length=2_000, description="The SMSC's own words")] = "",
) -> PlainTextResponse:
    """Notes the report and moves the delivery forward where it says more than was known."""
    context: HttpContext = request.app.state.context
    if not await retried(partial(record_report, context, token, status, reply)):
        raise Problem.not_found()
    return PlainTextResponse("OK")


async def record_report(context: HttpContext, token: str, status: int, reply: str) -> bool:
    """Stores a report and what it changes; False when no delivery has this token."""
    cause_id = str(uuid4())
    async with context.open_work(Cause(f"coffer/{context.name}", cause_id, cause_id)) as work:
        found = await reports.by_token(work.connection, token)
        if found is None:
            return False
        account, delivery_id, address = found
        groups = await deliveries.locked_groups(work.connection, {(account, delivery_id)})
        await reports.save(work.connection, account, delivery_id, status, redacted(reply, address), work.now)
        locked = next(one for one in groups[delivery_id] if one.delivery.id == delivery_id)
        change = reported(locked.delivery, gateway_report(status, reply))
        if change is not None:
            await conclude(work, groups, [Outcome(locked=locked, change=change)])
    return True
