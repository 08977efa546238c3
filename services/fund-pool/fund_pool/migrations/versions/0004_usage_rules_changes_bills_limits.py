"""Usage rules; changes, holds and returns of orders; settlements, overdue spells, limits, common lines."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATEMENTS = (
    "alter table order_state add column details bytea",
    "alter table order_state drop constraint order_state_status_check",
    """
    alter table order_state add constraint order_state_status_check
        check (status in ('new', 'accepted', 'declined', 'pending-approval', 'cancelled', 'recalled', 'closed'))
    """,
    "create index order_state_waiting on order_state (account) where status = 'pending-approval'",
    "alter table decision add column sequel integer not null default 0 check (sequel >= 0)",
    "alter table decision drop constraint decision_pkey",
    "alter table decision add primary key (source, order_id, check_number, sequel, decided_at)",
    """
    create table usage_rule (
        version bigint generated always as identity primary key,
        business_organisation text not null,
        currency text not null,
        account_type text not null,
        purposes text[] not null,
        materials text[] not null,
        material_groups text[] not null,
        lead_time_days integer check (lead_time_days > 0),
        first_payment integer not null check (first_payment between 0 and 10000),
        hold_hours integer check (hold_hours > 0),
        valid_from date,
        valid_until date,
        made_by text not null,
        made_at timestamptz not null,
        retired_by text,
        retired_at timestamptz,
        check (valid_from is null or valid_until is null or valid_from <= valid_until)
    )
    """,
    "create index usage_rule_valid on usage_rule (business_organisation, currency) where retired_at is null",
    """
    create table common_line (
        member_account text not null references account,
        currency text not null,
        management_account text not null references account,
        set_by text not null,
        set_at timestamptz not null,
        primary key (member_account, currency),
        check (member_account <> management_account)
    )
    """,
    "create index common_line_management on common_line (management_account)",
    """
    create table bill_settlement (
        settlement_id text primary key,
        account text not null,
        item_id text not null,
        currency text not null,
        asked bigint not null check (asked > 0),
        paid_from text not null check (paid_from in ('account', 'outside')),
        settled_on date not null,
        status text not null check (status in ('waiting', 'settled')),
        settled bigint not null default 0 check (settled between 0 and asked),
        entry_number bigint,
        recorded_at timestamptz not null
    )
    """,
    "create index bill_settlement_item on bill_settlement (account, item_id)",
    "alter table quota_episode drop constraint quota_episode_ending_check",
    """
    alter table quota_episode add constraint quota_episode_ending_check
        check (ending in ('resolved', 'disabled', 'superseded'))
    """,
    """
    create table overdue_spell (
        account text not null,
        currency text not null,
        episode_id uuid not null,
        opened_at timestamptz not null,
        cleared_at timestamptz,
        supersedes uuid,
        primary key (account, currency, episode_id)
    )
    """,
    """
    create unique index overdue_spell_open on overdue_spell (account, currency) where cleared_at is null
    """,
    """
    create table member_limit (
        account text not null references account,
        currency text not null,
        limit_version integer not null check (limit_version >= 0),
        amount bigint not null check (amount >= 0),
        answer bytea,
        waiting bytea,
        primary key (account, currency)
    )
    """,
    "alter table relationship add column frozen_by text",
)


def upgrade() -> None:
    """Adds the columns and tables."""
    for statement in STATEMENTS:
        op.execute(statement)
