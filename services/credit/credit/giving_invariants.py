"""What must hold of what credit gives; each check returns the rows that break it."""

from typing import Final

from chassis import Check

CHECKS: Final = (
    Check(
        "members-within-enterprise",
        "What the members of an enterprise have is within its credit, and every limit belongs to one.",
        """
        select management_account, currency, e.limit_minor, m.committed
        from (select management_account, currency, sum(own_minor + allocated_minor) as committed
              from member_limit group by management_account, currency) m
        left join enterprise e using (management_account, currency)
        where m.committed > coalesce(e.limit_minor, 0)
        """,
    ),
    Check(
        "limits-equal-history",
        "A member's limit is what its newest successful change left, and its versions have no gap.",
        """
        select account, currency, m.limit_version, m.own_minor, m.allocated_minor, h.changes, l.own_minor as own_found
        from member_limit m
        left join (select account, currency, count(*) as changes, max(limit_version) as newest
                   from member_limit_change group by account, currency) h using (account, currency)
        left join lateral (
            select own_minor, allocated_minor from member_limit_change c
            where c.account = m.account and c.currency = m.currency and c.result = 'succeeded'
            order by limit_version desc limit 1) l on true
        where m.limit_version <> coalesce(h.changes, 0) or m.limit_version <> coalesce(h.newest, 0)
           or m.own_minor <> coalesce(l.own_minor, 0) or m.allocated_minor <> coalesce(l.allocated_minor, 0)
        """,
    ),
    Check(
        "one-limit-change-under-way",
        "A member's limit waits exactly when its newest change does.",
        """
        select account, currency, m.pending_version, c.limit_version
        from (select * from member_limit where pending_version is not null) m
        full join (select * from member_limit_change where result = 'pending') c using (account, currency)
        where m.pending_version is distinct from c.limit_version
        """,
    ),
    Check(
        "temporary-credit-is-approved",
        "Temporary credit comes from a document that another person has approved, and from each such document.",
        """
        select document_id, d.state, d.made_by, d.decided_by
        from temporary_credit t
        full join (select * from credit_document where kind = 'temporary-credit' and state = 'approved') d
             using (document_id)
        where t.document_id is null or d.document_id is null or d.made_by = d.decided_by
        """,
    ),
    Check(
        "grades-come-from-sheets",
        "A grade in force is that of an approved score sheet.",
        """
        select g.object_type, g.object_id, g.grade, s.state, s.grade as sheet_grade
        from credit_grade g left join score_sheet s using (sheet_id)
        where s.state is distinct from 'approved' or s.grade_state <> 'written' or s.grade <> g.grade
        """,
    ),
)
