"""Stored JSON and what it stands for."""

from dataclasses import dataclass
from typing import Final, cast

from contracts.codec import decode
from contracts.credit_checked import MetricResult
from contracts.order import Order, Reason
from contracts.order_submitted import OrderSubmitted
from pydantic import TypeAdapter

from credit.domain.arrivals import Origin


@dataclass(frozen=True, slots=True)
class Findings:
    """What a check found."""

    reasons: list[Reason]
    metrics: list[MetricResult]


FINDINGS: Final = TypeAdapter(Findings)


def findings_body(reasons: list[Reason], metrics: list[MetricResult]) -> bytes:
    """Reasons and metrics as JSON."""
    return FINDINGS.dump_json(Findings(reasons, metrics), exclude_none=True)


def findings(body: bytes) -> Findings:
    """Reasons and metrics from JSON."""
    return FINDINGS.validate_json(body)


def stored_order(body: bytes, version: int) -> Order:
    """An order as it was stored, in today's version of the contract."""
    return cast(OrderSubmitted, decode(f"{OrderSubmitted.contract.name}.v{version}", body))


def body_version(origin: Origin) -> int:
    """The version of the contract in which an order event came."""
    return int(origin.event_type.rpartition(".v")[2])
