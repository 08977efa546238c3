"""From an announcement to its deliveries: who is told, by which channel, when, and why not."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from contracts.addressee import Addressee

from notify.domain.announcements import QUOTA_LOW, Announcement
from notify.domain.delivery import Channel, Role, State
from notify.domain.noise import Rate, Silence, Spell, silenced
from notify.domain.people import MANDATORY, Contact
from notify.domain.places import entity_place, is_account, outward
from notify.domain.rules import By, Escalation, Rule, Selector, choose

HELD_VALID: Final = timedelta(hours=1)
"""What is held goes out at the end of it even when it would be stale by then: for so long."""
RateKey = tuple[str, str, Channel]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What planning looks at: people by place, who manages whom, and what keeps notices back."""

    contacts: Mapping[str, Sequence[Contact]] = field(default_factory=dict)
    managers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    rules: Sequence[Rule] = ()
    silences: Sequence[Silence] = ()
    arrivals: dict[RateKey, datetime] = field(default_factory=dict)
    rates: Mapping[Channel, Rate] = field(default_factory=dict)

    def people(self, place: str) -> Sequence[Contact]:
        return self.contacts.get(place, ())

    def managing(self, place: str) -> Iterator[Contact]:
        for manager in self.managers.get(place, ()):
            yield from self.people(manager)

    def staff(self) -> Iterator[Contact]:
        """The company's own people, wherever they belong; accounts cannot put anybody among them."""
        for place, people in sorted(self.contacts.items()):
            if not is_account(place):
                yield from people


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A delivery to be recorded; without `contact` nobody could be found and the place stands as recipient."""

    recipient: str
    contact_place: str
    channel: Channel
    state: State
    reason: str | None = None
    due_at: datetime | None = None
    contact: Contact | None = None
    role: Role = Role.FIRST
    fallback: tuple[Channel, ...] = ()
    group_key: str | None = None

    @property
    def address(self) -> str | None:
        if self.contact is None or self.state not in (State.ACCEPTED, State.HELD):
            return None
        return self.contact.addresses[self.channel].value


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What becomes of an announcement: its rule, until when it is of use, and its deliveries."""

    rule: Rule | None
    expires_at: datetime
    deliveries: Sequence[Planned]


def plan(told: Announcement, last_step: int, spell: Spell, world: World, now: datetime) -> Plan:
    """The deliveries of an announcement; what must not go out is recorded with its reason.

    `last_step` is the furthest that the thread had got before: what comes behind a later step is overtaken.
    """
    rule = choose(world.rules, told)
    expires_at = told.occurred_at + (rule.valid if rule else timedelta(hours=24))
    verdict: tuple[State, str] | None = None
    if told.step < last_step:
        verdict = State.SUPPRESSED, "overtaken"
    elif told.family == QUOTA_LOW and spell.covers(told.occurred_at):
        verdict = State.SUPPRESSED, "overdue"
    elif now >= expires_at:
        verdict = State.EXPIRED, "stale"
    if rule is None:
        nobody = Planned(
            recipient=outward(told.place),
            contact_place=told.place,
            channel=Channel.EMAIL,
            state=State.SUPPRESSED,
            reason="no-rule",
        )
        return Plan(rule=None, expires_at=expires_at, deliveries=[nobody])
    chosen = recipients(told, rule.recipients, world)
    made = list(_deliveries(told, rule, chosen, verdict, world, now))
    return Plan(rule=rule, expires_at=expires_at, deliveries=made)


def escalated(told: Announcement, rule: Rule, escalation: Escalation, world: World, now: datetime) -> Plan:
    """The deliveries to those who are told besides, because nobody reacted or nobody was reached."""
    as_rule = replace(
        rule, channels=escalation.channels, fallback=(), group=timedelta(0), recipients=escalation.recipients
    )
    chosen = recipients(told, escalation.recipients, world)
    made = [
        replace(one, role=Role.ESCALATION) for one in _deliveries(told, as_rule, chosen, None, world, now)
    ]
    return Plan(rule=rule, expires_at=now + rule.valid, deliveries=made)


def recipients(told: Announcement, selectors: Sequence[Selector], world: World) -> list[Contact]:
    """The people that the selectors find, each once, in a fixed order."""
    found = {contact.key: contact for selector in selectors for contact in _found(told, selector, world)}
    return [found[key] for key in sorted(found)]


def _found(told: Announcement, selector: Selector, world: World) -> Iterable[Contact]:
    own = world.people(told.place)
    match selector.by:
        case By.SECURITY:
            return [contact for contact in own if contact.security]
        case By.WANTING:
            return [contact for contact in own if told.family in contact.wants]
        case By.ROLE:
            return [contact for contact in own if selector.id in contact.roles]
        case By.PERSON:
            return [contact for contact in own if contact.person == selector.id]
        case By.MANAGEMENT_SECURITY:
            return [contact for contact in world.managing(told.place) if contact.security]
        case By.MANAGEMENT_WANTING:
            managing = world.managing(told.place)
            return [contact for contact in managing if told.family in contact.wants_of_members]
        case By.MANAGEMENT_ROLE:
            return [contact for contact in world.managing(told.place) if selector.id in contact.roles]
        case By.ABOUT_SECURITY:
            return [contact for contact in world.people(told.about or "") if contact.security]
        case By.ADDRESSEES:
            return list(_addressed(told, selector.id, world))


def _addressed(told: Announcement, role: str | None, world: World) -> Iterator[Contact]:
    """Those whom the event names, looked for among the company's own people only."""
    if not told.addressees and role is not None:
        yield from (contact for contact in world.people(told.place) if role in contact.roles)
    for addressee in told.addressees:
        yield from _named(addressee, world)


def _named(addressee: Addressee, world: World) -> Iterator[Contact]:
    """A person of the company, reached once by the first place that lists it; or the holders of a role."""
    if addressee.kind == "role":
        people = world.people(entity_place(addressee.entity))
        yield from (contact for contact in people if addressee.id in contact.roles)
        return
    named = (contact for contact in world.staff() if contact.person == addressee.id)
    yield from (contact for contact in [next(named, None)] if contact)


def _deliveries(
    told: Announcement,
    rule: Rule,
    chosen: Sequence[Contact],
    verdict: tuple[State, str] | None,
    world: World,
    now: datetime,
) -> Iterator[Planned]:
    if not chosen:
        for channel in rule.channels:
            yield Planned(
                recipient=outward(told.place),
                contact_place=told.place,
                channel=channel,
                state=State.SUPPRESSED,
                reason="no-contact",
            )
    for contact in chosen:
        yield from _to_contact(told, rule, contact, verdict, world, now)


def _to_contact(
    told: Announcement,
    rule: Rule,
    contact: Contact,
    verdict: tuple[State, str] | None,
    world: World,
    now: datetime,
) -> Iterator[Planned]:
    channels, fallback = _channels(told, rule, contact)
    places = frozenset({told.place, contact.account, told.about or told.place})
    if verdict is None and not channels:
        channels, verdict = rule.channels, (State.SUPPRESSED, "switched-off")
    if verdict is None and silenced(world.silences, places, told.family, contact.person, now):
        verdict = State.SUPPRESSED, "silenced"
    for channel in channels:
        planned = Planned(
            recipient=contact.person,
            contact_place=contact.account,
            channel=channel,
            state=State.ACCEPTED,
            due_at=now,
            contact=contact,
            fallback=fallback,
        )
        refusal = _unusable(contact, channel) or verdict
        if refusal:
            yield replace(planned, state=refusal[0], reason=refusal[1], due_at=None)
        else:
            yield _timed(told, rule, planned, world, now)


def _channels(
    told: Announcement, rule: Rule, contact: Contact
) -> tuple[tuple[Channel, ...], tuple[Channel, ...]]:
    """The channels to use at once and those behind them: the person's own choice, else the rule's.

    A mandatory family cannot be switched off. Where none of the rule's channels reaches the person, the first fallback
    that does is used at once.
    """
    preferred = contact.preferences.get(told.family)
    if preferred is not None and (preferred or told.family not in MANDATORY):
        return preferred, ()
    if any(_unusable(contact, channel) is None for channel in rule.channels):
        return rule.channels, rule.fallback
    usable = [channel for channel in rule.fallback if _unusable(contact, channel) is None]
    return (*rule.channels, *usable[:1]), tuple(usable[1:])


def _unusable(contact: Contact, channel: Channel) -> tuple[State, str] | None:
    address = contact.addresses.get(channel)
    if address is None:
        return State.SUPPRESSED, "no-address"
    if not address.verified:
        return State.SUPPRESSED, "unverified"
    return None


def _timed(told: Announcement, rule: Rule, planned: Planned, world: World, now: datetime) -> Planned:
    """The delivery with the time at which it may go out: gathered, in quiet hours, or at the recipient's rate."""
    contact = planned.contact
    assert contact is not None, "what goes out goes to somebody"
    if rule.urgent:
        return planned
    if rule.group and contact.account in world.managers.get(told.place, ()):
        key = "\n".join((contact.account, contact.person, planned.channel, told.kind or ""))
        return replace(planned, state=State.HELD, reason="gathering", due_at=now + rule.group, group_key=key)
    quiet_until = contact.quiet.end_after(now, contact.time_zone) if contact.quiet else None
    if quiet_until:
        return replace(planned, state=State.HELD, reason="quiet-hours", due_at=quiet_until)
    rate = world.rates.get(planned.channel)
    if rate is not None and told.family not in MANDATORY:
        key3 = (contact.account, contact.person, planned.channel)
        goes_at, world.arrivals[key3] = rate.admit(world.arrivals.get(key3), now)
        if goes_at > now:
            return replace(planned, state=State.HELD, reason="rate", due_at=goes_at)
    return planned


def expiry(planned: Planned, expires_at: datetime) -> datetime:
    """Until when the delivery is of use: what is held is not dropped at the end of it."""
    if planned.state is State.HELD and planned.due_at is not None:
        return max(expires_at, planned.due_at + HELD_VALID)
    return expires_at
