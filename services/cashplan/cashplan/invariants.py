"""What must hold in the database at every committed point; each check returns the rows that offend."""

from typing import Final

from chassis import Check

CHECKS: Final = (
    Check(
        name="pool-item-equals-its-history",
        sentence="Every pool item is the newest step of its history.",
        sql="""
        select document_type, source, document_id, i.step as item_step, h.step as history_step,
               i.amount_minor as item_minor, h.amount_minor as history_minor
        from pool_item i
        full join (
            select distinct on (document_type, source, document_id) *
            from pool_item_history
            order by document_type, source, document_id, step desc
        ) h using (document_type, source, document_id)
        where (i.step, i.version, i.direction, i.entity, i.currency, i.counterparty, i.account, i.due_date,
               i.document_minor, i.settled_minor, i.covered_minor)
            is distinct from
              (h.step, h.version, h.direction, h.entity, h.currency, h.counterparty, h.account, h.due_date,
               h.document_minor, h.settled_minor, h.covered_minor)
        """,
    ),
    Check(
        name="pool-item-not-negative",
        sentence="No pool item is below zero or settles more than its document's amount.",
        sql="""
        select document_type, source, document_id, document_minor, settled_minor, covered_minor
        from pool_item
        where amount_minor < 0 or settled_minor < 0 or document_minor < 0 or covered_minor < 0
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
        sentence="The steps of a pool item's history are numbered from 1 without a gap.",
        sql="""
        select document_type, source, document_id, count(*) as steps, max(step) as highest
        from pool_item_history
        group by document_type, source, document_id
        having count(*) <> max(step) or min(step) <> 1
        """,
    ),
    Check(
        name="pool-chain-brings-once",
        sentence="What an order and the documents that come from it still bring is never more than its unpaid part.",
        sql="""
        select o.document_type, o.source, o.document_id, o.document_minor - o.settled_minor as unpaid_minor,
               o.amount_minor + sum(least(i.amount_minor, l.amount_minor)) as open_minor
        from pool_item o
        join pool_link l on (l.upstream_type, l.upstream_source, l.upstream_id)
                          = (o.document_type, o.source, o.document_id)
        join pool_item i on (i.document_type, i.source, i.document_id)
                          = (l.document_type, l.source, l.document_id)
        where o.document_type = 'order'
          and not exists (select from pool_link other
                          where (other.document_type, other.source, other.document_id)
                              = (i.document_type, i.source, i.document_id)
                            and other.upstream_id <> o.document_id)
        group by o.document_type, o.source, o.document_id, o.document_minor, o.settled_minor, o.amount_minor
        having o.amount_minor + sum(least(i.amount_minor, l.amount_minor)) > o.document_minor - o.settled_minor
        """,
    ),
    Check(
        name="plan-cell-equals-holdings",
        sentence="What a plan cell has pre-occupied and actual is the sum of what documents hold of it.",
        sql="""
        select system_id, filing_type, entity, item, period, currency, members, fields,
               c.pre_occupied_minor, h.pre_occupied_minor as held_pre_occupied,
               c.actual_minor, h.actual_minor as held_actual
        from plan_cell c
        full join (
            select system_id, filing_type, entity, item, period, currency, members, fields,
                   sum(pre_occupied_minor) as pre_occupied_minor, sum(actual_minor) as actual_minor
            from control_holding
            group by system_id, filing_type, entity, item, period, currency, members, fields
        ) h using (system_id, filing_type, entity, item, period, currency, members, fields)
        where coalesce(c.pre_occupied_minor, 0) <> coalesce(h.pre_occupied_minor, 0)
           or coalesce(c.actual_minor, 0) <> coalesce(h.actual_minor, 0)
        """,
    ),
    Check(
        name="plan-cell-equals-execution-record",
        sentence="What a plan cell has pre-occupied and actual is the fold of the execution record.",
        sql="""
        select system_id, filing_type, entity, item, period, currency, members, fields,
               c.pre_occupied_minor, e.pre_occupied_minor as recorded_pre_occupied,
               c.actual_minor, e.actual_minor as recorded_actual
        from plan_cell c
        full join (
            select system_id, filing_type, entity, item, period, currency, members, fields,
                   sum(pre_occupied_minor) as pre_occupied_minor, sum(actual_minor) as actual_minor
            from occupancy_entry
            group by system_id, filing_type, entity, item, period, currency, members, fields
        ) e using (system_id, filing_type, entity, item, period, currency, members, fields)
        where coalesce(c.pre_occupied_minor, 0) <> coalesce(e.pre_occupied_minor, 0)
           or coalesce(c.actual_minor, 0) <> coalesce(e.actual_minor, 0)
        """,
    ),
    Check(
        name="parked-documents-are-counted",
        sentence="A document counts the operations that wait for an earlier one, and none of them has had its turn.",
        sql="""
        select source, document_type, document_id, d.parked, p.waiting, d.revision, p.lowest
        from control_document d
        full join (
            select source, document_type, document_id, count(*) as waiting, min(revision) as lowest
            from parked_document
            group by source, document_type, document_id
        ) p using (source, document_type, document_id)
        where coalesce(d.parked, 0) <> coalesce(p.waiting, 0) or p.lowest <= d.revision
        """,
    ),
    Check(
        name="effective-plan-has-its-filing",
        sentence="Every effective cell comes from a filing that is effective, and is adjusted from what was approved.",
        sql="""
        select c.system_id, c.round_id, c.entity, c.item, c.period, f.state
        from plan_cell c
        left join filing f using (system_id, round_id, entity)
        where c.is_planned and f.state is distinct from 'effective'
        """,
    ),
    Check(
        name="elimination-not-above-either-side",
        sentence="No pair is eliminated by more than the smaller of its two amounts, and only at a node.",
        sql="""
        select system_id, round_id, rule, payer, receiver, agreed, eliminated_minor
        from elimination
        where eliminated_minor > least(out_minor, in_minor) or (node is null and eliminated_minor <> 0)
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
        select source, document_id, currency, document_minor - settled_minor as amount_minor, due_date
        from pool_item
        where document_type = 'order' and document_minor > settled_minor
    """,
}
"""What fund-pool states too."""
