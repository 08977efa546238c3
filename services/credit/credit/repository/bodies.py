"""Stored JSON and what it stands for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from hashlib import blake2b
from typing import Final, Literal, cast

from chassis.formulas import FieldType, Formula, FormulaError, read_formula
from contracts.codec import decode
from contracts.credit_checked import MetricResult
from contracts.order import Order, Reason, Stance
from contracts.order_changed import OrderChanged
from contracts.order_returned import OrderReturned
from contracts.order_status_changed import OrderStatusChanged
from contracts.order_submitted import OrderSubmitted
from pydantic import TypeAdapter

from credit.domain.arrivals import Alteration, InTurn, Origin, Submission
from credit.domain.matching import OBJECTS
from credit.domain.rules import CheckRule, Enforcement, FormulaFault, Metric, TypeRule
from credit.domain.terms import Terms


@dataclass(frozen=True, slots=True)
class Findings:
    """What a check found."""

    reasons: list[Reason]
    metrics: list[MetricResult]


DIGEST_BYTES: Final = 16
FINDINGS: Final = TypeAdapter(Findings)


def in_turn(
    origin: Origin, event: OrderSubmitted | OrderChanged | OrderReturned | OrderStatusChanged
) -> InTurn:
    """What an order event that waits for its turn is to the gate."""
    key = (event.source, event.order_id)
    revision, account = event.order_revision, event.paying_account
    match event:
        case OrderSubmitted():
            return Submission(event, origin)
        case OrderChanged():
            reason = event.change_reason or ""
            return Alteration(key, revision, "change", "request", account, origin, order=event, reason=reason)
        case OrderReturned():
            reason = event.reason or ""
            return Alteration(
                key, revision, "return", "request", account, origin, returned=event.document, reason=reason
            )
        case OrderStatusChanged():
            stance: Stance = (
                event.stance if event.operation in ("audit", "reopen", "un-terminate") else "fact"
            )
            return Alteration(
                key, revision, event.operation, stance, account, origin, reason=event.reason or ""
            )


def stored_in_turn(origin: Origin) -> InTurn:
    """An order event that was parked."""
    event = decode(origin.event_type, origin.body)
    assert isinstance(event, OrderSubmitted | OrderChanged | OrderReturned | OrderStatusChanged)
    return in_turn(origin, event)


@dataclass(frozen=True, slots=True)
class Parameters:
    """What of credit control is in use; `no_profile` is the outcome for a managed customer without any profile."""

    scopes: tuple[str, ...] = ("group", "legal", "business")
    objects: tuple[str, ...] = OBJECTS
    enabled_on: date | None = None
    no_profile: Literal["declined", "warned", "approved"] = "declined"


@dataclass(frozen=True, slots=True)
class TypeBody:
    """What a stored rule says of one type of document."""

    document_type: str
    sub_type: str | None = None
    checked: bool = True
    control_point: Literal["submit", "audit"] = "audit"
    occupies: bool = True
    enforcement: dict[Metric, Enforcement] = field(default_factory=dict)
    amount_formula: str | None = None


@dataclass(frozen=True, slots=True)
class RuleBody:
    """A stored check rule."""

    types: list[TypeBody]
    grace_days: int = 0
    custom_formula: str | None = None


PARAMETERS: Final = TypeAdapter(Parameters)
RULE: Final = TypeAdapter(RuleBody)
TERMS: Final = TypeAdapter(Terms)
TERMS_KEPT_MAX: Final = 65_536

AMOUNT_FIELDS: Final[dict[str, FieldType]] = {
    "amount": "number",
    "document_type": "text",
    "sub_type": "text",
    "currency": "text",
    "customer": "text",
}
"""What a formula may speak of that says what a document occupies; amounts are minor units."""


METRIC_FIELDS: Final[dict[str, FieldType]] = {
    "amount": "number",
    "delta": "number",
    "used": "number",
    "limit": "number",
    "limited": "truth",
    "overdue": "number",
    "open_receivables": "number",
    "overdue_days": "number",
    "document_type": "text",
    "sub_type": "text",
    "currency": "text",
    "customer": "text",
}
"""What a formula may speak of that decides whether a document passes; it must be true or false."""


@dataclass(frozen=True, slots=True)
class RuleFormula:
    """A formula of a rule: what it cannot evaluate is a fault that the domain knows."""

    read: Formula

    @property
    def source(self) -> str:
        return self.read.source

    @property
    def fields(self) -> tuple[str, ...]:
        return self.read.fields

    def evaluate(self, values: Mapping[str, int | str | bool]) -> int | str | bool:
        try:
            return self.read.evaluate(values)
        except FormulaError as error:
            raise FormulaFault(str(error)) from None


def amount_formula(source: str) -> RuleFormula:
    """A formula of what a document occupies; raises FormulaError."""
    return RuleFormula(read_formula(source, AMOUNT_FIELDS, "number"))


def metric_formula(source: str) -> RuleFormula:
    """A formula of whether a document passes; raises FormulaError."""
    return RuleFormula(read_formula(source, METRIC_FIELDS, "truth"))


@lru_cache(maxsize=16)
def parameters_of(body: bytes) -> Parameters:
    """The parameters from JSON."""
    return PARAMETERS.validate_json(body)


@lru_cache(maxsize=TERMS_KEPT_MAX)
def terms_of(body: bytes) -> Terms:
    """A profile's terms from JSON."""
    return TERMS.validate_json(body)


def rule_of(rule_id: str, version: int, body: bytes) -> CheckRule:
    """A check rule from JSON, its formulas read."""
    stored = RULE.validate_json(body)
    types = {
        (said.document_type, said.sub_type): TypeRule(
            checked=said.checked,
            control_point=said.control_point,
            occupies=said.occupies,
            enforcement=said.enforcement,
            amount=amount_formula(said.amount_formula) if said.amount_formula else None,
        )
        for said in stored.types
    }
    passes = metric_formula(stored.custom_formula) if stored.custom_formula else None
    return CheckRule(rule_id, version, types, stored.grace_days, passes)


def digest_of(body: bytes) -> bytes:
    """What tells two bodies apart."""
    return blake2b(body, digest_size=DIGEST_BYTES).digest()


def findings_body(reasons: list[Reason], metrics: list[MetricResult]) -> bytes:
    """Reasons and metrics as JSON."""
    return FINDINGS.dump_json(Findings(reasons, metrics), exclude_none=True)


def findings(body: bytes) -> Findings:
    """Reasons and metrics from JSON."""
    return FINDINGS.validate_json(body)


def stored_order(body: bytes, version: int, name: str = OrderSubmitted.contract.name) -> Order:
    """An order as it was stored, in today's version of the contract."""
    return cast(Order, decode(f"{name}.v{version}", body))


def body_version(origin: Origin) -> int:
    """The version of the contract in which an order event came."""
    return int(origin.event_type.rpartition(".v")[2])
