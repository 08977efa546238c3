"""Documents at the gate without a database: random histories against the reference that counts by hand."""

import random
from dataclasses import replace
from typing import Any, cast

import pytest
from credit.domain.arrivals import Posting, Settlement
from credit.domain.book import Book, DocumentState
from credit.domain.desk import Desk
from credit.domain.documents import SALES_ORDER, Document, DocumentKey
from credit.domain.gate import Gate
from credit.domain.order_state import OrderState

from .chains import Reference, document

ORDER = ("erp", "O")


def made(
    make: Any, *documents: Document, limit: Any = None, enforcement: str = "reject"
) -> tuple[Gate, Desk]:
    """A gate that knows these documents by name only."""
    gate: Gate = make.gate(make.profile(limit=limit, enforcement=enforcement), orders=())
    gate.orders[ORDER] = OrderState(*ORDER, has_documents=True)
    keys = {one.key for one in documents} | {link.key for one in documents for link in one.links}
    book = Book({key: DocumentState(key) for key in keys if key.document_type != SALES_ORDER})
    desk = Desk(gate, book)
    gate.desk = desk
    return gate, desk


def posting(paper: Document, operation: str = "audit", stance: str = "fact") -> Posting:
    body = repr((paper, operation)).encode()
    return Posting(paper, cast("Any", operation), cast("Any", stance), "A-1", "E", body, body)


def ordered(make: Any, gate: Gate, amount: int, quantity: int, outcome: Any = "accepted") -> None:
    line = make.line("1", amount, quantity=str(quantity), price=make.line("1", amount // quantity).price)
    submission = make.submission("O", amount, source="erp", lines=[line])
    gate.apply(submission)
    number = gate.orders[ORDER].open_check
    assert number is not None, "the order waits for the decision"
    gate.apply(Settlement(ORDER, number, outcome, "D"))


def used(gate: Gate) -> int:
    [profile] = gate.profiles.values()
    assert profile.used == profile.settled == sum(entry.change for entry in gate.changes.entries)
    return profile.used


def test_order_10_x_10_outbound_4_x_12_is_108_and_un_audited_100(make: Any) -> None:
    outbound = document("outbound D", 4, 1200, "sales-order O")
    gate, desk = made(make, outbound, limit=10_800)
    ordered(make, gate, 10_000, 10)
    [answer] = desk.post(posting(outbound, stance="request")).documents
    assert (answer.outcome, answer.metrics[0].delta.amount) == ("approved", "8.00")
    assert used(gate) == 10_800
    desk.post(posting(_revised(outbound, 2, "reversed"), "un-audit"))
    assert used(gate) == 10_000


def test_limit_107_declines_it_and_100_stay(make: Any) -> None:
    outbound = document("outbound D", 4, 1200, "sales-order O")
    gate, desk = made(make, outbound, limit=10_700)
    ordered(make, gate, 10_000, 10)
    [answer] = desk.post(posting(outbound, stance="request")).documents
    assert (answer.outcome, [reason.code for reason in answer.reasons]) == (
        "declined",
        ["credit-limit-exceeded"],
    )
    assert used(gate) == 10_000


def test_a_delivery_before_its_order_is_counted_once_and_stays_when_the_order_is_declined(make: Any) -> None:
    outbound = document("outbound D", 4, 1000, "sales-order O")
    gate, desk = made(make, outbound, limit=10_000)
    desk.post(posting(outbound))
    assert used(gate) == 4_000
    ordered(make, gate, 10_000, 10, outcome="declined")
    assert used(gate) == 4_000


def test_a_receipt_in_advance_makes_used_negative(make: Any) -> None:
    """Limit 70, a receipt of 30: used -30; an order of 101 fails, of 100 passes."""
    advance = document("receipt P", amount=3_000)
    gate, desk = made(make, advance, limit=7_000)
    desk.post(posting(advance))
    assert used(gate) == -3_000
    ordered(make, gate, 10_000, 10)
    assert used(gate) == 7_000


def test_a_receipt_on_an_order_that_is_cancelled_is_the_customers_credit(make: Any) -> None:
    advance = document("receipt P", None, 1, ("sales-order O", 3_000), amount=3_000)
    gate, desk = made(make, advance)
    ordered(make, gate, 10_000, 10)
    desk.post(posting(advance))
    assert used(gate) == 7_000
    cancelling = make.cancelling("O", source="erp")
    gate.apply(cancelling)
    assert used(gate) == -3_000


def test_a_frozen_profile_lets_only_pass_what_does_not_add(make: Any) -> None:
    outbound = document("outbound D", 4, 1200, "sales-order O")
    receipt = document("receipt P", amount=500)
    gate, desk = made(make, outbound, receipt)
    ordered(make, gate, 10_000, 10)
    gate.profiles["P-C-1-CNY"].frozen = True
    [answer] = desk.post(posting(outbound, stance="request")).documents
    assert [reason.code for reason in answer.reasons] == ["credit-frozen"]
    desk.post(posting(receipt))
    assert used(gate) == 9_500


def _revised(paper: Document, revision: int, phase: Any) -> Document:
    return replace(paper, revision=revision, phase=phase)


PHASES = {"un-audit": "reversed", "audit": "audited", "close": "closed"}


@pytest.mark.parametrize("block", range(4))
def test_25_random_histories_leave_what_the_reference_counts(make: Any, block: int) -> None:
    """Facts in any order, twice, under ever new revisions, around an order that comes at any moment."""
    chance = random.Random(block)
    for _ in range(25):
        papers = _papers(chance)
        gate, desk = made(make, *papers)
        place = chance.randint(0, 12)
        revisions: dict[DocumentKey, int] = {}
        latest: dict[DocumentKey, Document] = {}
        for step in range(20):
            if step == place:
                ordered(make, gate, 90, 9)
                latest[DocumentKey(SALES_ORDER, *ORDER)] = document("sales-order O", 9, 10)
            paper = chance.choice(papers)
            operation = chance.choice(["audit", "audit", "audit", "un-audit"])
            revision = revisions.get(paper.key, 0) + chance.choice([0, 1, 1])
            event = _revised(paper, max(revision, 1), PHASES[operation])
            known = revisions.get(paper.key, 0), _rank(latest.get(paper.key))
            desk.post(posting(event, operation))
            desk.post(posting(event, operation))
            if (event.revision, _rank(event)) > known:
                revisions[paper.key], latest[paper.key] = event.revision, event
            assert used(gate) == Reference(latest.values()).used()


def _rank(paper: Document | None) -> int:
    return -1 if paper is None else 1 if paper.phase == "reversed" else 0


def _papers(chance: random.Random) -> list[Document]:
    def some(name: str, upstream: str, price: int) -> Document:
        pieces = chance.randint(1, 6)
        return document(name, pieces, price, (upstream, pieces))

    papers = [some("delivery-notice N", "sales-order O", 10)]
    papers += [
        some(f"outbound D{n}", chance.choice(["delivery-notice N", "sales-order O"]), 12) for n in range(2)
    ]
    papers += [some(f"receivable R{n}", f"outbound D{chance.randint(0, 1)}", 12) for n in range(2)]
    papers.append(some("return B", "outbound D0", 12))
    papers += [
        document(
            f"receipt P{n}",
            None,
            1,
            (f"receivable R{n}", chance.randint(1, 50)),
            amount=chance.randint(1, 60),
        )
        for n in range(2)
    ]
    return papers
