"""ops/topics.toml: what the contracts need, who may do what, and the sizes of a cluster and of one broker."""

import tomllib
from pathlib import Path

import contracts
from ops.local import topics
from ops.local.services import SERVICES
from ops.local.topics import Right, declared, of_service, rights

NAMES = {topic.name: topic for topic in declared()}
SERVICE_NAMES = [service.name for service in SERVICES]


def test_every_contract_has_its_topic_and_every_topic_its_contract() -> None:
    own = {f"{service}.{kind}" for service in SERVICE_NAMES for kind in ("dead-letter", "redrive")}
    assert set(NAMES) == {contract.topic for contract in contracts.REGISTRY.values()} | own


def test_a_service_writes_the_topics_whose_contract_names_it_as_a_producer() -> None:
    for contract in contracts.REGISTRY.values():
        writers = set(NAMES[contract.topic].writers)
        producers = set(contract.producers) - {contracts.EXTERNAL}
        assert writers & set(SERVICE_NAMES) == producers, contract.topic


def test_one_broker_needs_one_copy_and_a_cluster_three() -> None:
    local, cluster = declared(), declared(profile="")
    assert {(topic.replication, topic.min_insync_replicas) for topic in local} == {(1, 1)}
    assert {(topic.replication, topic.min_insync_replicas) for topic in cluster} == {(3, 2)}
    assert {topic.partitions for topic in (*local, *cluster)} == {12}


def test_dead_letters_and_redrive_hold_larger_records_than_the_rest() -> None:
    sizes = {name: topic.message_bytes_max for name, topic in NAMES.items()}
    assert sizes["credit.dead-letter"] == sizes["credit.redrive"] == 8 * 1024 * 1024
    assert sizes["order-submitted"] == 4 * 1024 * 1024
    assert NAMES["order-submitted"].configuration == {
        "min.insync.replicas": "1",
        "retention.ms": str(14 * 24 * 3600 * 1000),
        "max.message.bytes": "4194304",
        "unclean.leader.election.enable": "false",
    }


def test_a_principal_writes_its_own_topics_only() -> None:
    allowed = set(rights(declared()))
    assert Right("credit", "Write", "topic", "credit-checked") in allowed
    assert Right("credit", "Read", "group", "credit") in allowed
    assert Right("credit", "Write", "topic", "order-decided") not in allowed
    assert Right("order-systems", "Read", "topic", "order-submitted") not in allowed
    assert Right("operators", "Write", "topic", "credit.redrive") in allowed
    assert Right("fund-pool", "Read", "topic", "credit.redrive") not in allowed


def test_the_rights_can_be_handed_to_kafkas_own_command() -> None:
    lines = topics.acl_commands(declared())
    assert "--add --allow-principal User:notify --operation Read --group notify" in lines
    assert "--add --allow-principal User:sharing --operation IdempotentWrite --cluster" in lines


def test_a_test_can_bring_a_service_that_the_file_does_not_name() -> None:
    letters, redrive = of_service("sample")
    assert (letters.name, letters.writers) == ("sample.dead-letter", ("sample",))
    assert (redrive.name, redrive.readers) == ("sample.redrive", ("sample",))


def test_the_file_itself_names_each_service_once() -> None:
    document = tomllib.loads(Path(topics.FILE).read_text())
    assert document["services"]["names"] == SERVICE_NAMES
