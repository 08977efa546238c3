"""What must hold in the database at every committed point; each check returns the rows that offend."""

from typing import Final

from chassis import Check
from notify.domain.announcements import RESOLVED_STEP, SUPERSEDED_STEP

LATENESS_MAX: Final = "interval '5 minutes'"

CHECKS: Final = (
    Check(
        name="notice-has-deliveries",
        sentence="Every notice has at least one delivery.",
        sql="""
        select n.account, n.id, n.kind
        from notice n
        where not exists (select from delivery d where d.account = n.account and d.notice_id = n.id)
        """,
    ),
    Check(
        name="carried-delivery-has-a-carrier",
        sentence="What a digest brings along belongs to a digest, and has ended with it.",
        sql="""
        select d.account, d.id, d.carried_by, d.state, c.state as carrier_state
        from delivery d
        left join delivery c on c.account = d.contact_place and c.id = d.carried_by
        where d.carried_by is not null and (c.id is null or (c.ended_at is not null and d.ended_at is null))
        """,
    ),
    Check(
        name="overdue-inhibits-quota-low",
        sentence="While an account is overdue, no notice of a low quota is on its way.",
        sql="""
        select d.account, d.id, n.currency, n.occurred_at
        from notice n
        join delivery d on d.account = n.account and d.notice_id = n.id
        join spell s on s.account = n.account and s.currency = n.currency
        where n.family = 'quota-low' and d.state in ('accepted', 'held') and d.cancel_reason is null
          and n.occurred_at >= s.opened_at and (s.cleared_at is null or n.occurred_at < s.cleared_at)
        """,
    ),
    Check(
        name="delivery-ends-or-goes-on",
        sentence="Every delivery has ended, or has a time at which somebody looks at it again.",
        sql="""
        select account, id, state, due_at, ended_at
        from delivery
        where (ended_at is null) = (due_at is null)
           or (ended_at is null and state in ('delivered', 'undelivered', 'failed', 'expired', 'suppressed'))
           or (ended_at is not null and state in ('accepted', 'held', 'sending'))
        """,
    ),
    Check(
        name="delivery-not-forgotten",
        sentence="No delivery is past its lease, its retry or its deadline for more than five minutes.",
        sql=f"""
        select account, id, state, phase, due_at
        from delivery
        where due_at < clock_timestamp() - {LATENESS_MAX}
        """,
    ),
    Check(
        name="unknown-has-deadline",
        sentence="A delivery whose outcome is unknown has a deadline, or its deadline has passed and was told.",
        sql="""
        select account, id, due_at, ended_at, status_event_id
        from delivery
        where state = 'unknown' and due_at is null and (ended_at is null or status_event_id is null)
        """,
    ),
    Check(
        name="delivery-end-is-told",
        sentence="The end of every delivery was published.",
        sql="select account, id, state, ended_at from delivery where ended_at is not null and status_event_id is null",
    ),
    Check(
        name="delivery-moves-forward",
        sentence="No delivery ever went back from a later state to an earlier one.",
        sql="""
        with rank (state, place) as (
            values ('accepted', 0), ('held', 1), ('sending', 2), ('sent', 3), ('unknown', 4), ('delivered', 5),
                   ('undelivered', 5), ('failed', 5), ('expired', 5), ('suppressed', 5)
        ), steps as (
            select account, delivery_id, step, state,
                   lag(state) over (partition by account, delivery_id order by step) as former
            from delivery_history
        )
        select s.account, s.delivery_id, s.step, s.former, s.state
        from steps s
        join rank now on now.state = s.state
        join rank was on was.state = s.former
        where s.state <> s.former and now.place <= was.place
        """,
    ),
    Check(
        name="delivery-equals-its-history",
        sentence="Every delivery is in the state of its last step, and its steps are numbered without a gap.",
        sql="""
        select d.account, d.id, d.state, d.steps, h.state as last_state, h.step as last_step, h.count
        from delivery d
        left join (
            select distinct on (account, delivery_id) account, delivery_id, step, state,
                   count(*) over (partition by account, delivery_id) as count
            from delivery_history
            order by account, delivery_id, step desc
        ) h on h.account = d.account and h.delivery_id = d.id
        where (d.state, d.steps, d.steps) is distinct from (h.state, h.step, h.count)
        """,
    ),
    Check(
        name="delivery-that-goes-out-has-an-address",
        sentence="Every delivery that is to go out knows where to.",
        sql="""
        select d.account, d.id, d.state
        from delivery d
        left join delivery_content c on c.account = d.account and c.delivery_id = d.id
        where d.due_at is not null and d.state in ('accepted', 'held', 'sending') and c.delivery_id is null
        """,
    ),
    Check(
        name="episode-follows-its-notices",
        sentence="An episode is as far as the furthest of its notices, or further.",
        sql="""
        select n.account, n.currency, n.episode_id, n.business_key, e.step
        from notice n
        left join episode e using (account, family, currency, episode_id)
        where n.family = 'quota-low'
          and cast(split_part(n.business_key, '/', -1) as integer) > coalesce(e.step, -1)
        """,
    ),
)

RECENT: Final = "(e.ended_at is null or e.ended_at >= date_trunc('day', now(), 'UTC') - interval '60 days')"
FACTS: Final = {
    "quota-notices": f"""
        select episode_id,
               case step when 0 then 'opened' when {RESOLVED_STEP} then 'resolved' else 'reminder' end,
               case when step < {RESOLVED_STEP} then step else 0 end
        from (
            select n.episode_id, cast(split_part(n.business_key, '/', -1) as integer) as step
            from notice n
            join episode e using (account, family, currency, episode_id)
            where n.family = 'quota-low' and {RECENT}
              and exists (select from delivery d where d.account = n.account and d.notice_id = n.id)) told
        union all
        select e.episode_id, 'superseded', 0 from episode e
        where e.family = 'quota-low' and e.step = {SUPERSEDED_STEP} and {RECENT}
    """,
}
"""What fund-pool states too: every notice of a low quota, of episodes that have not ended for long, because older ones
may be pruned; one that is superseded only ends its episode."""
