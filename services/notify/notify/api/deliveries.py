"""The feed of deliveries: what became of each, attempt by attempt, without any address."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from chassis.http import LOADED, CurrentAccess, CursorPage, Page, Policy, Problem, Reader, Router
from contracts.text import Id
from fastapi import Query
from pydantic import BaseModel, ConfigDict
from pydantic.config import JsonDict
from sqlalchemy import Row

from notify.api.common import OPERATORS
from notify.domain.delivery import Channel, State
from notify.repository import feed
from notify.repository.feed import Shown, Wanted

router = Router(tags=["deliveries"])

ATTEMPT_EXAMPLE: Final[JsonDict] = {
    "number": 1,
    "began_at": "2026-03-10T02:15:04.120Z",
    "handed_over_at": "2026-03-10T02:15:04.161Z",
    "ended_at": "2026-03-10T02:15:04.198Z",
    "verdict": "accepted",
    "code": 202,
    "answer": "0: Accepted for delivery",
}
EXAMPLE: Final[JsonDict] = {
    "delivery_id": "5f0c7f6e-4a1a-5c1b-8f35-2f6a4d1b9a10",
    "account": "A-1001",
    "recipient": "p-17",
    "channel": "sms",
    "kind": "quota-low-opened",
    "currency": "CNY",
    "episode_id": "E-2026-0042",
    "event_source": "coffer/fund-pool",
    "event_id": "8a7c62e7-40a5-5be5-9f35-61b0a3b8a3de",
    "event_type": "quota-low.v1",
    "state": "delivered",
    "reason": None,
    "occurred_at": "2026-03-10T02:15:03Z",
    "created_at": "2026-03-10T02:15:04Z",
    "expires_at": "2026-03-11T02:15:03Z",
    "due_at": None,
    "ended_at": "2026-03-10T02:15:09Z",
    "repeat_of": None,
    "attempts": [ATTEMPT_EXAMPLE],
    "history": [{"at": "2026-03-10T02:15:09Z", "state": "delivered", "reason": None}],
    "reports": [
        {
            "status": 1,
            "reply": "",
            "first_at": "2026-03-10T02:15:09Z",
            "last_at": "2026-03-10T02:15:09Z",
            "times": 1,
        }
    ],
}


class AttemptView(BaseModel):
    """One attempt; from `handed_over_at` on the provider may have had the message."""

    number: int
    began_at: datetime
    handed_over_at: datetime | None
    ended_at: datetime | None
    verdict: str | None
    code: int | None
    answer: str | None


class StepView(BaseModel):
    """A state that the delivery entered."""

    at: datetime
    state: State
    reason: str | None


class ReportView(BaseModel):
    """What the SMS gateway reported, and how many times."""

    status: int
    reply: str
    first_at: datetime
    last_at: datetime
    times: int


class DeliveryView(BaseModel):
    """One notice to one recipient by one channel; `due_at` is when it is looked at again."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    delivery_id: UUID
    account: str
    recipient: str
    channel: Channel
    kind: str
    currency: str | None
    episode_id: str | None
    event_source: str
    event_id: str
    event_type: str
    state: State
    reason: str | None
    occurred_at: datetime
    created_at: datetime
    expires_at: datetime
    due_at: datetime | None
    ended_at: datetime | None
    repeat_of: UUID | None
    attempts: list[AttemptView]
    history: list[StepView]
    reports: list[ReportView]


@router.get(
    "/deliveries",
    policy=Policy("delivery:read", roles=OPERATORS, account=LOADED),
    summary="The feed of deliveries",
)
async def deliveries(
    page: Page,
    reader: Reader,
    access: CurrentAccess,
    account: Annotated[Id | None, Query(examples=["A-1001"])] = None,
    recipient: Annotated[Id | None, Query(examples=["p-17"])] = None,
    event_id: Annotated[
        Id | None, Query(description="The id of the event that the notice came from.")
    ] = None,
    episode_id: Annotated[Id | None, Query(examples=["E-2026-0042"])] = None,
    state: Annotated[State | None, Query()] = None,
) -> CursorPage[DeliveryView]:
    """Newest first; an account's user sees the deliveries of the own accounts."""
    if account is not None:
        await access.require(account)
    accounts = access.accounts if account is None else {account}
    wanted = Wanted(
        accounts=accounts, recipient=recipient, event_id=event_id, episode_id=episode_id, state=state
    )
    before = page.after(datetime, UUID)
    found = await feed.newest_before(reader, wanted, (before[0], before[1]) if before else None, page.rows)
    rows, following = page.page(found, key=lambda shown: (shown.delivery.created_at, str(shown.delivery.id)))
    return CursorPage(items=[delivery_view(row) for row in rows], next=following)


@router.get(
    "/accounts/{account}/deliveries/{delivery_id}",
    policy=Policy("delivery:read", roles=OPERATORS, account="account"),
    summary="One delivery",
)
async def delivery(account: Id, delivery_id: UUID, reader: Reader) -> DeliveryView:
    shown = await feed.one(reader, account, delivery_id)
    if shown is None:
        raise Problem.not_found()
    return delivery_view(shown)


def delivery_view(shown: Shown) -> DeliveryView:
    row = shown.delivery
    return DeliveryView(
        delivery_id=row.id,
        account=row.account,
        recipient=row.recipient,
        channel=Channel(row.channel),
        kind=row.kind,
        currency=row.currency,
        episode_id=row.episode_id,
        event_source=row.event_source,
        event_id=row.event_id,
        event_type=row.event_type,
        state=State(row.state),
        reason=row.reason,
        occurred_at=row.occurred_at,
        created_at=row.created_at,
        expires_at=row.expires_at,
        due_at=row.due_at,
        ended_at=row.ended_at,
        repeat_of=row.repeat_of,
        attempts=attempt_views(shown.history),
        history=step_views(shown.history),
        reports=[ReportView.model_validate(dict(report._mapping)) for report in shown.reports],
    )


def attempt_views(history: Sequence[Row[Any]]) -> list[AttemptView]:
    """The attempts that the steps of a history tell of: begun, handed over, answered."""
    attempts: dict[int, AttemptView] = {}
    for step in history:
        if step.attempt is None:
            continue
        attempt = attempts.setdefault(step.attempt, _begun(step))
        if step.phase == "transmitting":
            attempt.handed_over_at = step.at
        elif step.phase is None:
            attempt.ended_at = step.at
            attempt.verdict, attempt.code, attempt.answer = step.verdict, step.code, step.answer
    return list(attempts.values())


def _begun(step: Row[Any]) -> AttemptView:
    return AttemptView(
        number=step.attempt,
        began_at=step.at,
        handed_over_at=None,
        ended_at=None,
        verdict=None,
        code=None,
        answer=None,
    )


def step_views(history: Sequence[Row[Any]]) -> list[StepView]:
    """The changes of state, without the steps inside a state that only an attempt tells of."""
    views: list[StepView] = []
    for step in history:
        if not views or (views[-1].state, views[-1].reason) != (step.state, step.reason):
            views.append(StepView(at=step.at, state=State(step.state), reason=step.reason))
    return views
