"""What is agreed on before anybody scores, and how a round and its sheets stand."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from hashlib import blake2b
from typing import Final, Literal, NamedTuple

from credit.domain.profiles import CUSTOMER, GROUP_SCOPE, WHOLE_GROUP, Enforcement, Limit
from credit.domain.scoring import Choice, Grade, Node, ScoringError

DefinitionKind = Literal["indicator", "grade-standard", "scoring-model"]
GradeUse = Literal["write", "propose"]
"""An approved sheet writes its grade by itself, or proposes it to a person."""
GrantUse = Literal["at-once", "by-hand"]
"""A written grade brings its limits with it, or waits for a bulk grant."""
SheetState = Literal["open", "complete", "approved", "rejected", "lapsed"]
GradeState = Literal["none", "proposed", "written", "refused"]

OBJECTS_MAX: Final = 500
SCORERS_MAX: Final = 20


class Scored(NamedTuple):
    """A credit object in a scope: what is scored and graded."""

    scope: str
    scope_id: str
    object_type: str
    object_id: str


@dataclass(frozen=True, slots=True)
class Terms:
    """What a grade grants in profiles of a scope level and a currency; the limit in minor units."""

    scope: str
    currency: str
    limit: Limit
    enforcement: Enforcement


@dataclass(frozen=True, slots=True)
class Standard:
    """A set of grades, best first, and what each grants."""

    name: str
    grades: list[Grade]
    terms: dict[str, list[Terms]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Model:
    """Which indicators count how much, by which standard, and what follows from an approved sheet."""

    name: str
    standard_id: str
    choices: list[Choice]
    grade_use: GradeUse
    grant_use: GrantUse


@dataclass(frozen=True, slots=True)
class Basis:
    """A model as it was when a round began: a sheet's score can be worked out from it for ever."""

    model_id: str
    model_version: int
    nodes: list[Node]
    standard_id: str
    grades: list[Grade]
    grade_use: GradeUse
    grant_use: GrantUse


@dataclass(frozen=True, slots=True)
class Draft:
    """A round as it is led step by step: model, objects, scorers, deadline."""

    model_id: str | None = None
    objects: list[str] = field(default_factory=list)
    scorers: dict[str, Decimal] = field(default_factory=dict)
    deadline: datetime | None = None
    scope: str = GROUP_SCOPE
    scope_id: str = WHOLE_GROUP
    object_type: str = CUSTOMER

    @property
    def missing(self) -> list[str]:
        """The steps that are left, in their order."""
        steps = {
            "model_id": self.model_id,
            "objects": self.objects,
            "scorers": self.scorers,
            "deadline": self.deadline,
        }
        return [name for name, value in steps.items() if not value]

    def scored(self) -> list[Scored]:
        return [
            Scored(self.scope, self.scope_id, self.object_type, object_id)
            for object_id in sorted(self.objects)
        ]


class DraftIncomplete(ScoringError):
    code = "round-incomplete"

    def __init__(self, missing: Sequence[str]) -> None:
        super().__init__(missing[0], "is not settled yet")


class NotManaged(ScoringError):
    code = "not-credit-managed"

    def __init__(self, customers: Sequence[str]) -> None:
        shown = ", ".join(customers[:10])
        super().__init__("objects", f"name {shown}: only known, active, credit managed customers are scored")


@dataclass(frozen=True, slots=True)
class GrantChange:
    """What a grant does to one profile; `version` 0 = it is made by the grant."""

    profile_id: str
    scored: Scored
    currency: str
    grade: str
    version: int
    limit_before: Limit
    limit: Limit
    enforcement: Enforcement


def grant_digest(changes: Sequence[GrantChange]) -> str:
    """Names a preview, so that what is applied is what was shown."""
    return blake2b("\n".join(map(repr, changes)).encode(), digest_size=16).hexdigest()
