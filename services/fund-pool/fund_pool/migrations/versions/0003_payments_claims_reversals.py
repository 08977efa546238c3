"""Payments that settle top-ups, cash acceptances and are taken back; expense claims."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    alter table payment
        add column top_up_id text,
        add column cashes text,
        add column reversed bigint not null default 0
    """,
    "alter table payment drop constraint payment_status_check",
    """
    alter table payment
        add constraint payment_status_check
            check (status in ('new', 'posted', 'unmatched', 'waiting', 'reversed')),
        add constraint payment_reversed_within_amount check (reversed between 0 and amount)
    """,
    """
    create table payment_reversal (
        reversal_id text primary key,
        payment_id text not null,
        currency text not null,
        amount bigint not null check (amount > 0),
        reversed_on date not null,
        status text not null check (status in ('waiting', 'posted', 'unplaced', 'refused')),
        entry_number bigint,
        debt bigint not null default 0 check (debt between 0 and amount),
        recorded_at timestamptz not null
    )
    """,
    "create index payment_reversal_payment on payment_reversal (payment_id)",
    """
    create table expense_claim (
        claim_id text primary key,
        revision integer not null check (revision >= 1),
        account text not null references account,
        account_type text not null,
        currency text not null,
        amount bigint not null check (amount >= 0),
        approved_on date not null,
        credited bigint not null check (credited >= 0),
        changed_at timestamptz not null
    )
    """,
    "create index expense_claim_account on expense_claim (account)",
)


def upgrade() -> None:
    """Adds the columns and tables."""
    for statement in STATEMENTS:
        op.execute(statement)
