"""Rounds of score sheets: begun, scored, approved, graded, and closed by their deadline."""

from collections.abc import Mapping, Sequence
from secrets import token_bytes
from typing import Any, Final
from uuid import UUID, uuid5

from sqlalchemy import Row

from chassis import TimerBatch, UnitOfWork
from credit.domain import scoring
from credit.domain.ids import RANDOM_BYTES, uuid7
from credit.domain.profiles import UNLIMITED, Limit
from credit.domain.score_sheets import (
    Basis,
    DraftIncomplete,
    GrantChange,
    Model,
    NotManaged,
    Scored,
    Standard,
    Terms,
)
from credit.domain.scoring import ScoringError
from credit.repository import granting, providers
from credit.repository import scoring as rows
from credit.repository.scoring import Round
from credit.tasks import tell_task

DEADLINE: Final = "scoring-deadline"
GRANTS_MAX: Final = 5_000
APPROVER: Final = "credit-approver"
PROFILE_IDS: Final = UUID("0f6cf7a2-4c0b-4c0e-9a53-6f6c1df0a4d1")


class PreviewOutdated(ScoringError):
    """What a grant would change is no longer what was shown."""

    code = "preview-outdated"

    def __init__(self) -> None:
        super().__init__("preview", "is outdated: grades or profiles have changed since; look at it anew")


async def read_model(work: UnitOfWork, model_id: str) -> tuple[int, Model]:
    """A model and its version; raises ScoringError when it is not known."""
    row = await rows.definition_row(work.connection, "scoring-model", model_id)
    if row is None:
        raise ScoringError("model_id", f"names model {model_id}, which is not known")
    return row.version, rows.MODEL.validate_json(row.body)


async def read_standard(work: UnitOfWork, standard_id: str) -> Standard:
    """A grade standard; raises ScoringError when it is not known."""
    row = await rows.definition_row(work.connection, "grade-standard", standard_id)
    if row is None:
        raise ScoringError("standard_id", f"names grade standard {standard_id}, which is not known")
    return rows.STANDARD.validate_json(row.body)


async def start(work: UnitOfWork, found: Round) -> None:
    """Opens a round: its basis is fixed, every object gets a sheet, the system's values are taken, scorers told."""
    draft = found.draft
    if draft.missing:
        raise DraftIncomplete(draft.missing)
    scoring.check_scorers(draft.scorers)
    if draft.deadline is None or draft.deadline <= work.now:
        raise ScoringError("deadline", f"is {draft.deadline}, which has passed")
    if draft.object_type == "customer" and (
        unmanaged := await rows.not_managed(work.connection, draft.objects)
    ):
        raise NotManaged(unmanaged)
    basis = await _basis(work, draft.model_id or "")
    sheets = {str(uuid7(work.now, token_bytes(RANDOM_BYTES))): scored for scored in draft.scored()}
    await rows.start_round(work.connection, found.round_id, basis, sheets, work.now)
    await feed(work, basis, {sheet_id: scored.object_id for sheet_id, scored in sheets.items()})
    work.set_timer(DEADLINE, found.round_id, draft.deadline)
    if _asked(basis):
        for scorer in draft.scorers:
            _tell_scorer(work, found, scorer, "opened")
    await rescore(work, basis, draft.scorers, list(sheets))


async def _basis(work: UnitOfWork, model_id: str) -> Basis:
    version, model = await read_model(work, model_id)
    standard = await read_standard(work, model.standard_id)
    nodes = scoring.build_model(await rows.indicator_tree(work.connection), model.choices)
    return Basis(
        model_id, version, nodes, model.standard_id, standard.grades, model.grade_use, model.grant_use
    )


def _asked(basis: Basis) -> list[str]:
    """The indicators that people score."""
    return [each for each, node in scoring.leaves(basis.nodes).items() if node.provider is None]


async def feed(work: UnitOfWork, basis: Basis, sheets: Mapping[str, str]) -> None:
    """Takes the system's values for sheets, whose objects are given; what no band holds is left out."""
    nodes = scoring.leaves(basis.nodes)
    wanted = {each: node.provider for each, node in nodes.items() if node.provider is not None}
    found = await providers.fed_values(work.connection, wanted, sorted(set(sheets.values())), work.now.date())
    values = {
        (sheet_id, indicator_id): found[object_id, indicator_id]
        for sheet_id, object_id in sheets.items()
        for indicator_id in wanted
        if (object_id, indicator_id) in found
        and any(band.holds(found[object_id, indicator_id]) for band in nodes[indicator_id].scale.bands)
    }
    await rows.save_values(work.connection, values, work.now)


async def rescore(
    work: UnitOfWork, basis: Basis, scorers: Mapping[str, Any], sheets: Sequence[str]
) -> dict[str, scoring.Result]:
    """Works sheets out anew; one that has become complete goes to its approvers."""
    results = await results_of(work, basis, scorers, sheets)
    scores = {
        sheet_id: (result.score, scoring.grade_of(basis.grades, result.score))
        if result.score is not None
        else None
        for sheet_id, result in results.items()
    }
    for sheet_id, object_id in await rows.save_scores(work.connection, scores):
        tell_task(
            work,
            f"approve-score-{sheet_id}",
            "opened",
            "approve-score",
            APPROVER,
            is_role=True,
            subject=object_id,
            document_type="score-sheet",
            document_id=sheet_id,
        )
    return results


async def results_of(
    work: UnitOfWork, basis: Basis, scorers: Mapping[str, Any], sheets: Sequence[str]
) -> dict[str, scoring.Result]:
    """By sheet: its score, or what is missing."""
    answers = await rows.answers_of(work.connection, sheets)
    values = await rows.values_of(work.connection, sheets)
    return {
        sheet_id: scoring.score(basis.nodes, scorers, answers.get(sheet_id, {}), values.get(sheet_id, {}))
        for sheet_id in sheets
    }


async def answer(
    work: UnitOfWork, found: Round, sheet_id: str, scorer: str, answers: Mapping[str, str]
) -> None:
    """One scorer's answers to one sheet; raises ScoringError for what was not asked."""
    assert found.basis is not None, "an open round has a basis"
    nodes = scoring.leaves(found.basis.nodes)
    for indicator_id, given in answers.items():
        where = f"answers.{indicator_id}"
        if indicator_id not in nodes or nodes[indicator_id].provider is not None:
            asked = ", ".join(_asked(found.basis))
            raise scoring.AnswerRefused(where, f"was not asked; this sheet asks for {asked}")
        nodes[indicator_id].scale.score(given, where)
    before = await rows.answers_left(work.connection, found.round_id, scorer, _asked(found.basis))
    await rows.save_answers(work.connection, sheet_id, scorer, answers, work.now)
    after = await rows.answers_left(work.connection, found.round_id, scorer, _asked(found.basis))
    if before and not after:
        _tell_scorer(work, found, scorer, "done")
    await rescore(work, found.basis, found.draft.scorers, [sheet_id])


def _tell_scorer(work: UnitOfWork, found: Round, scorer: str, state: Any) -> None:
    place = sorted(found.draft.scorers).index(scorer)
    tell_task(
        work,
        f"score-{found.round_id}-{place}",
        state,
        "fill-in-score-sheets",
        scorer,
        opened_at=found.started_at,
        document_type="scoring-round",
        document_id=found.round_id,
        due_at=found.draft.deadline,
        done_by=scorer if state == "done" else None,
        message=None if state != "withdrawn" else "The deadline has passed.",
    )


async def decide(
    work: UnitOfWork, found: Round, sheet: Row[Any], approved: bool, person: str, reason: str
) -> None:
    """Approves or rejects a complete sheet; an approved one writes its grade, or proposes it."""
    assert found.basis is not None, "an open round has a basis"
    use = found.basis.grade_use if approved else None
    grade_state = {"write": "written", "propose": "proposed", None: "none"}[use]
    await rows.decide_sheet(
        work.connection,
        sheet.sheet_id,
        "approved" if approved else "rejected",
        grade_state,
        person=person,
        reason=reason,
        now=work.now,
    )
    tell_task(
        work,
        f"approve-score-{sheet.sheet_id}",
        "done",
        "approve-score",
        APPROVER,
        is_role=True,
        subject=sheet.object_id,
        done_by=person,
    )
    if use == "write":
        await write_grade(work, found.basis, sheet, person)


async def write_grade(work: UnitOfWork, basis: Basis, sheet: Row[Any], person: str) -> None:
    """The sheet's grade becomes the object's, and brings its limits along where the model says so."""
    await rows.write_grade(work.connection, sheet, basis.standard_id, person, work.now)
    reason = f"grade {sheet.grade} by score sheet {sheet.sheet_id}"
    scored = Scored(sheet.scope, sheet.scope_id, sheet.object_type, sheet.object_id)
    await granting.set_grade(work.connection, scored, sheet.grade, reason, person, work.now)
    if basis.grant_use == "by-hand":
        return
    standard = await read_standard(work, basis.standard_id)
    for terms in standard.terms.get(sheet.grade, []):
        if terms.scope == sheet.scope:
            changes = await planned(work, basis.standard_id, {sheet.grade: terms}, [sheet.object_id])
            await apply(work, changes, reason, person)


async def planned(
    work: UnitOfWork, standard_id: str, terms: Mapping[str, Terms], objects: Sequence[str] | None
) -> list[GrantChange]:
    """What a grant would change: profiles of the graded objects that do not say what their grade grants.

    `terms` by grade, all of one scope level and currency. The profiles that it found are locked.
    """
    found = await _graded(work, standard_id, terms, objects)
    await granting.lock_profiles(work.connection, [row.profile_id for row in found if row.profile_id])
    found = await _graded(work, standard_id, terms, objects)
    changes = [_change(row, terms[row.grade]) for row in found]
    return [change for change in changes if change is not None]


async def _graded(
    work: UnitOfWork, standard_id: str, terms: Mapping[str, Terms], objects: Sequence[str] | None
) -> Sequence[Row[Any]]:
    first = next(iter(terms.values()))
    found = await granting.graded_profiles(
        work.connection,
        standard_id=standard_id,
        scope=first.scope,
        currency=first.currency,
        grades=list(terms),
        objects=objects,
        rows_max=GRANTS_MAX + 1,
    )
    if len(found) > GRANTS_MAX:
        raise ScoringError(
            "objects", f"are more than {GRANTS_MAX} at once; name fewer of them, or fewer grades"
        )
    return found


def _change(row: Row[Any], terms: Terms) -> GrantChange | None:
    before: Limit = UNLIMITED if row.credit_limit_unlimited else row.credit_limit_minor
    if row.version and (before, row.credit_limit_enforcement) == (terms.limit, terms.enforcement):
        return None
    scored = Scored(row.scope, row.scope_id, row.object_type, row.object_id)
    profile_id = row.profile_id or str(uuid5(PROFILE_IDS, " ".join((*scored, terms.currency))))
    return GrantChange(
        profile_id, scored, terms.currency, row.grade, row.version, before, terms.limit, terms.enforcement
    )


async def apply(work: UnitOfWork, changes: Sequence[GrantChange], reason: str, person: str) -> None:
    """Sets what a plan says; the plan was made under the locks of this transaction."""
    if changes and not await granting.grant(work.connection, changes, reason, person, work.now):
        raise PreviewOutdated


async def close_rounds(batch: TimerBatch) -> None:
    """Deadlines: what is not complete lapses, and nobody has to score any more."""
    for timer in batch:
        found = await rows.round_of(batch.connection, timer.key, lock=True)
        if found is None or found.state != "open" or found.basis is None:
            continue
        batch.cause = timer
        for scorer in found.draft.scorers:
            if await rows.answers_left(batch.connection, found.round_id, scorer, _asked(found.basis)):
                _tell_scorer(batch, found, scorer, "withdrawn")
        await rows.close_round(batch.connection, found.round_id)
