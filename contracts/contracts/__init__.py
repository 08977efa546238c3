"""Coffer's event contracts, newest version of each."""

from contracts.allocation_recorded import AllocationRecorded
from contracts.balance_changed import BalanceChanged
from contracts.cash_gap_forecast import CashGapForecast
from contracts.credit_alerted import CreditAlerted
from contracts.credit_checked import CreditChecked
from contracts.document_posted import DocumentPosted
from contracts.event import EXTERNAL, REGISTRY, Contract, Event, event, latest
from contracts.master_data_changed import MasterDataChanged
from contracts.notification_status import NotificationStatus
from contracts.order_cancelled import OrderCancelled
from contracts.order_decided import OrderDecided
from contracts.order_submitted import OrderSubmitted
from contracts.payment_overdue import PaymentOverdue
from contracts.payment_received import PaymentReceived
from contracts.plan_due import PlanDue
from contracts.plan_exceeded import PlanExceeded
from contracts.quota_low import QuotaLow
from contracts.relationship_changed import RelationshipChanged
from contracts.relationship_end_answered import RelationshipEndAnswered
from contracts.relationship_end_requested import RelationshipEndRequested
from contracts.resource_changed import ResourceChanged
from contracts.sharing_changed import SharingChanged
from contracts.task_changed import TaskChanged

__all__ = [
    "EXTERNAL",
    "REGISTRY",
    "AllocationRecorded",
    "BalanceChanged",
    "CashGapForecast",
    "Contract",
    "CreditAlerted",
    "CreditChecked",
    "DocumentPosted",
    "Event",
    "MasterDataChanged",
    "NotificationStatus",
    "OrderCancelled",
    "OrderDecided",
    "OrderSubmitted",
    "PaymentOverdue",
    "PaymentReceived",
    "PlanDue",
    "PlanExceeded",
    "QuotaLow",
    "RelationshipChanged",
    "RelationshipEndAnswered",
    "RelationshipEndRequested",
    "ResourceChanged",
    "SharingChanged",
    "TaskChanged",
    "event",
    "latest",
]
