"""Open items: what counts in the available quota without being in the ledger."""

from dataclasses import dataclass
from datetime import date
from typing import Literal

ItemKind = Literal["bill", "negative-bill", "credit-refund", "reversal-debt", "acceptance"]


@dataclass(slots=True)
class OpenItem:
    """A bill, what billing owes the account, a debt, or an acceptance that is not cashed yet; in minor units.

    `overdraft_billed` is the part of a bill that is used overdraft; what is repaid of it is
    `overdraft_settled`, a part of `settled`. `past_due` as of the day on which it was loaded.
    """

    item_id: str
    kind: ItemKind
    currency: str
    amount: int
    issued_on: date
    due_on: date
    settled: int = 0
    overdraft_billed: int = 0
    overdraft_settled: int = 0
    past_due: bool = False

    @property
    def outstanding(self) -> int:
        return self.amount - self.settled

    @property
    def overdraft_outstanding(self) -> int:
        return self.overdraft_billed - self.overdraft_settled


@dataclass(slots=True)
class Settlement:
    """A payment of an open item, as billing tells it; waiting until the item itself has come."""

    settlement_id: str
    account: str
    item_id: str
    currency: str
    asked: int
    paid_from: Literal["account", "outside"]
    settled_on: date
    status: Literal["waiting", "settled"] = "waiting"
    settled: int = 0
    entry_number: int | None = None
