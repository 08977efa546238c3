"""The chassis' own tables, created by each service's first migration."""

from typing import Any, Final

from sqlalchemy import text

DDL: Final = (
    """
    create table position (
        topic text not null,
        partition int not null,
        next_offset bigint not null check (next_offset >= 0),
        primary key (topic, partition)
    ) with (fillfactor = 50)
    """,
    """
    create table inbox (
        source text not null,
        id text not null,
        hash bytea not null,
        received_at timestamptz not null,
        primary key (source, id)
    )
    """,
    "create index inbox_received_at on inbox using brin (received_at)",
    """
    create table outbox (
        id bigint generated always as identity primary key,
        topic text not null,
        key bytea,
        headers bytea not null,
        body bytea storage external,
        created_at timestamptz not null default clock_timestamp()
    ) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, toast_tuple_target = 8160)
    """,
    """
    create table dead_letter (
        id uuid primary key,
        topic text not null,
        partition int not null,
        "offset" bigint not null,
        timestamp_ms bigint not null,
        key bytea,
        value bytea,
        headers bytea not null,
        reason text not null,
        detail text not null,
        attempts int not null check (attempts > 0),
        event_source text,
        event_id text,
        redrive_of uuid,
        recorded_at timestamptz not null default clock_timestamp(),
        redriven_at timestamptz,
        redriven_by text
    )
    """,
    "create index dead_letter_recorded_at on dead_letter (recorded_at, id)",
    """
    create table gap (
        id bigint generated always as identity primary key,
        topic text not null,
        partition int not null,
        kind text not null check (kind in ('log-begins-later', 'log-ends-earlier')),
        expected_offset bigint not null,
        log_begin bigint not null,
        log_end bigint not null,
        detected_at timestamptz not null default clock_timestamp(),
        accepted_at timestamptz,
        accepted_by text
    )
    """,
    "create unique index gap_open on gap (topic, partition) where accepted_at is null",
    """
    create table timer (
        kind text not null,
        key text not null,
        due_at timestamptz not null,
        correlation_id text not null,
        traceparent text,
        attempts int not null default 0,
        primary key (kind, key)
    )
    """,
    "create index timer_due_at on timer (due_at)",
    """
    create table idempotency (
        principal text not null,
        key text not null,
        request_hash bytea not null,
        status int,
        content_type text,
        body bytea,
        created_at timestamptz not null default clock_timestamp(),
        primary key (principal, key)
    )
    """,
    "create index idempotency_created_at on idempotency (created_at)",
)


def create(operations: Any) -> None:
    """Creates the chassis' tables; `operations` is Alembic's `op`."""
    for statement in DDL:
        operations.execute(text(statement))
