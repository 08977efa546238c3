"""Exposure along the chain: the worked numbers, and that nothing is counted twice, whatever came when."""

import random
from itertools import permutations

import pytest
from credit.domain.chain import Chain, by_stage, left_of
from credit.domain.documents import Document

from .chains import Reference, document, key, occupies_when_audited, stages, used

ORDER = document("sales-order O", 100)


def test_order_100_deliver_40_invoice_40_receive_25() -> None:
    chain = [
        ORDER,
        document("delivery-notice N", 40, 1, "sales-order O"),
        document("outbound D", 40, 1, "delivery-notice N"),
        document("receivable R", 40, 1, "outbound D"),
        document("receipt P", None, 1, ("receivable R", 25), amount=25),
    ]
    assert stages(chain) == {"sales-order": 60, "receivable": 15}
    assert used(chain) == 75


def test_an_outbound_at_another_price_releases_the_order_at_the_orders_price() -> None:
    """Order 10 x 10.00, outbound 4 x 12.00: order 60, outbound 48, total 108; un-audited: 100."""
    order = document("sales-order O", 10, 1000)
    outbound = document("outbound D", 4, 1200, "sales-order O")
    assert stages([order, outbound]) == {"sales-order": 6000, "outbound": 4800}
    assert used([order, outbound.in_phase("reversed")]) == 10_000


def test_a_receipt_in_advance_is_the_customers_credit_until_it_is_matched() -> None:
    """Receipt 30: -30; order 100: 70; outbound 100: 70; receivable 100 matched with the 30: 70."""
    advance = document("receipt P", amount=30)
    outbound = document("outbound D", 100, 1, "sales-order O")
    receivable = document("receivable R", 100, 1, "outbound D")
    matched = document("receipt P", None, 1, ("receivable R", 30), amount=30)
    assert stages([advance]) == {"customer-credit": -30}
    assert used([advance, ORDER]) == 70
    assert used([advance, ORDER, outbound]) == 70
    assert used([advance, ORDER, outbound, receivable]) == 70
    assert stages([matched, ORDER, outbound, receivable]) == {"receivable": 70}
    assert used([matched, ORDER, outbound]) == 70


def test_a_closed_order_leaves_nothing_and_takes_nothing_back() -> None:
    """Order A 100, outbound 40, close A: 40; un-audit the outbound: 0, not 40; reopened: 100."""
    outbound = document("outbound D", 40, 1, "sales-order O")
    closed = ORDER.in_phase("closed")
    assert used([ORDER, outbound]) == 100
    assert used([closed, outbound]) == 40
    assert used([closed, outbound.in_phase("reversed")]) == 0
    assert used([ORDER, outbound.in_phase("reversed")]) == 100


def test_what_was_delivered_too_much_is_given_back_to_the_order_once() -> None:
    """Order 10, outbounds 6 and 6, un-audit of the first: 4 + 6 = 10."""
    order = document("sales-order O", 10)
    first, second = (document(f"outbound D{n}", 6, 1, "sales-order O") for n in (1, 2))
    assert stages([order, first, second]) == {"outbound": 12}
    assert stages([order, first.in_phase("reversed"), second]) == {"sales-order": 4, "outbound": 6}


@pytest.mark.parametrize("invoiced", [0, 6, 10])
def test_goods_that_come_back_leave_the_stage_that_they_are_in(invoiced: int) -> None:
    """10 delivered, 4 back: 6 are owed, whatever was invoiced, and before or after."""
    chain = [document("outbound D", 10), document("return B", 4, 1, "outbound D")]
    if invoiced:
        chain.append(document("receivable R", invoiced, 1, "outbound D"))
    assert used(chain) == 6


def test_a_return_after_payment_is_the_customers_credit() -> None:
    chain = [
        document("outbound D", 10, 10),
        document("receivable R", 10, 10, "outbound D"),
        document("receipt P", None, 1, ("receivable R", 100), amount=100),
        document("return B", 4, 10, "outbound D"),
    ]
    assert stages(chain) == {"customer-credit": -40}


def test_a_return_releases_its_notice() -> None:
    outbound = document("outbound D", 10)
    notice = document("return-notice N", 4, 1, "outbound D")
    back = document("return B", 4, 1, "return-notice N")
    assert used([outbound, notice]) == 6
    assert used([outbound, notice, back]) == 6
    assert used([outbound, notice.in_phase("closed")]) == 10
    assert used([outbound, notice.in_phase("closed"), back]) == 6


def test_a_return_of_unknown_goods_is_the_customers_credit_until_they_are_known() -> None:
    back = document("return B", 4, 3, "outbound D")
    assert stages([back]) == {"customer-credit": -12}
    assert stages([back, document("outbound D", 10, 5)]) == {"outbound": 30}


def test_a_refund_first_empties_the_customers_credit() -> None:
    advance, refund = document("receipt P", amount=30), document("refund F", amount=50)
    assert stages([advance, refund]) == {"refund": 20}
    assert stages([advance, document("refund F", amount=10)]) == {"customer-credit": -20}


def test_a_whole_receivable_is_settled_line_by_line_and_the_rest_is_credit() -> None:
    receivable = document("receivable R", 10, 10)
    over = document("receipt P", None, 1, ("receivable R", 130), amount=130)
    assert stages([receivable, over]) == {"customer-credit": -30}


def test_a_receipt_in_another_currency_settles_nothing() -> None:
    receivable = document("receivable R", 10, 10)
    foreign = document("receipt P", None, 1, ("receivable R", 60), amount=60, currency="USD")
    assert stages([receivable, foreign]) == {"receivable": 100, "customer-credit": -60}


def test_a_written_off_receivable_keeps_what_was_paid_of_it() -> None:
    receivable = document("receivable R", 10, 10).in_phase("closed")
    assert used([receivable, document("receipt P", None, 1, ("receivable R", 60), amount=60)]) == 0


def test_a_type_that_does_not_occupy_is_passed_by() -> None:
    """Without notices and outbounds, the receivable takes from the order itself."""

    def occupies(one: Document) -> bool:
        return one.document_type in ("sales-order", "receivable")

    chain = [
        ORDER,
        document("delivery-notice N", 40, 1, "sales-order O"),
        document("outbound D", 40, 1, "delivery-notice N"),
        document("receivable R", 30, 2, "outbound D"),
    ]
    assert by_stage(Chain(chain[:3], occupies).pieces()) == {"sales-order": 100}
    assert by_stage(Chain(chain, occupies).pieces()) == {"sales-order": 70, "receivable": 60}


def test_the_chain_keeps_the_parties_of_its_first_document() -> None:
    order = document("sales-order O", 10, customer="C-1")
    outbound = document("outbound D", 4, 1, "sales-order O", customer="C-2")
    pieces = list(Chain([outbound, order], occupies_when_audited).pieces())
    assert {piece.parties.customer for piece in pieces} == {"C-1"}
    assert [piece.parties.customer for piece in Chain([outbound], occupies_when_audited).pieces()] == ["C-2"]


def test_another_revision_of_the_order_is_measured_with_the_same_taken() -> None:
    chain = Chain([ORDER, document("outbound D", 40, 1, "sales-order O")], occupies_when_audited)
    dearer = document("sales-order O", 120, 2)
    assert left_of(dearer, chain.takes(key("sales-order O"))) == {"1": 160}


def test_split_and_merged_lines() -> None:
    chain = [
        document("sales-order O1", 10),
        document("sales-order O2", 10, 2),
        document("outbound D", 12, 3, ("sales-order O1", 5), ("sales-order O2", 7)),
        document("receivable R1", 4, 3, "outbound D"),
        document("receivable R2", 8, 3, "outbound D"),
    ]
    assert stages(chain) == {"sales-order": 5 + 6, "receivable": 36}


WORKED = [
    ORDER,
    document("delivery-notice N", 40, 1, "sales-order O"),
    document("outbound D", 40, 1, "delivery-notice N"),
    document("receivable R", 40, 1, "outbound D"),
    document("receipt P", None, 1, ("receivable R", 25), amount=25),
    document("return B", 5, 1, "outbound D"),
]


def test_the_worked_chain_in_all_permutations() -> None:
    for order in permutations(WORKED):
        for known in range(1, len(order) + 1):
            documents = order[:known]
            assert used(documents) == Reference(documents).used()
        assert stages(order) == {"sales-order": 60, "receivable": 10}


def _random_documents(chance: random.Random) -> list[Document]:
    """Documents of up to four chains, in no order: split, merged, over-delivered, at changing prices."""
    found: list[Document] = []
    for chain in range(chance.randint(1, 4)):
        ids = f"{chain}"
        found.append(document(f"sales-order O{ids}", chance.randint(1, 9), chance.randint(1, 5)))
        notices = range(chance.randint(0, 3))
        found += [_after(chance, f"delivery-notice N{ids}{n}", ["sales-order O" + ids]) for n in notices]
        for n in range(chance.randint(0, 4)):
            upstream = [_pick(chance, found, "delivery-notice", ids) or f"sales-order O{ids}"]
            found.append(_after(chance, f"outbound D{ids}{n}", upstream))
        for n in range(chance.randint(0, 4)):
            upstream = _several(chance, found, "outbound", ids)
            found.append(_after(chance, f"receivable R{ids}{n}", upstream))
        for n in range(chance.randint(0, 2)):
            found.append(
                _after(chance, f"return-notice T{ids}{n}", [f"outbound D{ids}{chance.randint(0, 3)}"])
            )
        for n in range(chance.randint(0, 3)):
            notice = _pick(chance, found, "return-notice", ids)
            found.append(
                _after(chance, f"return B{ids}{n}", [notice or f"outbound D{ids}{chance.randint(0, 3)}"])
            )
        for n in range(chance.randint(0, 4)):
            named = [(f"receivable R{ids}{chance.randint(0, 4)}", chance.randint(1, 9)) for _ in range(2)]
            amount = chance.randint(1, 20)
            found.append(
                document(f"receipt P{ids}{n}", None, 1, *named, amount=amount, day=chance.randint(2, 9))
            )
    if chance.random() < 0.3:
        found.append(document("refund F", amount=chance.randint(1, 30)))
    return found


def _after(chance: random.Random, name: str, upstream: list[str]) -> Document:
    counts = [chance.randint(1, 5) for _ in upstream]
    links = zip(upstream, counts, strict=True)
    return document(name, sum(counts) or 1, chance.randint(1, 5), *links, day=chance.randint(2, 9))


def _pick(chance: random.Random, found: list[Document], kind: str, ids: str) -> str | None:
    names = [
        f"{kind} {one.key.document_id}"
        for one in found
        if one.document_type == kind and one.key.document_id[1] == ids
    ]
    return chance.choice([*names, None])


def _several(chance: random.Random, found: list[Document], kind: str, ids: str) -> list[str]:
    picked = {_pick(chance, found, kind, ids) for _ in range(chance.randint(1, 2))}
    return sorted(name for name in picked if name is not None)


@pytest.mark.parametrize("block", range(4))
def test_250_random_histories_in_any_order_with_duplicates(block: int) -> None:
    """After every step the fold equals the reference, and what came when makes no difference."""
    chance = random.Random(block)
    for _ in range(250):
        documents = _random_documents(chance)
        known: dict[object, Document] = {}
        steps = [*documents, *chance.sample(documents, len(documents) // 5)]
        changed = chance.choices(documents, k=chance.randint(0, 12))
        steps += [one.in_phase(chance.choice(["reversed", "closed", "audited"])) for one in changed]
        chance.shuffle(steps)
        for step in steps[:60]:
            known[step.key] = step
            found = stages(known.values())
            assert sum(found.values()) == Reference(known.values()).used()
            assert all(amount > 0 for stage, amount in found.items() if stage != "customer-credit")
        again = list(known.values())
        chance.shuffle(again)
        assert used(again) == used(known.values())
