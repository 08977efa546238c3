"""Special approval: rights, what they were used for, documents that wait for it; what notices drew of orders."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

RIGHT = """
    approver text not null,
    currency text not null,
    version integer not null check (version >= 1),
    ceiling_minor bigint not null check (ceiling_minor >= 0),
    period text not null check (period in ('day', 'month', 'quarter', 'year')),
    metrics text[] not null check (cardinality(metrics) > 0),
    valid_from date not null,
    valid_to date not null check (valid_to >= valid_from),
    active boolean not null,
    reason text not null,
    changed_by text not null check (changed_by <> approver),
    changed_at timestamptz not null
"""

DDL = (
    """
    create table notice_draw (
        notice_source text not null,
        notice_id text not null,
        source text not null,
        order_id text not null,
        line_id text not null,
        quantity_millionths bigint not null check (quantity_millionths >= 0),
        primary key (source, order_id, notice_source, notice_id, line_id)
    )
    """,
    f"create table approval_right ({RIGHT}, primary key (approver, currency))",
    f"create table approval_right_version ({RIGHT}, primary key (approver, currency, version))",
    """
    create table approval_grant (
        document_type text not null,
        source text not null,
        document_id text not null,
        number bigint not null,
        currency text not null,
        approver text not null,
        customer text not null,
        amount_minor bigint not null check (amount_minor >= 0),
        metrics text[] not null,
        reason text not null,
        given_on date not null,
        given_at timestamptz not null,
        returned_at timestamptz,
        primary key (document_type, source, document_id, number, currency)
    )
    """,
    "create index approval_grant_used on approval_grant (approver, currency, given_on) where returned_at is null",
    """
    create table pending_document (
        document_type text not null,
        source text not null,
        document_id text not null,
        number bigint not null check (number >= 1),
        state text not null check (state in ('pending', 'approved', 'rejected', 'expired', 'superseded')),
        revision integer not null,
        operation text not null,
        customer text not null,
        currency text not null,
        total_minor bigint not null,
        event_id text not null,
        body bytea not null,
        findings bytea not null,
        held_at timestamptz not null,
        due_at timestamptz not null,
        person text,
        reason text,
        ended_at timestamptz,
        primary key (document_type, source, document_id, number),
        check ((state = 'pending') = (ended_at is null))
    )
    """,
    """
    create unique index pending_document_once on pending_document (document_type, source, document_id)
        where state = 'pending'
    """,
    "create index pending_document_state on pending_document (state, held_at)",
)


def upgrade() -> None:
    """Creates the tables of special approval."""
    for statement in DDL:
        op.execute(statement)
