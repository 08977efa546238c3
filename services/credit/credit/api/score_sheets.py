"""Rounds of score sheets: led step by step, scored by several people, approved by another, and granted by."""

from datetime import datetime
from decimal import Decimal
from secrets import token_bytes
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from chassis.http import CurrentPrincipal, CursorPage, Page, Policy, Problem, Reader, Router, Work
from contracts.money import Money
from contracts.text import CurrencyCode, Id, Name
from contracts.times import Moment
from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis import UnitOfWork
from credit import scoring_desk
from credit.api.common import READERS, Body, Why, unknown, wire_limit
from credit.api.scoring import SCORE_READERS, WRITERS, Percent, refused
from credit.domain import scoring
from credit.domain.ids import RANDOM_BYTES, uuid7
from credit.domain.profiles import Enforcement
from credit.domain.score_sheets import (
    OBJECTS_MAX,
    SCORERS_MAX,
    Draft,
    GradeState,
    GrantChange,
    SheetState,
    grant_digest,
)
from credit.domain.scoring import ScoringError
from credit.repository import scoring as rows
from credit.repository.scoring import Round

router: Final = Router(tags=["score sheets"])

SCORERS: Final = frozenset({"credit-scorer", "credit-manager", "credit-approver"})
APPROVERS: Final = frozenset({"credit-approver"})


class ScorerBody(Body):
    """Who scores, and how much that counts."""

    person: Id
    weight_percent: Percent


class RoundBody(Body):
    """The steps of a round, all or the next of them; what is left out stays as it is."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "model_id": "dealers-2026",
                    "objects": ["C-1", "C-2"],
                    "scorers": [
                        {"person": "P-1", "weight_percent": "60"},
                        {"person": "P-2", "weight_percent": "40"},
                    ],
                    "deadline": "2026-12-31T18:00:00+08:00",
                },
                {"model_id": "dealers-2026"},
            ]
        },
    )
    model_id: Id | None = None
    objects: Annotated[list[Id], Field(max_length=OBJECTS_MAX)] | None = None
    scorers: Annotated[list[ScorerBody], Field(max_length=SCORERS_MAX)] | None = None
    deadline: Moment | None = None


class Reasoned(Body):
    """Why."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "yearly review 2026"}]}
    )
    reason: Why


class AnswersBody(Body):
    """What one scorer says: by indicator, the name of an option, or a number as text."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"answers": {"honest": "good", "employees": "120"}}]}
    )
    answers: Annotated[dict[Id, Name], Field(min_length=1, max_length=200)]


class RoundView(BaseModel):
    """A round; `missing` names the steps that are left before it can begin."""

    round_id: str
    state: Literal["draft", "open", "closed"]
    model_id: str | None
    model_version: int | None
    objects: list[str]
    scorers: list[ScorerBody]
    deadline: datetime | None
    missing: list[str]
    made_by: str
    made_at: datetime
    started_at: datetime | None


class MissingScore(BaseModel):
    """What a sheet still lacks; the system's values have no scorer."""

    scorer: str | None
    indicator_id: str


class SheetView(BaseModel):
    """A score sheet as it stands."""

    sheet_id: str
    round_id: str
    scope: str
    scope_id: str
    object_type: str
    object_id: str
    state: SheetState
    score: str | None
    grade: str | None
    grade_state: GradeState
    decided_by: str | None
    decided_at: datetime | None
    reason: str | None


class AnswerView(BaseModel):
    """One answer, or one value of the system without scorer."""

    scorer: str | None
    indicator_id: str
    answer: str


class SheetDetail(SheetView):
    """A sheet with everything that its score was worked out from."""

    by_indicator: dict[str, str] = Field(description="The score of each indicator over its scorers.")
    answers: list[AnswerView]
    missing: list[MissingScore]


class GrantBody(Body):
    """A bulk grant: what grades of a standard grant in one scope level and currency."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"standard_id": "dealers", "currency": "CNY", "reason": "yearly review"},
                {
                    "standard_id": "dealers",
                    "currency": "CNY",
                    "grades": ["AAA"],
                    "objects": ["C-1"],
                    "reason": "yearly review",
                    "preview": "5f2b7b7f7a2b4c0f9a8d1f0e6c3b2a19",
                },
            ]
        },
    )
    standard_id: Id
    scope: Literal["group", "legal", "business"] = "group"
    currency: CurrencyCode
    grades: Annotated[list[Name], Field(min_length=1, max_length=50)] | None = None
    objects: Annotated[list[Id], Field(min_length=1, max_length=scoring_desk.GRANTS_MAX)] | None = None
    reason: Why
    preview: str | None = Field(
        default=None,
        max_length=64,
        description="`preview` of the preview that was looked at; needed to apply.",
    )


class GrantRow(BaseModel):
    """What a grant does to one profile; `new` profiles are made by it."""

    profile_id: str
    scope: str
    scope_id: str
    object_type: str
    object_id: str
    grade: str
    new: bool
    limit_before: Money | Literal["unlimited"] | None
    limit: Money | Literal["unlimited"] | None
    enforcement: Enforcement


class GrantView(BaseModel):
    """A grant as it would be, or was, carried out; profiles that already say it are left out."""

    preview: str
    applied: bool
    changes: list[GrantRow]


@router.post("/scoring-rounds", policy=Policy("scoring-round:write", WRITERS), status_code=201)
async def make_round(body: RoundBody, work: Work, principal: CurrentPrincipal) -> RoundView:
    """Begins to lead a round, with as many steps as are known."""
    round_id = str(uuid7(work.now, token_bytes(RANDOM_BYTES)))
    draft = await _stepped(work, Draft(), body)
    await rows.insert_round(work.connection, round_id, draft, principal.subject, work.now)
    return _round(await _found(work.connection, round_id))


@router.patch("/scoring-rounds/{round_id}", policy=Policy("scoring-round:write", WRITERS))
async def change_round(round_id: UUID, body: RoundBody, work: Work) -> RoundView:
    """Takes further steps of a round that has not begun."""
    found = await _found(work.connection, str(round_id), lock=True)
    _require_round(found, "draft")
    await rows.update_draft(work.connection, found.round_id, await _stepped(work, found.draft, body))
    return _round(await _found(work.connection, found.round_id))


async def _stepped(work: UnitOfWork, draft: Draft, body: RoundBody) -> Draft:
    """The draft with these steps, each looked at when it is taken."""
    scorers = None
    if body.scorers is not None:
        scorers = {each.person: Decimal(each.weight_percent) for each in body.scorers}
    try:
        if scorers:
            scoring.check_scorers(scorers)
        if body.model_id is not None:
            await scoring_desk.read_model(work, body.model_id)
    except ScoringError as error:
        raise refused(error) from None
    return Draft(
        model_id=body.model_id or draft.model_id,
        objects=sorted(set(body.objects)) if body.objects is not None else draft.objects,
        scorers=scorers if scorers is not None else draft.scorers,
        deadline=body.deadline or draft.deadline,
    )


@router.post("/scoring-rounds/{round_id}/start", policy=Policy("scoring-round:start", WRITERS))
async def start_round(round_id: UUID, body: Reasoned, work: Work) -> RoundView:
    """Opens the sheets: the model is fixed as it is now, the system's values are taken, the scorers are told."""
    found = await _found(work.connection, str(round_id), lock=True)
    _require_round(found, "draft")
    try:
        await scoring_desk.start(work, found)
    except ScoringError as error:
        raise refused(error) from None
    return _round(await _found(work.connection, found.round_id))


@router.get("/scoring-rounds", policy=Policy("scoring-round:read", SCORE_READERS))
async def rounds(
    page: Page,
    reader: Reader,
    state: Annotated[Literal["draft", "open", "closed"] | None, Query()] = None,
) -> CursorPage[RoundView]:
    """Rounds, newest first."""
    found = await rows.rounds_after(reader, page.after(str), page.rows, state)
    shown, following = page.page(found, key=lambda row: (row.round_id,))
    return CursorPage(items=[_round(rows.read_round(row)) for row in shown], next=following)


@router.get("/score-sheets", policy=Policy("score-sheet:read", SCORE_READERS))
async def sheets(
    page: Page,
    reader: Reader,
    round_id: Annotated[UUID | None, Query()] = None,
    object_id: Annotated[Id | None, Query()] = None,
    state: Annotated[SheetState | None, Query()] = None,
) -> CursorPage[SheetView]:
    """Score sheets, newest first."""
    found = await rows.sheets_after(
        reader,
        page.after(str),
        page.rows,
        round_id=str(round_id) if round_id else None,
        object_id=object_id,
        state=state,
    )
    shown, following = page.page(found, key=lambda row: (row.sheet_id,))
    return CursorPage(items=[SheetView(**_sheet_fields(row)) for row in shown], next=following)


@router.get("/score-sheets/{sheet_id}", policy=Policy("score-sheet:read", SCORE_READERS))
async def sheet(sheet_id: UUID, reader: Reader) -> SheetDetail:
    """One sheet with its answers, its values and what it lacks."""
    return await _detail(reader, str(sheet_id))


@router.put("/score-sheets/{sheet_id}/answers", policy=Policy("score-sheet:answer", SCORERS))
async def answer(sheet_id: UUID, body: AnswersBody, work: Work, principal: CurrentPrincipal) -> SheetDetail:
    """What the caller says of the object; only for the scorers whom the round names."""
    row, found = await _locked(work, str(sheet_id))
    if principal.subject not in found.draft.scorers:
        raise Problem.forbidden("The round does not name you as a scorer.", type="not-a-scorer")
    if found.state != "open" or row.state not in ("open", "complete"):
        raise Problem.conflict("sheet-closed", f"The sheet takes no answers any more: it is {row.state}.")
    try:
        await scoring_desk.answer(work, found, row.sheet_id, principal.subject, body.answers)
    except ScoringError as error:
        raise refused(error) from None
    return await _detail(work.connection, row.sheet_id)


@router.post("/score-sheets/{sheet_id}/refresh", policy=Policy("score-sheet:refresh", SCORERS))
async def refresh(sheet_id: UUID, body: Reasoned, work: Work) -> SheetDetail:
    """Takes the system's values anew."""
    row, found = await _locked(work, str(sheet_id))
    if row.state not in ("open", "complete") or found.basis is None:
        raise Problem.conflict("sheet-closed", f"The sheet takes no values any more: it is {row.state}.")
    await scoring_desk.feed(work, found.basis, {row.sheet_id: row.object_id})
    await scoring_desk.rescore(work, found.basis, found.draft.scorers, [row.sheet_id])
    return await _detail(work.connection, row.sheet_id)


@router.post("/score-sheets/{sheet_id}/approve", policy=Policy("score-sheet:approve", APPROVERS))
async def approve(sheet_id: UUID, body: Reasoned, work: Work, principal: CurrentPrincipal) -> SheetDetail:
    """Accepts the score: the grade is written, or proposed, as the model says."""
    return await _decide(work, str(sheet_id), True, principal.subject, body.reason)


@router.post("/score-sheets/{sheet_id}/reject", policy=Policy("score-sheet:reject", APPROVERS))
async def reject(sheet_id: UUID, body: Reasoned, work: Work, principal: CurrentPrincipal) -> SheetDetail:
    """Refuses the score; nothing follows from it."""
    return await _decide(work, str(sheet_id), False, principal.subject, body.reason)


async def _decide(work: UnitOfWork, sheet_id: str, approved: bool, person: str, reason: str) -> SheetDetail:
    row, found = await _locked(work, sheet_id)
    if row.state != "complete":
        raise Problem.conflict("sheet-not-complete", f"The sheet cannot be decided: it is {row.state}.")
    if person == found.made_by or person in found.draft.scorers:
        raise Problem.forbidden(
            "Whoever made the round or scored in it cannot decide its sheets.", type="four-eyes"
        )
    try:
        await scoring_desk.decide(work, found, row, approved, person, reason)
    except ScoringError as error:
        raise refused(error) from None
    return await _detail(work.connection, sheet_id)


@router.post("/score-sheets/{sheet_id}/apply-grade", policy=Policy("grade:write", WRITERS))
async def apply_grade(sheet_id: UUID, body: Reasoned, work: Work, principal: CurrentPrincipal) -> SheetDetail:
    """Writes a proposed grade."""
    return await _settle_proposal(work, str(sheet_id), True, principal.subject)


@router.post("/score-sheets/{sheet_id}/refuse-grade", policy=Policy("grade:write", WRITERS))
async def refuse_grade(
    sheet_id: UUID, body: Reasoned, work: Work, principal: CurrentPrincipal
) -> SheetDetail:
    """Leaves the object's grade as it is."""
    return await _settle_proposal(work, str(sheet_id), False, principal.subject)


async def _settle_proposal(work: UnitOfWork, sheet_id: str, accepted: bool, person: str) -> SheetDetail:
    row, found = await _locked(work, sheet_id)
    if row.grade_state != "proposed" or found.basis is None:
        raise Problem.conflict("no-proposal", f"The sheet proposes no grade: its grade is {row.grade_state}.")
    if accepted:
        await scoring_desk.write_grade(work, found.basis, row, person)
    await rows.set_grade_state(work.connection, sheet_id, "written" if accepted else "refused")
    return await _detail(work.connection, sheet_id)


@router.post("/grants/preview", policy=Policy("grant:preview", READERS))
async def preview_grant(body: GrantBody, work: Work) -> GrantView:
    """Which profiles a grant would change, and how; nothing is kept."""
    return _grant(await _planned(work, body), applied=False)


@router.post("/grants", policy=Policy("grant:apply", WRITERS))
async def apply_grant(body: GrantBody, work: Work, principal: CurrentPrincipal) -> GrantView:
    """Carries out what a preview has shown; 409 `preview-outdated` when it would be something else by now."""
    changes = await _planned(work, body)
    if body.preview != grant_digest(changes):
        detail = "The grant would not do what `preview` names; look at the preview anew."
        raise Problem.conflict("preview-outdated", detail)
    try:
        await scoring_desk.apply(work, changes, body.reason, principal.subject)
    except ScoringError as error:
        raise refused(error) from None
    return _grant(changes, applied=True)


async def _planned(work: UnitOfWork, body: GrantBody) -> list[GrantChange]:
    try:
        standard = await scoring_desk.read_standard(work, body.standard_id)
        terms = {
            grade: each
            for grade, granted in standard.terms.items()
            for each in granted
            if (each.scope, each.currency) == (body.scope, body.currency)
            and (body.grades is None or grade in body.grades)
        }
        if not terms:
            of = ", ".join(body.grades) if body.grades else "any grade"
            raise ScoringError(
                "grades", f"{of} grants nothing in scope {body.scope} and {body.currency} by this standard"
            )
        return await scoring_desk.planned(work, body.standard_id, terms, body.objects)
    except ScoringError as error:
        raise refused(error) from None


def _grant(changes: list[GrantChange], *, applied: bool) -> GrantView:
    return GrantView(
        preview=grant_digest(changes),
        applied=applied,
        changes=[
            GrantRow(
                profile_id=change.profile_id,
                **change.scored._asdict(),
                grade=change.grade,
                new=change.version == 0,
                limit_before=wire_limit(change.limit_before, change.currency),
                limit=wire_limit(change.limit, change.currency),
                enforcement=change.enforcement,
            )
            for change in changes
        ],
    )


def _require_round(found: Round, state: str) -> None:
    if found.state != state:
        raise Problem.conflict("round-" + found.state, f"The round is {found.state}, not {state}.")


async def _found(connection: AsyncConnection, round_id: str, *, lock: bool = False) -> Round:
    found = await rows.round_of(connection, round_id, lock=lock)
    if found is None:
        raise unknown("scoring round", round_id)
    return found


async def _locked(work: UnitOfWork, sheet_id: str) -> tuple[Row[Any], Round]:
    """A sheet and its round; the round is locked first, as its deadline does."""
    row = await rows.sheet_row(work.connection, sheet_id)
    if row is None:
        raise unknown("score sheet", sheet_id)
    found = await _found(work.connection, row.round_id, lock=True)
    row = await rows.sheet_row(work.connection, sheet_id, lock=True)
    assert row is not None, "sheets are never deleted"
    return row, found


def _round(found: Round) -> RoundView:
    draft = found.draft
    return RoundView(
        round_id=found.round_id,
        state=found.state,
        model_id=draft.model_id,
        model_version=found.basis.model_version if found.basis else None,
        objects=draft.objects,
        scorers=[
            ScorerBody(person=person, weight_percent=format(weight, "f"))
            for person, weight in draft.scorers.items()
        ],
        deadline=draft.deadline,
        missing=draft.missing,
        made_by=found.made_by,
        made_at=found.made_at,
        started_at=found.started_at,
    )


def _sheet_fields(row: Row[Any]) -> dict[str, Any]:
    return {**row._mapping, "score": str(row.score) if row.score is not None else None}


async def _detail(connection: AsyncConnection, sheet_id: str) -> SheetDetail:
    row = await rows.sheet_row(connection, sheet_id)
    if row is None:
        raise unknown("score sheet", sheet_id)
    found = await _found(connection, row.round_id)
    assert found.basis is not None, "a sheet's round has begun"
    answers = (await rows.answers_of(connection, [sheet_id])).get(sheet_id, {})
    values = (await rows.values_of(connection, [sheet_id])).get(sheet_id, {})
    result = scoring.score(found.basis.nodes, found.draft.scorers, answers, values)
    given = [
        AnswerView(scorer=scorer, indicator_id=indicator_id, answer=answer)
        for (scorer, indicator_id), answer in sorted(answers.items())
    ]
    given += [
        AnswerView(scorer=None, indicator_id=each, answer=value) for each, value in sorted(values.items())
    ]
    return SheetDetail(
        **_sheet_fields(row),
        by_indicator={each: str(score) for each, score in result.by_indicator.items()},
        answers=given,
        missing=[MissingScore(scorer=scorer or None, indicator_id=each) for scorer, each in result.missing],
    )
