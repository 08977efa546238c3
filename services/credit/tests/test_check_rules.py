"""The check of one order against profiles, with worked numbers."""

from contextlib import suppress
from typing import Any

import pytest
from contracts.codec import decode
from contracts.document_posted import DocumentPosted
from contracts.gate import FOLDER
from contracts.money import Money
from credit.domain.checks import Verdict, check, declined
from credit.domain.documents import DocumentFault, NotOfCredit, document_of
from credit.domain.occupancy import Occupancy
from credit.repository.documents import stored_document

CNY = 100


def verdict(
    make: Any, amount: int, *profiles: Any, occupancy: Occupancy | None = None, **options: Any
) -> Verdict:
    return check(make.order(amount=amount), make.customer(), profiles, occupancy or Occupancy(), **options)


def test_an_order_within_what_is_available_passes(make: Any) -> None:
    """24,000.00 available: an order of 12,010.00 passes, although it is more than half of it."""
    found = verdict(make, 12_010 * CNY, make.profile(limit=24_000 * CNY))
    assert (found.outcome, found.reasons, found.amounts) == ("approved", [], {"P-C-1-CNY": 12_010 * CNY})
    [limit, _] = found.metrics
    assert (limit.used.amount, limit.delta.amount, limit.result) == ("0.00", "12010.00", "passed")


@pytest.mark.parametrize(("amount", "outcome"), [(11_990, "approved"), (11_991, "declined")])
def test_exactly_the_limit_passes(make: Any, amount: int, outcome: str) -> None:
    profile = make.profile(limit=24_000 * CNY, used=12_010 * CNY)
    assert verdict(make, amount * CNY, profile).outcome == outcome


def test_a_refusal_says_the_numbers_and_what_would_pass(make: Any) -> None:
    found = verdict(make, 11_991 * CNY, make.profile(limit=24_000 * CNY, used=12_010 * CNY))
    [reason] = found.reasons
    assert reason.code == "credit-limit-exceeded"
    assert reason.text == (
        "The credit limit of customer C-1 is 24000.00 CNY, of which 12010.00 CNY are used; this order adds "
        "11991.00 CNY, and at most 11990.00 CNY would pass."
    )


@pytest.mark.parametrize(
    ("limit", "outcome"),
    [(None, "approved"), (0, "declined"), ("unlimited", "approved"), (10_000, "approved")],
)
def test_null_is_not_controlled_and_zero_is_no_credit(make: Any, limit: Any, outcome: str) -> None:
    found = verdict(make, 10_000, make.profile(limit=limit))
    assert found.outcome == outcome
    wire = found.metrics[0].limit
    assert (wire.minor if isinstance(wire, Money) else wire) == limit


@pytest.mark.parametrize(
    ("enforcement", "outcome", "result"),
    [
        ("warn", "warned", "warned"),
        ("special-approval", "pending-approval", "held"),
        ("reject", "declined", "rejected"),
    ],
)
@pytest.mark.parametrize("metric", ["limit", "single"])
def test_enforcement_decides_what_a_failure_means(
    make: Any, metric: str, enforcement: str, outcome: str, result: str
) -> None:
    profile = make.profile(
        limit=9_999 if metric == "limit" else None,
        single=9_999 if metric == "single" else None,
        enforcement=enforcement,
        single_enforcement=enforcement,
    )
    found = verdict(make, 10_000, profile)
    assert found.outcome == outcome
    assert result in [metric.result for metric in found.metrics]


def test_the_single_document_limit_looks_at_the_document_alone(make: Any) -> None:
    profile = make.profile(limit=1_000_000, used=900_000, single=50_000)
    assert verdict(make, 50_000, profile).outcome == "approved"
    found = verdict(make, 50_001, profile)
    assert found.outcome == "declined"
    assert [reason.code for reason in found.reasons] == ["single-document-limit-exceeded"]
    assert [(metric.metric, metric.result) for metric in found.metrics] == [
        ("credit-limit", "passed"),
        ("single-document-limit", "rejected"),
    ]


@pytest.mark.parametrize(
    ("first", "second", "outcome"),
    [
        ("warn", "special-approval", "pending-approval"),
        ("special-approval", "warn", "pending-approval"),
        ("special-approval", "reject", "declined"),
        ("reject", "warn", "declined"),
        ("warn", "warn", "warned"),
    ],
)
def test_the_most_severe_metric_wins_and_every_reason_is_told(
    make: Any, first: str, second: str, outcome: str
) -> None:
    profile = make.profile(limit=100, enforcement=first, single=100, single_enforcement=second)
    found = verdict(make, 101, profile)
    assert found.outcome == outcome
    assert [reason.code for reason in found.reasons] == [
        "credit-limit-exceeded",
        "single-document-limit-exceeded",
    ]


def test_all_profiles_that_an_order_hits_must_pass(make: Any) -> None:
    wide = make.profile(limit=1_000_000, profile_id="P-wide")
    narrow = make.profile(limit=100, enforcement="special-approval", profile_id="P-narrow")
    found = verdict(make, 101, wide, narrow)
    assert found.outcome == "pending-approval"
    assert found.held == {("P-narrow", "credit-limit")}
    assert len(found.metrics) == 4


def test_a_waived_metric_passes_and_another_failure_does_not(make: Any) -> None:
    profile = make.profile(limit=100, enforcement="special-approval", single=200, single_enforcement="reject")
    waivable = frozenset({("P-C-1-CNY", "credit-limit")})
    waived = verdict(make, 200, profile, waivable=waivable)
    assert (waived.outcome, waived.metrics[0].result) == ("approved", "waived")
    assert verdict(make, 201, profile, waivable=waivable).outcome == "declined"


def test_what_became_a_rejection_meanwhile_is_not_waived(make: Any) -> None:
    profile = make.profile(limit=100, enforcement="reject")
    waivable = frozenset({("P-C-1-CNY", "credit-limit")})
    assert verdict(make, 101, profile, waivable=waivable).outcome == "declined"


def test_what_does_not_raise_the_exposure_always_passes(make: Any) -> None:
    profile = make.profile(limit=50, used=100)
    own = Occupancy(settled_check=1, checks={1: {"P-C-1-CNY": 100}})
    assert verdict(make, 100, profile, occupancy=own).outcome == "approved"
    assert verdict(make, 60, profile, occupancy=own).outcome == "approved"
    assert verdict(make, 101, profile, occupancy=own).outcome == "declined"
    assert verdict(make, 0, profile).outcome == "approved"


def test_the_sum_that_no_row_could_hold_is_refused(make: Any) -> None:
    profile = make.profile(limit="unlimited", used=2**63 - 1)
    assert [reason.code for reason in verdict(make, 1, profile).reasons] == ["amount-too-large"]


def test_an_unmanaged_customer_is_neither_checked_nor_occupied(make: Any) -> None:
    found = check(make.order(), make.customer(credit_managed=False), [make.profile(limit=0)], Occupancy())
    assert (found.outcome, found.metrics, found.amounts) == ("approved", [], {})


@pytest.mark.parametrize(
    ("customer", "reason"),
    [
        (None, "unknown-customer"),
        ({"active": False}, "inactive-customer"),
        ({"has_profile": False}, "no-profile"),
    ],
)
def test_a_customer_who_cannot_be_checked_is_declined_with_the_reason(
    make: Any, customer: dict[str, Any] | None, reason: str
) -> None:
    known = None if customer is None else make.customer(**customer)
    found = check(make.order(), known, [], Occupancy())
    assert (found.outcome, [told.code for told in found.reasons]) == ("declined", [reason])


def test_an_order_that_does_not_add_up_is_declined_before_anything_else(make: Any) -> None:
    found = check(make.order(amount=5, lines=[make.line("1", 6)]), None, [], Occupancy())
    assert [reason.code for reason in found.reasons] == ["total-mismatch"]


def test_a_refusal_for_one_reason_carries_no_metric() -> None:
    assert declined("no-profile", "none").metrics == []


def test_a_stored_document_is_read_as_its_event_was(make: Any) -> None:
    """Reading without the contract's validation gives the very same document."""
    events = [
        decode("document-posted.v1", file.read_bytes())
        for file in sorted((FOLDER / "examples" / "document-posted.v1").iterdir())
    ]
    read = 0
    for event in events:
        assert isinstance(event, DocumentPosted)
        with suppress(NotOfCredit, DocumentFault):
            known = document_of(event)
            assert stored_document(event.to_json(), None) == known
            assert stored_document(event.to_json(), "closed") == known.in_phase("closed")
            read += 1
    assert read
