"""The tables: what the pool holds, what the position accounts hold, and the history of both."""

from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    Date,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

METADATA: Final = MetaData()

master_record = Table(
    "master_record",
    METADATA,
    Column("kind", Text, primary_key=True),
    Column("record_id", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("parent", Text),
    Column("direction", Text),
    Column("dimension", Text),
    Column("active", Boolean, nullable=False),
    CheckConstraint("kind in ('organisation', 'plan-item', 'dimension-member')"),
    CheckConstraint("(kind = 'dimension-member') = (dimension is not null)"),
)

organisation = Table(
    "organisation",
    METADATA,
    Column("organisation_id", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("active", Boolean, nullable=False),
)

pool_item = Table(
    "pool_item",
    METADATA,
    Column("document_type", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("document_id", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("direction", Text, nullable=False),
    Column("entity", Text),
    Column("currency", Text),
    Column("counterparty", Text),
    Column("account", Text, nullable=False),
    Column("due_date", Date, nullable=False),
    Column("document_minor", BigInteger, nullable=False),
    Column("settled_minor", BigInteger, nullable=False),
    Column("covered_minor", BigInteger, nullable=False),
    Column("item", Text),
    Column("attributes", LargeBinary, nullable=False),
    Column("step", Integer, nullable=False),
    Column(
        "amount_minor",
        BigInteger,
        Computed("document_minor - settled_minor - covered_minor", persisted=True),
        nullable=False,
    ),
    Column(
        "is_closed",
        Boolean,
        Computed("document_minor = settled_minor + covered_minor", persisted=True),
        nullable=False,
    ),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Index("pool_item_place", "entity", "currency", "is_closed", "due_date"),
)

pool_item_history = Table(
    "pool_item_history",
    METADATA,
    Column("document_type", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("document_id", Text, primary_key=True),
    Column("step", Integer, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("direction", Text, nullable=False),
    Column("entity", Text),
    Column("currency", Text),
    Column("counterparty", Text),
    Column("account", Text, nullable=False),
    Column("due_date", Date, nullable=False),
    Column("document_minor", BigInteger, nullable=False),
    Column("settled_minor", BigInteger, nullable=False),
    Column("covered_minor", BigInteger, nullable=False),
    Column(
        "amount_minor",
        BigInteger,
        Computed("document_minor - settled_minor - covered_minor", persisted=True),
        nullable=False,
    ),
    Column("operation", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("decided_at", DateTime(timezone=True), nullable=False),
    Column("recorded_at", DateTime(timezone=True), primary_key=True),
    postgresql_partition_by="RANGE (recorded_at)",
)

position_account = Table(
    "position_account",
    METADATA,
    Column("account_id", Text, primary_key=True),
    Column("entity", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("bank", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("minimum_minor", BigInteger, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("entries", Integer, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Index("position_account_place", "entity", "currency"),
)

position_balance = Table(
    "position_balance",
    METADATA,
    Column("account_id", ForeignKey("position_account.account_id"), primary_key=True),
    Column("entry_number", Integer, primary_key=True),
    Column("as_of", Date, nullable=False),
    Column("balance_minor", BigInteger, nullable=False),
    Column("told_at", DateTime(timezone=True), nullable=False),
    Column("entered_by", Text, nullable=False),
    Column("entered_at", DateTime(timezone=True), nullable=False),
    Index("position_balance_as_of", "account_id", "as_of", "entry_number"),
)


def _slot_columns() -> list[Column[Any]]:
    """The place of a plan cell, as the first columns of every table about cells."""
    names = ("system_id", "filing_type", "entity", "item", "period", "currency", "members", "fields")
    return [Column(name, Text, nullable=False) for name in names]


def _document_columns() -> list[Column[Any]]:
    return [Column(name, Text, nullable=False) for name in ("source", "document_type", "document_id")]


SLOT: Final = ("system_id", "filing_type", "entity", "item", "period", "currency", "members", "fields")
DOCUMENT: Final = ("source", "document_type", "document_id")

planning_system = Table(
    "planning_system",
    METADATA,
    Column("system_id", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
)

planning_part = Table(
    "planning_part",
    METADATA,
    Column("system_id", ForeignKey("planning_system.system_id"), primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
)

plan_round = Table(
    "plan_round",
    METADATA,
    Column("system_id", ForeignKey("planning_system.system_id"), primary_key=True),
    Column("round_id", Text, primary_key=True),
    Column("filing_type", Text, nullable=False),
    Column("head", Text, nullable=False),
    Column("first_day", Date, nullable=False),
    Column("last_day", Date, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("opened_by", Text, nullable=False),
    Column("opened_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("system_id", "filing_type", "first_day"),
)

filing = Table(
    "filing",
    METADATA,
    Column("filing_id", Text, primary_key=True),
    Column("system_id", Text, nullable=False),
    Column("round_id", Text, nullable=False),
    Column("filing_type", Text, nullable=False),
    Column("entity", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("course", LargeBinary, nullable=False),
    Column("version", Integer, nullable=False),
    Column("extended_to", DateTime(timezone=True)),
    Column("notices", Integer, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("system_id", "round_id", "entity"),
    ForeignKeyConstraint(["system_id", "round_id"], ["plan_round.system_id", "plan_round.round_id"]),
    CheckConstraint("state in ('draft', 'submitted', 'approved', 'effective', 'sent-back')"),
)

filing_version = Table(
    "filing_version",
    METADATA,
    Column("filing_id", ForeignKey("filing.filing_id"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("is_submitted", Boolean, nullable=False),
    Column("saved_by", Text, nullable=False),
    Column("saved_at", DateTime(timezone=True), nullable=False),
)

filing_figures = Table(
    "filing_figures",
    METADATA,
    Column("filing_id", ForeignKey("filing.filing_id"), primary_key=True),
    Column("filed", LargeBinary, nullable=False),
    Column("approved", LargeBinary, nullable=False),
    Column("details", LargeBinary, nullable=False),
)

filing_step = Table(
    "filing_step",
    METADATA,
    Column("filing_id", ForeignKey("filing.filing_id"), primary_key=True),
    Column("step_number", Integer, primary_key=True),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("note", Text),
    Column("version", Integer, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
)

attachment = Table(
    "attachment",
    METADATA,
    Column("attachment_id", Text, primary_key=True),
    Column("filing_id", ForeignKey("filing.filing_id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("added_by", Text, nullable=False),
    Column("added_at", DateTime(timezone=True), nullable=False),
    Index("attachment_filing", "filing_id", "attachment_id"),
)

plan_entity = Table(
    "plan_entity",
    METADATA,
    Column("system_id", Text, primary_key=True),
    Column("entity", Text, primary_key=True),
)

plan_cell = Table(
    "plan_cell",
    METADATA,
    *_slot_columns(),
    Column("first_day", Date, nullable=False),
    Column("last_day", Date, nullable=False),
    Column("direction", Text, nullable=False),
    Column("is_planned", Boolean, nullable=False),
    Column("is_binding", Boolean, nullable=False),
    Column("round_id", Text),
    Column("filed_minor", BigInteger, nullable=False),
    Column("effective_minor", BigInteger, nullable=False),
    Column("adjusted_minor", BigInteger, nullable=False),
    Column("pre_occupied_minor", BigInteger, nullable=False),
    Column("actual_minor", BigInteger, nullable=False),
    PrimaryKeyConstraint(*SLOT),
    CheckConstraint("direction in ('in', 'out', 'none')"),
    CheckConstraint("pre_occupied_minor >= 0 and actual_minor >= 0"),
    Index("plan_cell_days", "system_id", "filing_type", "first_day", "entity"),
)

adjustment = Table(
    "adjustment",
    METADATA,
    Column("adjustment_id", Text, primary_key=True),
    Column("system_id", Text, nullable=False),
    Column("filing_type", Text, nullable=False),
    Column("entity", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("course", LargeBinary, nullable=False),
    Column("lines", LargeBinary, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Index("adjustment_entity", "system_id", "entity", "adjustment_id"),
)

roll_up = Table(
    "roll_up",
    METADATA,
    Column("system_id", Text, primary_key=True),
    Column("round_id", Text, primary_key=True),
    Column("node", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("course", LargeBinary, nullable=False),
    Column("demands", LargeBinary, nullable=False),
    Column("warnings", LargeBinary, nullable=False),
    Column("eliminated_at", DateTime(timezone=True)),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    ForeignKeyConstraint(["system_id", "round_id"], ["plan_round.system_id", "plan_round.round_id"]),
)

elimination = Table(
    "elimination",
    METADATA,
    Column("system_id", Text, primary_key=True),
    Column("round_id", Text, primary_key=True),
    Column("rule", Text, primary_key=True),
    Column("payer", Text, primary_key=True),
    Column("receiver", Text, primary_key=True),
    Column("agreed", Text, primary_key=True),
    Column("node", Text),
    Column("period", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("out_item", Text, nullable=False),
    Column("in_item", Text, nullable=False),
    Column("out_minor", BigInteger, nullable=False),
    Column("in_minor", BigInteger, nullable=False),
    Column("eliminated_minor", BigInteger, nullable=False),
    Column("run_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("eliminated_minor between 0 and least(out_minor, in_minor)"),
)

control_document = Table(
    "control_document",
    METADATA,
    *_document_columns(),
    Column("revision", Integer, nullable=False),
    Column("state", LargeBinary, nullable=False),
    Column("confirmed_state", LargeBinary),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Column("parked", Integer, nullable=False),
    PrimaryKeyConstraint(*DOCUMENT),
    CheckConstraint("parked between 0 and 64"),
)

parked_document = Table(
    "parked_document",
    METADATA,
    *_document_columns(),
    Column("revision", Integer, nullable=False),
    Column("operation", Text, nullable=False),
    Column("stance", Text, nullable=False),
    Column("sequence", BigInteger, Identity(always=True), nullable=False),
    Column("posted", LargeBinary, nullable=False),
    Column("event_source", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("correlation_id", Text, nullable=False),
    Column("traceparent", Text),
    Column("parked_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint(*DOCUMENT, "revision", "operation", "stance"),
)

control_holding = Table(
    "control_holding",
    METADATA,
    *_document_columns(),
    *_slot_columns(),
    Column("day", Date, nullable=False),
    Column("pre_occupied_minor", BigInteger, nullable=False),
    Column("actual_minor", BigInteger, nullable=False),
    PrimaryKeyConstraint(*DOCUMENT, *SLOT),
    CheckConstraint("pre_occupied_minor >= 0 and actual_minor >= 0"),
    Index("control_holding_slot", *SLOT),
)

occupancy_entry = Table(
    "occupancy_entry",
    METADATA,
    Column("entry_id", BigInteger, Identity(always=True), primary_key=True),
    Column("recorded_at", DateTime(timezone=True), primary_key=True),
    *_document_columns(),
    *_slot_columns(),
    Column("revision", Integer, nullable=False),
    Column("operation", Text, nullable=False),
    Column("stance", Text, nullable=False),
    Column("pre_occupied_minor", BigInteger, nullable=False),
    Column("actual_minor", BigInteger, nullable=False),
    Index("occupancy_entry_slot", *SLOT, "entry_id"),
    Index("occupancy_entry_document", *DOCUMENT, "entry_id"),
    postgresql_partition_by="RANGE (recorded_at)",
)

plan_check = Table(
    "plan_check",
    METADATA,
    *_document_columns(),
    Column("revision", Integer, nullable=False),
    Column("operation", Text, nullable=False),
    Column("stance", Text, nullable=False),
    Column("check_id", Text, nullable=False),
    Column("entity", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("approval_id", Text),
    Column("body", LargeBinary, nullable=False),
    Column("checked_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint(*DOCUMENT, "revision", "operation", "stance"),
    Index("plan_check_entity", "entity", "checked_at"),
)

special_approval = Table(
    "special_approval",
    METADATA,
    Column("approval_id", Text, primary_key=True),
    *_document_columns(),
    Column("revision", Integer, nullable=False),
    Column("operation", Text, nullable=False),
    Column("entity", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("posted", LargeBinary, nullable=False),
    Column("policies", ARRAY(Text), nullable=False),
    Column("systems", ARRAY(Text), nullable=False),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("decided_by", Text),
    Column("decided_at", DateTime(timezone=True)),
    Column("note", Text),
    CheckConstraint("state in ('waiting', 'approved', 'rejected', 'expired', 'withdrawn')"),
    Index("special_approval_state", "state", "approval_id"),
)

unmapped = Table(
    "unmapped",
    METADATA,
    Column("system_id", Text, nullable=False),
    *_document_columns(),
    Column("line_id", Text, nullable=False),
    Column("dimension", Text, nullable=False),
    Column("tried", Text, nullable=False),
    Column("seen_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint("system_id", *DOCUMENT, "line_id", "dimension"),
)

pool_document = Table(
    "pool_document",
    METADATA,
    Column("document_type", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("document_id", Text, primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("gross_minor", BigInteger, nullable=False),
    Column("is_alive", Boolean, nullable=False),
    Column("is_closed", Boolean, nullable=False),
    Column("is_linked", Boolean, nullable=False),
    Column("first_on", Date, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
)

pool_link = Table(
    "pool_link",
    METADATA,
    Column("document_type", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("document_id", Text, primary_key=True),
    Column("upstream_type", Text, primary_key=True),
    Column("upstream_source", Text, primary_key=True),
    Column("upstream_id", Text, primary_key=True),
    Column("amount_minor", BigInteger, nullable=False),
    Index("pool_link_upstream", "upstream_type", "upstream_source", "upstream_id"),
)

pool_source = Table(
    "pool_source",
    METADATA,
    Column("document_type", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("document_id", Text, primary_key=True),
    *[Column(name, Text, primary_key=True) for name in SLOT],
    Column("amount_minor", BigInteger, nullable=False),
    Column("round_id", Text, nullable=False),
)

pool_setting = Table(
    "pool_setting",
    METADATA,
    Column("kind", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
)

recurring_item = Table(
    "recurring_item",
    METADATA,
    Column("recurring_id", Text, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("generated_to", Date, nullable=False),
    Column("changed_by", Text, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
)

approval_batch = Table(
    "approval_batch",
    METADATA,
    Column("batch_id", Text, primary_key=True),
    Column("system_id", Text, nullable=False),
    Column("entity", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("course", LargeBinary, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Index("approval_batch_entity", "system_id", "entity", "batch_id"),
)

approval_batch_item = Table(
    "approval_batch_item",
    METADATA,
    Column("batch_id", ForeignKey("approval_batch.batch_id"), primary_key=True),
    Column("document_type", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("document_id", Text, primary_key=True),
    Column("requested_minor", BigInteger, nullable=False),
    Column("approved_minor", BigInteger, nullable=False),
    CheckConstraint("approved_minor between 0 and requested_minor"),
)

deviation_reason = Table(
    "deviation_reason",
    METADATA,
    *_slot_columns(),
    Column("reason", Text, nullable=False),
    Column("measures", Text),
    Column("given_by", Text, nullable=False),
    Column("given_at", DateTime(timezone=True), nullable=False),
    PrimaryKeyConstraint(*SLOT),
)

gap_episode = Table(
    "gap_episode",
    METADATA,
    Column("system_id", Text, primary_key=True),
    Column("entity", Text, primary_key=True),
    Column("currency", Text, primary_key=True),
    Column("episode_id", Text, nullable=False),
    Column("notice_number", BigInteger, nullable=False),
    Column("gap_minor", BigInteger, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
)

task = Table(
    "task",
    METADATA,
    Column("task_id", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("assignee", Text, nullable=False),
    Column("entity", Text, nullable=False),
    Column("document_type", Text, nullable=False),
    Column("document_id", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("message", Text),
    Column("due_at", DateTime(timezone=True)),
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Index("task_assignee", "assignee", "state", "task_id"),
    Index("task_document", "document_type", "document_id", "state"),
)

shortcut = Table(
    "shortcut",
    METADATA,
    Column("subject", Text, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("title", Text, nullable=False),
    Column("path", Text, nullable=False),
    CheckConstraint("position between 0 and 49"),
)
