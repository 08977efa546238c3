"""Check rules: what is checked and what occupies, per type of document, and what happens when a metric fails."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from credit.domain.chain import LIVE, ControlPoint
from credit.domain.documents import Document

Metric = Literal[
    "credit-limit",
    "single-document-limit",
    "overdue-limit",
    "overdue-ratio",
    "overdue-days",
    "custom-formula",
]
Enforcement = Literal["warn", "special-approval", "reject", "freeze"]
"""What happens when a metric fails; freeze declines and freezes the object besides."""

METRICS: Final[tuple[Metric, ...]] = (
    "credit-limit",
    "single-document-limit",
    "overdue-limit",
    "overdue-ratio",
    "overdue-days",
    "custom-formula",
)
RECEIVABLE_FIELDS: Final = frozenset({"overdue", "open_receivables", "overdue_days"})
SEVERITY: Final[dict[Enforcement, int]] = {"warn": 0, "special-approval": 1, "reject": 2, "freeze": 3}


class FormulaFault(Exception):
    """A formula that gives no result for one document."""


class Formula(Protocol):
    """A formula that was read and checked when its rule was saved."""

    @property
    def source(self) -> str: ...

    @property
    def fields(self) -> tuple[str, ...]: ...

    def evaluate(self, values: Mapping[str, int | str | bool]) -> int | str | bool: ...


@dataclass(frozen=True, slots=True)
class TypeRule:
    """What a rule says of one type of document.

    `enforcement` is what holds for metrics that the profile does not say itself; `amount` replaces what the
    document occupies by its own amount, and may be below zero.
    """

    checked: bool = True
    control_point: ControlPoint = "audit"
    occupies: bool = True
    enforcement: Mapping[Metric, Enforcement] = field(default_factory=dict)
    amount: Formula | None = None


NOT_CONTROLLED: Final = TypeRule(checked=False, occupies=False)
TypeKey = tuple[str, str | None]
"""A type of document and its sub-type, None = every sub-type."""


@dataclass(frozen=True, slots=True)
class CheckRule:
    """A rule as one of its versions says it; `passes` is the custom formula, true = passes."""

    rule_id: str
    version: int
    types: Mapping[TypeKey, TypeRule]
    grace_days: int = 0
    passes: Formula | None = None

    @property
    def looks_at_receivables(self) -> bool:
        """Whether the custom formula speaks of what is overdue."""
        return self.passes is not None and not RECEIVABLE_FIELDS.isdisjoint(self.passes.fields)

    def of(self, document_type: str, sub_type: str | None = None) -> TypeRule:
        """What holds for a type, the finest that the rule speaks of."""
        found = self.types.get((document_type, sub_type))
        if found is None and sub_type is not None:
            found = self.types.get((document_type, None))
        return found or NOT_CONTROLLED

    def occupies(self, document: Document) -> bool:
        """Whether a document is live and occupies by this rule."""
        rule = self.of(document.document_type, document.sub_type)
        return rule.occupies and document.phase in LIVE[rule.control_point]


_CHECKED: Final = TypeRule(enforcement={"credit-limit": "warn"})
_TAKING: Final = TypeRule(checked=False)

PRESET: Final = CheckRule(
    "standard",
    1,
    {
        **{(name, None): _CHECKED for name in ("sales-order", "delivery-notice", "outbound", "receivable")},
        **{(name, None): _TAKING for name in ("receipt", "refund", "return-notice", "return")},
    },
)
"""There from the start: it warns at audit when the credit limit is passed."""
