"""Coffer's event contracts, newest version of each."""

from contracts.allocation_recorded import AllocationRecorded
from contracts.balance_changed import BalanceChanged
from contracts.bank_balance_changed import BankBalanceChanged
from contracts.bill_issued import BillIssued
from contracts.bill_settled import BillSettled
from contracts.cash_gap_forecast import CashGapForecast
from contracts.credit_alerted import CreditAlerted
from contracts.credit_checked import CreditChecked
from contracts.credit_limit_answered import CreditLimitAnswered
from contracts.credit_limit_changed import CreditLimitChanged
from contracts.credit_limit_proposed import CreditLimitProposed
from contracts.document_checked import DocumentChecked
from contracts.document_posted import DocumentPosted
from contracts.entry_posted import EntryPosted
from contracts.event import EXTERNAL, REGISTRY, Contract, Event, event, latest
from contracts.expense_approved import ExpenseApproved
from contracts.master_data_changed import MasterDataChanged
from contracts.notification_status import NotificationStatus
from contracts.order_cancelled import OrderCancelled
from contracts.order_changed import OrderChanged
from contracts.order_decided import OrderDecided
from contracts.order_returned import OrderReturned
from contracts.order_status_changed import OrderStatusChanged
from contracts.order_submitted import OrderSubmitted
from contracts.payment_overdue import PaymentOverdue
from contracts.payment_received import PaymentReceived
from contracts.payment_reversed import PaymentReversed
from contracts.payout_requested import PayoutRequested
from contracts.payout_settled import PayoutSettled
from contracts.plan_checked import PlanChecked
from contracts.plan_due import PlanDue
from contracts.plan_exceeded import PlanExceeded
from contracts.quota_low import QuotaLow
from contracts.receipt_requested import ReceiptRequested
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
    "BankBalanceChanged",
    "BillIssued",
    "BillSettled",
    "CashGapForecast",
    "Contract",
    "CreditAlerted",
    "CreditChecked",
    "CreditLimitAnswered",
    "CreditLimitChanged",
    "CreditLimitProposed",
    "DocumentChecked",
    "DocumentPosted",
    "EntryPosted",
    "Event",
    "ExpenseApproved",
    "MasterDataChanged",
    "NotificationStatus",
    "OrderCancelled",
    "OrderChanged",
    "OrderDecided",
    "OrderReturned",
    "OrderStatusChanged",
    "OrderSubmitted",
    "PaymentOverdue",
    "PaymentReceived",
    "PaymentReversed",
    "PayoutRequested",
    "PayoutSettled",
    "PlanChecked",
    "PlanDue",
    "PlanExceeded",
    "QuotaLow",
    "ReceiptRequested",
    "RelationshipChanged",
    "RelationshipEndAnswered",
    "RelationshipEndRequested",
    "ResourceChanged",
    "SharingChanged",
    "TaskChanged",
    "event",
    "latest",
]
