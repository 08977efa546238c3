"""Rules as they are written in JSON: checked when they are entered, and read back from the database."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Final, Literal, Self

from contracts.text import Code, Id
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.config import JsonDict

from notify.domain.announcements import NUMBERED_FAMILIES
from notify.domain.delivery import Channel
from notify.domain.people import FAMILIES
from notify.domain.places import ENTITY_PREFIX
from notify.domain.rules import By, Condition, Escalation, Rule, Selector
from notify.domain.samples import KINDS, SAMPLES

WITH_ID: Final = frozenset({By.ROLE, By.PERSON, By.MANAGEMENT_ROLE})
DAY_SECONDS: Final = 86_400
EXAMPLE: Final[JsonDict] = {
    "position": 10,
    "kinds": ["quota-low-opened"],
    "conditions": [{"fact": "quota", "operator": "at-most", "value": 10000}],
    "recipients": [{"by": "security"}, {"by": "management-role", "id": "treasurer"}],
    "channels": ["email"],
    "fallback": ["sms"],
    "group_seconds": 120,
    "escalation": {
        "after_seconds": 14400,
        "unless": "acknowledged",
        "recipients": [{"by": "management-security"}],
        "channels": ["sms"],
    },
}


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SelectorBody(Strict):
    """How to find people; `id` is the role or the person."""

    by: By
    id: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = None

    @model_validator(mode="after")
    def _has_id(self) -> Self:
        if self.by in WITH_ID and self.id is None:
            raise ValueError(f"needs an id when found by {self.by}")
        return self

    def selector(self) -> Selector:
        return Selector(self.by, self.id)


class ConditionBody(Strict):
    """A comparison with one of the notice's facts; amounts are in minor units."""

    fact: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_]{0,40}$")]
    operator: Literal["is", "is-not", "at-least", "at-most"]
    value: Annotated[int, Field(strict=True)] | Annotated[str, StringConstraints(max_length=200)]

    @model_validator(mode="after")
    def _compares_numbers(self) -> Self:
        if self.operator in ("at-least", "at-most") and not isinstance(self.value, int):
            raise ValueError(f"needs a whole number for {self.operator}")
        return self


Recipients = Annotated[list[SelectorBody], Field(min_length=1, max_length=20)]
Channels = Annotated[list[Channel], Field(min_length=1, max_length=9)]


class EscalationBody(Strict):
    """Who is told besides when nobody has acknowledged, or nobody was reached."""

    after_seconds: Annotated[int, Field(ge=60, le=7 * DAY_SECONDS)]
    unless: Literal["acknowledged", "delivered"]
    recipients: Recipients
    channels: Channels


class RuleBody(Strict):
    """A rule; the first that fits by `position` decides. A product rule of the same id is replaced."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE]})

    position: Annotated[int, Field(ge=0, le=1_000_000)]
    kinds: Annotated[list[Code], Field(min_length=1, max_length=50)]
    conditions: Annotated[list[ConditionBody], Field(max_length=20)] = []
    account: Id | None = None
    entity: Id | None = None
    recipients: Recipients
    channels: Channels
    fallback: Annotated[list[Channel], Field(max_length=9)] = []
    template: Code | None = None
    valid_seconds: Annotated[int, Field(ge=60, le=30 * DAY_SECONDS)] = DAY_SECONDS
    urgent: bool = False
    group_seconds: Annotated[int, Field(ge=0, le=3_600)] = 0
    repeat_seconds: Annotated[int, Field(ge=600, le=30 * DAY_SECONDS)] | None = None
    repeat_max: Annotated[int, Field(ge=0, le=100)] = 0
    escalation: EscalationBody | None = None
    enabled: bool = True

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        unknown = sorted(set(self.kinds) - set(FAMILIES) - set(SAMPLES))
        if unknown:
            raise ValueError(f"kinds: {unknown[0]} is neither a kind nor a family of notices")
        if self.account and self.entity:
            raise ValueError("account and entity: a rule is for one place, or for all")
        if self.template is not None and self.template not in KINDS:
            raise ValueError(f"template: there are no texts of a kind {self.template}")
        numbered = [
            kind for kind in self.kinds if any(kind.startswith(family) for family in NUMBERED_FAMILIES)
        ]
        if self.repeat_seconds is not None and numbered:
            raise ValueError(
                f"repeat_seconds: {numbered[0]} is repeated by its producer, which counts reminders"
            )
        return self

    @property
    def place(self) -> str | None:
        return ENTITY_PREFIX + self.entity if self.entity else self.account

    def rule(self, id: str) -> Rule:
        escalation = self.escalation
        return Rule(
            id=id,
            position=self.position,
            kinds=frozenset(self.kinds),
            conditions=tuple(Condition(one.fact, one.operator, one.value) for one in self.conditions),
            place=self.place,
            recipients=tuple(one.selector() for one in self.recipients),
            channels=tuple(self.channels),
            fallback=tuple(channel for channel in self.fallback if channel not in self.channels),
            template=self.template,
            valid=timedelta(seconds=self.valid_seconds),
            urgent=self.urgent,
            group=timedelta(seconds=self.group_seconds),
            repeat_every=timedelta(seconds=self.repeat_seconds) if self.repeat_seconds else None,
            repeat_max=self.repeat_max,
            escalation=Escalation(
                after=timedelta(seconds=escalation.after_seconds),
                unless=escalation.unless,
                recipients=tuple(one.selector() for one in escalation.recipients),
                channels=tuple(escalation.channels),
            )
            if escalation
            else None,
            enabled=self.enabled,
        )

    @classmethod
    def of(cls, rule: Rule) -> "RuleBody":
        """The body of a rule, such as one of the product's."""
        place, escalation = rule.place, rule.escalation
        entity = place.removeprefix(ENTITY_PREFIX) if place and place.startswith(ENTITY_PREFIX) else None
        return cls.model_construct(
            position=rule.position,
            kinds=sorted(rule.kinds),
            conditions=[
                ConditionBody(fact=one.fact, operator=one.operator, value=one.value)
                for one in rule.conditions
            ],
            account=None if entity else place,
            entity=entity,
            recipients=_selector_bodies(rule.recipients),
            channels=list(rule.channels),
            fallback=list(rule.fallback),
            template=rule.template,
            valid_seconds=int(rule.valid.total_seconds()),
            urgent=rule.urgent,
            group_seconds=int(rule.group.total_seconds()),
            repeat_seconds=int(rule.repeat_every.total_seconds()) if rule.repeat_every else None,
            repeat_max=rule.repeat_max,
            escalation=EscalationBody(
                after_seconds=int(escalation.after.total_seconds()),
                unless=escalation.unless,
                recipients=_selector_bodies(escalation.recipients),
                channels=list(escalation.channels),
            )
            if escalation
            else None,
            enabled=rule.enabled,
        )


def _selector_bodies(selectors: tuple[Selector, ...]) -> list[SelectorBody]:
    return [SelectorBody(by=one.by, id=one.id) for one in selectors]


def rule_of(id: str, body: Mapping[str, Any]) -> Rule:
    """A rule as it was stored; what it says was checked when it was entered."""
    return RuleBody.model_validate(body).rule(id)
