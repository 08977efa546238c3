"""Facts and requests in: decided orders, documents, balances and organisations."""

from cashplan.handlers.balances import keep_balances
from cashplan.handlers.documents import control_documents
from cashplan.handlers.organisations import keep_organisations
from cashplan.handlers.receipts import collect_receipts
from cashplan.handlers.timers import TIMERS

__all__ = ["TIMERS", "collect_receipts", "control_documents", "keep_balances", "keep_organisations"]
