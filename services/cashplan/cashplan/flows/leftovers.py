"""What is still pre-occupied when its period ends: moved to another day with a check, or released, by hand."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date

from cashplan.domain.control import Controller, PlanDecision
from cashplan.domain.documents import DocumentKey, DocumentState
from cashplan.flows.control import ControlDesk, NothingLeft
from cashplan.repository import systems as system_rows
from chassis import UnitOfWork


class MoveRefused(ValueError):
    """The plan of the other period does not take what is moved."""

    def __init__(self, decision: PlanDecision) -> None:
        self.decision = decision
        refused = [each for each in decision.findings if each.outcome in ("held", "blocked")]
        super().__init__(
            "; ".join(
                f"{each.item} in {each.period} has {each.available} minor units available, {each.amount} are needed"
                for each in refused
            )
        )


async def move(work: UnitOfWork, key: DocumentKey, filing_type: str, day: date) -> PlanDecision:
    """Moves what a document has pre-occupied to the period of a day, which is checked.

    Errors: NothingLeft, MoveRefused.
    """

    def moved(state: DocumentState) -> DocumentState:
        places = {f"{filing_type}/{line.line_id}": day for line in state.lines}
        return replace(state, moved={**state.moved, **places})

    decision = await _changed(work, key, moved, "move", day)
    if not decision.is_applied:
        raise MoveRefused(decision)
    return decision


async def release(work: UnitOfWork, key: DocumentKey, filing_type: str) -> PlanDecision:
    """Gives back what a document has pre-occupied. Errors: NothingLeft."""

    def released(state: DocumentState) -> DocumentState:
        places = {f"{filing_type}/{line.line_id}": 2**62 for line in state.lines}
        return replace(state, released={**state.released, **places})

    return await _changed(work, key, released, "release", None)


async def _changed(
    work: UnitOfWork,
    key: DocumentKey,
    change: Callable[[DocumentState], DocumentState],
    operation: str,
    day: date | None,
) -> PlanDecision:
    systems = await system_rows.systems(work.connection)
    desk = ControlDesk(work, Controller(systems))
    return await desk.change_by_hand(key, change, operation, day)


__all__ = ["MoveRefused", "NothingLeft", "move", "release"]
