"""Sends records in whole batches and comes back when the broker has acknowledged all of them, or fails loudly.

acks=all and idempotent: the producer's own retries neither repeat nor reorder within a partition. A delivery that
isn't acknowledged in time may have happened; the caller must stop, and the replay after the restart sends it again
with equal ids.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

_BATCH_BYTES = 256 * 1024
_MAX_REQUEST_BYTES = 4 * 1024 * 1024


class DeliveryError(Exception):
    """Records could not be delivered; nothing that depends on them may be acknowledged."""


class Outgoing(NamedTuple):
    """A record for a known partition."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()


class Delivery:
    """A producer for whole batches."""

    def __init__(self, bootstrap: str, *, client_id: str, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap,
            client_id=client_id,
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_batch_size=_BATCH_BYTES,
            max_request_size=_MAX_REQUEST_BYTES,
            request_timeout_ms=int(timeout_s * 1000),
        )

    async def start(self) -> None:
        await self._producer.start()

    async def stop(self) -> None:
        await self._producer.stop()

    async def send(self, partition: int, records: Iterable[Outgoing]) -> None:
        """Deliver `records` to `partition` of their topics, in order within a topic.

        Raises:
            DeliveryError: not all were acknowledged within the timeout.
        """
        by_topic: dict[str, list[Outgoing]] = {}
        for record in records:
            by_topic.setdefault(record.topic, []).append(record)
        if not by_topic:
            return
        try:
            async with asyncio.timeout(self._timeout_s):
                pending: list[Any] = []
                for topic, topic_records in by_topic.items():
                    for batch in self._batches(topic_records):
                        pending.append(await self._producer.send_batch(batch, topic, partition=partition))
                await asyncio.gather(*pending)
        except TimeoutError:
            raise DeliveryError(
                f"not acknowledged within {self._timeout_s:g} s: {_summary(by_topic)}, partition {partition}"
            ) from None
        except KafkaError as error:
            raise DeliveryError(f"Kafka refused {_summary(by_topic)}, partition {partition}: {error!r}") from error

    def _batches(self, records: Sequence[Outgoing]) -> Iterable[Any]:
        batch = self._producer.create_batch()
        for record in records:
            arguments = {"timestamp": None, "key": record.key, "value": record.value, "headers": list(record.headers)}
            if batch.append(**arguments) is None:
                yield batch
                batch = self._producer.create_batch()
                batch.append(**arguments)
        yield batch


def _summary(by_topic: dict[str, list[Outgoing]]) -> str:
    return ", ".join(f"{len(records)} records to {topic}" for topic, records in by_topic.items())
