"""From a notice's data to the variables that its texts may use: every value is an inert text."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from contracts.event import TYPES
from contracts.money import Money, SignedMoney

from contracts import (
    AllocationRecorded,
    CashGapForecast,
    CreditAlerted,
    PaymentOverdue,
    PlanDue,
    PlanExceeded,
    QuotaLow,
    TaskChanged,
)
from notify.domain.announcements import DIGEST, VERIFICATION_CODE
from notify.domain.places import shown
from notify.domain.wording import amount, inert, moment
from notify.domain.words import code_word, phrase

Context = Mapping[str, str | int]
Row = tuple[str, str]
"""A label's key and a value."""
TEXT_CHARACTERS_MAX: Final = 300
ROWS_MAX: Final = 60
NAMES_MAX: Final = 3


@dataclass(frozen=True, slots=True)
class Words:
    """The variables of a notice, and the figures that are shown as a table."""

    variables: Context
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Who reads it: the language, the clock, and the name of the account that it speaks of."""

    language: str
    time_zone: str
    account_name: str = ""

    def money(self, value: Money | SignedMoney | None) -> str:
        return "" if value is None else amount(value.amount, value.currency)

    def at(self, value: datetime | None) -> str:
        return "" if value is None else moment(value, self.time_zone, self.language)

    def day(self, value: date | None) -> str:
        return "" if value is None else value.isoformat()

    def word(self, code: str) -> str:
        return inert(code_word(code, self.language))


def words(kind: str, event_type: str, data: bytes, reading: Reading) -> Words:
    """The words of a notice for one reader; `data` is its event, or for a digest the list of what it gathers."""
    if kind == VERIFICATION_CODE:
        return Words({}, [])
    if kind.startswith(DIGEST):
        return _digest(data, reading)
    model = TYPES[event_type].model
    variables, rows = MAKERS[model](model.adapter.validate_json(data), reading)
    filled = [(key, value) for key, value in rows if value != ""]
    return Words(variables, filled[:ROWS_MAX])


Made = tuple[dict[str, str | int], list[Row]]
QUOTA_TERMS: Final = (
    "cash_balance",
    "bankers_acceptance",
    "credit_limit",
    "credit_refund",
    "unsettled",
    "outstanding_fees",
    "negative_bill",
)


def _account(event: QuotaLow | PaymentOverdue, reading: Reading) -> str:
    return inert(reading.account_name or event.account)


def _quota_low(event: QuotaLow, reading: Reading) -> Made:
    terms = {term: reading.money(getattr(event.terms, term)) for term in QUOTA_TERMS}
    variables: dict[str, str | int] = {
        **terms,
        "account": _account(event, reading),
        "quota": reading.money(event.quota),
        "threshold": reading.money(event.threshold),
        "at": reading.at(event.occurred_at),
        "reminder_number": event.reminder_number,
    }
    shown_first = ("quota", "threshold")
    return variables, [(key, str(variables[key])) for key in (*shown_first, *QUOTA_TERMS)]


def _payment_overdue(event: PaymentOverdue, reading: Reading) -> Made:
    terms = {term: reading.money(getattr(event.terms, term)) for term in QUOTA_TERMS}
    variables: dict[str, str | int] = {
        **terms,
        "account": _account(event, reading),
        "quota": reading.money(event.quota),
        "overdue": reading.money(event.overdue),
        "document": inert(event.document_id or "", 80),
        "at": reading.at(event.occurred_at),
    }
    shown_first = ("overdue", "document", "quota")
    return variables, [(key, str(variables[key])) for key in (*shown_first, *QUOTA_TERMS)]


def _credit(event: CreditAlerted, reading: Reading) -> Made:
    document = event.document
    variables: dict[str, str | int] = {
        "alert": reading.word(event.kind),
        "object": inert(event.object_name or event.object_id, 80),
        "limit": reading.money(event.limit),
        "used": reading.money(event.used),
        "usage_percent": f"{event.usage_percent} %" if event.usage_percent is not None else "",
        "threshold_percent": f"{event.threshold_percent} %" if event.threshold_percent is not None else "",
        "overdue": reading.money(event.overdue),
        "overdue_limit": reading.money(event.overdue_limit),
        "overdue_days": "" if event.overdue_days is None else str(event.overdue_days),
        "overdue_days_limit": "" if event.overdue_days_limit is None else str(event.overdue_days_limit),
        "valid_until": reading.day(event.valid_until),
        "document": inert(document.id, 80) if document else "",
        "amount": reading.money(document.amount) if document else "",
        "reasons": "; ".join(inert(reason.text, TEXT_CHARACTERS_MAX) for reason in event.reasons[:5]),
        "actions": ", ".join(reading.word(action) for action in event.actions),
        "decide_until": reading.at(event.decide_until),
        "at": reading.at(event.occurred_at),
    }
    hidden = {"alert", "at"}
    return variables, [(key, str(value)) for key, value in variables.items() if key not in hidden]


def _plan_due(event: PlanDue, reading: Reading) -> Made:
    variables: dict[str, str | int] = {
        "entity": inert(event.entity_name or event.entity, 80),
        "system": inert(event.system_name or event.system_id, 80),
        "period": inert(event.period),
        "cut_off": reading.at(event.cut_off),
        "reminder_number": event.reminder_number,
        "asked_by": inert(event.asked_by or ""),
        "message": inert(event.message or "", TEXT_CHARACTERS_MAX),
        "at": reading.at(event.occurred_at),
    }
    keys = ("entity", "system", "period", "cut_off", "asked_by", "message")
    return variables, [(key, str(variables[key])) for key in keys]


def _plan_exceeded(event: PlanExceeded, reading: Reading) -> Made:
    variables: dict[str, str | int] = {
        "entity": inert(event.entity_name or event.entity, 80),
        "system": inert(event.system_name or event.system_id, 80),
        "item": inert(event.item_name or event.item, 80),
        "period": inert(event.period),
        "document": inert(event.document_id, 80),
        "outcome": reading.word(event.outcome),
        "amount": reading.money(event.amount),
        "effective": reading.money(event.effective),
        "pre_occupied": reading.money(event.pre_occupied),
        "actual": reading.money(event.actual),
        "available": reading.money(event.available),
        "excess": reading.money(event.excess),
        "at": reading.at(event.occurred_at),
    }
    return variables, [(key, str(value)) for key, value in variables.items() if key != "at"]


def _cash_gap(event: CashGapForecast, reading: Reading) -> Made:
    variables: dict[str, str | int] = {
        "entity": inert(event.entity_name or event.entity, 80),
        "gap": reading.money(event.gap),
        "former_gap": reading.money(event.former_gap),
        "first_day": reading.day(event.first_day),
        "lowest_day": reading.day(event.lowest_day),
        "lowest_balance": reading.money(event.lowest_balance),
        "kept_balance": reading.money(event.kept_balance),
        "horizon": reading.day(event.horizon),
        "at": reading.at(event.occurred_at),
    }
    return variables, [(key, str(value)) for key, value in variables.items() if key != "at"]


def _allocation(event: AllocationRecorded, reading: Reading) -> Made:
    variables: dict[str, str | int] = {
        "account": inert(reading.account_name or event.member_account),
        "method": reading.word(event.method),
        "operation": reading.word(event.operation),
        "amount": reading.money(event.amount),
        "disbursing_account": inert(event.disbursing_account),
        "receiving_account": inert(event.receiving_account),
        "total": reading.money(event.total),
        "requested_by": inert(event.requested_by),
        "reasons": "; ".join(inert(reason.text, TEXT_CHARACTERS_MAX) for reason in event.reasons[:5]),
        "at": reading.at(event.recorded_at),
    }
    return variables, [(key, str(value)) for key, value in variables.items() if key != "at"]


def _task(event: TaskChanged, reading: Reading) -> Made:
    variables: dict[str, str | int] = {
        "task": reading.word(event.kind),
        "subject": inert(event.subject or event.document_id or event.task_id, 80),
        "account": inert(event.account or ""),
        "document": inert(event.document_id or "", 80),
        "amount": reading.money(event.amount),
        "message": inert(event.message or "", TEXT_CHARACTERS_MAX),
        "due_at": reading.at(event.due_at),
        "at": reading.at(event.changed_at),
    }
    return variables, [(key, str(value)) for key, value in variables.items() if key != "at"]


MAKERS: Final[Mapping[type[Any], Callable[[Any, Reading], Made]]] = {
    QuotaLow: _quota_low,
    PaymentOverdue: _payment_overdue,
    CreditAlerted: _credit,
    PlanDue: _plan_due,
    PlanExceeded: _plan_exceeded,
    CashGapForecast: _cash_gap,
    AllocationRecorded: _allocation,
    TaskChanged: _task,
}


def digest_data(gathered: Sequence[tuple[str, str, str, bytes]]) -> bytes:
    """What a digest carries: kind, type, account name and event of each notice that it gathers."""
    items = [
        {"kind": kind, "type": event_type, "name": name, "event": json.loads(data)}
        for kind, event_type, name, data in gathered
    ]
    return json.dumps({"items": items}).encode()


def _digest(data: bytes, reading: Reading) -> Words:
    items = json.loads(data)["items"]
    read = [_digest_item(item, reading) for item in items]
    names = [name for name, _ in read[:NAMES_MAX]]
    if len(read) > NAMES_MAX:
        names.append(phrase("more", reading.language, count=len(read) - NAMES_MAX))
    variables: dict[str, str | int] = {"count": len(read), "names": ", ".join(names)}
    return Words(variables, read)


def _digest_item(item: Any, reading: Reading) -> Row:
    own = Reading(language=reading.language, time_zone=reading.time_zone, account_name=item["name"])
    variables = words(item["kind"], item["type"], json.dumps(item["event"]).encode(), own).variables
    name = str(variables.get("account") or variables.get("entity") or variables.get("object") or "")
    figure = str(variables.get("quota") or variables.get("amount") or variables.get("overdue") or "")
    return name, figure


def place_name(place: str, account_name: str) -> str:
    return inert(account_name or shown(place))
