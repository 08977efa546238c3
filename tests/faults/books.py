"""Works out from the topics alone what must have come of it, and compares the services with that.

Nothing here asks a service how it came to a figure: money in is what unique payments say, money out what the last
decision of each order says, exposure what accepted orders add up to. A second effect of one cause shows as a
difference.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import httpx

from contracts import OrderCancelled, OrderDecided, OrderSubmitted, PaymentReceived, RelationshipChanged
from ops.local.waiting import run
from ops.verify.log import Log, Logged
from tests.faults.fleet import Fleet
from tests.faults.traffic import CURRENCY

OUTGOING: Final = (
    "credit-checked",
    "order-decided",
    "balance-changed",
    "quota-low",
    "relationship-changed",
    "notification-status",
)
OrderKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Settled:
    """The books after everything came to rest, and what came twice in all the time until then.

    Events that come twice under one id are dropped by their readers; messages that come twice, people see.
    """

    books: "Books"
    events_twice: int
    messages_twice: int

    def __str__(self) -> str:
        return f"{self.events_twice} events repeated under their ids, {self.messages_twice} messages doubled"


class Books:
    """The figures that follow from what lies in the topics."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.decided: dict[OrderKey, OrderDecided] = {}
        for record in log.of("order-decided"):
            event = record.event
            assert isinstance(event, OrderDecided)
            last = self.decided.get((event.source, event.order_id))
            if last is None or last.check_number <= event.check_number:
                self.decided[event.source, event.order_id] = event

    def cash(self) -> dict[str, int]:
        """What each account must hold: unique payments less what standing decisions took."""
        payments = {
            event.payment_id: event for event in _events(self.log.of("payment-received"), PaymentReceived)
        }
        cash: Counter[str] = Counter()
        for event in payments.values():
            cash[event.account or ""] += event.amount.minor
        for decision in self.decided.values():
            for paid in decision.position.payments if decision.position else ():
                cash[paid.account] -= paid.amount.minor
        return dict(cash)

    def used(self) -> dict[str, int]:
        """What each customer must occupy: the totals of the orders that stand accepted."""
        used: Counter[str] = Counter()
        for decision in self.decided.values():
            if decision.outcome == "accepted":
                assert decision.customer is not None
                assert decision.position is not None
                used[decision.customer] += decision.position.total.minor
        return dict(used)

    def unanswered(self) -> set[OrderKey]:
        """Orders that were handed in and have no decision at all."""
        submitted = _events(self.log.of("order-submitted"), OrderSubmitted)
        return {(event.source, event.order_id) for event in submitted} - self.decided.keys()

    def lost(self, acknowledged: Iterable[tuple[str, int, int]]) -> set[tuple[str, int, int]]:
        """Places that the broker acknowledged and that lie in no topic any more."""
        decoded = {
            (record.topic, record.partition, record.offset)
            for records in self.log.records.values()
            for record in records
        }
        return set(acknowledged) - decoded - set(self.log.malformed)

    def not_cancelled(self) -> list[str]:
        """Cancelled orders that do not stand cancelled (or declined, if handed in afterwards) and unpaid."""
        wrong = []
        for event in _events(self.log.of("order-cancelled"), OrderCancelled):
            decision = self.decided.get((event.source, event.order_id))
            if decision is None or decision.outcome not in ("cancelled", "declined"):
                wrong.append(f"{event.order_id} stands {decision.outcome if decision else 'unanswered'}")
            elif decision.position is not None and decision.position.payments:
                wrong.append(f"{event.order_id} is cancelled and paid")
        return wrong

    def relationships(self) -> dict[str, tuple[int, str]]:
        """Version and state in which each relationship stands."""
        standing: dict[str, tuple[int, str]] = {}
        for event in _events(self.log.of("relationship-changed"), RelationshipChanged):
            known = standing.get(event.relationship_id, (0, ""))
            standing[event.relationship_id] = max(known, (event.relationship_version, event.state))
        return standing

    def events_twice(self) -> int:
        """Events that lie in a topic more than once under one id; other ids for one cause are no repeats."""
        copies = Counter(
            (topic, record.source, record.id) for topic in OUTGOING for record in self.log.of(topic)
        )
        return sum(count - 1 for count in copies.values())


def _events(records: Iterable[Logged], kind: type[Any]) -> list[Any]:
    return [record.event for record in records if isinstance(record.event, kind)]


def settle(fleet: Fleet) -> Settled:
    """Drains, checks every invariant, and compares the services with the books; returns what came twice."""
    fleet.drain()
    books = Books(fleet.verify())
    assert books.lost(fleet.acknowledged) == set()
    assert books.unanswered() == set()
    assert books.not_cancelled() == []
    cash, used = books.cash(), books.used()
    assert money(fleet, cash) == cash
    assert exposure(fleet, used) == used
    return Settled(books, books.events_twice(), doubled_messages(fleet))


def money(fleet: Fleet, accounts: Iterable[str]) -> dict[str, int]:
    """What fund-pool answers over HTTP for these accounts' cash."""
    return run(_money(fleet, list(accounts)))


async def _money(fleet: Fleet, accounts: list[str]) -> dict[str, int]:
    async with _client(fleet, "fund-pool") as client:
        found = {account: await _get(client, f"/accounts/{account}/balances") for account in accounts}
    return {
        account: sum(
            _minor(purse["balance"]) for purse in answer["fund_accounts"] if purse["currency"] == CURRENCY
        )
        for account, answer in found.items()
    }


def exposure(fleet: Fleet, customers: Iterable[str]) -> dict[str, int]:
    """What credit answers over HTTP for these customers' use of their limits."""
    return run(_exposure(fleet, list(customers)))


async def _exposure(fleet: Fleet, customers: list[str]) -> dict[str, int]:
    async with _client(fleet, "credit") as client:
        found = {customer: await _get(client, f"/customers/{customer}/status") for customer in customers}
    return {
        customer: sum(_minor(status["used"]) for status in answer["items"])
        for customer, answer in found.items()
    }


def _client(fleet: Fleet, service: str) -> httpx.AsyncClient:
    token = fleet.stack.token("administrator")
    return httpx.AsyncClient(
        base_url=fleet.url(service), headers={"Authorization": f"Bearer {token}"}, timeout=20
    )


async def _get(client: httpx.AsyncClient, path: str) -> Any:
    answer = await client.get(path)
    assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:300]}"
    return answer.json()


def _minor(money: dict[str, str]) -> int:
    return round(float(money["amount"]) * 100)


MESSAGES: Final = """
select d.id, coalesce(d.repeat_of, d.id) as root, d.state, c.report_token,
       (select count(*) from delivery_history h
        where (h.account, h.delivery_id) = (d.account, d.id) and h.reason = 'interrupted'
          and h.state = 'unknown') as interruptions
from delivery d
left join delivery_content c on c.account = d.account and c.delivery_id = d.id
"""


def doubled_messages(fleet: Fleet) -> int:
    """Messages that people got once more, each for a kill that fell between the acceptance and the commit.

    One kill may leave several deliveries there. Every delivery that says that it went out did go out.
    """
    received = received_messages(fleet)
    copies: Counter[str] = Counter()
    interruptions: Counter[str] = Counter()
    silent = []
    for row in fleet.rows("notify", MESSAGES):
        number = received[str(row["id"])] + received[row["report_token"] or ""]
        copies[str(row["root"])] += number
        interruptions[str(row["root"])] += row["interruptions"]
        if row["state"] in ("sent", "delivered") and not copies[str(row["root"])]:
            silent.append(str(row["id"]))
    assert silent == [], "deliveries that say they went out and did not"
    doubled = Counter({root: number - 1 for root, number in copies.items() if number > 1})
    assert doubled <= interruptions, f"doubled without a kill that explains it: {doubled - interruptions}"
    return doubled.total()


def received_messages(fleet: Fleet) -> Counter[str]:
    """How often the providers took each message: e-mails by delivery, SMS by the token of their reports."""
    received: Counter[str] = Counter()
    for mail in fleet.stack.mail.messages():
        received[mail["message_id"].strip("<>").partition("@")[0]] += 1
    for sms in fleet.stack.sms.messages():
        received[_token(sms["report_url"])] += 1
    return received


def _token(report_url: str) -> str:
    return report_url.partition("/sms-reports/")[2].partition("?")[0]
