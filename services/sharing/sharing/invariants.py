"""What must hold in the database at every committed point; each check returns the rows that offend."""

from typing import Final

from chassis import Check

CHECKS: Final = (
    Check(
        name="relationship-versions-gapless",
        sentence="The changes of a relationship are numbered from 1 to its version without a gap.",
        sql="""
        select relationship_id, r.version, min(h.version) as first, max(h.version) as last, count(h.version) as found
        from relationship r
        full join relationship_history h using (relationship_id)
        group by relationship_id, r.version
        having r.version is null or min(h.version) is distinct from 1
            or max(h.version) is distinct from r.version or count(h.version) <> r.version
        """,
    ),
    Check(
        name="relationship-equals-its-history",
        sentence="Every relationship is the last change of its history.",
        sql="""
        select relationship_id, r.version
        from relationship r
        left join relationship_history h using (relationship_id, version)
        where (r.kind, r.management_account, r.member_account, r.state, r.offered, r.accepted, r.refused,
               r.display_name, r.invoice_status, r.changed_at, r.ending)
            is distinct from
              (h.kind, h.management_account, h.member_account, h.state, h.offered, h.accepted, h.refused,
               h.display_name, h.invoice_status, h.changed_at, h.ending)
        """,
    ),
    Check(
        name="relationship-live-once",
        sentence="A member has at most one live relationship of a kind.",
        sql="""
        select member_account, kind, count(*) as live
        from relationship
        where state in ('invited', 'active')
        group by member_account, kind
        having count(*) > 1
        """,
    ),
    Check(
        name="relationship-accepts-only-what-is-offered",
        sentence="A permission is accepted or refused only where it was offered, and never both.",
        sql="""
        select relationship_id, version, offered, accepted, refused
        from relationship_history
        where not (accepted <@ offered and refused <@ offered) or accepted && refused
        union all
        select relationship_id, version, offered, accepted, refused
        from relationship
        where not (accepted <@ offered and refused <@ offered) or accepted && refused
        """,
    ),
    Check(
        name="relationship-over-stays-over",
        sentence="Nothing follows the change that declined or ended a relationship, and time does not run backwards.",
        sql="""
        select e.relationship_id, e.version, e.state, l.version as later_version
        from relationship_history e
        join relationship_history l on l.relationship_id = e.relationship_id and l.version = e.version + 1
        where e.state in ('declined', 'ended') or l.changed_at < e.changed_at
        """,
    ),
    Check(
        name="end-request-named-by-its-relationship",
        sentence="A relationship names the open request to end it, and nothing else.",
        sql="""
        select r.relationship_id, r.ending, q.request_id
        from relationship r
        full join (select * from end_request where purpose = 'end' and outcome is null) q using (relationship_id)
        where r.ending is distinct from q.request_id
        """,
    ),
    Check(
        name="trusteeship-equals-its-relationship",
        sentence="An account stands under trusteeship exactly while such a relationship is active.",
        sql="""
        select t.management_account, t.account, r.relationship_id
        from (select * from trusteeship where ends_at is null) t
        full join (select * from relationship where kind = 'trusteeship' and state = 'active') r
            on r.management_account = t.management_account and r.member_account = t.account
        where t.account is null or r.relationship_id is null
        """,
    ),
    Check(
        name="sharing-with-trustees-only",
        sentence="Only trustees accept types and are in groups.",
        sql="""
        select s.management_account, s.account, s.starts_at
        from (select management_account, account, starts_at, ends_at from accepted_type
              union all
              select management_account, account, starts_at, ends_at from membership) s
        where not exists (
            select from trusteeship t
            where t.management_account = s.management_account and t.account = s.account
                and t.starts_at <= s.starts_at
                and (t.ends_at is null or (s.ends_at is not null and s.ends_at <= t.ends_at)))
        """,
    ),
    Check(
        name="sharing-facts-apart",
        sentence="Of one setting, one holds at a time; an account is in one group, a resource has one version.",
        sql="""
        with fact as (
            select 'trusteeship' as kind, account as a, null as b, starts_at, ends_at from trusteeship
            union all select 'shared-type', management_account, resource_type, starts_at, ends_at from shared_type
            union all select 'accepted-type ' || resource_type, management_account, account, starts_at, ends_at
                from accepted_type
            union all select 'membership', management_account, account, starts_at, ends_at from membership
            union all select 'binding', resource_id, group_id, starts_at, ends_at from binding
            union all select 'resource', resource_id, null, starts_at, ends_at from resource),
        following as (
            select *, lead(starts_at) over (partition by kind, a, b order by starts_at, ends_at) as next_start
            from fact where ends_at is null or ends_at > starts_at)
        select * from following where next_start is not null and (ends_at is null or ends_at > next_start)
        """,
    ),
    Check(
        name="sharing-hundred-accounts",
        sentence="At most 100 accounts may use a management account's resources of one type.",
        sql="""
        select management_account, resource_type, count(distinct account) as accounts
        from (select a.management_account, a.resource_type, a.account
              from accepted_type a
              join shared_type s on s.management_account = a.management_account
                  and s.resource_type = a.resource_type and s.ends_at is null
              where a.ends_at is null
              union all
              select m.management_account, r.resource_type, m.account
              from membership m
              join binding b on b.group_id = m.group_id and (b.ends_at is null or b.ends_at > clock_timestamp())
              join resource r on r.resource_id = b.resource_id and r.ends_at is null
              where m.ends_at is null) placed
        group by management_account, resource_type
        having count(distinct account) > 100
        """,
    ),
    Check(
        name="sharing-changes-gapless",
        sentence="The changes of what an account shares are numbered without a gap.",
        sql="""
        select s.management_account, s.change_number, count(c.change_number) as found
        from sharer s left join sharing_change c using (management_account)
        group by s.management_account, s.change_number
        having count(c.change_number) <> s.change_number
            or coalesce(max(c.change_number), 0) <> s.change_number
        """,
    ),
    Check(
        name="sharing-told-to-the-end",
        sentence="What is cut short is told on by a timer.",
        sql="""
        select s.management_account, s.told_until, s.told_part
        from sharer s
        where s.told_part is not null
            and not exists (select from timer t where t.kind = 'sharing-changed' and t.key = s.management_account)
        """,
    ),
    Check(
        name="invoicing-equals-its-history",
        sentence="An account's invoicing is the last of its versions, numbered without a gap.",
        sql="""
        select i.account, i.version, count(h.version) as found
        from invoicing i left join invoicing_history h using (account)
        group by i.account, i.version, i.body, i.copied_from
        having count(h.version) <> i.version
            or (i.version > 0 and not bool_or(
                h.version = i.version and h.body = i.body and h.copied_from is not distinct from i.copied_from))
        """,
    ),
    Check(
        name="invoicing-copied-where-allowed",
        sentence="Invoicing is copied only as long as the member lets its management account manage it, by one link.",
        sql="""
        select i.account, i.copied_from
        from invoicing i
        left join relationship r using (relationship_id)
        where i.copied_from is not null
            and (r.state is distinct from 'active' or not 'manage-invoices' = any(r.accepted)
                or r.management_account <> i.copied_from or r.member_account <> i.account
                or exists (select from invoicing m where m.account = i.copied_from and m.copied_from is not null))
        """,
    ),
)

FACTS: Final = {"relationships": "select relationship_id, version, state from relationship"}
"""What fund-pool states too."""
