"""What the routes share: roles, the form of bodies, who may see what, and refusals as problems."""

from collections.abc import Sequence
from typing import Final

from chassis.http import FieldError, Principal, Problem
from chassis.work import derived_id
from pydantic import BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncConnection

from cashplan.domain.adjustments import AdjustmentError
from cashplan.domain.approvals import ApprovalError, MakerApproves, NotTheApprover
from cashplan.domain.formulas import FormulaError
from cashplan.domain.grids import GridError
from cashplan.domain.periods import PeriodError
from cashplan.domain.rates import RateMissing
from cashplan.domain.rollups import RollUpError
from cashplan.domain.rounds import CutOffPassed, RoundError
from cashplan.domain.systems import PlanningSystem, Role
from cashplan.domain.trees import TreeError
from cashplan.evaluation import FormulaRefused
from cashplan.flows.filings import FilingGone, NoTemplate, RulesBroken
from cashplan.flows.rollups import LineUnknown, RollUpGone
from cashplan.flows.special import ApprovalDecided, ApprovalGone, StillRefused
from cashplan.repository import systems as system_rows

PLANNERS: Final = frozenset({"treasurer"})
READERS: Final = frozenset({"treasurer", "finance-maker", "finance-approver"})
MASTER_DATA: Final = frozenset({"order-system"})
PLAN_ADMINISTRATORS: Final = frozenset({"plan-administrator"})
PLAN_PEOPLE: Final = frozenset({"planner", "plan-administrator"})
PLAN_READERS: Final = READERS | PLAN_PEOPLE
SEES_ALL: Final = READERS | {"administrator", "auditor"}
ADMINISTRATOR: Final = "administrator"
ANY_ROLE: Final[tuple[Role, ...]] = ("preparer", "node-manager", "administrator")


class Body(BaseModel):
    """A request body: fields that are not known are refused."""

    model_config = ConfigDict(extra="forbid")


async def known_system(connection: AsyncConnection, system_id: str) -> PlanningSystem:
    system = await system_rows.system_by_id(connection, system_id)
    if system is None:
        raise Problem.not_found("No planning system has this id.")
    return system


def holds(system: PlanningSystem, principal: Principal, roles: Sequence[Role], entity: str | None) -> bool:
    """Whether a person holds one of these roles for an entity, or administers everything."""
    if ADMINISTRATOR in principal.roles:
        return True
    return any(system.has_role(principal.subject, role, entity) for role in roles)


def require(system: PlanningSystem, principal: Principal, roles: Sequence[Role], entity: str | None) -> None:
    """Refuses who holds none of the roles; an entity that the person cannot see at all is not found."""
    if holds(system, principal, roles, entity):
        return
    if not sees(system, principal, entity):
        raise Problem.not_found()
    wanted = " or ".join(roles)
    raise Problem.forbidden(f"This needs the role {wanted} for {entity or 'the system'} in {system.id}.")


def sees(system: PlanningSystem, principal: Principal, entity: str | None) -> bool:
    """Whether a person may look at an entity's plans: by a role that sees all, or by one in its system.

    Without an entity the whole system is meant: its administrators, and the managers of its topmost nodes.
    """
    if principal.roles & SEES_ALL:
        return True
    if entity is None:
        roots = system.entity_tree.roots
        return holds(system, principal, ("administrator",), None) or any(
            system.has_role(principal.subject, "node-manager", root) for root in roots
        )
    return any(system.has_role(principal.subject, role, entity) for role in ANY_ROLE)


def require_sight(system: PlanningSystem, principal: Principal, entity: str | None) -> None:
    if not sees(system, principal, entity):
        raise Problem.not_found()


def visible_entities(system: PlanningSystem, principal: Principal, root: str | None = None) -> list[str]:
    """The entities that a person may look at, of a subtree where wanted."""
    listed = system.entity_tree.subtree(root) if root is not None else list(system.entity_tree)
    return [entity for entity in listed if sees(system, principal, entity)]


def own_id(cause_id: str, kind: str, index: int = 0) -> str:
    """A new id that is the same for each attempt of one command."""
    return derived_id("coffer/cashplan", cause_id, kind, index)


NOT_FOUND: Final = (FilingGone, RollUpGone, ApprovalGone)
CONFLICTS: Final[dict[type[Exception], str]] = {
    ApprovalDecided: "approval-decided",
    StillRefused: "still-refused",
    CutOffPassed: "cut-off-passed",
    RollUpError: "roll-up-not-ready",
    RateMissing: "rate-missing",
    NoTemplate: "no-template",
}
INVALID: Final[dict[type[Exception], tuple[str, str]]] = {
    RoundError: ("round-invalid", "round"),
    PeriodError: ("period-invalid", "first_day"),
    TreeError: ("tree-invalid", "nodes"),
    FormulaError: ("formula-invalid", "formula"),
    FormulaRefused: ("formula-invalid", "formula"),
    GridError: ("template-invalid", "template"),
    LineUnknown: ("line-unknown", "line"),
}


def problem_of(error: Exception) -> Problem | None:
    """The refusal that a named error of the rules is over HTTP; None for a bug."""
    if isinstance(error, NOT_FOUND):
        return Problem.not_found()
    if isinstance(error, RulesBroken):
        errors = [
            FieldError(field=f"{each.rule} {each.where}", message=each.message) for each in error.broken
        ]
        return Problem(409, "check-rules-broken", detail=str(error), errors=errors)
    if isinstance(error, MakerApproves | NotTheApprover):
        return Problem.forbidden(f"{error}.", type="not-the-approver")
    if isinstance(error, ApprovalError):
        return Problem.conflict("wrong-state", f"{error}.")
    if isinstance(error, AdjustmentError):
        return Problem.invalid(
            [FieldError(field=f"lines[{error.line}]", message=str(error))], type="adjustment-invalid"
        )
    return _by_type(error)


def _by_type(error: Exception) -> Problem | None:
    for kind, name in CONFLICTS.items():
        if isinstance(error, kind):
            return Problem.conflict(name, f"{error}.")
    for kind, (name, field) in INVALID.items():
        if isinstance(error, kind):
            return Problem.invalid([FieldError(field=field, message=str(error))], type=name)
    return None


class refusals:  # noqa: N801  # reads as a statement
    """`with refusals():` turns the rules' named errors into problems; every other error goes through."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, Exception):
            problem = problem_of(error)
            if problem is not None:
                raise problem from error
