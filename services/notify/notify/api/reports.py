"""Delivery reports of the SMS gateway: any order, any number of times.

The gateway can only call with GET and has no token of ours; the secret in the path, made for one delivery and told
to nobody else, is the proof. Hence these routes stand beside those with a policy.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Final
from uuid import uuid4
from weakref import WeakKeyDictionary

from chassis.http import HttpContext, Problem, Router, retried
from fastapi import Path, Query, Request
from fastapi.responses import PlainTextResponse

from chassis import Cause, UnitOfWork
from notify.domain.answers import gateway_report, redacted
from notify.domain.delivery import reported
from notify.endings import Outcome, conclude
from notify.repository import deliveries, reports
from notify.repository.reports import Target
from notify.together import Together

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


@dataclass(frozen=True, slots=True)
class Reported:
    """A report as it came."""

    token: str
    status: int
    reply: str


_TOGETHER: Final[WeakKeyDictionary[HttpContext, Together[Reported, bool]]] = WeakKeyDictionary()


async def record_report(context: HttpContext, token: str, status: int, reply: str) -> bool:
    """Stores a report and what it changes; False when no delivery has this token.

    Reports that come at the same moment share a transaction.
    """
    together = _TOGETHER.get(context)
    if together is None:
        together = _TOGETHER[context] = Together(partial(record_reports, context))
    return await together.do(Reported(token, status, reply))


async def record_reports(context: HttpContext, told: Sequence[Reported]) -> Sequence[bool]:
    """Stores reports in the order in which they came; whether each has a delivery."""
    cause_id = str(uuid4())
    async with context.open_work(Cause(f"coffer/{context.name}", cause_id, cause_id)) as work:
        found = await reports.by_tokens(work.connection, {one.token for one in told})
        known = [(one, found[one.token]) for one in told if one.token in found]
        for turn in _turns(known):
            await _record(work, turn)
    return [one.token in found for one in told]


def _turns(known: Sequence[tuple[Reported, Target]]) -> list[list[tuple[Reported, Target]]]:
    """Reports in turns, so that none holds two of one delivery."""
    turns: list[list[tuple[Reported, Target]]] = []
    seen: Counter[Target] = Counter()
    for one, target in known:
        if seen[target] == len(turns):
            turns.append([])
        turns[seen[target]].append((one, target))
        seen[target] += 1
    return turns


async def _record(work: UnitOfWork, turn: Sequence[tuple[Reported, Target]]) -> None:
    groups = await deliveries.locked_groups(
        work.connection, {(target.account, target.id) for _, target in turn}
    )
    await reports.save(
        work.connection,
        [(target, one.status, redacted(one.reply, target.address)) for one, target in turn],
        work.now,
    )
    outcomes = []
    for one, target in turn:
        locked = next(locked for locked in groups[target.id] if locked.delivery.id == target.id)
        change = reported(locked.delivery, gateway_report(one.status, one.reply))
        if change is not None:
            outcomes.append(Outcome(locked=locked, change=change))
    await conclude(work, groups, outcomes)
