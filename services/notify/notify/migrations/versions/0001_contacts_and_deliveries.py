"""Contacts, notices and deliveries."""

from alembic import op

from chassis import tables as chassis_tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

FIRST_YEAR = 2025
LAST_YEAR = 2044

DDL = (
    """
    create table account (
        account text primary key,
        name text,
        version integer not null check (version >= 0)
    )
    """,
    """
    create table relationship (
        relationship_id text primary key,
        relationship_version integer not null check (relationship_version >= 1),
        kind text not null,
        management_account text not null,
        member_account text not null,
        state text not null,
        may_view_finances boolean not null,
        changed_at timestamptz not null
    )
    """,
    "create index relationship_member on relationship (member_account)",
    """
    create table contact (
        account text not null references account,
        person text not null,
        name text not null,
        language text not null,
        time_zone text not null,
        security boolean not null,
        wants text[] not null,
        wants_of_members text[] not null default '{}',
        roles text[] not null default '{}',
        preferences jsonb not null default '{}',
        quiet_begins time,
        quiet_ends time,
        changed_at timestamptz not null,
        primary key (account, person)
    )
    """,
    "create unique index contact_security on contact (account) where security",
    "create index contact_person on contact (person)",
    """
    create table contact_address (
        account text not null,
        person text not null,
        channel text not null,
        address text not null,
        secret text,
        verified_at timestamptz,
        changed_at timestamptz not null,
        primary key (account, person, channel),
        foreign key (account, person) references contact on delete cascade
    )
    """,
    """
    create table verification (
        account text not null,
        id uuid not null,
        person text not null,
        channel text not null,
        address text not null,
        requested_at timestamptz not null,
        salt bytea,
        hash bytea,
        sent_at timestamptz,
        tries integer not null check (tries >= 0),
        link_hash bytea,
        verified_at timestamptz,
        primary key (account, id)
    )
    """,
    "create index verification_link on verification (link_hash) where link_hash is not null",
    "create index verification_contact on verification (account, person, channel, requested_at)",
    "create index verification_address on verification (address, requested_at)",
    "create index verification_requested_at on verification (requested_at)",
    """
    create table episode (
        account text not null,
        family text not null,
        currency text not null,
        episode_id text not null,
        step integer not null,
        ended_at timestamptz,
        acknowledged_at timestamptz,
        acknowledged_by text,
        changed_at timestamptz not null,
        primary key (account, family, currency, episode_id)
    )
    """,
    """
    create table notice (
        account text not null,
        id uuid not null,
        family text not null,
        kind text not null,
        business_key text not null,
        currency text,
        episode_id text,
        event_source text not null,
        event_id text not null,
        event_type text not null,
        data bytea not null,
        rule text,
        template text,
        reminder integer not null,
        about text,
        occurred_at timestamptz not null,
        expires_at timestamptz not null,
        received_at timestamptz not null,
        correlation_id text not null,
        traceparent text,
        primary key (account, id),
        constraint notice_business_key unique (account, business_key)
    )
    """,
    "create index notice_event on notice (event_id)",
    "create index notice_episode on notice (episode_id) where episode_id is not null",
    """
    create table delivery (
        account text not null,
        id uuid not null,
        notice_id uuid not null,
        kind text not null,
        recipient text not null,
        contact_place text not null,
        channel text not null,
        role text not null check (role in ('first', 'fallback', 'repeat', 'resend', 'escalation')),
        fallback text[] not null,
        state text not null check (state in ('accepted', 'held', 'sending', 'sent', 'delivered', 'undelivered',
                                             'failed', 'expired', 'suppressed', 'unknown')),
        reason text,
        attempts integer not null check (attempts >= 0),
        phase text check (phase in ('preparing', 'transmitting')),
        lease uuid,
        due_at timestamptz,
        expires_at timestamptz not null,
        cancel_reason text,
        repeat_of uuid,
        group_key text,
        carried_by uuid,
        steps integer not null check (steps >= 1),
        created_at timestamptz not null,
        ended_at timestamptz,
        status_event_id text,
        primary key (account, id),
        foreign key (account, notice_id) references notice,
        constraint delivery_once
            unique nulls not distinct (account, notice_id, contact_place, recipient, channel, repeat_of)
    ) with (fillfactor = 70)
    """,
    "create index delivery_due on delivery (channel, due_at) where due_at is not null",
    "create index delivery_group on delivery (group_key) where group_key is not null and due_at is not null",
    "create index delivery_carried on delivery (carried_by) where carried_by is not null",
    "create index delivery_ended on delivery (ended_at) where ended_at is not null",
    "create index delivery_account_feed on delivery (account, created_at desc, id desc)",
    "create index delivery_feed on delivery (created_at desc, id desc)",
    "create index delivery_recipient on delivery (recipient, created_at desc, id desc)",
    """
    create table delivery_content (
        account text not null,
        delivery_id uuid not null,
        address text not null,
        name text not null,
        language text not null,
        time_zone text not null,
        report_token text not null,
        acknowledge_token text,
        body bytea,
        primary key (account, delivery_id),
        foreign key (account, delivery_id) references delivery,
        constraint delivery_report_token unique (report_token),
        constraint delivery_acknowledge_token unique (acknowledge_token)
    )
    """,
    """
    create table delivery_history (
        account text not null,
        delivery_id uuid not null,
        step integer not null check (step >= 1),
        at timestamptz not null,
        state text not null,
        reason text,
        attempt integer,
        phase text,
        verdict text,
        code integer,
        answer text,
        instance text,
        primary key (account, delivery_id, step, at)
    ) partition by range (at)
    """,
    "create table delivery_history_other partition of delivery_history default",
    """
    create table delivery_report (
        account text not null,
        delivery_id uuid not null,
        status integer not null,
        reply text not null,
        first_at timestamptz not null,
        last_at timestamptz not null,
        times integer not null check (times >= 1),
        primary key (account, delivery_id, status),
        foreign key (account, delivery_id) references delivery
    )
    """,
)


def upgrade() -> None:
    """Creates all tables; history is cut by year, and what lies outside the known years goes to one last part."""
    chassis_tables.create(op)
    for statement in DDL:
        op.execute(statement)
    for year in range(FIRST_YEAR, LAST_YEAR + 1):
        op.execute(
            f"create table delivery_history_{year} partition of delivery_history "
            f"for values from ('{year}-01-01T00:00:00Z') to ('{year + 1}-01-01T00:00:00Z')"
        )
