"""Read output topics like a subscriber does: from all partitions, each output once.

Outputs come at least once. Within a partition they carry a rising `seq`; what is not larger than the largest seen there
was delivered before. Offsets start anew with each epoch of the event topic, so the epoch counts first.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import msgspec
from confluent_kafka import Consumer, TopicPartition

from streams.contracts.identity import Cause, Seq
from streams.ops.cluster import require_reachable
from streams.replay.partitions import bounds

_WAIT_S = 0.1  # the client waits this long for a whole batch, also when part of it is there
_BATCH = 500


class WatchError(Exception):
    """The topic can't be read; the message says why and what to do."""


@dataclass(frozen=True)
class Output:
    """One record; `value` is its JSON as it came, none for a tombstone."""

    topic: str
    partition: int
    offset: int
    arrival_ms: int
    key: bytes | None
    value: bytes | None


class _Mark(msgspec.Struct):
    """What deduplication needs of any output."""

    seq: Seq
    cause: Cause | None = None


class Seen:
    """Remembers one mark per partition, as a subscriber should."""

    def __init__(self) -> None:
        self._largest: dict[tuple[str, int], tuple[int, Seq]] = {}
        self._decoder = msgspec.json.Decoder(_Mark)
        self.duplicates = 0

    def is_new(self, output: Output) -> bool:
        """Records without a `seq` (other topics, tombstones) always are."""
        if output.value is None:
            return True
        try:
            mark = self._decoder.decode(output.value)
        except msgspec.DecodeError:
            return True
        place = (output.topic, output.partition)
        position = (mark.cause.epoch if mark.cause is not None else 0, mark.seq)
        if place in self._largest and position <= self._largest[place]:
            self.duplicates += 1
            return False
        self._largest[place] = position
        return True


def watch(
    bootstrap: str,
    topics: list[str],
    *,
    from_beginning: bool = False,
    timeout_s: float | None = None,
    seen: Seen | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> Generator[Output | None, None, None]:
    """Outputs of the physical `topics` as they come, repeats left out; none ten times a second when nothing comes.

    Ends `timeout_s` after the start, or never. Close the iterator to leave. No consumer group: several may watch,
    and nobody's offsets move.

    Raises:
        KafkaUnreachableError: no broker answers.
        WatchError: a topic doesn't exist or may not be read.
    """
    require_reachable(bootstrap)
    seen = Seen() if seen is None else seen
    deadline_s = None if timeout_s is None else monotonic() + timeout_s
    consumer = Consumer(_config(bootstrap), logger=logging.getLogger("librdkafka"))
    try:
        consumer.assign(_partitions(consumer, bootstrap, topics, from_beginning=from_beginning))
        while deadline_s is None or monotonic() < deadline_s:
            messages = consumer.consume(_BATCH, _WAIT_S)
            if not messages:
                yield None
            for message in messages:
                error = message.error()
                if error is not None:
                    raise WatchError(f"reading {message.topic()}: {error.str()}")
                output = _output(message)
                if seen.is_new(output):
                    yield output
    finally:
        consumer.close()


def _config(bootstrap: str) -> dict[str, Any]:
    return {
        "bootstrap.servers": bootstrap,
        "client.id": "clickwake-watch",
        "group.id": "clickwake-watch",  # demanded by the client; never joined, since partitions are assigned by hand
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "fetch.wait.max.ms": 100,
    }


def _partitions(consumer: Consumer, bootstrap: str, topics: list[str], *, from_beginning: bool) -> list[TopicPartition]:
    """The end is asked for now: the client's own "end" is where a partition ends when its first fetch arrives."""
    found = bounds(consumer, bootstrap, topics)
    missing = [topic for topic in topics if topic not in found]
    if missing:
        raise WatchError(f"Kafka has no topic {', '.join(missing)}. Create it with `clickwake topics apply`.")
    return [
        TopicPartition(topic, number, low if from_beginning else high)
        for topic in topics
        for number, (low, high) in found[topic].items()
    ]


def _output(message: Any) -> Output:
    return Output(
        message.topic(), message.partition(), message.offset(), message.timestamp()[1], message.key(), message.value()
    )
