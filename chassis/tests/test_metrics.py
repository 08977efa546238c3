import re

from chassis import metrics


def test_every_own_metric_is_prefixed() -> None:
    names = {family.name for family in metrics.REGISTRY.collect()}
    foreign = {name for name in names if not name.startswith(("coffer_", "process_", "python_"))}
    assert foreign == set()


def test_the_exposition_tells_what_was_counted() -> None:
    metrics.records.labels(topic="order-submitted", outcome="applied").inc(3)
    metrics.batch_seconds.observe(0.02)
    text = metrics.exposition().decode()
    assert re.search(r'coffer_records_total\{outcome="applied",topic="order-submitted"\} \d', text)
    assert "coffer_batch_seconds_bucket" in text
