"""Giving credit: documents that two people make, temporary credit, members' limits and their relationships."""

from alembic import op

revision = "0010"
down_revision = "0003"
branch_labels = None
depends_on = None

DDL = (
    """
    create table credit_document (
        document_id text primary key,
        kind text not null check (kind in ('temporary-credit', 'credit-change')),
        profile_id uuid not null references credit_profile,
        state text not null check (state in ('submitted', 'approved', 'rejected', 'withdrawn')),
        body jsonb not null,
        profile_version integer not null,
        reason text not null,
        made_by text not null,
        made_at timestamptz not null,
        decided_by text,
        decided_at timestamptz,
        decision_reason text,
        check ((state = 'submitted') = (decided_at is null)),
        check (state <> 'approved' or decided_by <> made_by)
    )
    """,
    "create index credit_document_profile on credit_document (profile_id, made_at)",
    "create index credit_document_state on credit_document (state, document_id)",
    """
    create table temporary_credit (
        document_id text primary key references credit_document,
        profile_id uuid not null references credit_profile,
        amount_minor bigint not null check (amount_minor > 0),
        valid_from date not null,
        valid_to date not null,
        mode text not null check (mode in ('add', 'replace')),
        approved_at timestamptz not null,
        check (valid_from <= valid_to)
    )
    """,
    "create index temporary_credit_profile on temporary_credit (profile_id, valid_to)",
    """
    create table enterprise (
        management_account text not null,
        currency text not null,
        version integer not null check (version >= 1),
        mode text not null check (mode in ('member-limits', 'entity')),
        limit_minor bigint not null check (limit_minor >= 0),
        reason text not null,
        changed_by text not null,
        changed_at timestamptz not null,
        primary key (management_account, currency)
    )
    """,
    """
    create table enterprise_version (
        management_account text not null,
        currency text not null,
        version integer not null,
        mode text not null,
        limit_minor bigint not null,
        reason text not null,
        changed_by text not null,
        changed_at timestamptz not null,
        primary key (management_account, currency, version)
    )
    """,
    """
    create table member_limit (
        account text not null,
        currency text not null,
        management_account text not null,
        own_minor bigint not null check (own_minor >= 0),
        allocated_minor bigint not null check (allocated_minor >= 0),
        limit_version integer not null check (limit_version >= 0),
        pending_version integer check (pending_version = limit_version),
        primary key (account, currency)
    )
    """,
    "create index member_limit_enterprise on member_limit (management_account, currency, account)",
    """
    create table member_limit_change (
        account text not null,
        currency text not null,
        limit_version integer not null check (limit_version >= 1),
        record_id uuid not null unique,
        management_account text not null,
        operation text not null check (operation in ('set', 'allocate', 'reclaim')),
        amount_minor bigint not null check (amount_minor >= 0),
        own_minor bigint not null check (own_minor >= 0),
        allocated_minor bigint not null check (allocated_minor >= 0),
        limit_before_minor bigint not null,
        remark text,
        requested_by text not null,
        requested_at timestamptz not null,
        result text not null check (result in ('pending', 'succeeded', 'refused')),
        refusal text,
        smallest_limit_minor bigint,
        recorded_at timestamptz,
        primary key (account, currency, limit_version),
        check ((result = 'pending') = (recorded_at is null))
    )
    """,
    """
    create table relationship (
        relationship_id text primary key,
        relationship_version integer not null,
        kind text,
        management_account text not null,
        member_account text not null,
        state text,
        permissions text[] not null,
        frozen_by text,
        ended_request text
    )
    """,
    "create index relationship_pair on relationship (management_account, member_account)",
)


def upgrade() -> None:
    """Creates the tables of giving credit."""
    for statement in DDL:
        op.execute(statement)
