"""What every Coffer service stands on; it knows no business word."""

from chassis.consumer import Subscription
from chassis.errors import Refused
from chassis.invariants import Check
from chassis.records import Record
from chassis.service import Service, ServiceContext
from chassis.settings import Settings
from chassis.work import Batch, Cause, Timer, TimerBatch, UnitOfWork

__all__ = [
    "Batch",
    "Cause",
    "Check",
    "Record",
    "Refused",
    "Service",
    "ServiceContext",
    "Settings",
    "Subscription",
    "Timer",
    "TimerBatch",
    "UnitOfWork",
]
