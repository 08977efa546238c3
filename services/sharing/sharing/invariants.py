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
               r.display_name, r.invoice_status, r.changed_at)
            is distinct from
              (h.kind, h.management_account, h.member_account, h.state, h.offered, h.accepted, h.refused,
               h.display_name, h.invoice_status, h.changed_at)
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
)

FACTS: Final = {"relationships": "select relationship_id, version, state from relationship"}
"""What fund-pool states too."""
