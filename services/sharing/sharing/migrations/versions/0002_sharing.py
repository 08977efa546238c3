"""Resources, what is shared with whom and when, questions before an end, invoicing."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SPAN = """
    starts_at timestamptz not null,
    ends_at timestamptz check (ends_at >= starts_at)
"""

DDL = (
    "create table resource_type (resource_type text primary key, name text not null, preset boolean not null)",
    """
    insert into resource_type (resource_type, name, preset) values
        ('reserved-instance', 'Reserved Instance', true),
        ('storage-capacity-unit', 'Storage Capacity Unit', true),
        ('savings-plan', 'Savings Plan', true),
        ('voucher', 'Voucher', true)
    """,
    f"""
    create table resource (
        resource_id text not null,
        version integer not null check (version >= 1),
        owner text not null,
        resource_type text not null references resource_type (resource_type),
        name text not null,
        valid_from timestamptz not null,
        valid_until timestamptz check (valid_until > valid_from),
        quantity numeric check (quantity >= 0),
        unit text,
        {SPAN},
        primary key (resource_id, starts_at)
    )
    """,
    "create unique index resource_known on resource (resource_id) where ends_at is null",
    "create index resource_owner on resource (owner, resource_id)",
    """
    create table sharer (
        management_account text primary key,
        told_until timestamptz not null,
        told_part integer check (told_part >= 0),
        change_number integer not null check (change_number >= 0)
    )
    """,
    f"""
    create table trusteeship (
        management_account text not null,
        account text not null,
        {SPAN},
        primary key (management_account, account, starts_at)
    )
    """,
    "create unique index trusteeship_now on trusteeship (account) where ends_at is null",
    "create index trusteeship_account on trusteeship (account)",
    f"""
    create table shared_type (
        management_account text not null,
        resource_type text not null references resource_type (resource_type),
        {SPAN},
        primary key (management_account, resource_type, starts_at)
    )
    """,
    f"""
    create table accepted_type (
        management_account text not null,
        account text not null,
        resource_type text not null references resource_type (resource_type),
        {SPAN},
        primary key (management_account, account, resource_type, starts_at)
    )
    """,
    """
    create table user_group (
        group_id text primary key,
        management_account text not null,
        name text not null,
        created_at timestamptz not null,
        dissolved_at timestamptz check (dissolved_at >= created_at)
    )
    """,
    """
    create unique index user_group_name on user_group (management_account, name)
        where dissolved_at is null
    """,
    f"""
    create table membership (
        management_account text not null,
        account text not null,
        group_id text not null references user_group (group_id),
        {SPAN},
        primary key (management_account, account, starts_at)
    )
    """,
    f"""
    create table binding (
        management_account text not null,
        resource_id text not null,
        group_id text not null references user_group (group_id),
        {SPAN},
        primary key (management_account, resource_id, group_id, starts_at)
    )
    """,
    "create index binding_group on binding (group_id, resource_id)",
    """
    create table sharing_change (
        management_account text not null,
        change_number integer not null check (change_number >= 1),
        changed_at timestamptz not null,
        side text not null check (side in ('management', 'member', 'administrator')),
        changed_by text not null,
        change jsonb not null,
        primary key (management_account, change_number)
    )
    """,
    "alter table relationship add column ending text",
    "alter table relationship_history add column ending text",
    "alter table relationship_history drop constraint relationship_history_step_check",
    """
    alter table relationship_history add constraint relationship_history_step_check
        check (step in ('invited', 'accepted', 'refused', 'declined', 'ended', 'renamed', 'end-requested',
                        'end-refused', 'end-withdrawn', 'end-timed-out', 'invoicing-changed'))
    """,
    """
    create table end_request (
        request_id text primary key,
        relationship_id text not null references relationship (relationship_id),
        purpose text not null check (purpose in ('preview', 'end')),
        relationship_version integer not null check (relationship_version >= 1),
        side text not null check (side in ('management', 'member', 'administrator')),
        requested_by text not null,
        requested_at timestamptz not null,
        answer_by timestamptz not null check (answer_by > requested_at),
        outcome text check (outcome in ('answered', 'ended', 'refused', 'withdrawn', 'timed-out')),
        decided_at timestamptz check ((decided_at is null) = (outcome is null))
    )
    """,
    """
    create unique index end_request_open on end_request (relationship_id, purpose)
        where outcome is null
    """,
    "create index end_request_relationship on end_request (relationship_id, request_id)",
    """
    create table end_answer (
        request_id text not null references end_request (request_id),
        answered_by text not null check (answered_by in ('fund-pool', 'credit')),
        outcome text not null check (outcome in ('agreed', 'refused')),
        body bytea not null,
        primary key (request_id, answered_by)
    )
    """,
    """
    create table invoicing (
        account text primary key,
        version integer not null check (version >= 0),
        body jsonb not null,
        copied_from text check (copied_from <> account),
        relationship_id text references relationship (relationship_id),
        check ((copied_from is null) = (relationship_id is null))
    )
    """,
    "create index invoicing_copied_from on invoicing (copied_from) where copied_from is not null",
    """
    create table invoicing_history (
        account text not null,
        version integer not null check (version >= 1),
        body jsonb not null,
        copied_from text,
        changed_at timestamptz not null,
        changed_by text not null,
        primary key (account, version)
    )
    """,
)


def upgrade() -> None:
    """Facts are rows that begin and end; only an end that is still to come is ever rewritten."""
    for statement in DDL:
        op.execute(statement)
