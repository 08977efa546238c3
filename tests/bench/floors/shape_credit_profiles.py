"""Floor `shape` of credit where each order hits eight profiles: `hit` names them; the rest is as in shape_credit."""

import sys

import uvloop

from tests.bench.floors import shape_credit

FINDINGS_BYTES = 4_700
"""What eight profiles with two metrics each add to a check's findings, and to the event that carries them."""

STAGE = f"""
with n as materialized (
    select * from unnest($1::text[], $2::text[], $3::bytea[]) as n (id, account, body)),
h as materialized (select n.id, hit.profile_id from n join hit using (account)),
o as (insert into sales_order (source, order_id, status, paying_account, last_revision, answered_ahead, parked, checks,
        open_check, order_check)
    select 'bench', id, 'undecided', account, 1, '{{}}', '{{}}', 1, 1, 1 from n),
c as (insert into credit_check (source, order_id, check_number, order_revision, operation, outcome, findings,
        event_source, event_id, digest, body, body_version, checked_at)
    select 'bench', id, 1, 1, 'submit', 'approved', convert_to(repeat(md5(id), {FINDINGS_BYTES} / 32), 'UTF8'), '', id,
           substr(body, 1, 16), body, 1, now()
    from n),
y as (insert into occupancy (source, order_id, check_number, profile_id, amount_minor, settled)
    select 'bench', id, 1, profile_id, 1000, false from h),
p as (update credit_profile p set used_minor = used_minor + t.orders * 1000, entries = entries + t.orders
    from (select profile_id, count(*) as orders from h group by profile_id) as t where p.profile_id = t.profile_id)
insert into occupancy_entry (profile_id, entry_number, recorded_at, source, order_id, check_number, change_minor,
    used_after_minor, permit, limit_minor)
select profile_id, $4::bigint + row_number() over (), now(), 'bench', id, 1, 1000, 1000, 'within-limit', 1000 from h"""

if __name__ == "__main__":
    shape_credit.STAGE = STAGE
    shape_credit.EVENT_BYTES = FINDINGS_BYTES
    uvloop.run(shape_credit.main(*sys.argv[1:]))
