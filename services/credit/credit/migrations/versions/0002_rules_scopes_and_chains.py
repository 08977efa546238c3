"""Check rules, scopes and objects, rates, and the chain of documents."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

WHO = """
    version integer not null check (version >= 1),
    changed_by text not null,
    changed_at timestamptz not null
"""
DOCUMENT_KEY = """
    document_type text not null,
    source text not null,
    document_id text not null
"""

DDL = (
    f"create table parameter (one boolean primary key check (one), body bytea not null, {WHO})",
    f"create table check_rule (rule_id text primary key, name text not null, body bytea not null, {WHO})",
    f"""
    create table check_rule_version (
        rule_id text not null, name text not null, body bytea not null, reason text not null, {WHO},
        primary key (rule_id, version))
    """,
    """
    create table exchange_rate (
        currency_from text not null,
        currency_to text not null,
        rate_date date not null,
        rate numeric(24, 12) not null check (rate > 0 and rate <> 'NaN'),
        changed_by text not null,
        changed_at timestamptz not null,
        primary key (currency_from, currency_to, rate_date)
    )
    """,
    """
    alter table credit_profile
        add column check_rule text,
        add column terms bytea,
        add column grade text,
        add column frozen boolean not null default false
    """,
    """
    alter table credit_profile_version
        add column check_rule text,
        add column terms bytea,
        add column grade text
    """,
    "create index credit_profile_object on credit_profile (object_type, object_id)",
    """
    alter table occupancy_entry
        add column document_type text not null default 'sales-order'
    """,
    """
    alter table sales_order add column documents boolean not null default false
    """,
    f"""
    create table document (
        {DOCUMENT_KEY},
        customer text not null,
        revision integer not null check (revision >= 1),
        operation text not null,
        phase text not null check (phase in ('submitted', 'audited', 'closed', 'reversed')),
        confirmed boolean not null,
        digest bytea not null,
        body bytea not null,
        previous_body bytea,
        due_at timestamptz,
        changed_at timestamptz not null,
        primary key (document_type, source, document_id)
    )
    """,
    "create index document_customer on document (customer, document_type)",
    f"""
    create table document_edge (
        {DOCUMENT_KEY},
        to_type text not null,
        to_source text not null,
        to_id text not null,
        primary key (document_type, source, document_id, to_type, to_source, to_id)
    )
    """,
    f"""
    create table document_occupancy (
        {DOCUMENT_KEY},
        profile_id uuid not null,
        stage text not null,
        amount_minor bigint not null,
        due_date date,
        primary key (document_type, source, document_id, profile_id, stage)
    ) with (fillfactor = 80)
    """,
    "create index document_occupancy_of_profile on document_occupancy (profile_id, stage, due_date)",
    f"""
    create table document_rate (
        {DOCUMENT_KEY},
        profile_id uuid not null,
        rate text not null,
        primary key (document_type, source, document_id, profile_id)
    )
    """,
    f"""
    create table document_check (
        {DOCUMENT_KEY},
        number bigint not null check (number >= 1),
        revision integer not null,
        operation text not null,
        stance text not null check (stance in ('request', 'fact')),
        outcome text not null,
        is_exception boolean not null,
        customer text not null,
        findings bytea not null,
        event_id text not null,
        checked_at timestamptz not null,
        primary key (document_type, source, document_id, number)
    )
    """,
    "create index document_check_exceptions on document_check (checked_at) where is_exception",
    """
    create table profile_freeze (
        profile_id uuid not null references credit_profile,
        number integer not null check (number >= 1),
        frozen_at timestamptz not null,
        frozen_by text not null,
        reason text not null,
        unfrozen_at timestamptz,
        unfrozen_by text,
        unfreeze_reason text,
        primary key (profile_id, number),
        check ((unfrozen_at is null) = (unfrozen_by is null))
    )
    """,
    "create unique index profile_freeze_once on profile_freeze (profile_id) where unfrozen_at is null",
)


def upgrade() -> None:
    for statement in DDL:
        op.execute(statement)
