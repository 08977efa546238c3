"""Operations on documents that came before the ones they follow."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

DDL = (
    "alter table control_document add column parked integer not null default 0 check (parked between 0 and 64)",
    """
        create table parked_document (
            source text not null,
            document_type text not null,
            document_id text not null,
            revision integer not null,
            operation text not null,
            stance text not null,
            sequence bigint generated always as identity,
            posted bytea not null,
            event_source text not null,
            event_id text not null,
            correlation_id text not null,
            traceparent text,
            parked_at timestamptz not null,
            primary key (source, document_type, document_id, revision, operation, stance)
        )
    """,
)


def upgrade() -> None:
    for statement in DDL:
        op.execute(statement)
