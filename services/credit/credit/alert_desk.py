"""Alerts: what alert plans find is told once per episode; held orders go to their approvers.

A job looks at what has changed since it last looked, so that no decision waits for an alert.
"""

import asyncio
from collections.abc import Iterable, Sequence
from decimal import Decimal
from secrets import token_bytes
from typing import Any, Final
from uuid import uuid4

import structlog
from chassis.errors import is_transient
from contracts.addressee import Addressee
from contracts.codec import decode
from contracts.credit_alerted import AlertedDocument, CreditAlerted
from contracts.credit_checked import MetricResult
from contracts.money import Money, SignedMoney
from contracts.order import Reason
from sqlalchemy import Row

from chassis import Cause, ServiceContext, UnitOfWork
from credit.domain.alerts import (
    CHECK_FAILED,
    FREEZE,
    ORDER_HELD,
    OVERDUE_AMOUNT,
    OVERDUE_DAYS,
    PROFILE_ENDING,
    TASK_OF,
    TEMPORARY_ENDING,
    USAGE,
    Open,
    Person,
    Plan,
    Reading,
    Step,
    steps,
)
from credit.domain.ids import RANDOM_BYTES, uuid7
from credit.repository import alerts as rows
from credit.repository import profiles
from credit.repository.alerts import Episode
from credit.repository.bodies import findings, stored_order
from credit.tasks import State, tell_task

SWEEP_SECONDS: Final = 5.0
RETRY_SECONDS: Final = 10.0
ROUNDS_MAX: Final = 20
APPROVERS: Final = (Person("role", "credit-approver"),)
SALES_ORDER: Final = "sales-order"

log = structlog.get_logger(__name__)


async def watch(context: ServiceContext) -> None:
    """Sweeps as long as the service runs; a fault that passes is waited for."""
    while True:
        try:
            await sweep_once(context)
            await asyncio.sleep(SWEEP_SECONDS)
        except Exception as error:
            if not is_transient(error):
                log.exception("alerts could not be looked for")
            await asyncio.sleep(RETRY_SECONDS)


async def sweep_once(context: ServiceContext) -> None:
    """One look at everything that has changed, in one transaction; another instance that looks already has it."""
    cause_id = str(uuid4())
    cause = Cause(source=f"coffer/{context.name}", id=cause_id, correlation_id=cause_id)
    async with context.open_work(cause) as work:
        if await rows.try_lock(work.connection):
            await sweep(work)


async def sweep(work: UnitOfWork) -> None:
    """Usage, failed checks, held orders, and what has ended."""
    plans = await rows.active_plans(work.connection)
    await _sweep_usage(work, plans)
    await _sweep_checks(work, plans)
    for row in await rows.resolve_orders(work.connection, work.now):
        _tell_resolved(work, row)
    await _sweep_documents(work)


async def _sweep_documents(work: UnitOfWork) -> None:
    """Held documents are to-dos of their approvers, which end with the wait, however it ends."""
    found = await rows.untold_documents(work.connection)
    if not found:
        return
    for row in found:
        if row.opened_told_at is None:
            _tell_document(work, row, "opened")
        if row.ended_at is not None:
            _tell_document(work, row, "done" if row.person is not None else "withdrawn")
    await rows.mark_documents_told(work.connection, found, work.now)


def _tell_document(work: UnitOfWork, row: Row[Any], state: State) -> None:
    reasons = findings(row.findings).reasons
    tell_task(
        work,
        f"approve-{row.document_type}-{row.source}-{row.document_id}-{row.number}",
        state,
        "approve-document",
        APPROVERS[0].id,
        is_role=True,
        opened_at=row.held_at,
        subject=row.customer,
        document_type=row.document_type,
        document_source=row.source,
        document_id=row.document_id,
        amount=Money.of(row.total_minor, row.currency),
        message=" ".join(reason.text for reason in reasons)[:2000] or None,
        due_at=row.due_at,
        done_by=row.person if state == "done" else None,
    )


async def _sweep_usage(work: UnitOfWork, plans: Sequence[Plan]) -> None:
    since = await rows.since(work.connection, "usage")
    if since is not None and since.date() < work.now.date() and any(plan.watches_days for plan in plans):
        since = None
    touched = await rows.touched_profiles(work.connection, since) if plans or since is None else []
    for chunk in rows.chunks(touched):
        readings = await rows.readings(work.connection, chunk, work.now.date())
        opened = await rows.open_of_profiles(work.connection, chunk)
        await _take_steps(work, plans, readings, opened)
    await rows.set_mark(work.connection, "usage", work.now)


async def _take_steps(
    work: UnitOfWork, plans: Sequence[Plan], readings: Sequence[Reading], opened: Sequence[Open]
) -> None:
    by_id = {plan.plan_id: plan for plan in plans}
    found = list(steps(plans, readings, opened, work.now.date()))
    begun = [step for step in found if step.state == "opened"]
    await _open(work, [_profile_alert(work, by_id[step.plan_id], step) for step in begun], by_id)
    await _freeze(work, begun, by_id)
    ended = [
        Open(step.plan_id, step.reading.profile_id, step.kind) for step in found if step.state == "resolved"
    ]
    for row in await rows.resolve_of_profiles(work.connection, ended, work.now):
        _tell_resolved(work, row)


async def _freeze(work: UnitOfWork, begun: Iterable[Step], plans: dict[str, Plan]) -> None:
    """What a plan does besides telling: the profile is frozen until somebody unfreezes it."""
    reasons = {
        step.reading.profile_id: f"{step.kind} by alert plan {step.plan_id}"
        for step in begun
        if FREEZE in plans[step.plan_id].actions
    }
    for profile_id, reason in sorted(reasons.items()):
        await profiles.freeze(work.connection, profile_id, "coffer", reason, work.now)


async def _open(work: UnitOfWork, events: Iterable[CreditAlerted], plans: dict[str, Plan]) -> None:
    """Opens an episode per event and tells those that were not told before, with their to-dos."""
    by_episode = {event.episode_id: event for event in events}
    episodes = [_episode(event, plans) for event in by_episode.values()]
    fresh = await rows.insert_episodes(work.connection, episodes, work.now)
    for episode in episodes:
        if episode.episode_id in fresh:
            event = by_episode[episode.episode_id]
            work.emit(event)
            work.count("credit-alert", event.kind)
            _tell_tasks(work, episode.tasks, "opened", event)


def _episode(event: CreditAlerted, plans: dict[str, Plan]) -> Episode:
    kinds = _task_kinds(event, plans)
    people = [Person(each.kind, each.id) for each in event.addressees]
    pairs = [(kind, person) for kind in kinds for person in people]
    document = event.document
    order = (document.source or "", document.id, document.check_number or 0) if document is not None else None
    return Episode(
        event.episode_id,
        event.kind,
        event.plan_id,
        event.object_type,
        event.object_id,
        event.profile_id if event.document is None else None,
        order,
        event.to_json(),
        [
            (f"{event.episode_id}-{place}", kind, person.kind, person.id)
            for place, (kind, person) in enumerate(pairs)
        ],
    )


def _task_kinds(event: CreditAlerted, plans: dict[str, Plan]) -> list[str]:
    if event.kind == ORDER_HELD:
        return ["approve-order"]
    if event.kind == CHECK_FAILED:
        return [CHECK_FAILED]
    return [TASK_OF[action] for action in plans[event.plan_id or ""].actions if action in TASK_OF]


def _tell_tasks(
    work: UnitOfWork,
    tasks: Iterable[tuple[str, str, str, str]],
    state: State,
    event: CreditAlerted,
    person: str | None = None,
) -> None:
    document = event.document
    for task_id, kind, addressee_kind, addressee in tasks:
        tell_task(
            work,
            task_id,
            state,
            kind,
            addressee,
            is_role=addressee_kind == "role",
            opened_at=event.occurred_at,
            subject=event.object_id,
            document_type=document.type if document is not None else None,
            document_source=document.source if document is not None else None,
            document_id=document.id if document is not None else None,
            amount=document.amount if document is not None else None,
            message=" ".join(reason.text for reason in event.reasons)[:2000] or None,
            due_at=event.decide_until,
            done_by=person,
        )


def _tell_resolved(work: UnitOfWork, row: Row[Any], person: str | None = None) -> None:
    event = opened_event(row)
    work.emit(
        CreditAlerted(
            kind=event.kind,
            state="resolved",
            episode_id=event.episode_id,
            object_type=event.object_type,
            object_id=event.object_id,
            scope=event.scope,
            scope_id=event.scope_id,
            profile_id=event.profile_id,
            plan_id=event.plan_id,
            addressees=event.addressees,
            currency=event.currency,
            document=event.document,
            reasons=event.reasons,
            actions=[],
            occurred_at=work.now,
        )
    )
    _tell_tasks(work, rows.TASKS.validate_json(row.tasks), "done", event, person)


def opened_event(row: Row[Any]) -> CreditAlerted:
    """What was told when an episode began."""
    event = decode(CreditAlerted.contract.type, row.opened_event)
    assert isinstance(event, CreditAlerted)
    return event


def settle(work: UnitOfWork, row: Row[Any], person: str) -> None:
    """A person has dealt with an episode."""
    _tell_resolved(work, row, person)


def _profile_alert(work: UnitOfWork, plan: Plan, step: Step) -> CreditAlerted:
    reading, kind = step.reading, step.kind
    percent = reading.usage_percent
    is_usage, is_overdue = kind == USAGE, kind in (OVERDUE_AMOUNT, OVERDUE_DAYS)
    ending = {TEMPORARY_ENDING: reading.temporary_until, PROFILE_ENDING: reading.valid_until}
    threshold = Money.of(plan.overdue_minor, reading.currency) if plan.overdue_minor is not None else None
    return CreditAlerted(
        kind=kind,
        state="opened",
        episode_id=_new_id(work),
        object_type=reading.object_type,
        object_id=reading.object_id,
        scope=reading.scope,
        scope_id=reading.scope_id if reading.scope_id != "*" else None,
        profile_id=reading.profile_id,
        plan_id=plan.plan_id,
        addressees=_addressees(plan.people),
        currency=reading.currency,
        limit=Money.of(reading.limit, reading.currency) if reading.limit is not None else None,
        used=SignedMoney.of(reading.used, reading.currency),
        usage_percent=_decimal(percent) if is_usage else None,
        threshold_percent=_decimal(plan.usage_percent) if is_usage else None,
        overdue=Money.of(reading.overdue, reading.currency) if is_overdue else None,
        overdue_limit=threshold if kind == OVERDUE_AMOUNT else None,
        overdue_days=reading.overdue_days if is_overdue else None,
        overdue_days_limit=plan.overdue_days if kind == OVERDUE_DAYS else None,
        valid_until=ending.get(kind),
        reasons=[],
        actions=list(plan.actions),
        occurred_at=work.now,
    )


async def _sweep_checks(work: UnitOfWork, plans: Sequence[Plan]) -> None:
    by_id = {plan.plan_id: plan for plan in plans}
    since = await rows.since(work.connection, "checks") or work.now - rows.OVERLAP
    place, seen_until = (since, "", "", 0), work.now
    for _ in range(ROUNDS_MAX):
        found = await rows.failed_checks(work.connection, place)
        await _open(work, [event for row in found for event in _check_alerts(work, plans, row)], by_id)
        if len(found) < rows.CHECKS_MAX:
            break
        last = found[-1]
        place = (last.checked_at, last.source, last.order_id, last.check_number)
    else:
        seen_until = place[0]
    await rows.set_mark(work.connection, "checks", seen_until)


def _check_alerts(work: UnitOfWork, plans: Sequence[Plan], row: Row[Any]) -> list[CreditAlerted]:
    """One per plan that watches what failed, and one to the approvers of an order that waits."""
    found = findings(row.findings)
    order = stored_order(row.body, row.body_version) if row.body is not None else None
    customer = row.customer or (order.customer if order is not None else None)
    total = order.total if order is not None else None
    if total is None and row.customer is not None:
        total = Money.of(row.total_minor, row.currency)
    failed = [metric for metric in found.metrics if metric.result in ("held", "rejected")]
    document = AlertedDocument(
        type=SALES_ORDER,
        source=row.source,
        id=row.order_id,
        revision=row.order_revision,
        check_number=row.check_number,
        amount=total,
    )
    alerts = []
    if row.wait == "pending" and customer is not None:
        held = _check_alert(work, ORDER_HELD, None, ("customer", customer), document, found.reasons, row)
        alerts.append(held)
    for plan in plans:
        thing = _watched(plan, failed, customer)
        if plan.failed_checks and thing is not None:
            alerts.append(_check_alert(work, CHECK_FAILED, plan, thing, document, found.reasons, row))
    return alerts


def _watched(plan: Plan, failed: Sequence[MetricResult], customer: str | None) -> tuple[str, str] | None:
    """The object of a plan that failed, the customer itself when no metric was reached."""
    for metric in failed:
        if plan.watches(metric.object_type, metric.object_id):
            return metric.object_type, metric.object_id
    if not failed and customer is not None and plan.watches("customer", customer):
        return "customer", customer
    return None


def _check_alert(
    work: UnitOfWork,
    kind: Any,
    plan: Plan | None,
    thing: tuple[str, str],
    document: AlertedDocument,
    reasons: Sequence[Reason],
    row: Row[Any],
) -> CreditAlerted:
    return CreditAlerted(
        kind=kind,
        state="opened",
        episode_id=_new_id(work),
        object_type=thing[0],
        object_id=thing[1],
        plan_id=plan.plan_id if plan is not None else None,
        addressees=_addressees(plan.people if plan is not None else APPROVERS),
        currency=document.amount.currency if document.amount is not None else None,
        document=document,
        reasons=list(reasons),
        actions=[],
        decide_until=row.due_at if kind == ORDER_HELD else None,
        occurred_at=work.now,
    )


def _addressees(people: Iterable[Person]) -> list[Addressee]:
    return [Addressee(kind=person.kind, id=person.id) for person in people]


def _new_id(work: UnitOfWork) -> str:
    return str(uuid7(work.now, token_bytes(RANDOM_BYTES)))


def _decimal(value: Decimal | None) -> str | None:
    return format(value, "f") if value is not None else None
