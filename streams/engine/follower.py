"""Reads a compacted topic whole in every worker, outside of any group: the catalogue and the model manifests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from aiokafka import AIOKafkaConsumer, TopicPartition

OnRecord = Callable[[bytes | None, bytes | None, int], None]


class TopicFollower:
    """Calls `on_record(key, value, next_offset)` for every record of a one-partition topic, in order, for ever."""

    def __init__(
        self, bootstrap: str, topic: str, on_record: OnRecord, failed: Callable[[BaseException], None]
    ) -> None:
        self._partition = TopicPartition(topic, 0)
        self._on_record = on_record
        self._failed = failed
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=200,
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read to the end that the topic has now, then go on in the background."""
        await self._consumer.start()
        self._consumer.assign([self._partition])
        await self._consumer.seek_to_beginning(self._partition)
        end = (await self._consumer.end_offsets([self._partition]))[self._partition]
        while await self._consumer.position(self._partition) < end:
            await self._read()
        self._task = asyncio.create_task(self._follow(), name=f"follow-{self._partition.topic}")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._consumer.stop()

    async def _follow(self) -> None:
        try:
            while True:
                await self._read()
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001  a worker with an outdated catalogue must not go on
            self._failed(error)

    async def _read(self) -> None:
        fetched = await self._consumer.getmany(self._partition, timeout_ms=500, max_records=1000)
        for record in fetched.get(self._partition, ()):
            self._on_record(record.key, record.value, record.offset + 1)
