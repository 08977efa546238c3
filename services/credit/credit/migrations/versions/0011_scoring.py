"""Scoring: indicators, grade standards, models, rounds of score sheets, and the grades that they lead to."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

OBJECT = """
    scope text not null check (scope in ('group', 'legal', 'business')),
    scope_id text not null,
    object_type text not null,
    object_id text not null
"""

DDL = (
    """
    create table scoring_definition (
        kind text not null check (kind in ('indicator', 'grade-standard', 'scoring-model')),
        definition_id text not null,
        version integer not null check (version >= 1),
        body jsonb not null,
        changed_by text not null,
        changed_at timestamptz not null,
        primary key (kind, definition_id)
    )
    """,
    """
    create table scoring_round (
        round_id uuid primary key,
        state text not null check (state in ('draft', 'open', 'closed')),
        draft jsonb not null,
        basis jsonb,
        made_by text not null,
        made_at timestamptz not null,
        started_at timestamptz,
        check ((state = 'draft') = (basis is null))
    )
    """,
    f"""
    create table score_sheet (
        sheet_id uuid primary key,
        round_id uuid not null references scoring_round,
        {OBJECT},
        state text not null check (state in ('open', 'complete', 'approved', 'rejected', 'lapsed')),
        score numeric(8, 2),
        grade text,
        grade_state text not null check (grade_state in ('none', 'proposed', 'written', 'refused')),
        decided_by text,
        decided_at timestamptz,
        reason text,
        check ((score is null) = (grade is null)),
        check (state not in ('complete', 'approved') or score is not null),
        check ((grade_state = 'none') = (state <> 'approved'))
    )
    """,
    "create unique index score_sheet_once on score_sheet (round_id, object_type, object_id)",
    "create index score_sheet_object on score_sheet (object_id, sheet_id)",
    """
    create table score_answer (
        sheet_id uuid not null references score_sheet,
        scorer text not null,
        indicator_id text not null,
        answer text not null,
        given_at timestamptz not null,
        primary key (sheet_id, scorer, indicator_id)
    )
    """,
    """
    create table score_value (
        sheet_id uuid not null references score_sheet,
        indicator_id text not null,
        value text not null,
        taken_at timestamptz not null,
        primary key (sheet_id, indicator_id)
    )
    """,
    """
    create table supplied_value (
        indicator_id text not null,
        object_id text not null,
        value text not null,
        supplied_by text not null,
        supplied_at timestamptz not null,
        primary key (indicator_id, object_id)
    )
    """,
    f"""
    create table credit_grade (
        {OBJECT},
        standard_id text not null,
        grade text not null,
        score numeric(8, 2) not null,
        sheet_id uuid not null references score_sheet,
        set_by text not null,
        set_at timestamptz not null,
        primary key (object_type, object_id, scope, scope_id)
    )
    """,
    "create index credit_grade_of_standard on credit_grade (standard_id, grade, object_id)",
)


def upgrade() -> None:
    """Creates the tables of scoring."""
    for statement in DDL:
        op.execute(statement)
