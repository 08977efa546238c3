"""Accounts, ledger, orders, payments, alerts."""

from alembic import op

from chassis import tables as chassis_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MONTHS_AHEAD = 12
HISTORY = ("journal_entry", "posting", "decision")

REFERENCE = (
    """
    create table organisation (
        organisation text primary key,
        version bigint not null check (version >= 1),
        name text not null,
        organisation_type text not null,
        parent text,
        time_zone text not null,
        active boolean not null
    )
    """,
    """
    create table account (
        account text primary key,
        version bigint not null check (version >= 1),
        name text not null,
        customer text not null,
        settlement_organisation text not null,
        active boolean not null,
        last_entry_number bigint not null default 0 check (last_entry_number >= 0),
        last_posted_at timestamptz
    ) with (fillfactor = 70)
    """,
    """
    create table user_right (
        right_id text primary key,
        version bigint not null check (version >= 1),
        user_id text not null,
        account text not null,
        right_name text not null,
        active boolean not null
    )
    """,
    "create index user_right_account on user_right (account, user_id) where active",
    """
    create table relationship (
        relationship_id text primary key,
        version bigint not null check (version >= 1),
        kind text not null,
        management_account text not null,
        member_account text not null,
        state text not null,
        permissions text[] not null,
        display_name text not null,
        invoice_status text not null
    )
    """,
    "create index relationship_member on relationship (member_account)",
    "create index relationship_management on relationship (management_account)",
    """
    create table deduction_order_version (
        version bigint generated always as identity primary key,
        settlement_organisation text not null,
        customer text not null,
        account_types text[],
        changed_by text not null,
        changed_at timestamptz not null
    )
    """,
    """
    create index deduction_order_version_place on deduction_order_version
        (settlement_organisation, customer, version)
    """,
    """
    create table deduction_order (
        settlement_organisation text not null,
        customer text not null,
        version bigint not null references deduction_order_version,
        account_types text[],
        primary key (settlement_organisation, customer)
    )
    """,
)

LEDGER = (
    """
    create table fund_account (
        account text not null references account,
        account_type text not null,
        currency text not null,
        balance bigint not null default 0,
        line bigint not null default 0 check (line >= 0),
        valid_from date,
        valid_until date,
        opened_at timestamptz not null,
        primary key (account, account_type, currency),
        constraint fund_account_within_line check (balance + line >= 0),
        check (valid_from is null or valid_until is null or valid_from <= valid_until)
    ) with (fillfactor = 70)
    """,
    """
    create table journal_entry (
        account text not null,
        entry_number bigint not null,
        posted_at timestamptz not null,
        effective_date date not null,
        document_type text not null,
        document_source text not null,
        document_id text not null,
        document_number integer not null,
        primary key (account, entry_number, posted_at)
    ) partition by range (posted_at)
    """,
    """
    create table posting (
        account text not null,
        account_type text not null,
        currency text not null,
        bucket text not null check (bucket in ('balance', 'line', 'internal')),
        entry_number bigint not null,
        posted_at timestamptz not null,
        amount bigint not null,
        after bigint,
        primary key (account, account_type, currency, bucket, posted_at, entry_number)
    ) partition by range (posted_at)
    """,
    """
    create table order_state (
        source text not null,
        order_id text not null,
        account text not null,
        status text not null default 'new'
            check (status in ('new', 'accepted', 'declined', 'pending-approval', 'cancelled')),
        check_number bigint not null default 0,
        order_revision integer not null default 0,
        currency text,
        customer text,
        business_organisation text,
        settlement_organisation text,
        payment_method text,
        total bigint not null default 0 check (total >= 0),
        due_date date,
        paid bigint not null default 0,
        refunded bigint not null default 0,
        payments bytea,
        fingerprints bytea not null default '',
        parked bytea,
        changed_at timestamptz,
        primary key (source, order_id),
        constraint order_state_refunds_within_payments check (refunded between 0 and paid)
    ) with (fillfactor = 60)
    """,
    """
    create table decision (
        source text not null,
        order_id text not null,
        check_number bigint not null,
        decided_at timestamptz not null,
        account text not null,
        outcome text not null,
        entry_number bigint,
        body bytea not null,
        primary key (source, order_id, check_number, decided_at)
    ) partition by range (decided_at)
    """,
    """
    create table payment (
        payment_id text primary key,
        payer text not null,
        account text,
        account_type text not null,
        currency text not null,
        amount bigint not null check (amount > 0),
        instrument text not null,
        received_on date not null,
        reference text,
        status text not null check (status in ('new', 'posted', 'unmatched')),
        reason text,
        entry_number bigint,
        recorded_at timestamptz not null
    ) with (fillfactor = 70)
    """,
    "create index payment_unmatched on payment (recorded_at, payment_id) where status = 'unmatched'",
)

ALERTS_AND_OPENING = (
    """
    create table quota_alert (
        account text not null references account,
        currency text not null,
        threshold bigint not null check (threshold >= 0),
        enabled boolean not null,
        margin bigint not null check (margin >= 0),
        margin_basis_points integer not null check (margin_basis_points >= 0),
        changed_by text not null,
        changed_at timestamptz not null,
        primary key (account, currency)
    )
    """,
    """
    create table quota_episode (
        account text not null,
        currency text not null,
        episode_id uuid not null,
        opened_at timestamptz not null,
        reminder_number integer not null check (reminder_number between 0 and 5),
        ended_at timestamptz,
        ending text check (ending in ('resolved', 'disabled')),
        primary key (account, currency, episode_id),
        check ((ended_at is null) = (ending is null))
    )
    """,
    """
    create table quota_notice (
        account text not null,
        currency text not null,
        episode_id uuid not null,
        kind text not null check (kind in ('opened', 'reminder', 'resolved', 'superseded')),
        reminder_number integer not null check (reminder_number between 0 and 5),
        quota bigint not null,
        threshold bigint not null,
        occurred_at timestamptz not null,
        primary key (account, currency, episode_id, kind, reminder_number)
    )
    """,
    "create unique index quota_episode_open on quota_episode (account, currency) where ended_at is null",
    """
    create table opening_import (
        import_id uuid primary key,
        status text not null check (status in ('draft', 'posted', 'rejected')),
        made_by text not null,
        made_at timestamptz not null,
        decided_by text,
        decided_at timestamptz,
        row_count integer not null check (row_count > 0),
        rows bytea not null,
        results bytea,
        constraint opening_import_by_another_person check (status <> 'posted' or decided_by <> made_by)
    )
    """,
    "create index opening_import_made_at on opening_import (made_at, import_id)",
    """
    create table opening_balance (
        account text not null,
        account_type text not null,
        currency text not null,
        import_id uuid not null references opening_import,
        row_number integer not null,
        entry_number bigint not null,
        primary key (account, account_type, currency)
    )
    """,
)

APPEND_ONLY = """
    create function refuse_change() returns trigger language plpgsql as $$
    begin
        raise exception '% is append-only: a correction is a new row', tg_table_name;
    end $$
"""

CREATE_MONTHS = """
    create function create_months(months_ahead integer) returns integer
    language plpgsql security definer set search_path = public, pg_temp as $$
    declare
        parent text;
        month date;
        part text;
        made integer := 0;
    begin
        foreach parent in array array['journal_entry', 'posting', 'decision'] loop
            for ahead in 0 .. least(months_ahead, 60) loop
                month := date_trunc('month', now() at time zone 'UTC') + make_interval(months => ahead);
                part := parent || to_char(month, '"_"YYYY_MM');
                continue when to_regclass(part) is not null;
                begin
                    execute format(
                        'create table %I partition of %I for values from (%L) to (%L)', part, parent,
                        to_char(month, 'YYYY-MM-DD"T"00:00:00"Z"'),
                        to_char(month + interval '1 month', 'YYYY-MM-DD"T"00:00:00"Z"'));
                    made := made + 1;
                exception
                    -- The default part holds rows of this month and keeps it, or another session was quicker.
                    when check_violation or duplicate_table then null;
                end;
            end loop;
        end loop;
        return made;
    end $$
"""


def upgrade() -> None:
    """Creates all tables; history is cut by month, with one more part for all other times."""
    chassis_tables.create(op)
    for statement in (*REFERENCE, *LEDGER, *ALERTS_AND_OPENING, APPEND_ONLY, CREATE_MONTHS):
        op.execute(statement)
    for table in HISTORY:
        op.execute(f"create table {table}_other partition of {table} default")
        op.execute(
            f"create trigger {table}_append_only before update or delete on {table} "
            "for each row execute function refuse_change()"
        )
    op.execute(f"select create_months({MONTHS_AHEAD})")
