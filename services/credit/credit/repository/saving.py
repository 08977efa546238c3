"""Writes back what a gate decided: one statement, and one more when something began or ended to wait."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from credit.domain.changes import Changes, Hold, HoldEnd
from credit.domain.order_state import OrderState
from credit.repository.bodies import findings_body

Columns = dict[str, list[Any]]  # Any: one array per column, each of its own type

SAVE: Final = text(
    """
    with orders as (
        update sales_order o
        set status = n.status, paying_account = n.paying_account, last_revision = n.last_revision,
            answered_ahead = cast(n.answered_ahead as integer[]), parked = cast(n.parked as integer[]),
            checks = n.checks, open_check = n.open_check, order_check = n.order_check
        from unnest(cast(:order_source as text[]), cast(:order_order_id as text[]), cast(:order_status as text[]),
                    cast(:order_paying_account as text[]), cast(:order_last_revision as integer[]),
                    cast(:order_answered_ahead as text[]), cast(:order_parked as text[]),
                    cast(:order_checks as bigint[]), cast(:order_open_check as bigint[]),
                    cast(:order_order_check as bigint[]))
            as n (source, order_id, status, paying_account, last_revision, answered_ahead, parked, checks,
                  open_check, order_check)
        where o.source = n.source and o.order_id = n.order_id),
    checks as (
        insert into credit_check (source, order_id, check_number, order_revision, operation, outcome, findings,
                                  person, event_source, event_id, digest, body, body_version, checked_at)
        select n.*, cast(:now as timestamptz)
        from unnest(cast(:check_source as text[]), cast(:check_order_id as text[]),
                    cast(:check_number as bigint[]), cast(:check_revision as integer[]),
                    cast(:check_operation as text[]), cast(:check_outcome as text[]),
                    cast(:check_findings as bytea[]), cast(:check_person as text[]),
                    cast(:check_event_source as text[]), cast(:check_event_id as text[]),
                    cast(:check_digest as bytea[]), cast(:check_body as bytea[]),
                    cast(:check_body_version as integer[])) as n),
    decisions as (
        insert into check_decision (source, order_id, check_number, outcome, event_id, recorded_at)
        select n.*, cast(:now as timestamptz)
        from unnest(cast(:decision_source as text[]), cast(:decision_order_id as text[]),
                    cast(:decision_number as bigint[]), cast(:decision_outcome as text[]),
                    cast(:decision_event_id as text[])) as n),
    occupied as (
        insert into occupancy (source, order_id, check_number, profile_id, amount_minor, settled)
        select source, order_id, check_number, cast(profile_id as uuid), amount_minor, settled
        from unnest(cast(:occupied_source as text[]), cast(:occupied_order_id as text[]),
                    cast(:occupied_number as bigint[]), cast(:occupied_profile as text[]),
                    cast(:occupied_amount as bigint[]), cast(:occupied_settled as boolean[]))
            as n (source, order_id, check_number, profile_id, amount_minor, settled)),
    settled as (
        update occupancy o set settled = true
        from unnest(cast(:settled_source as text[]), cast(:settled_order_id as text[]),
                    cast(:settled_number as bigint[]), cast(:settled_profile as text[]))
            as n (source, order_id, check_number, profile_id)
        where o.source = n.source and o.order_id = n.order_id and o.check_number = n.check_number
          and o.profile_id = cast(n.profile_id as uuid)),
    released as (
        delete from occupancy o
        using unnest(cast(:released_source as text[]), cast(:released_order_id as text[]),
                     cast(:released_number as bigint[]), cast(:released_profile as text[]))
            as n (source, order_id, check_number, profile_id)
        where o.source = n.source and o.order_id = n.order_id and o.check_number = n.check_number
          and o.profile_id = cast(n.profile_id as uuid)),
    profiles as (
        update credit_profile p
        set used_minor = n.used_minor, settled_minor = n.settled_minor, entries = n.entries
        from unnest(cast(:profile_id as text[]), cast(:profile_used as bigint[]),
                    cast(:profile_settled as bigint[]), cast(:profile_entries as bigint[]))
            as n (profile_id, used_minor, settled_minor, entries)
        where p.profile_id = cast(n.profile_id as uuid))
    insert into occupancy_entry (profile_id, entry_number, recorded_at, source, order_id, check_number,
                                 change_minor, used_after_minor, permit, limit_minor)
    select cast(profile_id as uuid), entry_number, cast(:now as timestamptz), source, order_id, check_number,
           change_minor, used_after_minor, permit, limit_minor
    from unnest(cast(:entry_profile as text[]), cast(:entry_number as bigint[]), cast(:entry_source as text[]),
                cast(:entry_order_id as text[]), cast(:entry_check as bigint[]), cast(:entry_change as bigint[]),
                cast(:entry_used_after as bigint[]), cast(:entry_permit as text[]), cast(:entry_limit as bigint[]))
        as n (profile_id, entry_number, source, order_id, check_number, change_minor, used_after_minor, permit,
              limit_minor)
    """
)


async def save(connection: AsyncConnection, changes: Changes, now: datetime) -> None:
    """Writes everything that the gate decided in this transaction."""
    if changes.orders or changes.decisions:
        await connection.execute(SAVE, {"now": now, **_columns(changes)})
    if changes.parked or changes.unparked or changes.holds or changes.hold_ends:
        await _save_waits(connection, changes, now)


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
        "order_source": [order.source for order in orders],
        "order_order_id": [order.order_id for order in orders],
        "order_status": [order.status for order in orders],
        "order_paying_account": [order.paying_account for order in orders],
        "order_last_revision": [order.last_revision for order in orders],
        "order_answered_ahead": [_array(order.answered_ahead) for order in orders],
        "order_parked": [_array(order.parked) for order in orders],
        "order_checks": [order.checks for order in orders],
        "order_open_check": [order.open_check for order in orders],
        "order_order_check": [order.order_check for order in orders],
    }


def _array(numbers: Iterable[int]) -> str:
    """A PostgreSQL array in text; arrays of unequal length do not nest."""
    return "{" + ",".join(map(str, sorted(numbers))) + "}"


def _check_columns(changes: Changes) -> Columns:
    answers = changes.answers
    origins = [answer.origin for answer in answers]
    return {
        "check_source": [answer.key[0] for answer in answers],
        "check_order_id": [answer.key[1] for answer in answers],
        "check_number": [answer.check_number for answer in answers],
        "check_revision": [answer.revision for answer in answers],
        "check_operation": [answer.operation for answer in answers],
        "check_outcome": [answer.outcome for answer in answers],
        "check_findings": [findings_body(answer.reasons, answer.metrics) for answer in answers],
        "check_person": [answer.person for answer in answers],
        "check_event_source": [origin and origin.event_source for origin in origins],
        "check_event_id": [origin and origin.event_id for origin in origins],
        "check_digest": [origin and origin.digest for origin in origins],
        "check_body": [origin and origin.body for origin in origins],
        "check_body_version": [origin and origin.body_version for origin in origins],
    }


def _decision_columns(changes: Changes) -> Columns:
    decisions = changes.decisions
    return {
        "decision_source": [decision.key[0] for decision in decisions],
        "decision_order_id": [decision.key[1] for decision in decisions],
        "decision_number": [decision.check_number for decision in decisions],
        "decision_outcome": [decision.outcome for decision in decisions],
        "decision_event_id": [decision.event_id for decision in decisions],
    }


def _occupancy_columns(orders: Sequence[OrderState]) -> Columns:
    """The difference between what an order occupies and what was stored of it."""
    occupied: list[tuple[str, str, int, str, int, bool]] = []
    settled: list[tuple[str, str, int, str]] = []
    released: list[tuple[str, str, int, str]] = []
    for order in orders:
        occupancy, gone = order.occupancy, set(order.stored)
        for number, amounts in occupancy.checks.items():
            is_settled = number == occupancy.settled_check
            for profile_id, amount in amounts.items():
                gone.discard((number, profile_id))
                was_settled = order.stored.get((number, profile_id))
                if was_settled is None:
                    occupied.append((*order.key, number, profile_id, amount, is_settled))
                elif is_settled and not was_settled:
                    settled.append((*order.key, number, profile_id))
        released += [(*order.key, number, profile_id) for number, profile_id in gone]
    place = ("source", "order_id", "number", "profile")
    return {
        **_transposed("occupied", (*place, "amount", "settled"), occupied),
        **_transposed("settled", place, settled),
        **_transposed("released", place, released),
    }


def _transposed(prefix: str, names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> Columns:
    columns = zip(*rows, strict=True) if rows else ([] for _ in names)
    return {f"{prefix}_{name}": list(column) for name, column in zip(names, columns, strict=True)}


def _profile_columns(changes: Changes) -> Columns:
    profiles = changes.profiles.values()
    return {
        "profile_id": [profile.profile_id for profile in profiles],
        "profile_used": [profile.used for profile in profiles],
        "profile_settled": [profile.settled for profile in profiles],
        "profile_entries": [profile.entries for profile in profiles],
    }


def _entry_columns(changes: Changes) -> Columns:
    entries = changes.entries
    return {
        "entry_profile": [entry.profile_id for entry in entries],
        "entry_number": [entry.entry_number for entry in entries],
        "entry_source": [entry.source for entry in entries],
        "entry_order_id": [entry.order_id for entry in entries],
        "entry_check": [entry.check_number for entry in entries],
        "entry_change": [entry.change for entry in entries],
        "entry_used_after": [entry.used_after for entry in entries],
        "entry_permit": [entry.permit for entry in entries],
        "entry_limit": [entry.limit for entry in entries],
    }


SAVE_WAITS: Final = text(
    """
    with parked as (
        insert into parked_revision (source, order_id, order_revision, event_source, event_id, digest, body,
                                     body_version, due_at, parked_at)
        select n.*, cast(:now as timestamptz)
        from unnest(cast(:parked_source as text[]), cast(:parked_order_id as text[]),
                    cast(:parked_revision as integer[]), cast(:parked_event_source as text[]),
                    cast(:parked_event_id as text[]), cast(:parked_digest as bytea[]),
                    cast(:parked_body as bytea[]), cast(:parked_body_version as integer[]),
                    cast(:parked_due_at as timestamptz[])) as n),
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
            row.submission.origin.body_version,
            row.due_at,
        )
        for row in kept
    ]
    gone = [(*key, revision) for key, revision in changes.unparked if (key, revision) not in passing]
    place = ("source", "order_id", "revision")
    origin = ("event_source", "event_id", "digest", "body", "body_version", "due_at")
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
