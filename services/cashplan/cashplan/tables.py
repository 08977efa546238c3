"""The tables: what the pool holds, what the position accounts hold, and the history of both."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Computed,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
)

METADATA: Final = MetaData()

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
    Column(
        "amount_minor", BigInteger, Computed("document_minor - settled_minor", persisted=True), nullable=False
    ),
    Column("is_closed", Boolean, Computed("document_minor = settled_minor", persisted=True), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Index("pool_item_place", "entity", "currency", "is_closed", "due_date"),
)

pool_item_history = Table(
    "pool_item_history",
    METADATA,
    Column("document_type", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("document_id", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("direction", Text, nullable=False),
    Column("entity", Text),
    Column("currency", Text),
    Column("counterparty", Text),
    Column("account", Text, nullable=False),
    Column("due_date", Date, nullable=False),
    Column("document_minor", BigInteger, nullable=False),
    Column("settled_minor", BigInteger, nullable=False),
    Column(
        "amount_minor", BigInteger, Computed("document_minor - settled_minor", persisted=True), nullable=False
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
    Column("entered_by", Text, nullable=False),
    Column("entered_at", DateTime(timezone=True), nullable=False),
    Index("position_balance_as_of", "account_id", "as_of", "entry_number"),
)
