"""The states of a delivery: forward only, with an end for everything."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from notify.domain.answers import Answer, Report, ReportMeaning, Verdict
from notify.domain.delivery import (
    FORWARD,
    Attempt,
    BackwardStep,
    Change,
    Channel,
    Delivery,
    Limits,
    Phase,
    Role,
    State,
    answered,
    applied,
    backoff,
    cancelled,
    follow_up,
    followed,
    reported,
    woken,
)

NOW = datetime(2026, 3, 10, 9, 0, tzinfo=UTC)
LIMITS = Limits()
HALF = 0.5
ACCEPTED = Answer(Verdict.ACCEPTED, "accepted", 250)
BUSY = Answer(Verdict.TRANSIENT, "temporarily-refused", 451)
REFUSED = Answer(Verdict.PERMANENT, "recipient-refused", 550)
SILENCE = Answer(Verdict.UNCLEAR, "no-answer")
NOBODY: frozenset[Channel] = frozenset()


def delivery(channel: Channel = Channel.EMAIL, state: State = State.ACCEPTED, **changes: object) -> Delivery:
    begun = Delivery(
        account="A-1",
        id=uuid4(),
        notice_id=UUID(int=1),
        kind="quota-low-opened",
        recipient="p-1",
        contact_place="A-1",
        channel=channel,
        state=state,
        expires_at=NOW + timedelta(hours=24),
        due_at=NOW,
    )
    return replace(begun, **changes)  # type: ignore[arg-type]  # fields by name


def attempting(channel: Channel = Channel.EMAIL, attempts: int = 1, **changes: object) -> Delivery:
    changes = {"phase": Phase.TRANSMITTING, **changes}
    return delivery(channel, State.SENDING, attempts=attempts, **changes)


def ended(state: State, channel: Channel = Channel.EMAIL, **changes: object) -> Delivery:
    return delivery(channel, state, ended_at=NOW, due_at=None, **changes)


def test_a_due_delivery_is_tried() -> None:
    assert woken(delivery(), NOW, HALF, LIMITS) == Attempt(1)
    assert woken(delivery(state=State.SENDING, attempts=3), NOW, HALF, LIMITS) == Attempt(4)


def test_an_accepted_email_has_ended_and_an_accepted_sms_waits_for_its_report() -> None:
    assert answered(attempting(), ACCEPTED, NOW, HALF, LIMITS) == Change(State.SENT, ended=True)
    assert answered(attempting(Channel.SMS), ACCEPTED, NOW, HALF, LIMITS) == Change(
        State.SENT, due_at=NOW + timedelta(hours=4, minutes=15)
    )


@pytest.mark.parametrize(
    ("attempts", "wait_seconds"),
    [(1, 22.5), (2, 45), (3, 90), (6, 720), (7, 1_440), (8, 2_700), (11, 2_700)],
)
def test_what_may_pass_is_tried_again_ever_more_rarely(attempts: int, wait_seconds: float) -> None:
    """30 s doubled up to 3,600 s, of which the jitter 0.5 takes three quarters."""
    change = answered(attempting(attempts=attempts), BUSY, NOW, HALF, LIMITS)
    assert change == Change(
        State.SENDING, "temporarily-refused", due_at=NOW + timedelta(seconds=wait_seconds)
    )


def test_the_last_try_ends_it() -> None:
    change = answered(attempting(attempts=LIMITS.attempts_max), BUSY, NOW, HALF, LIMITS)
    assert change == Change(State.FAILED, "retries-exhausted", ended=True)


def test_what_cannot_pass_is_never_tried_again() -> None:
    assert answered(attempting(), REFUSED, NOW, HALF, LIMITS) == Change(
        State.FAILED, "recipient-refused", ended=True
    )


def test_a_fault_that_needs_an_operator_is_tried_slowly() -> None:
    no_tls = Answer(Verdict.TRANSIENT, "certificate-invalid", alarm=True)
    change = answered(attempting(), no_tls, NOW, HALF, LIMITS)
    assert change.due_at == NOW + timedelta(minutes=15)


@pytest.mark.parametrize(("channel", "minutes"), [(Channel.EMAIL, 15), (Channel.SMS, 255)])
def test_silence_is_unknown_with_a_deadline_and_never_a_retry(channel: Channel, minutes: int) -> None:
    change = answered(attempting(channel), SILENCE, NOW, HALF, LIMITS)
    assert change == Change(State.UNKNOWN, "no-answer", due_at=NOW + timedelta(minutes=minutes))
    at_deadline = applied(attempting(channel, phase=None), change, NOW)
    assert woken(at_deadline, NOW + timedelta(minutes=minutes), HALF, LIMITS) == Change(
        State.UNKNOWN, "no-answer", ended=True
    )


def test_a_lease_that_ran_out_before_the_message_is_a_retry_and_behind_it_unknown() -> None:
    preparing = woken(attempting(phase=Phase.PREPARING), NOW, HALF, LIMITS)
    assert preparing == Change(State.SENDING, "interrupted", due_at=NOW + timedelta(seconds=22.5))
    transmitting = woken(attempting(phase=Phase.TRANSMITTING), NOW, HALF, LIMITS)
    assert transmitting == Change(State.UNKNOWN, "interrupted", due_at=NOW + timedelta(minutes=15))


def test_a_stale_notice_expires_instead_of_going_out() -> None:
    late = NOW + timedelta(hours=24)
    assert woken(delivery(), late, HALF, LIMITS) == Change(State.EXPIRED, "stale", ended=True)
    assert answered(attempting(), BUSY, late, HALF, LIMITS) == Change(State.EXPIRED, "stale", ended=True)


def test_a_retry_behind_the_end_of_a_notice_is_looked_at_when_it_expires() -> None:
    shortly_before = NOW + timedelta(hours=24) - timedelta(seconds=5)
    assert answered(attempting(), BUSY, shortly_before, HALF, LIMITS).due_at == NOW + timedelta(hours=24)


def test_an_sms_without_a_report_by_its_deadline_is_unknown() -> None:
    assert woken(delivery(Channel.SMS, State.SENT), NOW, HALF, LIMITS) == Change(
        State.UNKNOWN, "no-report", ended=True
    )


@pytest.mark.parametrize("state", [State.SENDING, State.SENT, State.UNKNOWN])
def test_a_report_settles_what_is_under_way_or_unclear(state: State) -> None:
    under_way = delivery(Channel.SMS, state)
    told = Report(ReportMeaning.DELIVERED, "delivered")
    failed = Report(ReportMeaning.UNDELIVERED, "not-delivered")
    assert reported(under_way, told) == Change(State.DELIVERED, ended=True)
    assert reported(under_way, failed) == Change(State.UNDELIVERED, "not-delivered", ended=True)


@pytest.mark.parametrize("state", [State.DELIVERED, State.UNDELIVERED, State.FAILED, State.SUPPRESSED])
@pytest.mark.parametrize("meaning", list(ReportMeaning))
def test_a_report_after_the_end_changes_nothing(state: State, meaning: ReportMeaning) -> None:
    assert reported(ended(state, Channel.SMS), Report(meaning, "any")) is None


def test_a_mail_has_no_report_to_wait_for() -> None:
    told = Report(ReportMeaning.DELIVERED, "delivered")
    assert reported(ended(State.SENT), told) is None
    assert reported(delivery(state=State.UNKNOWN), told) is None


def test_a_report_that_says_nothing_makes_a_sent_message_unknown_until_its_deadline() -> None:
    sent = delivery(Channel.SMS, State.SENT, due_at=NOW + timedelta(hours=1))
    change = reported(sent, Report(ReportMeaning.UNCLEAR, "retries-exceeded"))
    assert change == Change(State.UNKNOWN, "retries-exceeded", due_at=NOW + timedelta(hours=1))


def test_cancelling_stops_what_waits_and_leaves_an_attempt_under_way_to_its_end() -> None:
    assert cancelled(delivery(), "episode-resolved") == Change(
        State.SUPPRESSED, "episode-resolved", ended=True
    )
    assert cancelled(delivery(state=State.SENDING, attempts=2), "episode-resolved") is not None
    asked = attempting(cancel_reason="episode-resolved")
    assert cancelled(asked, "episode-resolved") is None
    assert answered(asked, BUSY, NOW, HALF, LIMITS) == Change(
        State.SUPPRESSED, "episode-resolved", ended=True
    )
    assert answered(asked, ACCEPTED, NOW, HALF, LIMITS) == Change(State.SENT, ended=True)


def test_unknown_is_repeated_once_when_nothing_else_arrived() -> None:
    unclear = ended(State.UNKNOWN)
    failed = ended(State.FAILED, Channel.SMS)
    up = follow_up([unclear, failed], NOBODY, NOW)
    assert up is not None
    assert (up.original, up.channel, up.role) == (unclear, Channel.EMAIL, Role.REPEAT)
    again = followed(up, uuid4(), NOW)
    assert (again.state, again.repeat_of, again.role) == (State.ACCEPTED, unclear.id, Role.REPEAT)
    assert (
        follow_up([unclear, failed, replace(again, state=State.UNKNOWN, ended_at=NOW)], NOBODY, NOW) is None
    )


FALLBACK = (Channel.SMS, Channel.SLACK)


@pytest.mark.parametrize(
    ("state", "kind", "reachable", "expected"),
    [
        (State.FAILED, "plan-exceeded", {Channel.SMS}, (Channel.SMS, Role.FALLBACK)),
        (State.UNDELIVERED, "plan-exceeded", {Channel.SLACK}, (Channel.SLACK, Role.FALLBACK)),
        (State.FAILED, "plan-exceeded", set(), None),
        (State.UNKNOWN, "plan-exceeded", {Channel.SMS}, None),
        (State.UNKNOWN, "quota-low-opened", {Channel.SMS}, (Channel.SMS, Role.FALLBACK)),
        (State.UNKNOWN, "payment-overdue-opened", set(), (Channel.EMAIL, Role.REPEAT)),
        (State.EXPIRED, "quota-low-opened", {Channel.SMS}, None),
        (State.SUPPRESSED, "quota-low-opened", {Channel.SMS}, None),
    ],
)
def test_what_follows_an_email_with_fallback_channels(
    state: State, kind: str, reachable: set[Channel], expected: tuple[Channel, Role] | None
) -> None:
    """What surely failed goes by the next channel; what is unclear does so only when it must be heard."""
    up = follow_up([ended(state, kind=kind, fallback=FALLBACK)], frozenset(reachable), NOW)
    assert (None if up is None else (up.channel, up.role)) == expected


def test_the_fallback_of_a_fallback_is_the_next_channel() -> None:
    first = ended(State.FAILED, fallback=FALLBACK)
    second = ended(State.FAILED, Channel.SMS, role=Role.FALLBACK, fallback=(Channel.SLACK,))
    reachable = frozenset(FALLBACK)
    up = follow_up([first, second], reachable, NOW)
    assert up is not None
    assert up.channel is Channel.SLACK
    third = ended(State.FAILED, Channel.SLACK, role=Role.FALLBACK)
    assert follow_up([first, second, third], reachable, NOW) is None


@pytest.mark.parametrize(
    "other",
    [
        ended(State.DELIVERED, Channel.SMS),
        delivery(Channel.SMS, State.SENT),
        delivery(Channel.SMS, State.SENDING),
        delivery(Channel.SMS),
    ],
)
def test_the_other_channel_is_the_fallback_of_an_unknown_one(other: Delivery) -> None:
    """As long as the other channel has told the recipient, or may still do so, nothing is repeated."""
    assert follow_up([ended(State.UNKNOWN), other], NOBODY, NOW) is None


def test_nothing_else_is_ever_repeated() -> None:
    assert follow_up([ended(State.FAILED), ended(State.FAILED, Channel.SMS)], NOBODY, NOW) is None
    assert follow_up([ended(State.UNKNOWN, kind="verification-code")], NOBODY, NOW) is None
    assert follow_up([ended(State.UNKNOWN, cancel_reason="episode-resolved")], NOBODY, NOW) is None
    assert follow_up([ended(State.UNKNOWN)], NOBODY, NOW + timedelta(hours=24)) is None


def test_going_back_is_a_bug() -> None:
    with pytest.raises(BackwardStep):
        applied(ended(State.SENT), Change(State.SENDING, due_at=NOW), NOW)


@given(attempts=st.integers(1, 1_000), jitter=st.floats(0, 1, exclude_max=True))
def test_every_wait_lies_between_half_the_first_and_the_longest(attempts: int, jitter: float) -> None:
    wait = backoff(attempts, jitter, LIMITS)
    assert LIMITS.backoff_first / 2 <= wait <= LIMITS.backoff_max


VERDICTS = st.sampled_from(list(Verdict))
EVENTS = st.one_of(
    st.tuples(st.just("wake"), st.integers(0, 90_000)),
    st.tuples(st.just("answer"), VERDICTS),
    st.tuples(st.just("report"), st.sampled_from(list(ReportMeaning))),
    st.tuples(st.just("cancel"), st.none()),
    st.tuples(st.just("kill"), st.booleans()),
)


def after(current: Delivery, event: tuple[str, object], now: datetime, jitter: float) -> Delivery:
    """What one event of a delivery's life makes of it, as the sender and the routes apply it."""
    name, value = event
    change: Change | Attempt | None = None
    is_attempting = current.phase is not None
    if name == "report" and isinstance(value, ReportMeaning):
        change = reported(current, Report(value, "report"))
    elif name == "cancel":
        change = cancelled(current, "cancelled")
        if change is None and current.ended_at is None:
            return replace(current, cancel_reason="cancelled")
    elif name == "answer" and isinstance(value, Verdict) and is_attempting:
        answer = Answer(value, "reason")
        current = replace(current, phase=None)
        if current.state is State.SENDING:
            change = answered(current, answer, now, jitter, LIMITS)
    elif name in ("wake", "kill") and current.due_at is not None and current.due_at <= now:
        change = woken(current, now, jitter, LIMITS)
        if isinstance(change, Attempt):
            assert change.number <= LIMITS.attempts_max
            phase = Phase.TRANSMITTING if value else Phase.PREPARING
            return replace(
                current,
                state=State.SENDING,
                attempts=change.number,
                phase=phase,
                due_at=now + LIMITS.lease,
            )
        current = replace(current, phase=None)
    return applied(current, change, now) if isinstance(change, Change) else current


@given(
    channel=st.sampled_from(list(Channel)),
    events=st.lists(EVENTS, max_size=60),
    jitters=st.lists(st.floats(0, 1, exclude_max=True), min_size=60, max_size=60),
)
def test_whatever_happens_a_delivery_moves_forward_and_is_never_forgotten(
    channel: Channel, events: list[tuple[str, object]], jitters: list[float]
) -> None:
    current, now = delivery(channel), NOW
    for event, jitter in zip(events, jitters, strict=False):
        if event[0] == "wake" and isinstance(event[1], int):
            now += timedelta(seconds=event[1])
        following = after(current, event, now, jitter)
        assert following.state is current.state or following.state in FORWARD[current.state]
        assert (following.ended_at is None) == (following.due_at is not None)
        assert following.attempts <= LIMITS.attempts_max
        if current.ended_at is not None and current.state is not State.UNKNOWN:
            assert following.state is current.state, "an end stays, unless a report settles what was unknown"
        current = following


@given(channel=st.sampled_from(list(Channel)), phase=st.sampled_from([None, *Phase]))
def test_left_alone_every_delivery_ends_within_its_bounds(channel: Channel, phase: Phase | None) -> None:
    """Nobody answers and nobody reports: leases, retries and deadlines alone bring it to an end."""
    current, now = delivery(channel), NOW
    for _ in range(100):
        if current.due_at is None:
            break
        now = max(now, current.due_at)
        current = after(current, ("wake", phase is Phase.TRANSMITTING), now, 0.9)
    assert current.ended_at is not None
    assert current.ended_at <= NOW + timedelta(hours=24) + LIMITS.lease + LIMITS.report_wait
