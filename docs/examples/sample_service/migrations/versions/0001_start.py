"""The chassis' tables and the service's own."""

from alembic import op

from chassis import tables

revision = "0001"
down_revision = None


def upgrade() -> None:
    tables.create(op)
    op.execute("create table counted (account text primary key, payments bigint not null)")
