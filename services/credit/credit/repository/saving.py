"""Writes back what a gate decided: one statement, and one more when something began or ended to wait."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from chassis.arrays import literal, nested, optional, plain, quoted
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from credit.domain.changes import Changes, Hold, HoldEnd
from credit.domain.desk import Desk
from credit.domain.gate import Gate
from credit.domain.order_state import OrderState
from credit.repository import approvals, documents
from credit.repository.bodies import body_version, findings_body

Columns = dict[str, Any]  # Any: one array per column, a list of its type or a literal


SAVE: Final = text(
    f"""
    with orders as (
        update sales_order o
        set status = n.status, paying_account = n.paying_account, last_revision = n.last_revision,
            answered_ahead = cast(n.answered_ahead as integer[]), parked = cast(n.parked as integer[]),
            checks = n.checks, open_check = n.open_check, order_check = n.order_check,
            is_audited = n.is_audited, standing = n.standing, open_operation = n.open_operation
        from unnest({plain("order_source", "text")}, {plain("order_order_id", "text")}, {plain("order_status", "text")},
                    {plain("order_paying_account", "text")}, {plain("order_last_revision", "integer")},
                    {plain("order_answered_ahead", "text")}, {plain("order_parked", "text")},
                    {plain("order_checks", "bigint")}, {plain("order_open_check", "bigint")},
                    {plain("order_order_check", "bigint")}, {plain("order_is_audited", "boolean")},
                    {plain("order_standing", "text")}, {plain("order_open_operation", "text")})
            as n (source, order_id, status, paying_account, last_revision, answered_ahead, parked, checks,
                  open_check, order_check, is_audited, standing, open_operation)
        where o.source = n.source and o.order_id = n.order_id),
    checks as (
        insert into credit_check (source, order_id, check_number, order_revision, operation, outcome, findings,
                                  person, event_source, event_id, digest, body, body_version, checked_at)
        select n.*, cast(:now as timestamptz)
        from unnest({plain("check_source", "text")}, {plain("check_order_id", "text")},
                    {plain("check_number", "bigint")}, {plain("check_revision", "integer")},
                    {plain("check_operation", "text")}, {plain("check_outcome", "text")},
                    cast(:check_findings as bytea[]), {plain("check_person", "text")},
                    {plain("check_event_source", "text")}, {plain("check_event_id", "text")},
                    cast(:check_digest as bytea[]), cast(:check_body as bytea[]),
                    {plain("check_body_version", "integer")}) as n),
    decisions as (
        insert into check_decision (source, order_id, check_number, outcome, event_id, recorded_at)
        select n.*, cast(:now as timestamptz)
        from unnest({plain("decision_source", "text")}, {plain("decision_order_id", "text")},
                    {plain("decision_number", "bigint")}, {plain("decision_outcome", "text")},
                    {plain("decision_event_id", "text")}) as n),
    given_back as (
        update approval_grant g set returned_at = cast(:now as timestamptz)
        from unnest({plain("decision_source", "text")}, {plain("decision_order_id", "text")},
                    {plain("decision_number", "bigint")}, {plain("decision_outcome", "text")})
            as n (source, order_id, number, outcome)
        where n.outcome in ('declined', 'change-declined', 'audit-declined', 'reopen-declined')
          and g.document_type = 'sales-order' and g.source = n.source and g.document_id = n.order_id
          and g.number = n.number and g.returned_at is null),
    occupied as (
        insert into occupancy (source, order_id, check_number, profile_id, amount_minor, settled)
        select source, order_id, check_number, profile_id, amount_minor, settled
        from unnest({plain("occupied_source", "text")}, {plain("occupied_order_id", "text")},
                    {plain("occupied_number", "bigint")}, {plain("occupied_profile", "uuid")},
                    {plain("occupied_amount", "bigint")}, {plain("occupied_settled", "boolean")})
            as n (source, order_id, check_number, profile_id, amount_minor, settled)),
    settled as (
        update occupancy o set settled = true
        from unnest({plain("settled_source", "text")}, {plain("settled_order_id", "text")},
                    {plain("settled_number", "bigint")}, {plain("settled_profile", "uuid")})
            as n (source, order_id, check_number, profile_id)
        where o.source = n.source and o.order_id = n.order_id and o.check_number = n.check_number
          and o.profile_id = n.profile_id),
    released as (
        delete from occupancy o
        using unnest({plain("released_source", "text")}, {plain("released_order_id", "text")},
                     {plain("released_number", "bigint")}, {plain("released_profile", "uuid")})
            as n (source, order_id, check_number, profile_id)
        where o.source = n.source and o.order_id = n.order_id and o.check_number = n.check_number
          and o.profile_id = n.profile_id),
    profiles as (
        update credit_profile p
        set used_minor = n.used_minor, settled_minor = n.settled_minor, entries = n.entries
        from unnest({plain("profile_id", "uuid")}, {plain("profile_used", "bigint")},
                    {plain("profile_settled", "bigint")}, {plain("profile_entries", "bigint")})
            as n (profile_id, used_minor, settled_minor, entries)
        where p.profile_id = n.profile_id)
    insert into occupancy_entry (profile_id, entry_number, recorded_at, source, order_id, check_number,
                                 change_minor, used_after_minor, permit, limit_minor, document_type)
    select profile_id, entry_number, cast(:now as timestamptz), source, order_id, check_number,
           change_minor, used_after_minor, permit, limit_minor, document_type
    from unnest({plain("entry_profile", "uuid")}, {plain("entry_number", "bigint")}, {plain("entry_source", "text")},
                {plain("entry_order_id", "text")}, {plain("entry_check", "bigint")}, {plain("entry_change", "bigint")},
                {plain("entry_used_after", "bigint")}, {plain("entry_permit", "text")},
                {plain("entry_limit", "bigint")}, {plain("entry_document_type", "text")})
        as n (profile_id, entry_number, source, order_id, check_number, change_minor, used_after_minor, permit,
              limit_minor, document_type)
    """
)


async def save(connection: AsyncConnection, gate: Gate, now: datetime) -> None:
    """Writes everything that the gate decided in this transaction."""
    changes = gate.changes
    if changes.orders or changes.decisions or changes.profiles:
        await connection.execute(SAVE, {"now": now, **_columns(changes)})
    if changes.parked or changes.unparked or changes.holds or changes.hold_ends:
        await _save_waits(connection, changes, now)
    await documents.save_amounts(connection, changes)
    await documents.save_order_rates(connection, changes)
    if isinstance(gate.desk, Desk):
        await documents.save_documents(connection, changes, gate.desk.book, now)
        await approvals.save_holds(connection, changes, now)
    await documents.save_freezes(connection, changes, "coffer", now)


def _columns(changes: Changes) -> Columns:
    orders = list(changes.orders.values())
    return {
        **_order_columns(orders),
        **_check_columns(changes),
        **_decision_columns(changes),
        **_occupancy_columns(orders),
        **_profile_columns(changes),
        **_entry_columns(changes),
    }


def _order_columns(orders: Sequence[OrderState]) -> Columns:
    return {
        "order_source": quoted([order.source for order in orders]),
        "order_order_id": quoted([order.order_id for order in orders]),
        "order_status": literal(order.status for order in orders),
        "order_paying_account": optional([order.paying_account for order in orders]),
        "order_last_revision": literal(order.last_revision for order in orders),
        "order_answered_ahead": literal(nested(order.answered_ahead) for order in orders),
        "order_parked": literal(nested(order.parked) for order in orders),
        "order_checks": literal(order.checks for order in orders),
        "order_open_check": literal(order.open_check for order in orders),
        "order_order_check": literal(order.order_check for order in orders),
        "order_is_audited": literal(order.is_audited for order in orders),
        "order_standing": literal(order.standing for order in orders),
        "order_open_operation": literal(order.open_operation for order in orders),
    }


def _check_columns(changes: Changes) -> Columns:
    answers = changes.answers
    origins = [answer.origin for answer in answers]
    return {
        "check_source": quoted([answer.key[0] for answer in answers]),
        "check_order_id": quoted([answer.key[1] for answer in answers]),
        "check_number": literal(answer.check_number for answer in answers),
        "check_revision": literal(answer.revision for answer in answers),
        "check_operation": literal(answer.operation for answer in answers),
        "check_outcome": literal(answer.outcome for answer in answers),
        "check_findings": [findings_body(answer.reasons, answer.metrics) for answer in answers],
        "check_person": optional([answer.person for answer in answers]),
        "check_event_source": optional([origin.event_source if origin else None for origin in origins]),
        "check_event_id": optional([origin.event_id if origin else None for origin in origins]),
        "check_digest": [origin and origin.digest for origin in origins],
        "check_body": [origin and origin.body for origin in origins],
        "check_body_version": literal(origin and body_version(origin) for origin in origins),
    }


def _decision_columns(changes: Changes) -> Columns:
    decisions = changes.decisions
    return {
        "decision_source": quoted([decision.key[0] for decision in decisions]),
        "decision_order_id": quoted([decision.key[1] for decision in decisions]),
        "decision_number": literal(decision.check_number for decision in decisions),
        "decision_outcome": literal(decision.outcome for decision in decisions),
        "decision_event_id": quoted([decision.event_id for decision in decisions]),
    }


@dataclass(slots=True)
class Rows:
    """Rows of the occupancy by what becomes of them: key, check, profile and what else the columns name."""

    names: tuple[str, ...]
    rows: list[tuple[Any, ...]] = field(default_factory=list)

    def columns(self, prefix: str) -> Columns:
        columns = (
            list(zip(*self.rows, strict=True)) if self.rows else [() for _ in range(len(self.names) + 2)]
        )
        values: Columns = {f"{prefix}_source": quoted(columns[0]), f"{prefix}_order_id": quoted(columns[1])}
        return values | {
            f"{prefix}_{name}": literal(column) for name, column in zip(self.names, columns[2:], strict=True)
        }


def _occupancy_columns(orders: Sequence[OrderState]) -> Columns:
    """The difference between what an order occupies and what was stored of it."""
    occupied = Rows(("number", "profile", "amount", "settled"))
    settled = Rows(("number", "profile"))
    released = Rows(("number", "profile"))
    for order in orders:
        occupancy, gone = order.occupancy, set(order.stored)
        for number, amounts in occupancy.checks.items():
            is_settled = number == occupancy.settled_check
            for profile_id, amount in amounts.items():
                gone.discard((number, profile_id))
                was_settled = order.stored.get((number, profile_id))
                if was_settled is None:
                    occupied.rows.append(
                        (order.source, order.order_id, number, profile_id, amount, is_settled)
                    )
                elif is_settled and not was_settled:
                    settled.rows.append((order.source, order.order_id, number, profile_id))
        released.rows += [(order.source, order.order_id, number, profile_id) for number, profile_id in gone]
    return {**occupied.columns("occupied"), **settled.columns("settled"), **released.columns("released")}


def _profile_columns(changes: Changes) -> Columns:
    profiles = changes.profiles.values()
    return {
        "profile_id": literal(profile.profile_id for profile in profiles),
        "profile_used": literal(profile.used for profile in profiles),
        "profile_settled": literal(profile.settled for profile in profiles),
        "profile_entries": literal(profile.entries for profile in profiles),
    }


def _entry_columns(changes: Changes) -> Columns:
    entries = changes.entries
    return {
        "entry_profile": literal(entry.profile_id for entry in entries),
        "entry_number": literal(entry.entry_number for entry in entries),
        "entry_source": quoted([entry.source for entry in entries]),
        "entry_order_id": quoted([entry.order_id for entry in entries]),
        "entry_check": literal(entry.check_number for entry in entries),
        "entry_change": literal(entry.change for entry in entries),
        "entry_used_after": literal(entry.used_after for entry in entries),
        "entry_permit": literal(entry.permit for entry in entries),
        "entry_limit": literal(entry.limit for entry in entries),
        "entry_document_type": literal(entry.document_type for entry in entries),
    }


SAVE_WAITS: Final = text(
    """
    with parked as (
        insert into parked_revision (source, order_id, order_revision, event_source, event_id, digest, body,
                                     body_version, event_name, due_at, parked_at)
        select n.*, cast(:now as timestamptz)
        from unnest(cast(:parked_source as text[]), cast(:parked_order_id as text[]),
                    cast(:parked_revision as integer[]), cast(:parked_event_source as text[]),
                    cast(:parked_event_id as text[]), cast(:parked_digest as bytea[]),
                    cast(:parked_body as bytea[]), cast(:parked_body_version as integer[]),
                    cast(:parked_event_name as text[]), cast(:parked_due_at as timestamptz[])) as n),
    unparked as (
        delete from parked_revision p
        using unnest(cast(:unparked_source as text[]), cast(:unparked_order_id as text[]),
                     cast(:unparked_revision as integer[])) as n (source, order_id, order_revision)
        where p.source = n.source and p.order_id = n.order_id and p.order_revision = n.order_revision),
    ended as (
        update pending_order p
        set state = n.state, person = n.person, reason = n.reason, result_check = n.result_check,
            ended_at = cast(:now as timestamptz)
        from unnest(cast(:ended_source as text[]), cast(:ended_order_id as text[]), cast(:ended_number as bigint[]),
                    cast(:ended_state as text[]), cast(:ended_person as text[]), cast(:ended_reason as text[]),
                    cast(:ended_result as bigint[]))
            as n (source, order_id, check_number, state, person, reason, result_check)
        where p.source = n.source and p.order_id = n.order_id and p.check_number = n.check_number)
    insert into pending_order (source, order_id, check_number, order_revision, paying_account, customer, currency,
                               total_minor, due_at, state, person, reason, result_check, held_at, ended_at)
    select n.*, cast(:now as timestamptz), case when state <> 'pending' then cast(:now as timestamptz) end
    from unnest(cast(:held_source as text[]), cast(:held_order_id as text[]), cast(:held_number as bigint[]),
                cast(:held_revision as integer[]), cast(:held_account as text[]), cast(:held_customer as text[]),
                cast(:held_currency as text[]), cast(:held_total as bigint[]), cast(:held_due_at as timestamptz[]),
                cast(:held_state as text[]), cast(:held_person as text[]), cast(:held_reason as text[]),
                cast(:held_result as bigint[]))
        as n (source, order_id, check_number, order_revision, paying_account, customer, currency, total_minor,
              due_at, state, person, reason, result_check)
    """
)


def _transposed(prefix: str, names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> Columns:
    columns = zip(*rows, strict=True) if rows else ([] for _ in names)
    return {f"{prefix}_{name}": list(column) for name, column in zip(names, columns, strict=True)}


async def _save_waits(connection: AsyncConnection, changes: Changes, now: datetime) -> None:
    await connection.execute(SAVE_WAITS, {"now": now, **_parked_columns(changes), **_hold_columns(changes)})


def _parked_columns(changes: Changes) -> Columns:
    """What was parked and unparked in the same transaction was never there."""
    unparked = set(changes.unparked)
    kept = [row for row in changes.parked if (row.submission.key, row.submission.revision) not in unparked]
    passing = {(row.submission.key, row.submission.revision) for row in changes.parked}
    parked = [
        (
            *row.submission.key,
            row.submission.revision,
            row.submission.origin.event_source,
            row.submission.origin.event_id,
            row.submission.origin.digest,
            row.submission.origin.body,
            body_version(row.submission.origin),
            row.submission.origin.event_type.rpartition(".v")[0],
            row.due_at,
        )
        for row in kept
    ]
    gone = [(*key, revision) for key, revision in changes.unparked if (key, revision) not in passing]
    place = ("source", "order_id", "revision")
    origin = ("event_source", "event_id", "digest", "body", "body_version", "event_name", "due_at")
    return {**_transposed("parked", (*place, *origin), parked), **_transposed("unparked", place, gone)}


def _hold_columns(changes: Changes) -> Columns:
    """A hold that ended in the transaction in which it began is written as ended."""
    ends = {(end.key, end.check_number): end for end in changes.hold_ends}
    held = [
        _hold_row(hold, ends.pop((hold.answer.key, hold.answer.check_number), None)) for hold in changes.holds
    ]
    ended = [
        (*end.key, end.check_number, end.outcome, end.person, end.reason, end.result_check)
        for end in ends.values()
    ]
    place = ("source", "order_id", "number")
    what = ("revision", "account", "customer", "currency", "total", "due_at")
    ending = ("state", "person", "reason", "result")
    return {
        **_transposed("held", (*place, *what, *ending), held),
        **_transposed("ended", (*place, *ending), ended),
    }


def _hold_row(hold: Hold, end: HoldEnd | None) -> tuple[Any, ...]:
    order = hold.order
    ending = (end.outcome, end.person, end.reason, end.result_check) if end else ("pending", None, None, None)
    return (
        *hold.answer.key,
        hold.answer.check_number,
        hold.answer.revision,
        hold.answer.paying_account,
        order.customer,
        order.currency,
        order.total.minor,
        hold.due_at,
        *ending,
    )
