"""Where the partitions of topics begin and end, for readers that join no group."""

from __future__ import annotations

import time

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from streams.ops.cluster import KafkaUnreachableError

_ANSWER_WITHIN_S = 10.0
_PAUSE_S = 0.1
_PASSING = frozenset(
    {KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.UNKNOWN_TOPIC_OR_PART}
)
"""A broker answers so for a moment after a topic is made or its leader changes."""


def bounds(consumer: Consumer, bootstrap: str, topics: list[str]) -> dict[str, dict[int, tuple[int, int]]]:
    """Topic -> partition -> (first offset, offset after the last) as of now; topics that don't exist are left out.

    Raises:
        KafkaUnreachableError: the cluster gives no answer in time.
    """
    deadline_s = time.monotonic() + _ANSWER_WITHIN_S
    while True:
        try:
            existing = consumer.list_topics(timeout=_ANSWER_WITHIN_S).topics  # of all: asking for one may make it
            return {
                topic: {
                    number: consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=_ANSWER_WITHIN_S)
                    for number in existing[topic].partitions
                }
                for topic in topics
                if topic in existing
            }
        except KafkaException as error:
            fault: KafkaError = error.args[0]
            if fault.code() not in _PASSING or time.monotonic() > deadline_s:
                raise KafkaUnreachableError(f"Kafka at {bootstrap} doesn't answer: {fault.str()}") from None
            time.sleep(_PAUSE_S)
