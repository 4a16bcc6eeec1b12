"""THE table of topics keeps its own rules."""

from __future__ import annotations

import pytest

from streams.contracts.topics import BY_NAME, TOPICS, Name, Topic, physical
from streams.decisions import DECISIONS

DAY_MS = 86_400_000


def test_every_name_has_one_row() -> None:
    assert [topic.name for topic in TOPICS] == list(Name)
    assert list(BY_NAME) == list(Name)


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_names_carry_a_version_and_are_legal_in_kafka(topic: Topic) -> None:
    assert topic.name.rpartition(".")[2] == "v1"
    assert set(topic.name) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-")


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_a_row_says_what_for_and_settings_are_text(topic: Topic) -> None:
    assert topic.purpose
    assert topic.key
    assert topic.reader
    assert all(isinstance(value, str) for value in topic.config.values())


def test_the_broker_stamps_arrival_on_events_alone() -> None:
    stamped = {topic.name for topic in TOPICS if topic.config["message.timestamp.type"] == "LogAppendTime"}
    assert stamped == {Name.EVENTS}


def test_outputs_have_the_partitions_of_their_source() -> None:
    single = {topic.name for topic in TOPICS if topic.partitions is not None}
    assert single == {Name.CATALOG, Name.SNAPSHOTS}


def test_what_is_compacted_is_kept_for_ever_and_the_rest_is_not() -> None:
    compacted = {topic.name for topic in TOPICS if topic.config["cleanup.policy"] == "compact"}
    assert compacted == {Name.CATALOG, Name.SNAPSHOTS, Name.USER_STATE}
    for topic in TOPICS:
        assert (topic.config["retention.ms"] == "-1") == (topic.name in compacted)


def test_the_changelog_keeps_a_day_whole() -> None:
    config = BY_NAME[Name.USER_STATE].config
    assert int(config["min.compaction.lag.ms"]) >= DAY_MS
    assert int(config["segment.ms"]) < DAY_MS


def test_examples_are_kept_for_two_horizons() -> None:
    assert (BY_NAME[Name.EXAMPLES].retention_ms or 0) >= 14 * DAY_MS


def test_every_decision_writes_to_a_topic_of_the_table() -> None:
    assert len({decision.TOPIC for decision in DECISIONS}) == len(DECISIONS)
    assert {decision.TOPIC for decision in DECISIONS} <= set(Name)


def test_a_prefix_separates_shops() -> None:
    assert physical("shop-a.", Name.EVENTS) == "shop-a.clickstream.events.v1"
    assert physical("", Name.EVENTS) == "clickstream.events.v1"
