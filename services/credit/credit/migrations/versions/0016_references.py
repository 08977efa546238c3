"""Materials and their groups, customer groups, salespeople, sales groups and departments, as the ERP names them."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        create table reference (
            reference_id text primary key,
            version bigint not null check (version >= 1),
            name text not null,
            active boolean not null,
            digest bytea not null,
            changed_by text not null,
            changed_at timestamptz not null,
            kind text not null check (kind in ('material', 'material-group', 'customer-group', 'salesperson',
                                               'sales-group', 'sales-department')),
            own_id text not null,
            parent text,
            unique (kind, own_id),
            check (reference_id = kind || ' ' || own_id)
        )
        """
    )
