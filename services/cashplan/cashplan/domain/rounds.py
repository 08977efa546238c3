"""Filing rounds: one head period filed by all entities, with cut-offs per level and one date of exchange rates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Annotated, Literal

from contracts.bounds import at_most
from contracts.text import Code, Id
from contracts.times import CalendarDate, Moment

from cashplan.domain.mappings import STRICT
from cashplan.domain.periods import Column, Period, horizon
from cashplan.domain.rates import Rate, Rates
from cashplan.domain.systems import FilingType, PlanningSystem

DueKind = Literal["reminder", "overdue"]


class RoundError(ValueError):
    """Base of the reasons why a round does not take something."""


class CutOffPassed(RoundError):
    """A submit after the cut-off: says when it was and who may extend it."""

    def __init__(self, cut_off: datetime, may_extend: Sequence[str]) -> None:
        self.cut_off = cut_off
        self.may_extend = list(may_extend)
        people = ", ".join(may_extend) or "a system administrator"
        super().__init__(f"submitting ended at {cut_off.isoformat()}; {people} may extend it")


class RoundNotOpen(RoundError):
    """Filing before the round has begun."""

    def __init__(self, starts_at: datetime) -> None:
        super().__init__(f"the round begins at {starts_at.isoformat()}")


class TimesReversed(RoundError):
    """A round that ends before it begins, or a cut-off outside of it."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} must not be before the round begins")


@dataclass(frozen=True, kw_only=True)
class RoundBody:
    """What is set when a round is opened; `level_cut_offs` by the depth of the entity, 1 for the root."""

    __pydantic_config__ = STRICT
    filing_type: Code
    first_day: CalendarDate
    starts_at: Moment
    ends_at: Moment
    cut_off: Moment
    level_cut_offs: Annotated[dict[int, Moment], at_most(20)] = field(default_factory=dict)
    rates_on: CalendarDate
    rates: Annotated[list[Rate], at_most(500)] = field(default_factory=list)
    entities: Annotated[list[Id], at_most(20_000)] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Round:
    """An opened round of one filing type."""

    system_id: str
    round_id: str
    body: RoundBody
    binding: Period
    columns: Sequence[Column]

    @property
    def rates(self) -> Rates:
        return Rates.of(self.body.rates)

    @property
    def heads(self) -> Mapping[str, str]:
        return {column.period.code: column.head for column in self.columns}

    def cut_off(self, depth: int, extended: datetime | None = None) -> datetime:
        """When submitting ends for an entity of this depth."""
        own = self.body.level_cut_offs.get(depth, self.body.cut_off)
        return max(own, extended) if extended is not None else own


def opened(system_id: str, round_id: str, filing_type: FilingType, body: RoundBody) -> Round:
    """Errors: NotAPeriod, HorizonTooLong, TimesReversed."""
    if body.ends_at < body.starts_at:
        raise TimesReversed("ends_at")
    for cut_off in (body.cut_off, *body.level_cut_offs.values()):
        if cut_off < body.starts_at:
            raise TimesReversed("a cut-off")
    binding = filing_type.scheme.head_beginning(body.first_day)
    columns = horizon(filing_type.scheme, filing_type.rolling, binding)
    return Round(system_id=system_id, round_id=round_id, body=body, binding=binding, columns=columns)


def admit_submit(
    round_: Round, system: PlanningSystem, entity: str, extended: datetime | None, at: datetime
) -> None:
    """Errors: RoundNotOpen, CutOffPassed."""
    if at < round_.body.starts_at:
        raise RoundNotOpen(round_.body.starts_at)
    cut_off = round_.cut_off(system.entity_tree.depth(entity), extended)
    if at > cut_off:
        raise CutOffPassed(cut_off, extenders(system, entity))


def extenders(system: PlanningSystem, entity: str) -> list[str]:
    """Who may extend a cut-off for an entity: managers of nodes above it, and administrators."""
    return sorted({*system.holders("node-manager", entity), *system.holders("administrator", entity)})


def due_times(
    round_: Round, depth: int, reminder_days: int, extended: datetime | None
) -> dict[DueKind, datetime]:
    """When a preparer is told before and after the cut-off."""
    cut_off = round_.cut_off(depth, extended)
    return {"reminder": cut_off - timedelta(days=reminder_days), "overdue": cut_off}


def filing_entities(system: PlanningSystem, body: RoundBody) -> list[str]:
    """The active entities that file: those named, else all that have a template."""
    listed = body.entities or list(system.entity_tree)
    return [
        entity
        for entity in listed
        if entity in system.entity_by_id
        and system.entity_by_id[entity].active
        and system.template_for(body.filing_type, entity) is not None
    ]


def horizon_days(columns: Sequence[Column]) -> tuple[date, date]:
    return columns[0].period.first_day, columns[-1].period.last_day
