"""The feed of deliveries: what became of each, attempt by attempt, without any address."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

from chassis.http import LOADED, CurrentAccess, CursorPage, Page, Policy, Problem, Reader, Router, Work
from contracts.text import Code, Id
from fastapi import Query
from pydantic import AwareDatetime, BaseModel, ConfigDict
from pydantic.config import JsonDict
from sqlalchemy import Row

from notify.api.common import OPERATORS, Body
from notify.domain.delivery import Channel, FollowUp, Role, State
from notify.domain.places import entity_place, is_account, shown
from notify.endings import insert_follow_ups
from notify.repository import deliveries as deliveries_rows
from notify.repository import feed
from notify.repository.feed import Shown, Wanted

router = Router(tags=["deliveries"])

RESEND_VALID: Final = timedelta(hours=24)

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
    "entity": None,
    "channel": "sms",
    "role": "first",
    "family": "quota-low",
    "rule": "quota-low",
    "reminder": 0,
    "carried_by": None,
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


class ResendBody(Body):
    """Whose delivery it is: an account's, a reporting entity's, or with neither the company's."""

    account: Id | None = None
    entity: Id | None = None

    @property
    def place(self) -> str:
        return self.account or entity_place(self.entity)


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
    account: str | None
    entity: str | None
    recipient: str
    channel: Channel
    role: Role
    family: str
    kind: str
    rule: str | None
    reminder: int
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
    carried_by: UUID | None
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
    reason: Annotated[Code | None, Query(examples=["quiet-hours"])] = None,
    channel: Annotated[Channel | None, Query()] = None,
    family: Annotated[Code | None, Query(examples=["quota-low"])] = None,
    entity: Annotated[Id | None, Query(description="A reporting entity, instead of an account.")] = None,
    created_from: Annotated[AwareDatetime | None, Query()] = None,
    created_until: Annotated[AwareDatetime | None, Query()] = None,
) -> CursorPage[DeliveryView]:
    """Newest first; an account's user sees the deliveries of the own accounts."""
    if account is not None:
        await access.require(account)
    places = access.accounts if account is None else {account}
    if entity is not None:
        await access.require(entity_place(entity))
        places = {entity_place(entity)}
    wanted = Wanted(
        accounts=places,
        recipient=recipient,
        event_id=event_id,
        episode_id=episode_id,
        state=state,
        reason=reason,
        channel=channel,
        family=family,
        created_from=created_from,
        created_until=created_until,
    )
    before = page.after(datetime, UUID)
    found = await feed.newest_before(reader, wanted, (before[0], before[1]) if before else None, page.rows)
    rows, following = page.page(found, key=lambda one: (one.delivery.created_at, str(one.delivery.id)))
    return CursorPage(items=[delivery_view(row) for row in rows], next=following)


@router.get(
    "/accounts/{account}/deliveries/{delivery_id}",
    policy=Policy("delivery:read", roles=OPERATORS, account="account"),
    summary="One delivery",
)
async def delivery(account: Id, delivery_id: UUID, reader: Reader) -> DeliveryView:
    found = await feed.one(reader, account, delivery_id)
    if found is None:
        raise Problem.not_found()
    return delivery_view(found)


class Resent(BaseModel):
    """The delivery that says it once more."""

    delivery_id: UUID
    repeat_of: UUID


@router.post(
    "/deliveries/{delivery_id}/resend",
    policy=Policy("delivery:resend", roles=OPERATORS),
    status_code=202,
    summary="Say it once more",
)
async def resend(delivery_id: UUID, body: ResendBody, work: Work) -> Resent:
    """Sends what has ended once more to the same person, marked as a repeat, to the address as it is now."""
    groups = await deliveries_rows.locked_groups(work.connection, {(body.place, delivery_id)})
    if delivery_id not in groups:
        raise Problem.not_found()
    original = next(one.delivery for one in groups[delivery_id] if one.delivery.id == delivery_id)
    if original.ended_at is None:
        raise Problem.conflict("under-way", "This delivery has not ended yet.")
    again = replace(original, expires_at=work.now + RESEND_VALID)
    made = await insert_follow_ups(work, [FollowUp(again, original.channel, Role.RESEND)])
    if not made:
        detail = (
            "It was sent once more already, its text is forgotten, or the person has no verified address."
        )
        raise Problem.conflict("not-resendable", detail)
    return Resent(delivery_id=made.pop(), repeat_of=delivery_id)


def delivery_view(found: Shown) -> DeliveryView:
    row = found.delivery
    return DeliveryView(
        delivery_id=row.id,
        account=row.account if is_account(row.account) else None,
        entity=None if is_account(row.account) else shown(row.account) or None,
        recipient=row.recipient,
        channel=Channel(row.channel),
        role=Role(row.role),
        family=row.family,
        kind=row.kind,
        rule=row.rule,
        reminder=row.reminder,
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
        carried_by=row.carried_by,
        attempts=attempt_views(found.history),
        history=step_views(found.history),
        reports=[ReportView.model_validate(dict(report._mapping)) for report in found.reports],
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
