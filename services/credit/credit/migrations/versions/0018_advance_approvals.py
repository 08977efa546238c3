"""Special approval given ahead, for a document that will be held when it comes."""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        create table advance_approval (
            document_type text not null,
            source text not null,
            document_id text not null,
            approver text not null,
            metrics text[] not null check (cardinality(metrics) > 0),
            reason text not null,
            given_at timestamptz not null,
            valid_until timestamptz not null check (valid_until > given_at),
            state text not null check (state in ('open', 'consumed', 'refused')),
            ended_at timestamptz,
            refusal text,
            primary key (document_type, source, document_id, approver),
            check ((state = 'open') = (ended_at is null)),
            check ((state = 'refused') = (refusal is not null))
        )
        """
    )
    op.execute("create index advance_approval_open on advance_approval (given_at) where state = 'open'")
