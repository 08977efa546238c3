"""Rules: which notices go to whom, by which channels, and what happens when nobody reacts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final, Literal

from notify.domain.announcements import NUMBERED_FAMILIES, Announcement
from notify.domain.delivery import Channel

RULES_MAX: Final = 200


class By(StrEnum):
    """How a rule finds people.

    The first four look at the notice's own place, `management-*` at the account that manages it, `about-*` at the
    account that the notice speaks of, `addressees` at those whom the event names (none named: holders of `id`).
    """

    SECURITY = "security"
    WANTING = "wanting"
    ROLE = "role"
    PERSON = "person"
    MANAGEMENT_SECURITY = "management-security"
    MANAGEMENT_WANTING = "management-wanting"
    MANAGEMENT_ROLE = "management-role"
    ABOUT_SECURITY = "about-security"
    ADDRESSEES = "addressees"


@dataclass(frozen=True, slots=True)
class Selector:
    """People, found in one way; `id` is the role or the person where the way asks for one."""

    by: By
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """A comparison of one of the notice's facts; amounts are in minor units. A fact that is absent never fits."""

    fact: str
    operator: Literal["is", "is-not", "at-least", "at-most"]
    value: str | int

    def holds(self, facts: Mapping[str, str | int]) -> bool:
        found = facts.get(self.fact)
        if found is None or type(found) is not type(self.value):
            return False
        match self.operator:
            case "is":
                return found == self.value
            case "is-not":
                return found != self.value
            case "at-least":
                return isinstance(found, int) and isinstance(self.value, int) and found >= self.value
            case "at-most":
                return isinstance(found, int) and isinstance(self.value, int) and found <= self.value


@dataclass(frozen=True, slots=True)
class Escalation:
    """Who is told besides when, `after` so long, nobody has acknowledged it, or it has reached nobody."""

    after: timedelta
    unless: Literal["acknowledged", "delivered"]
    recipients: tuple[Selector, ...]
    channels: tuple[Channel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule; of those that fit a notice, the first by `position` decides.

    `kinds` are kinds or whole families. `channels` are used at once, `fallback` in order when none of them arrived.
    `group` gathers what goes to people of a management account for so long into one message. `urgent` notices break
    quiet hours and rates. `template` names another kind's texts.
    """

    id: str
    position: int
    kinds: frozenset[str]
    conditions: tuple[Condition, ...] = ()
    place: str | None = None
    recipients: tuple[Selector, ...]
    channels: tuple[Channel, ...]
    fallback: tuple[Channel, ...] = ()
    template: str | None = None
    valid: timedelta = timedelta(hours=24)
    urgent: bool = False
    group: timedelta = timedelta(0)
    repeat_every: timedelta | None = None
    repeat_max: int = 0
    escalation: Escalation | None = None
    enabled: bool = True

    def fits(self, told: Announcement) -> bool:
        return (
            self.enabled
            and bool({told.kind, told.family} & self.kinds)
            and self.place in (None, told.place)
            and all(condition.holds(told.facts) for condition in self.conditions)
        )

    @property
    def repeats(self) -> bool:
        return self.repeat_every is not None and self.repeat_max > 0

    @property
    def waits_for_acknowledgement(self) -> bool:
        """Whether it changes anything that somebody has seen the notice."""
        return self.repeats or (self.escalation is not None and self.escalation.unless == "acknowledged")

    def may_repeat(self, told: Announcement) -> bool:
        """Whether notify says it again by itself: never what its producer numbers, nor what ends a thread."""
        return self.repeats and told.family not in NUMBERED_FAMILIES and told.ends is None


def choose(rules: Iterable[Rule], told: Announcement) -> Rule | None:
    """The rule that decides about a notice."""
    return min(
        (rule for rule in rules if rule.fits(told)), key=lambda rule: (rule.position, rule.id), default=None
    )


def in_force(stored: Sequence[Rule]) -> list[Rule]:
    """The product's rules with those that were stored, which replace the ones of the same id."""
    replaced = {rule.id for rule in stored}
    return [*stored, *(rule for rule in PRODUCT_RULES if rule.id not in replaced)]


BOTH: Final = (Channel.SMS, Channel.EMAIL)
OWN_PEOPLE: Final = (Selector(By.SECURITY), Selector(By.WANTING), Selector(By.MANAGEMENT_WANTING))
LAST: Final = 900_000
PRODUCT_RULES: Final = (
    Rule(
        id="quota-low",
        position=LAST,
        kinds=frozenset({"quota-low"}),
        recipients=OWN_PEOPLE,
        channels=BOTH,
        group=timedelta(minutes=2),
    ),
    Rule(
        id="payment-overdue",
        position=LAST,
        kinds=frozenset({"payment-overdue"}),
        recipients=OWN_PEOPLE,
        channels=BOTH,
        repeat_every=timedelta(hours=24),
        repeat_max=5,
        escalation=Escalation(
            after=timedelta(hours=4),
            unless="delivered",
            recipients=(Selector(By.MANAGEMENT_SECURITY),),
            channels=BOTH,
        ),
    ),
    Rule(
        id="allocation",
        position=LAST,
        kinds=frozenset({"allocation"}),
        recipients=OWN_PEOPLE,
        channels=(Channel.EMAIL,),
        fallback=(Channel.SMS,),
        group=timedelta(minutes=2),
    ),
    Rule(
        id="order-held",
        position=LAST,
        kinds=frozenset({"credit-order-held"}),
        recipients=(Selector(By.ADDRESSEES, "credit-approver"),),
        channels=BOTH,
        valid=timedelta(hours=48),
        escalation=Escalation(
            after=timedelta(hours=24),
            unless="acknowledged",
            recipients=(Selector(By.ROLE, "credit-manager"),),
            channels=(Channel.EMAIL,),
        ),
    ),
    Rule(
        id="credit-alerted",
        position=LAST + 1,
        kinds=frozenset({"credit-alerted"}),
        recipients=(Selector(By.ADDRESSEES, "credit-manager"),),
        channels=(Channel.EMAIL,),
        fallback=(Channel.SMS,),
        valid=timedelta(hours=48),
    ),
    Rule(
        id="plan-due",
        position=LAST,
        kinds=frozenset({"plan-due"}),
        recipients=(Selector(By.ADDRESSEES, "preparer"),),
        channels=(Channel.EMAIL,),
        fallback=(Channel.SMS,),
    ),
    Rule(
        id="plan-exceeded",
        position=LAST,
        kinds=frozenset({"plan-exceeded"}),
        recipients=(Selector(By.ADDRESSEES, "preparer"),),
        channels=(Channel.EMAIL,),
        fallback=(Channel.SMS,),
    ),
    Rule(
        id="cash-gap",
        position=LAST,
        kinds=frozenset({"cash-gap"}),
        recipients=(Selector(By.ADDRESSEES, "treasurer"),),
        channels=BOTH,
        escalation=Escalation(
            after=timedelta(hours=24),
            unless="acknowledged",
            recipients=(Selector(By.ROLE, "node-manager"),),
            channels=(Channel.EMAIL,),
        ),
    ),
    Rule(
        id="task",
        position=LAST,
        kinds=frozenset({"task"}),
        recipients=(Selector(By.ADDRESSEES),),
        channels=(Channel.EMAIL,),
        valid=timedelta(hours=72),
    ),
)


def may_wait_for_acknowledgement(kind: str) -> bool:
    """Whether by the product's rules notices of this kind carry a link to acknowledge by."""
    return any(
        rule.waits_for_acknowledgement
        and any(kind == covered or kind.startswith(f"{covered}-") for covered in rule.kinds)
        for rule in PRODUCT_RULES
    )
