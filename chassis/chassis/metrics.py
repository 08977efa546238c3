"""What a service tells Prometheus about itself.

Label values come from topics, routes and names in the code, never from data, so that their number is bounded.
"""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

REGISTRY: Final = CollectorRegistry(auto_describe=True)
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
RECORDS: Final = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000)
STATEMENTS: Final = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 50, 100)

records: Final = Counter(
    "coffer_records",
    "Records taken from a topic; outcome is applied, duplicate, conflict, dead-letter or filtered.",
    ["topic", "outcome"],
    registry=REGISTRY,
)
batch_seconds: Final = Histogram(
    "coffer_batch_seconds",
    "Time of one batch from its first statement to its commit.",
    buckets=SECONDS,
    registry=REGISTRY,
)
batch_records: Final = Histogram(
    "coffer_batch_records", "Records of one batch.", buckets=RECORDS, registry=REGISTRY
)
batch_statements: Final = Histogram(
    "coffer_batch_statements", "Database statements of one batch.", buckets=STATEMENTS, registry=REGISTRY
)
consumer_time_lag_seconds: Final = Gauge(
    "coffer_consumer_time_lag_seconds",
    "Age of the oldest record of the partition that is not yet applied; 0 when none waits.",
    ["topic", "partition"],
    registry=REGISTRY,
)
consumer_record_lag: Final = Gauge(
    "coffer_consumer_record_lag",
    "Records of the partition that are not yet applied.",
    ["topic", "partition"],
    registry=REGISTRY,
)
consumer_position: Final = Gauge(
    "coffer_consumer_position",
    "Next offset to apply, as stored in the database; lag without progress shows a stuck partition.",
    ["topic", "partition"],
    registry=REGISTRY,
)
dead_letters: Final = Counter(
    "coffer_dead_letters", "Records put into the dead letter.", ["reason"], registry=REGISTRY
)
redriven: Final = Counter(
    "coffer_redriven_records", "Dead letters sent again by an operator.", registry=REGISTRY
)
open_gaps: Final = Gauge(
    "coffer_open_gaps",
    "Gaps between a stored position and its log that no operator has accepted.",
    registry=REGISTRY,
)
retries: Final = Counter(
    "coffer_retries",
    "Attempts repeated after a fault that passes; what is batch, relay or request.",
    ["what"],
    registry=REGISTRY,
)
outbox_age_seconds: Final = Gauge(
    "coffer_outbox_age_seconds",
    "Age of the oldest event waiting to be published; 0 when none waits.",
    registry=REGISTRY,
)
outbox_rows: Final = Gauge("coffer_outbox_rows", "Events waiting to be published.", registry=REGISTRY)
relay_published: Final = Counter(
    "coffer_relay_published", "Events that the broker has acknowledged.", ["topic"], registry=REGISTRY
)
relay_failures: Final = Counter(
    "coffer_relay_failures", "Publishing rounds that failed and were begun again.", registry=REGISTRY
)
relay_leader: Final = Gauge(
    "coffer_relay_leader", "1 where this instance publishes the outbox.", registry=REGISTRY
)
timers_fired: Final = Counter("coffer_timers_fired", "Timers handled.", ["kind"], registry=REGISTRY)
timer_overdue_seconds: Final = Gauge(
    "coffer_timer_overdue_seconds",
    "Age of the oldest timer past its due time; 0 when none is overdue.",
    registry=REGISTRY,
)
decisions: Final = Counter(
    "coffer_decisions",
    "Decisions committed, by what was decided and how.",
    ["decision", "outcome"],
    registry=REGISTRY,
)
http_requests: Final = Counter(
    "coffer_http_requests", "Requests answered.", ["route", "method", "status"], registry=REGISTRY
)
http_request_seconds: Final = Histogram(
    "coffer_http_request_seconds",
    "Time from request to answer.",
    ["route", "method"],
    buckets=SECONDS,
    registry=REGISTRY,
)
http_replayed: Final = Counter(
    "coffer_http_replayed",
    "Commands answered from their Idempotency-Key without running again.",
    registry=REGISTRY,
)
invariant_violations: Final = Gauge(
    "coffer_invariant_violations",
    "Rows that broke the invariant when it was last checked.",
    ["check"],
    registry=REGISTRY,
)
invariant_last_run_timestamp_seconds: Final = Gauge(
    "coffer_invariant_last_run_timestamp_seconds",
    "When the invariants were last checked, as Unix time.",
    registry=REGISTRY,
)
ready: Final = Gauge("coffer_ready", "1 while every readiness check passes.", registry=REGISTRY)
build: Final = Info("coffer_build", "Which service and version runs.", registry=REGISTRY)


def exposition() -> bytes:
    """All metrics in Prometheus' text format."""
    return generate_latest(REGISTRY)
