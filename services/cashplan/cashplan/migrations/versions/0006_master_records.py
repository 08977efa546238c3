"""Master data that trees of entities, plan items and members are made of."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

DDL = (
    """
        create table master_record (
            kind text not null,
            record_id text not null,
            version integer not null,
            name text not null,
            parent text,
            direction text,
            dimension text,
            active boolean not null,
            primary key (kind, record_id),
            check (kind in ('organisation', 'plan-item', 'dimension-member')),
            check ((kind = 'dimension-member') = (dimension is not null))
        )
    """,
)


def upgrade() -> None:
    for statement in DDL:
        op.execute(statement)
