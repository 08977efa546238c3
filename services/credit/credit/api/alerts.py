"""Alert plans, switched on one by one, and the episodes that they have found."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from chassis.http import CurrentPrincipal, CursorPage, Page, Policy, Problem, Reader, Router, Work
from contracts.credit_alerted import AlertedDocument
from contracts.money import Money, SignedMoney
from contracts.order import Reason
from contracts.text import Code, Id, Name
from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import Row

from credit import alert_desk
from credit.api.common import READERS, Body, IdPath, Why, unknown
from credit.domain.alerts import FREEZE, Action, AddresseeKind, Person, Plan, ProfileKind
from credit.repository import alerts as rows

router: Final = Router(tags=["alerts"])

WRITERS: Final = frozenset({"credit-manager"})
Threshold = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,2}(\.[0-9]{1,2})?$")]


class PersonBody(Body):
    """A person by id, or whoever has a role."""

    kind: AddresseeKind
    id: Id


class PlanBody(Body):
    """What is watched, who hears of it, and what is done besides; without `objects` all of the type."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "name": "Dealers above 80 %",
                    "object_type": "customer",
                    "usage_percent": "80",
                    "failed_checks": True,
                    "people": [{"kind": "person", "id": "P-7"}, {"kind": "role", "id": "credit-manager"}],
                    "actions": ["dunning-task"],
                    "active": True,
                }
            ]
        },
    )
    name: Name
    object_type: Code = "customer"
    objects: Annotated[list[Id], Field(default_factory=list, max_length=1_000)]
    usage_percent: Threshold | None = Field(
        default=None, description="Opens when more than this part of a limit is used."
    )
    overdue_amount: Money | None = Field(
        default=None, description="Opens when more than this is overdue, in profiles of its currency."
    )
    overdue_days: int | None = Field(
        default=None, ge=0, le=3650, description="Opens when the oldest receivable is overdue for longer."
    )
    ending_days: int | None = Field(
        default=None,
        ge=0,
        le=366,
        description="Opens so many days before a profile's validity or its temporary credit ends.",
    )
    failed_checks: Annotated[bool, Field(strict=True)] = Field(
        default=False, description="Tells of every check that declines or holds."
    )
    people: Annotated[list[PersonBody], Field(min_length=1, max_length=20)]
    actions: Annotated[list[Action], Field(default_factory=list, max_length=5)]
    active: Annotated[bool, Field(strict=True)] = False


class PlanView(PlanBody):
    """An alert plan as it is set."""

    plan_id: str
    version: int
    changed_by: str
    changed_at: datetime


class EpisodeView(BaseModel):
    """What was found, from when to when."""

    episode_id: str
    kind: str
    plan_id: str | None
    state: Literal["open", "resolved"]
    object_type: str
    object_id: str
    profile_id: str | None
    limit: Money | None
    used: SignedMoney | None
    usage_percent: str | None
    document: AlertedDocument | None
    reasons: list[Reason]
    opened_at: datetime
    resolved_at: datetime | None
    resolved_by: str | None = Field(description="Who dealt with it; null when it ended by itself.")


class Settled(Body):
    """What was done about it."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "The customer pays tomorrow."}]}
    )
    reason: Why


@router.put("/alert-plans/{plan_id}", policy=Policy("alert-plan:write", WRITERS))
async def set_plan(plan_id: IdPath, body: PlanBody, work: Work, principal: CurrentPrincipal) -> PlanView:
    """Makes or replaces a plan; switched off, it ends its episodes."""
    money = body.overdue_amount
    plan = Plan(
        plan_id,
        body.name,
        body.object_type,
        sorted(set(body.objects)),
        Decimal(body.usage_percent) if body.usage_percent is not None else None,
        body.failed_checks,
        [Person(person.kind, person.id) for person in body.people],
        list(dict.fromkeys(body.actions)),
        money.minor if money is not None else None,
        money.currency if money is not None else None,
        body.overdue_days,
        body.ending_days,
    )
    if not plan.watches_profiles and not plan.failed_checks:
        message = "is left out and so is every other condition: the plan would watch nothing"
        raise Problem.invalid([{"field": "usage_percent", "message": message}])
    if FREEZE in plan.actions and not plan.watches_profiles:
        message = "holds a freeze, which failed checks alone cannot ask for; their enforcement can"
        raise Problem.invalid([{"field": "actions", "message": message}])
    await rows.save_plan(work.connection, plan, body.active, principal.subject, work.now)
    return _plan(await rows.plan_row(work.connection, plan_id))


@router.get("/alert-plans", policy=Policy("alert-plan:read", READERS))
async def plans(page: Page, reader: Reader) -> CursorPage[PlanView]:
    """Alert plans by id."""
    found = await rows.plans_after(reader, page.after(str), page.rows)
    shown, following = page.page(found, key=lambda row: (row.plan_id,))
    return CursorPage(items=[_plan(row) for row in shown], next=following)


@router.get("/alert-episodes", policy=Policy("alert-episode:read", READERS))
async def episodes(
    page: Page,
    reader: Reader,
    state: Annotated[Literal["open", "resolved"] | None, Query()] = None,
    kind: Annotated[ProfileKind | Literal["check-failed", "order-held"] | None, Query()] = None,
    object_id: Annotated[Id | None, Query()] = None,
) -> CursorPage[EpisodeView]:
    """What was found, newest first."""
    found = await rows.episodes_after(
        reader, page.after(str), page.rows, state=state, kind=kind, object_id=object_id
    )
    shown, following = page.page(found, key=lambda row: (row.episode_id,))
    return CursorPage(items=[_episode(row) for row in shown], next=following)


@router.post("/alert-episodes/{episode_id}/settle", policy=Policy("alert-episode:settle", READERS))
async def settle(episode_id: UUID, body: Settled, work: Work, principal: CurrentPrincipal) -> EpisodeView:
    """Ends a failed check's episode and its to-dos; the others end by themselves when they no longer hold."""
    row = await rows.episode_row(work.connection, str(episode_id), lock=True)
    if row is None:
        raise unknown("alert episode", str(episode_id))
    if row.state != "open" or row.kind != "check-failed":
        raise Problem.conflict("not-settleable", f"The episode is {row.state} and of the kind {row.kind}.")
    await rows.settle(work.connection, row.episode_id, principal.subject, work.now)
    alert_desk.settle(work, row, principal.subject)
    settled = await rows.episode_row(work.connection, row.episode_id)
    assert settled is not None, "it was there just now"
    return _episode(settled)


def _plan(row: Row[Any]) -> PlanView:
    plan = rows.PLAN.validate_json(row.body)
    return PlanView(
        plan_id=plan.plan_id,
        version=row.version,
        name=plan.name,
        object_type=plan.object_type,
        objects=plan.objects,
        usage_percent=format(plan.usage_percent, "f") if plan.usage_percent is not None else None,
        overdue_amount=_money(plan),
        overdue_days=plan.overdue_days,
        ending_days=plan.ending_days,
        failed_checks=plan.failed_checks,
        people=[PersonBody(kind=person.kind, id=person.id) for person in plan.people],
        actions=plan.actions,
        active=row.active,
        changed_by=row.changed_by,
        changed_at=row.changed_at,
    )


def _money(plan: Plan) -> Money | None:
    if plan.overdue_minor is None or plan.overdue_currency is None:
        return None
    return Money.of(plan.overdue_minor, plan.overdue_currency)


def _episode(row: Row[Any]) -> EpisodeView:
    event = alert_desk.opened_event(row)
    names = (
        "episode_id",
        "kind",
        "plan_id",
        "state",
        "object_type",
        "object_id",
        "profile_id",
        "opened_at",
        "resolved_at",
        "resolved_by",
    )
    return EpisodeView(
        **{name: row._mapping[name] for name in names},
        limit=event.limit,
        used=event.used,
        usage_percent=event.usage_percent,
        document=event.document,
        reasons=event.reasons,
    )
