"""What must hold in credit's database; each check returns the rows that break it."""

from typing import Final

from iso4217 import Currency

from chassis import Check

DECIMALS_USUAL: Final = 2

CHECKS: Final = (
    Check(
        "used-equals-history",
        "What a profile has used is the sum of its occupancy entries, which count without a gap.",
        """
        select p.profile_id, p.used_minor, p.entries, e.sum_minor, e.entries as entries_found, e.last_number
        from credit_profile p
        left join lateral (
            select coalesce(sum(change_minor), 0) as sum_minor, count(*) as entries,
                   coalesce(max(entry_number), 0) as last_number
            from occupancy_entry where profile_id = p.profile_id) e on true
        where p.used_minor <> e.sum_minor or p.entries <> e.entries or p.entries <> e.last_number
        """,
    ),
    Check(
        "entries-run-on",
        "Each occupancy entry continues from the one before it.",
        """
        select profile_id, entry_number, change_minor, used_after_minor, used_before_minor
        from (select profile_id, entry_number, change_minor, used_after_minor,
                     coalesce(lag(used_after_minor) over (partition by profile_id order by entry_number), 0)
                         as used_before_minor
              from occupancy_entry) e
        where used_after_minor <> used_before_minor + change_minor
        """,
    ),
    Check(
        "used-equals-live-orders",
        "What a profile has used is, over its orders, the largest of the settled and the undecided checks, and what "
        "documents occupy.",
        """
        select p.profile_id, p.used_minor, p.settled_minor, o.occupied_minor, o.settled_minor as settled_found
        from credit_profile p
        left join (
            select profile_id, sum(occupied_minor) as occupied_minor, sum(settled_minor) as settled_minor
            from (select profile_id, max(amount_minor) as occupied_minor,
                         coalesce(max(amount_minor) filter (where settled), 0) as settled_minor
                  from occupancy group by profile_id, source, order_id) each_order
            group by profile_id) o using (profile_id)
        left join (
            select profile_id, sum(amount_minor) as documents_minor
            from document_occupancy group by profile_id) d using (profile_id)
        where p.used_minor <> coalesce(o.occupied_minor, 0) + coalesce(d.documents_minor, 0)
           or p.settled_minor <> coalesce(o.settled_minor, 0) + coalesce(d.documents_minor, 0)
        """,
    ),
    Check(
        "occupancy-has-a-profile",
        "What is occupied is occupied in a profile that exists, at most once settled per order.",
        """
        select o.profile_id, o.source, o.order_id, count(*) filter (where o.settled) as settled
        from occupancy o left join credit_profile p using (profile_id)
        group by o.profile_id, o.source, o.order_id, p.profile_id
        having p.profile_id is null or count(*) filter (where o.settled) > 1
        """,
    ),
    Check(
        "no-stage-is-negative",
        "No document occupies less than nothing, but for the customer's credit and what a custom document takes.",
        """
        select * from document_occupancy
        where amount_minor < 0 and stage not in ('customer-credit', 'custom')
        """,
    ),
    Check(
        "above-limit-only-by-permit",
        "No check raised what is used above the limit but by a recorded warning, special approval or fact.",
        """
        select profile_id, entry_number, source, order_id, used_after_minor, limit_minor, permit
        from occupancy_entry
        where change_minor > 0 and used_after_minor > limit_minor
          and permit not in ('warned', 'waived', 'fact', 'recalculated')
        """,
    ),
    Check(
        "checks-without-gap",
        "The checks of an order are numbered from 1 without a gap.",
        """
        select source, order_id, o.checks, count(c.check_number) as found, max(c.check_number) as last_number
        from sales_order o left join credit_check c using (source, order_id)
        group by source, order_id
        having o.checks <> count(c.check_number) or o.checks <> coalesce(max(c.check_number), 0)
        """,
    ),
    Check(
        "one-answer-per-revision",
        "Every revision up to an order's last one has one answer, and so has each that was answered ahead.",
        """
        select source, order_id, o.last_revision, o.answered_ahead, count(c.order_revision) as answered
        from sales_order o left join credit_check c using (source, order_id)
        where c.digest is not null or c.source is null
        group by source, order_id
        having count(c.order_revision) <> o.last_revision + cardinality(o.answered_ahead)
            or count(c.order_revision) filter (
                where c.order_revision <= o.last_revision or c.order_revision = any(o.answered_ahead))
               <> count(c.order_revision)
        """,
    ),
    Check(
        "only-live-orders-occupy",
        "New, pending, declined and cancelled orders occupy nothing, an undecided or accepted one by its own check.",
        """
        select source, order_id, s.status, s.open_check, o.check_number, o.settled, o.amount_minor
        from occupancy o left join sales_order s using (source, order_id)
        where s.status is null
           or s.status not in ('undecided', 'accepted', 'closed')
           or (not o.settled and s.open_check is distinct from o.check_number)
        """,
    ),
    Check(
        "pending-orders-are-listed",
        "An order waits for special approval exactly when the list of pending orders says so.",
        """
        select source, order_id, s.status, s.open_check, p.check_number
        from (select * from sales_order where status = 'pending') s
        full join (select * from pending_order where state = 'pending') p using (source, order_id)
        where s.open_check is distinct from p.check_number
        """,
    ),
    Check(
        "waits-have-timers",
        "Whatever waits for approval or for an earlier revision has a timer that ends the wait.",
        """
        select kind, source, order_id, number
        from (select 'pending' as kind, source, order_id, check_number as number from pending_order
              where state = 'pending'
              union all
              select 'parked', source, order_id, order_revision from parked_revision) w
        where not exists (
            select from timer t where t.kind = 'order-wait'
            and t.key = concat_ws(' ', w.kind, w.source, w.order_id, w.number))
        """,
    ),
    Check(
        "pending-documents-have-timers",
        "Whatever document waits for special approval has a timer that ends the wait.",
        """
        select document_type, source, document_id, number from pending_document p
        where state = 'pending' and not exists (
            select from timer t where t.kind = 'document-wait'
            and t.key = concat_ws(' ', p.document_type, p.source, p.document_id, p.number))
        """,
    ),
    Check(
        "approvals-within-ceiling",
        "What one approver let pass in a day, a month, a quarter or a year is within the widest ceiling he ever had.",
        """
        select approver, currency, day, used
        from (select approver, currency, given_on as day, sum(amount_minor) as used
              from approval_grant where returned_at is null group by approver, currency, given_on) g
        where used > (select coalesce(max(ceiling_minor), 0) from approval_right_version v
                      where v.approver = g.approver and v.currency = g.currency)
        """,
    ),
    Check(
        "parked-revisions-are-listed",
        "The parked revisions of an order are those that its row names, and none is answered yet.",
        """
        select source, order_id, o.parked, p.revisions
        from sales_order o
        full join (select source, order_id, array_agg(order_revision order by order_revision) as revisions
                   from parked_revision group by source, order_id) p using (source, order_id)
        where coalesce(o.parked, '{}') <> coalesce(p.revisions, '{}')
           or exists (select from unnest(p.revisions) r where r <= o.last_revision or r = any(o.answered_ahead))
        """,
    ),
    Check(
        "decisions-follow-checks",
        "fund-pool decides checks that exist, and accepts only what credit let pass.",
        """
        select source, order_id, d.check_number, d.outcome, c.outcome as check_outcome, c.operation
        from check_decision d left join credit_check c using (source, order_id, check_number)
        where c.source is null
           or d.outcome in ('accepted', 'changed', 'audited', 'reopened')
              and not (c.operation in ('submit', 'change', 'audit', 'reopen', 'un-terminate')
                       and c.outcome in ('approved', 'warned', 'not-checked-yet'))
        """,
    ),
    Check(
        "decisions-arrive",
        "No check waits for fund-pool's decision for more than an hour.",
        """
        select o.source, o.order_id, o.open_check, c.checked_at
        from sales_order o join credit_check c
          on c.source = o.source and c.order_id = o.order_id and c.check_number = o.open_check
        where o.status = 'undecided' and c.checked_at < clock_timestamp() - interval '1 hour'
        """,
    ),
    Check(
        "limits-have-history",
        "What a profile limits is its newest recorded version.",
        """
        select p.profile_id, p.version
        from credit_profile p left join credit_profile_version v using (profile_id, version)
        where (p.credit_limit_minor, p.credit_limit_unlimited, p.credit_limit_enforcement,
               p.single_document_limit_minor, p.single_document_limit_unlimited,
               p.single_document_limit_enforcement)
              is distinct from
              (v.credit_limit_minor, v.credit_limit_unlimited, v.credit_limit_enforcement,
               v.single_document_limit_minor, v.single_document_limit_unlimited,
               v.single_document_limit_enforcement)
        """,
    ),
)

DECIMALS: Final = ", ".join(
    f"('{currency.code}', {currency.exponent})"
    for currency in Currency
    if currency.exponent is not None and currency.exponent != DECIMALS_USUAL
)

FACTS: Final = {
    "accepted-orders": f"""
        select source, order_id, currency,
               cast(cast(total as numeric) * power(10.0, coalesce(d.decimals, {DECIMALS_USUAL})) as bigint)
        from (
            select o.source, o.order_id, b.body ->> 'currency' as currency, b.body #>> '{{total,amount}}' as total
            from sales_order o
            join credit_check c on c.source = o.source and c.order_id = o.order_id and c.check_number = o.order_check
            cross join lateral (select cast(convert_from(c.body, 'UTF8') as jsonb) as body) b
            where o.status = 'accepted'
              and not exists (select from credit_check r where r.source = o.source and r.order_id = o.order_id
                                and r.operation = 'return')) accepted
        left join (values {DECIMALS}) as d (currency, decimals) using (currency)
    """,
    "parked-events": "select source, order_id, order_revision from parked_revision",
}
"""What fund-pool states too, and which order events have no answer yet."""
