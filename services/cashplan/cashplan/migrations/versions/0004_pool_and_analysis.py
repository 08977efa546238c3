"""Chains of pool documents, recurring items, approval batches, reasons and gaps."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

DDL = (
    """
        create table pool_document (
            document_type text not null,
            source text not null,
            document_id text not null,
            revision integer not null,
            gross_minor bigint not null,
            is_alive boolean not null,
            is_closed boolean not null,
            is_linked boolean not null,
            first_on date not null,
            changed_at timestamptz not null,
            primary key (document_type, source, document_id)
        )
    """,
    """
        create table pool_link (
            document_type text not null,
            source text not null,
            document_id text not null,
            upstream_type text not null,
            upstream_source text not null,
            upstream_id text not null,
            amount_minor bigint not null,
            primary key (document_type, source, document_id, upstream_type, upstream_source, upstream_id)
        )
    """,
    "create index pool_link_upstream on pool_link (upstream_type, upstream_source, upstream_id)",
    """
        create table pool_source (
            document_type text not null,
            source text not null,
            document_id text not null,
            system_id text not null,
            filing_type text not null,
            entity text not null,
            item text not null,
            period text not null,
            currency text not null,
            members text not null,
            fields text not null,
            amount_minor bigint not null,
            round_id text not null,
            primary key (document_type, source, document_id, system_id, filing_type,
                         entity, item, period, currency, members, fields)
        )
    """,
    """
        create table pool_setting (
            kind text not null,
            version integer not null,
            body bytea not null,
            changed_by text not null,
            changed_at timestamptz not null,
            primary key (kind)
        )
    """,
    """
        create table recurring_item (
            recurring_id text not null,
            body bytea not null,
            generated_to date not null,
            changed_by text not null,
            changed_at timestamptz not null,
            primary key (recurring_id)
        )
    """,
    """
        create table approval_batch (
            batch_id text not null,
            system_id text not null,
            entity text not null,
            state text not null,
            course bytea not null,
            changed_at timestamptz not null,
            primary key (batch_id)
        )
    """,
    "create index approval_batch_entity on approval_batch (system_id, entity, batch_id)",
    """
        create table approval_batch_item (
            batch_id text not null,
            document_type text not null,
            source text not null,
            document_id text not null,
            requested_minor bigint not null,
            approved_minor bigint not null,
            primary key (batch_id, document_type, source, document_id),
            check (approved_minor between 0 and requested_minor),
            foreign key(batch_id) references approval_batch (batch_id)
        )
    """,
    """
        create table deviation_reason (
            system_id text not null,
            filing_type text not null,
            entity text not null,
            item text not null,
            period text not null,
            currency text not null,
            members text not null,
            fields text not null,
            reason text not null,
            measures text,
            given_by text not null,
            given_at timestamptz not null,
            primary key (system_id, filing_type, entity, item, period, currency, members, fields)
        )
    """,
    """
        create table gap_episode (
            system_id text not null,
            entity text not null,
            currency text not null,
            episode_id text not null,
            notice_number bigint not null,
            gap_minor bigint not null,
            changed_at timestamptz not null,
            primary key (system_id, entity, currency)
        )
    """,
)


def upgrade() -> None:
    for statement in DDL:
        op.execute(statement)
