"""Own account types, settings and periods; holds, open items, transfer books, vouchers; the chain; documents."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MONTHS_AHEAD = 12
HISTORY = ("journal_entry", "posting", "decision", "hold_event")

LEDGER = (
    """
    alter table account
        add column chain_head bytea not null default decode(repeat('00', 32), 'hex')
            check (length(chain_head) = 32),
        add column extras boolean not null default false
    """,
    """
    alter table fund_account
        add column line_source text not null default 'documents'
            check (line_source in ('documents', 'member-limit'))
    """,
    """
    alter table journal_entry
        add column reverses bigint check (reverses < entry_number),
        add column moved_from date check (moved_from < effective_date),
        add column hash bytea check (length(hash) = 32)
    """,
    "alter table posting drop constraint posting_bucket_check",
    """
    alter table posting add constraint posting_bucket_check
        check (bucket in ('balance', 'line', 'voucher', 'internal'))
    """,
    "create index journal_entry_document on journal_entry (document_id, document_type, account)",
)

SETTINGS = (
    """
    create table account_type (
        settlement_organisation text not null,
        code text not null,
        name text not null,
        pays_orders boolean not null,
        takes_online_top_ups boolean not null,
        opens_on_first_use boolean not null,
        cash_like boolean not null,
        changed_by text not null,
        changed_at timestamptz not null,
        primary key (settlement_organisation, code)
    )
    """,
    """
    create table organisation_setting (
        settlement_organisation text primary key,
        account_payment boolean not null default true,
        online_top_ups_approved boolean not null default false,
        spending_order text not null default 'transferred-first'
            check (spending_order in ('transferred-first', 'own-first')),
        closed_through date,
        changed_by text not null,
        changed_at timestamptz not null
    )
    """,
    """
    create table allocation_approval (
        settlement_organisation text not null,
        currency text not null,
        above bigint not null check (above >= 0),
        changed_by text not null,
        changed_at timestamptz not null,
        primary key (settlement_organisation, currency)
    )
    """,
    """
    create table period_close (
        settlement_organisation text not null,
        closed_through date not null,
        closed_by text not null,
        closed_at timestamptz not null,
        primary key (settlement_organisation, closed_through)
    )
    """,
)

SET_ASIDE = (
    """
    create table hold (
        account text not null references account,
        hold_id text not null,
        kind text not null check (kind in ('order', 'withdrawal')),
        account_type text not null,
        currency text not null,
        voucher_id text,
        placed bigint not null check (placed > 0),
        captured bigint not null default 0 check (captured >= 0),
        released bigint not null default 0 check (released >= 0),
        placed_at timestamptz not null,
        expires_at timestamptz,
        primary key (account, hold_id),
        constraint hold_within_placed check (captured + released <= placed)
    ) with (fillfactor = 70)
    """,
    "create index hold_open on hold (account) where captured + released < placed",
    """
    create index hold_open_voucher on hold (voucher_id)
        where voucher_id is not null and captured + released < placed
    """,
    """
    create table hold_event (
        account text not null,
        hold_id text not null,
        at timestamptz not null,
        number bigint not null,
        change text not null check (change in ('placed', 'captured', 'released', 'expired')),
        amount bigint not null check (amount > 0),
        entry_number bigint,
        primary key (account, hold_id, at, number)
    ) partition by range (at)
    """,
    """
    create table open_item (
        account text not null references account,
        item_id text not null,
        kind text not null
            check (kind in ('bill', 'negative-bill', 'credit-refund', 'reversal-debt', 'acceptance')),
        currency text not null,
        amount bigint not null check (amount >= 0),
        settled bigint not null default 0,
        overdraft_billed bigint not null default 0,
        overdraft_settled bigint not null default 0,
        issued_on date not null,
        due_on date not null,
        recorded_at timestamptz not null,
        primary key (account, item_id),
        constraint open_item_settled_within_amount check (settled between 0 and amount),
        constraint open_item_overdraft_within_bill check (
            overdraft_settled between 0 and overdraft_billed and overdraft_billed <= amount
            and overdraft_settled <= settled)
    ) with (fillfactor = 70)
    """,
    "create index open_item_open on open_item (account) where settled < amount",
    """
    create table transfer_book (
        account text not null references account,
        currency text not null,
        giver text not null,
        given bigint not null check (given >= 0),
        taken_back bigint not null default 0 check (taken_back >= 0),
        spent bigint not null default 0 check (spent >= 0),
        opened_at timestamptz not null,
        primary key (account, currency, giver),
        constraint transfer_book_within_given check (taken_back + spent <= given)
    ) with (fillfactor = 70)
    """,
)

VOUCHERS = (
    """
    create table voucher_pool (
        pool_id text primary key,
        account text not null references account,
        currency text not null,
        amount bigint not null check (amount > 0),
        made bigint not null default 0,
        expired bigint not null default 0 check (expired >= 0),
        valid_from date,
        valid_until date,
        materials text[] not null,
        material_groups text[] not null,
        granted_by text not null,
        granted_at timestamptz not null,
        constraint voucher_pool_not_passed check (made between 0 and amount)
    )
    """,
    """
    create table voucher (
        voucher_id text primary key,
        kind text not null check (kind in ('voucher', 'coupon', 'card')),
        owner text not null references account,
        pool_id text references voucher_pool,
        currency text not null,
        amount bigint not null check (amount > 0),
        remaining bigint not null,
        valid_from date,
        valid_until date,
        issued_on date not null,
        materials text[] not null,
        material_groups text[] not null,
        minimum_order bigint not null default 0 check (minimum_order >= 0),
        made_by text not null,
        made_at timestamptz not null,
        constraint voucher_within_amount check (remaining between 0 and amount)
    ) with (fillfactor = 70)
    """,
    """
    create table voucher_member (
        account text not null references account,
        voucher_id text not null references voucher,
        primary key (account, voucher_id)
    )
    """,
    "create index voucher_member_voucher on voucher_member (voucher_id)",
)

DOCUMENTS = (
    """
    create table document (
        document_type text not null,
        document_id text not null,
        revision integer not null default 1 check (revision >= 1),
        account text not null references account,
        currency text not null,
        amount bigint not null check (amount > 0),
        account_type text not null,
        to_account_type text,
        effective_date date,
        reason text,
        payee text,
        reverses_type text,
        reverses_id text,
        status text not null
            check (status in ('draft', 'submitted', 'approved', 'posted', 'rejected', 'withdrawn', 'failed')),
        version integer not null default 1,
        made_by text not null,
        made_at timestamptz not null,
        submitted_at timestamptz,
        decided_by text,
        decided_at timestamptz,
        decision_reason text,
        payment_id text,
        entry_number bigint,
        reversed_by bigint,
        primary key (document_type, document_id),
        constraint document_approved_by_another check (decided_by is null or decided_by <> made_by
            or status in ('rejected', 'withdrawn') or decided_by = '')
    ) with (fillfactor = 70)
    """,
    "create index document_account on document (account, made_at, document_type, document_id)",
    "create index document_status on document (status, made_at, document_type, document_id)",
    """
    create table allocation_record (
        record_id uuid not null,
        recorded_at timestamptz not null,
        method text not null check (method in ('funds', 'credit-limit', 'voucher')),
        operation text not null check (operation in ('allocate', 'reclaim', 'set')),
        management_account text not null,
        member_account text not null,
        currency text not null,
        amount bigint not null,
        result text not null check (result in ('succeeded', 'refused')),
        reason_code text,
        reason text,
        batch_id uuid,
        voucher_id text,
        entry_number bigint,
        remark text,
        requested_by text not null,
        requested_at timestamptz not null,
        primary key (record_id)
    )
    """,
    """
    create index allocation_record_management on allocation_record
        (management_account, recorded_at, record_id)
    """,
    "create index allocation_record_member on allocation_record (member_account, recorded_at, record_id)",
    """
    create table allocation_request (
        request_id uuid primary key,
        status text not null check (status in ('previewed', 'submitted', 'posted', 'rejected')),
        operation text not null check (operation in ('allocate', 'reclaim')),
        management_account text not null references account,
        rows bytea not null,
        row_count integer not null check (row_count > 0),
        remark text,
        made_by text not null,
        made_at timestamptz not null,
        decided_by text,
        decided_at timestamptz,
        constraint allocation_request_by_another check (status <> 'posted' or decided_by is null
            or decided_by <> made_by)
    )
    """,
    "create index allocation_request_made on allocation_request (made_at, request_id)",
)

CREATE_MONTHS = """
    create or replace function create_months(months_ahead integer) returns integer
    language plpgsql security definer set search_path = public, pg_temp as $$
    declare
        parent text;
        month date;
        part text;
        made integer := 0;
    begin
        foreach parent in array array['journal_entry', 'posting', 'decision', 'hold_event'] loop
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
    """Creates the tables; what holds history is cut by month like the rest."""
    for statement in (*LEDGER, *SETTINGS, *SET_ASIDE, *VOUCHERS, *DOCUMENTS, CREATE_MONTHS):
        op.execute(statement)
    op.execute("create table hold_event_other partition of hold_event default")
    op.execute(
        "create trigger hold_event_append_only before update or delete on hold_event "
        "for each row execute function refuse_change()"
    )
    op.execute(f"select create_months({MONTHS_AHEAD})")
