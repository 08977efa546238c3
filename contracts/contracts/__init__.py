"""Coffer's event contracts, newest version of each."""

from contracts.balance_changed import BalanceChanged
from contracts.credit_checked import CreditChecked
from contracts.event import EXTERNAL, REGISTRY, Contract, Event, event, latest
from contracts.master_data_changed import MasterDataChanged
from contracts.notification_status import NotificationStatus
from contracts.order_cancelled import OrderCancelled
from contracts.order_decided import OrderDecided
from contracts.order_submitted import OrderSubmitted
from contracts.payment_received import PaymentReceived
from contracts.quota_low import QuotaLow
from contracts.relationship_changed import RelationshipChanged

__all__ = [
    "EXTERNAL",
    "REGISTRY",
    "BalanceChanged",
    "Contract",
    "CreditChecked",
    "Event",
    "MasterDataChanged",
    "NotificationStatus",
    "OrderCancelled",
    "OrderDecided",
    "OrderSubmitted",
    "PaymentReceived",
    "QuotaLow",
    "RelationshipChanged",
    "event",
    "latest",
]
