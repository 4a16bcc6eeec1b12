"""Topic administration against a real broker."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from streams.cli import main
from streams.contracts.topics import BY_NAME, TOPICS, Name
from streams.ops import cluster, topics
from streams.ops.settings import KafkaSettings

pytestmark = pytest.mark.broker


def _bootstrap(kafka: KafkaSettings) -> str:
    assert kafka.bootstrap is not None
    return kafka.bootstrap


def _plan(kafka: KafkaSettings) -> dict[str, topics.State]:
    with cluster.admin_client(_bootstrap(kafka), 20) as admin:
        return {row.topic: row.state for row in topics.plan(admin, kafka)}


def _apply(kafka: KafkaSettings) -> list[topics.Row]:
    with cluster.admin_client(_bootstrap(kafka), 20) as admin:
        return topics.apply(admin, kafka)


def test_apply_makes_the_plan_empty_and_may_be_repeated(kafka_settings: KafkaSettings) -> None:
    assert set(_plan(kafka_settings).values()) == {topics.State.MISSING}
    assert {row.state for row in _apply(kafka_settings)} == {topics.State.MISSING}
    assert set(_plan(kafka_settings).values()) == {topics.State.OK}
    assert {row.state for row in _apply(kafka_settings)} == {topics.State.OK}


def test_created_topics_have_what_the_table_says_by_another_clients_eyes(
    kafka_topics: KafkaSettings, physical_name: Callable[[Name], str]
) -> None:
    admin = AdminClient({"bootstrap.servers": _bootstrap(kafka_topics)})
    existing = admin.list_topics(timeout=10).topics
    for topic in TOPICS:
        name = physical_name(topic.name)
        assert len(existing[name].partitions) == (topic.partitions or kafka_topics.partitions), name
        resource = ConfigResource(ResourceType.TOPIC, name)
        config = admin.describe_configs([resource])[resource].result(timeout=10)
        assert {key: config[key].value for key in topic.config} == topic.config, name


def test_a_setting_changed_by_hand_is_found_and_put_right_and_others_are_left(
    kafka_topics: KafkaSettings, physical_name: Callable[[Name], str]
) -> None:
    name = physical_name(Name.CONVERSIONS)
    with cluster.admin_client(_bootstrap(kafka_topics), 20) as admin:
        from kafka.admin import ConfigResource as Resource
        from kafka.admin import ConfigResourceType

        by_hand = {"retention.ms": "60000", "min.insync.replicas": "1", "segment.bytes": "10485760"}
        admin.alter_configs([Resource(ConfigResourceType.TOPIC, name, by_hand)])
        deadline_s = time.monotonic() + 10
        while topics.describe(admin, [name])[name].config["retention.ms"] != "60000":
            assert time.monotonic() < deadline_s, "the broker never showed the alteration"
            time.sleep(0.02)
        (row,) = [row for row in topics.plan(admin, kafka_topics) if row.state is not topics.State.OK]
        assert row.topic == name
        assert row.changes == {"retention.ms": ("60000", BY_NAME[Name.CONVERSIONS].config["retention.ms"])}
        topics.apply(admin, kafka_topics)
        config = topics.describe(admin, [name])[name].config
    assert config["retention.ms"] == BY_NAME[Name.CONVERSIONS].config["retention.ms"]
    assert config["segment.bytes"] == "10485760"


def test_a_wrong_partition_count_is_reported_and_left_alone(
    kafka_settings: KafkaSettings,
    physical_name: Callable[[Name], str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = physical_name(Name.EVENTS)
    admin = AdminClient({"bootstrap.servers": _bootstrap(kafka_settings)})
    admin.create_topics([NewTopic(name, num_partitions=2)])[name].result(timeout=10)
    deadline_s = time.monotonic() + 10
    while name not in admin.list_topics(timeout=10).topics:
        assert time.monotonic() < deadline_s, "the broker never showed the topic"
        time.sleep(0.02)
    monkeypatch.setenv("CLICKWAKE_KAFKA__BOOTSTRAP", _bootstrap(kafka_settings))
    monkeypatch.setenv("CLICKWAKE_KAFKA__TOPIC_PREFIX", kafka_settings.topic_prefix)
    monkeypatch.setenv("CLICKWAKE_KAFKA__PARTITIONS", "3")
    for command in ("plan", "apply", "plan"):
        with pytest.raises(SystemExit) as left:
            main(["topics", command, "--json"])
        assert left.value.code == 1
        states = {row["topic"]: row for row in json.loads(capsys.readouterr().out)}
        assert states[name]["state"] == "partitions"
        assert states[name]["changes"] == {"partitions": {"found": "2", "wanted": "3"}}
    assert {row["state"] for row in states.values()} == {"ok", "partitions"}, "the others were created"


def test_replication_that_the_cluster_cannot_give_is_refused_with_the_setting(kafka_settings: KafkaSettings) -> None:
    greedy = kafka_settings.model_copy(update={"replication_factor": 9})
    with pytest.raises(cluster.KafkaRefusedError, match="CLICKWAKE_KAFKA__REPLICATION_FACTOR"):
        _apply(greedy)


def test_an_unreachable_broker_is_told_at_once_with_exit_code_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("CLICKWAKE_KAFKA__BOOTSTRAP", f"127.0.0.1:{port}")
    for command in (["topics", "plan"], ["doctor"], ["watch", "--timeout", "1"], ["produce", "simulator:clean"]):
        with pytest.raises(SystemExit) as left:
            main(command)
        assert left.value.code == 3, command
        told = capsys.readouterr()
        assert "clickwake broker start" in told.err + told.out
        assert "Traceback" not in told.err
