"""What must hold in the database at every committed point; each check returns the rows that offend."""

from typing import Final

from chassis import Check

CHECKS: Final = (
    Check(
        name="pool-item-equals-its-history",
        sentence="Every pool item is the newest step of its history.",
        sql="""
        select document_type, source, document_id, i.version as item_version, h.version as history_version,
               i.amount_minor as item_minor, h.amount_minor as history_minor
        from pool_item i
        full join (
            select distinct on (document_type, source, document_id) *
            from pool_item_history
            order by document_type, source, document_id, version desc
        ) h using (document_type, source, document_id)
        where (i.version, i.direction, i.entity, i.currency, i.counterparty, i.account, i.due_date,
               i.document_minor, i.settled_minor)
            is distinct from
              (h.version, h.direction, h.entity, h.currency, h.counterparty, h.account, h.due_date,
               h.document_minor, h.settled_minor)
        """,
    ),
    Check(
        name="pool-item-not-negative",
        sentence="No pool item is below zero or settles more than its document's amount.",
        sql="""
        select document_type, source, document_id, document_minor, settled_minor
        from pool_item
        where amount_minor < 0 or settled_minor < 0 or document_minor < 0
        """,
    ),
    Check(
        name="pool-item-once",
        sentence="A document has one pool item.",
        sql="""
        select document_type, source, document_id, count(*) as items
        from pool_item
        group by document_type, source, document_id
        having count(*) > 1
        """,
    ),
    Check(
        name="pool-item-step-once",
        sentence="Each version of a document is one step of its pool item's history.",
        sql="""
        select document_type, source, document_id, version, count(*) as steps
        from pool_item_history
        group by document_type, source, document_id, version
        having count(*) > 1
        """,
    ),
    Check(
        name="pool-item-has-a-place",
        sentence="Every open pool item belongs to an entity and a currency.",
        sql="""
        select document_type, source, document_id, entity, currency
        from pool_item
        where document_minor <> settled_minor and (entity is null or currency is null)
        """,
    ),
    Check(
        name="position-balance-entries-gapless",
        sentence="The balance entries of a position account are numbered from 1 without a gap.",
        sql="""
        select a.account_id, a.entries, count(b.entry_number) as found, max(b.entry_number) as highest
        from position_account a
        left join position_balance b using (account_id)
        group by a.account_id, a.entries
        having count(b.entry_number) <> a.entries or coalesce(max(b.entry_number), 0) <> a.entries
        """,
    ),
)

FACTS: Final = {
    "expected-receipts": """
        select source, document_id, currency, amount_minor, due_date
        from pool_item
        where document_type = 'order' and not is_closed
    """,
}
"""What fund-pool states too."""
