"""Check rules as rows of a table: one row per rule and type of document."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast, get_args

from credit.domain.chain import ControlPoint
from credit.domain.documents import DocumentType
from credit.domain.rules import METRICS, PRESET, Enforcement, Metric

GRACE_DAYS_MAX: Final = 365
REQUIRED: Final = ("rule_id", "name", "document_type")
SETTINGS: Final = (
    "sub_type",
    "checked",
    "control_point",
    "occupies",
    "amount_formula",
    "grace_days",
    "custom_formula",
)


class RuleRowRefused(ValueError):
    """A row that cannot be taken; the message says which cell and what would be right."""


@dataclass(frozen=True, slots=True)
class RuleRow:
    """What a row says of one type of document, and of its rule, which every row of the rule repeats."""

    rule_id: str
    name: str
    grace_days: int
    custom_formula: str | None
    document_type: str
    sub_type: str | None
    checked: bool
    control_point: ControlPoint
    occupies: bool
    amount_formula: str | None
    enforcement: dict[Metric, Enforcement]

    @property
    def head(self) -> tuple[str, int, str | None]:
        return self.name, self.grace_days, self.custom_formula


def read_rule_row(cells: Mapping[str, str]) -> RuleRow:
    """A row from its cells; empty ones are what a rule says by itself; raises RuleRowRefused."""
    rule_id = cells["rule_id"].strip()
    if not rule_id or len(rule_id) > 128 or any(character.isspace() for character in rule_id):
        raise RuleRowRefused(
            f"rule_id is {rule_id[:40]!r}; one word of at most 128 characters would be right"
        )
    if rule_id == PRESET.rule_id:
        raise RuleRowRefused(f"rule_id is {rule_id}, the preset rule, which cannot be changed; copy it")
    if not cells["name"].strip():
        raise RuleRowRefused("name is empty; a name would be right")
    document_type = _one_of("document_type", cells["document_type"], get_args(DocumentType))
    return RuleRow(
        rule_id=rule_id,
        name=cells["name"].strip(),
        grace_days=_days(cells.get("grace_days", "")),
        custom_formula=cells.get("custom_formula", "").strip() or None,
        document_type=document_type,
        sub_type=cells.get("sub_type", "").strip() or None,
        checked=_truth("checked", cells),
        control_point=cast(
            ControlPoint,
            _one_of("control_point", cells.get("control_point", "") or "audit", ("submit", "audit")),
        ),
        occupies=_truth("occupies", cells),
        amount_formula=cells.get("amount_formula", "").strip() or None,
        enforcement={
            metric: cast(Enforcement, _one_of(metric, value, get_args(Enforcement)))
            for metric in METRICS
            if (value := cells.get(metric, "").strip())
        },
    )


def _one_of(name: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise RuleRowRefused(f"{name} is {value[:40]!r}; one of {', '.join(known)} would be right")
    return value


def _truth(name: str, cells: Mapping[str, str]) -> bool:
    return _one_of(name, cells.get(name, "").strip().lower() or "yes", ("yes", "no", "true", "false")) in (
        "yes",
        "true",
    )


def _days(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()) or int(text) > GRACE_DAYS_MAX:
        raise RuleRowRefused(f"grace_days is {text[:20]!r}; 0 to {GRACE_DAYS_MAX} would be right")
    return int(text)
