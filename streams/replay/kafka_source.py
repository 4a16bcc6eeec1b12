"""The source `kafka:TOPIC`: a topic from its beginning to where it ends when reading starts.

Each partition comes in its order. Across partitions the record that arrived first comes first, so that a replay sees
users in about the order in which production did and learns nothing from another partition's future.
"""

from __future__ import annotations

import heapq
import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from streams.contracts.topics import Name
from streams.ops.cluster import require_reachable
from streams.replay.partitions import bounds
from streams.replay.sources import Row, SourceError, SourceEvent, SourceFault, Topic

_BATCH = 2000
_WAIT_S = 0.1  # the client waits this long for a whole batch, also when part of it is there
_STALL_S = 30.0
_PREFETCH_KB = 8192


class KafkaSource:
    """A source whose size is not known in bytes; `read_records` of at most `total_records` tell the progress.

    Compaction leaves gaps, so `total_records` is an upper bound. `line` counts the records read, `ts_ms` is arrival.
    Takes a connection, a few threads and up to 8 MiB per partition.
    """

    total_bytes = None
    bytes_read = 0

    def __init__(self, bootstrap: str, topic: str) -> None:
        """`topic`: the physical name; one that ends in the catalogue's holds catalogue items, others events."""
        self.read_records = 0
        self.total_records = 0
        self._bootstrap = bootstrap
        self._topic = topic
        self._kind: Topic = "catalog" if topic.endswith(Name.CATALOG.value) else "events"

    def __iter__(self) -> Iterator[Row]:
        """Raises KafkaUnreachableError or SourceError, also in the midst."""
        require_reachable(self._bootstrap)
        self.read_records = self.total_records = 0
        with ExitStack() as closing:
            partitions = [
                self._read(self._consumer(closing), number, low, high)
                for number, (low, high) in self._bounds().items()
                if low < high
            ]
            # One consumer per partition: one for all would have to pause those that run ahead, and each pause throws
            # away what was fetched (measured: 25,000 records/s with pauses on four partitions).
            for message in heapq.merge(*partitions, key=lambda m: (m.timestamp()[1], m.partition())):
                self.read_records += 1
                yield self._row(message, self.read_records)

    def _bounds(self) -> dict[int, tuple[int, int]]:
        with ExitStack() as closing:
            found = bounds(self._consumer(closing), self._bootstrap, [self._topic]).get(self._topic)
        if found is None:
            raise SourceError(f"kafka:{self._topic}: Kafka at {self._bootstrap} has no such topic")
        self.total_records = sum(high - low for low, high in found.values())
        return found

    def _consumer(self, closing: ExitStack) -> Consumer:
        config: dict[str, Any] = {
            "bootstrap.servers": self._bootstrap,
            "client.id": "clickwake-source",
            "group.id": "clickwake-source",  # demanded by the client; never joined
            "enable.auto.commit": False,
            "enable.partition.eof": True,  # compaction and markers leave gaps: the last offset may hold no record
            "auto.offset.reset": "error",
            "queued.max.messages.kbytes": _PREFETCH_KB,
        }
        consumer = Consumer(config, logger=logging.getLogger("librdkafka"))
        closing.callback(consumer.close)
        return consumer

    def _read(self, consumer: Consumer, number: int, low: int, high: int) -> Iterator[Message]:
        """Records of one partition with offsets in [low, high)."""
        consumer.assign([TopicPartition(self._topic, number, low)])
        while True:
            for message in self._next_batch(consumer, number):
                error = message.error()
                if error is not None and error.code() != KafkaError._PARTITION_EOF:
                    raise SourceError(f"{self._place(number)}: {error.str()}")
                if error is None and message.offset() < high:
                    yield message
                if error is not None or message.offset() >= high - 1:
                    return

    def _next_batch(self, consumer: Consumer, number: int) -> list[Message]:
        deadline_s = time.monotonic() + _STALL_S
        while time.monotonic() < deadline_s:
            if messages := consumer.consume(_BATCH, _WAIT_S):
                return list(messages)
        raise SourceError(f"{self._place(number)}: no record within {_STALL_S:g} s; is a broker down?")

    def _place(self, number: int) -> str:
        return f"kafka:{self._topic}, partition {number}"

    def _row(self, message: Message, line: int) -> Row:
        value = message.value()
        if value is None:
            return SourceFault(line, f"partition {message.partition()}, offset {message.offset()}: no value")
        return SourceEvent(line, message.key() or b"", value, message.timestamp()[1], self._kind)
