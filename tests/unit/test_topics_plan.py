"""The difference between the table of topics and a cluster, as values."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streams.contracts.topics import TOPICS, Name
from streams.ops.cluster import addresses
from streams.ops.settings import KafkaSettings, SettingsError
from streams.ops.topics import Spec, State, compare, wanted

_KAFKA = KafkaSettings(topic_prefix="shop.", partitions=6, replication_factor=3)
_SPEC = Spec("a", 6, 3, {"retention.ms": "1000", "cleanup.policy": "delete"})


def _row(found: Spec | None) -> tuple[State, dict[str, tuple[str, str]]]:
    (row,) = compare([_SPEC], {} if found is None else {"a": found})
    return row.state, dict(row.changes)


def test_every_topic_of_the_table_is_wanted_under_the_prefix() -> None:
    specs = {spec.name: spec for spec in wanted(_KAFKA)}
    assert set(specs) == {f"shop.{topic.name.value}" for topic in TOPICS}
    assert specs[f"shop.{Name.EVENTS.value}"].partitions == 6
    assert specs[f"shop.{Name.CATALOG.value}"].partitions == 1
    assert {spec.replication for spec in specs.values()} == {3}


def test_outputs_and_state_have_as_many_partitions_as_events() -> None:
    # An output goes to the partition number of its source.
    specs = {spec.name: spec for spec in wanted(_KAFKA)}
    for name in (Name.CONVERSIONS, Name.RECOMMENDATIONS, Name.EXAMPLES, Name.REJECTED, Name.USER_STATE):
        assert specs[f"shop.{name.value}"].partitions == 6, name


def test_a_topic_that_is_not_there_is_missing() -> None:
    assert _row(None) == (State.MISSING, {})


def test_a_topic_as_planned_is_ok_whatever_else_the_cluster_set_on_it() -> None:
    assert _row(replace(_SPEC, config={**_SPEC.config, "min.insync.replicas": "2"}))[0] is State.OK
    assert _row(replace(_SPEC, replication=5))[0] is State.OK


def test_settings_that_differ_are_named_with_both_values() -> None:
    found = replace(_SPEC, config={"retention.ms": "5"})
    assert _row(found) == (State.CONFIG, {"retention.ms": ("5", "1000"), "cleanup.policy": ("unset", "delete")})


def test_another_partition_count_is_never_altered_but_explained() -> None:
    for partitions in (4, 8):
        (row,) = compare([_SPEC], {"a": replace(_SPEC, partitions=partitions, config={})})
        assert (row.state, row.blocked) == (State.PARTITIONS, True)
        assert f"CLICKWAKE_KAFKA__PARTITIONS={partitions}" in row.repair
        assert "CLICKWAKE_ENGINE__EPOCH" in row.repair


def test_too_few_replicas_need_a_person() -> None:
    (row,) = compare([_SPEC], {"a": replace(_SPEC, replication=1)})
    assert (row.state, row.blocked) == (State.REPLICATION, True)


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("kafka:9093", [("kafka", 9093)]),
        ("kafka", [("kafka", 9092)]),
        (" a:1 , b:2 ", [("a", 1), ("b", 2)]),
        ("[::1]:9092", [("::1", 9092)]),
        ("[::1]", [("::1", 9092)]),
    ],
)
def test_addresses_are_read_like_kafka_clients_read_them(text: str, pairs: list[tuple[str, int]]) -> None:
    assert addresses(text) == pairs


@pytest.mark.parametrize("text", ["", ",", "kafka:", "kafka:0", "kafka:65536", "kafka:port", ":9092", "kafka:-1"])
def test_a_malformed_address_names_the_setting(text: str) -> None:
    with pytest.raises(SettingsError, match="CLICKWAKE_KAFKA__BOOTSTRAP"):
        addresses(text)
