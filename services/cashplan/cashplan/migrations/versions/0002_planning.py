"""Planning systems, rounds, filings, roll-ups and what is effective."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

DDL = (
    """
        create table planning_system (
            system_id text not null,
            version integer not null,
            changed_at timestamptz not null,
            primary key (system_id)
        )
    """,
    """
        create table planning_part (
            system_id text not null,
            kind text not null,
            version integer not null,
            body bytea not null,
            changed_by text not null,
            changed_at timestamptz not null,
            primary key (system_id, kind),
            foreign key(system_id) references planning_system (system_id)
        )
    """,
    """
        create table plan_round (
            system_id text not null,
            round_id text not null,
            filing_type text not null,
            head text not null,
            first_day date not null,
            last_day date not null,
            body bytea not null,
            opened_by text not null,
            opened_at timestamptz not null,
            primary key (system_id, round_id),
            unique (system_id, filing_type, first_day),
            foreign key(system_id) references planning_system (system_id)
        )
    """,
    """
        create table filing (
            filing_id text not null,
            system_id text not null,
            round_id text not null,
            filing_type text not null,
            entity text not null,
            state text not null,
            course bytea not null,
            version integer not null,
            extended_to timestamptz,
            notices integer not null,
            changed_at timestamptz not null,
            primary key (filing_id),
            unique (system_id, round_id, entity),
            foreign key(system_id, round_id) references plan_round (system_id, round_id),
            check (state in ('draft', 'submitted', 'approved', 'effective', 'sent-back'))
        )
    """,
    """
        create table filing_version (
            filing_id text not null,
            version integer not null,
            body bytea not null,
            is_submitted boolean not null,
            saved_by text not null,
            saved_at timestamptz not null,
            primary key (filing_id, version),
            foreign key(filing_id) references filing (filing_id)
        )
    """,
    """
        create table filing_figures (
            filing_id text not null,
            filed bytea not null,
            approved bytea not null,
            details bytea not null,
            primary key (filing_id),
            foreign key(filing_id) references filing (filing_id)
        )
    """,
    """
        create table filing_step (
            filing_id text not null,
            step_number integer not null,
            action text not null,
            subject text not null,
            note text,
            version integer not null,
            at timestamptz not null,
            primary key (filing_id, step_number),
            foreign key(filing_id) references filing (filing_id)
        )
    """,
    """
        create table attachment (
            attachment_id text not null,
            filing_id text not null,
            name text not null,
            media_type text not null,
            bytes integer not null,
            body bytea not null,
            added_by text not null,
            added_at timestamptz not null,
            primary key (attachment_id),
            foreign key(filing_id) references filing (filing_id)
        )
    """,
    "create index attachment_filing on attachment (filing_id, attachment_id)",
    """
        create table plan_entity (
            system_id text not null,
            entity text not null,
            primary key (system_id, entity)
        )
    """,
    """
        create table plan_cell (
            system_id text not null,
            filing_type text not null,
            entity text not null,
            item text not null,
            period text not null,
            currency text not null,
            members text not null,
            fields text not null,
            first_day date not null,
            last_day date not null,
            direction text not null,
            is_planned boolean not null,
            is_binding boolean not null,
            round_id text,
            filed_minor bigint not null,
            effective_minor bigint not null,
            adjusted_minor bigint not null,
            pre_occupied_minor bigint not null,
            actual_minor bigint not null,
            primary key (system_id, filing_type, entity, item, period, currency, members, fields),
            check (direction in ('in', 'out', 'none')),
            check (pre_occupied_minor >= 0 and actual_minor >= 0)
        )
    """,
    "create index plan_cell_days on plan_cell (system_id, filing_type, first_day, entity)",
    """
        create table adjustment (
            adjustment_id text not null,
            system_id text not null,
            filing_type text not null,
            entity text not null,
            kind text not null,
            reason text not null,
            state text not null,
            course bytea not null,
            lines bytea not null,
            changed_at timestamptz not null,
            primary key (adjustment_id)
        )
    """,
    "create index adjustment_entity on adjustment (system_id, entity, adjustment_id)",
    """
        create table roll_up (
            system_id text not null,
            round_id text not null,
            node text not null,
            state text not null,
            course bytea not null,
            demands bytea not null,
            warnings bytea not null,
            eliminated_at timestamptz,
            changed_at timestamptz not null,
            primary key (system_id, round_id, node),
            foreign key(system_id, round_id) references plan_round (system_id, round_id)
        )
    """,
    """
        create table elimination (
            system_id text not null,
            round_id text not null,
            rule text not null,
            payer text not null,
            receiver text not null,
            agreed text not null,
            node text,
            period text not null,
            currency text not null,
            out_item text not null,
            in_item text not null,
            out_minor bigint not null,
            in_minor bigint not null,
            eliminated_minor bigint not null,
            run_at timestamptz not null,
            primary key (system_id, round_id, rule, payer, receiver, agreed),
            check (eliminated_minor between 0 and least(out_minor, in_minor))
        )
    """,
    """
        create table task (
            task_id text not null,
            version integer not null,
            state text not null,
            kind text not null,
            assignee text not null,
            entity text not null,
            document_type text not null,
            document_id text not null,
            subject text not null,
            message text,
            due_at timestamptz,
            opened_at timestamptz not null,
            changed_at timestamptz not null,
            primary key (task_id)
        )
    """,
    "create index task_assignee on task (assignee, state, task_id)",
    "create index task_document on task (document_type, document_id, state)",
)


def upgrade() -> None:
    for statement in DDL:
        op.execute(statement)
