"""Send a source's events into Kafka, each user's in their order.

Records are keyed by user and partitioned by murmur2 like Kafka's Java clients do (librdkafka's own default differs),
written by an idempotent producer that waits for all replicas. Kafka stamps them on arrival: event time is in the value.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from streams.contracts.topics import Name, physical
from streams.ops.cluster import KafkaUnreachableError, require_reachable
from streams.replay.sources import Source, SourceEvent, SourceFault

MAX_RECORD_BYTES = 2 * 1024 * 1024
"""As the topics allow; the client's own limit would be half of it."""

_POLL_EVERY = 1000  # records between two looks at the delivery reports
_LONGEST_SLEEP_S = 0.2
_DELIVERY_TIMEOUT_S = 60.0
_METADATA_TIMEOUT_S = 10.0


class ProduceError(Exception):
    """Sending can't begin or go on; the message says why and what to do."""


@dataclass
class Totals:
    """What became of the source's rows: `read` = `sent` + `refused`, `sent` = `acknowledged` + `failed`.

    `refused`: rows that are no event, never sent. `failed`: records that Kafka didn't take.
    """

    read: int = 0
    sent: int = 0
    acknowledged: int = 0
    refused: int = 0
    failed: int = 0


@dataclass(frozen=True)
class Pace:
    """When the n-th record is due. Neither set: at once. `speed` 2 plays the log twice as fast as it happened.

    Raises:
        ValueError: both are set, or one isn't above 0.
    """

    rate: float | None = None
    speed: float | None = None

    def __post_init__(self) -> None:
        if self.rate is not None and self.speed is not None:
            raise ValueError("give a rate or a speed, not both")
        for name, value in (("rate", self.rate), ("speed", self.speed)):
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"the {name} must be above 0, not {value:g}")

    def due_s(self, index: int, elapsed_log_ms: int) -> float:
        """Seconds after the start at which record `index` (from 0) is due, `elapsed_log_ms` into the log."""
        if self.rate is not None:
            return index / self.rate
        if self.speed is not None:
            return elapsed_log_ms / 1000 / self.speed
        return 0.0


class Sender:
    """Sends one source; `totals` may be read at any time, also after an interruption."""

    def __init__(
        self,
        bootstrap: str,
        topic_prefix: str = "",
        *,
        pace: Pace | None = None,
        on_fault: Callable[[SourceFault], None] = lambda _: None,
        on_progress: Callable[[Totals], None] = lambda _: None,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        delivery_timeout_s: float = _DELIVERY_TIMEOUT_S,
    ) -> None:
        self.totals = Totals()
        self.first_failure = ""
        self._bootstrap = bootstrap
        self._topics = {
            "events": physical(topic_prefix, Name.EVENTS),
            "catalog": physical(topic_prefix, Name.CATALOG),
        }
        self._pace = Pace() if pace is None else pace
        self._on_fault = on_fault
        self._on_progress = on_progress
        self._sleep = sleep
        self._monotonic = monotonic
        self._delivery_timeout_s = delivery_timeout_s
        self._fatal: KafkaError | None = None

    def run(self, source: Source, limit: int | None = None) -> Totals:
        """Send all rows, or the first `limit` of them, and wait until Kafka has acknowledged or failed each.

        Raises:
            KafkaUnreachableError: no broker answers.
            ProduceError: a topic is missing, or the producer broke for good.
            SourceError: the source can't be read; what was read before is delivered.
        """
        require_reachable(self._bootstrap)
        producer = Producer(self._config(), logger=logging.getLogger("librdkafka"))
        self._require_topics(producer)
        try:
            self._send_all(producer, source, limit)
        finally:
            self._drain(producer)
        return self.totals

    def _config(self) -> dict[str, Any]:
        return {
            "bootstrap.servers": self._bootstrap,
            "client.id": "clickwake-produce",
            "partitioner": "murmur2_random",
            "acks": "all",
            "enable.idempotence": True,
            "delivery.timeout.ms": int(self._delivery_timeout_s * 1000),
            "linger.ms": 20,
            "compression.type": "lz4",
            "queue.buffering.max.messages": 200_000,
            "message.max.bytes": MAX_RECORD_BYTES,
            "error_cb": self._on_error,
        }

    def _require_topics(self, producer: Producer) -> None:
        try:
            # Of all topics: asking for one makes it, where the cluster is so configured.
            existing = producer.list_topics(timeout=_METADATA_TIMEOUT_S).topics
        except KafkaException as error:
            raise KafkaUnreachableError(
                f"Kafka at {self._bootstrap} gives no metadata: {error.args[0].str()}"
            ) from None
        missing = [name for name in self._topics.values() if name not in existing]
        if missing:
            raise ProduceError(f"Kafka has no topic {', '.join(missing)}. Create it with `clickwake topics apply`.")

    def _send_all(self, producer: Producer, source: Source, limit: int | None) -> None:
        totals, pace, topics = self.totals, self._pace, self._topics
        paced = pace.rate is not None or pace.speed is not None
        started_s = self._monotonic()
        first_ts_ms: int | None = None
        for row in source:
            totals.read += 1
            if isinstance(row, SourceEvent):
                if paced:
                    first_ts_ms = row.ts_ms if first_ts_ms is None else first_ts_ms
                    self._wait(producer, started_s + pace.due_s(totals.sent, row.ts_ms - first_ts_ms))
                totals.sent += 1
                self._send(producer, topics[row.topic], row)
            else:
                totals.refused += 1
                self._on_fault(row)
            if totals.read % _POLL_EVERY == 0:
                producer.poll(0)
                self._on_progress(totals)
                if self._fatal is not None:
                    raise self._broken(self._fatal)
            if limit is not None and totals.read >= limit:
                return

    def _send(self, producer: Producer, topic: str, row: SourceEvent) -> None:
        while True:
            try:
                producer.produce(topic, row.value, row.key, on_delivery=self._on_delivery)
                return
            except BufferError:  # the queue is full: wait for deliveries
                producer.poll(0.1)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.MSG_SIZE_TOO_LARGE:
                    raise self._broken(error.args[0]) from None
                self._on_delivery(error.args[0], None)
                return

    def _wait(self, producer: Producer, due_s: float) -> None:
        while (ahead_s := due_s - self._monotonic()) > 0:
            producer.poll(0)
            self._on_progress(self.totals)
            self._sleep(min(ahead_s, _LONGEST_SLEEP_S))

    def _drain(self, producer: Producer) -> None:
        """Each record ends as acknowledged or failed; the delivery timeout bounds the wait."""
        while producer.flush(0.5):
            self._on_progress(self.totals)
        self._on_progress(self.totals)

    def _on_delivery(self, error: KafkaError | None, _: Message | None) -> None:
        if error is None:
            self.totals.acknowledged += 1
            return
        self.totals.failed += 1
        self.first_failure = self.first_failure or error.str()

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._fatal = error

    def _broken(self, error: KafkaError) -> ProduceError:
        return ProduceError(
            f"the producer can't go on: {error.str()}. What was not acknowledged may still have been written: send "
            "the source again, repeats are dropped by their event id."
        )
