"""A Faust consumer that hands over whole fetched batches and commits what it is told, with the watermark.

Replaces in faust/transport/consumer.py (0.15.3):
- `_drain_messages` (1170): one stream item for all records that a fetch returned of a partition, instead of one each;
  its gap bookkeeping goes, since batches say themselves where they begin.
- `ack` (829), `_filter_tps_with_pending_acks` (1077), `_new_offset` (1097): a partition's offset is what `finish` was
  last told; a list of single acknowledgements with holes can't occur.
- `seek_wait` (1440), `perform_seek` (565): never while a fetch is under way, whose records would be of the old position
  or be dropped although they are of the new one. `perform_seek` also rewinds what was read but never committed.
- `on_partitions_revoked` (642): finish and commit what is in flight before the bookkeeping is dropped.

and in drivers/aiokafka.py `AIOKafkaConsumerThread._commit` (794): offsets go out with metadata, a failure is never
logged away, and `verify_event_path` (827): its advice is for streams of single events.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, NamedTuple

from aiokafka.errors import CommitFailedError, RebalanceInProgressError
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from faust.types import TP

_NOTHING_ASSIGNED_S = 0.05

RevokeHook = Callable[[set[TP]], Awaitable[None]]


class Position(NamedTuple):
    """What is committed for a partition: the next offset to read and the text that belongs to it."""

    next_offset: int
    metadata: str


class CommittingThread(AIOKafkaConsumerThread):
    """Commits offsets together with their metadata."""

    logger = logging.getLogger("faust.consumer")

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        assigned = self.assignment()
        positions: Mapping[TP, Position] = self.consumer.finished
        wanted = {
            TopicPartition(tp.topic, tp.partition): OffsetAndMetadata(*positions[tp])
            for tp in offsets
            if tp in assigned and tp in positions
        }
        if not wanted:
            return False
        try:
            await self._ensure_consumer().commit(wanted)
        except (CommitFailedError, RebalanceInProgressError):
            # The partitions are somebody else's by now, who reads on from the last commit: a repeat, not a loss.
            return False
        return True

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Nothing: liveness is `streams.ops.health`'s to judge."""


class BatchConsumer(Consumer):
    """See the module."""

    logger = logging.getLogger("faust.consumer")

    #: Called with the revoked partitions while they can still be committed.
    on_revoke: RevokeHook | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.finished: dict[TP, Position] = {}
        self._seeking_or_fetching = asyncio.Lock()

    def _new_consumer_thread(self) -> CommittingThread:
        return CommittingThread(self, loop=self.loop, beacon=self.beacon)

    def finish(self, tp: TP, next_offset: int, metadata: str) -> None:
        """Everything before `next_offset` is done: outputs and states are acknowledged."""
        self.finished[tp] = Position(next_offset, metadata)

    def ack(self, message: Any) -> bool:
        message.acked = True
        self._unacked_messages.discard(message)
        return True

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return (tp for tp in list(self.finished) if topics is None or tp in topics or tp.topic in topics)

    def _new_offset(self, tp: TP) -> int | None:
        position = self.finished.get(tp)
        return None if position is None else position.next_offset

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        if self.on_revoke is not None:
            await self.on_revoke(revoked)
        await self.commit()
        for tp in revoked:
            self.finished.pop(tp, None)
        await super().on_partitions_revoked(revoked)

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self._stopped.is_set() or fetcher._stopped.is_set()):
                if not self.flow_active:
                    await self.wait(self.can_resume_flow)
                fetched, generation = await self._fetch()
                for tp, records in fetched.items():
                    # Records of an assignment that ended are dropped: a seek follows, and whoever owns them reads them.
                    if not self.flow_active or self.app.consumer_generation_id != generation:
                        break
                    if records:
                        await self._hand_over(tp, records)
        except self.consumer_stopped_errors:
            if not self.transport.app.should_stop:
                raise

    async def _fetch(self) -> tuple[dict[TP, list[Any]], int]:
        """Records of the active partitions, and the generation in which they were asked for."""
        async with self._seeking_or_fetching:
            generation = self.app.consumer_generation_id
            # A copy: Faust changes its set meanwhile, and aiokafka takes an empty one for all partitions.
            active = set(self._get_active_partitions())
            if self.flow_active and active:
                return await self._getmany(active, timeout=1.0), generation
        await asyncio.sleep(_NOTHING_ASSIGNED_S)
        return {}, generation

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        async with self._seeking_or_fetching:
            await super().seek_wait(partitions)

    async def perform_seek(self) -> None:
        async with self._seeking_or_fetching:
            await super().perform_seek()
            beginning = {tp for tp in self.assignment() if not self._is_changelog_tp(tp) and not self._read_offset[tp]}
            if beginning:
                earliest = await self.earliest_offsets(*beginning)
                await super().seek_wait({tp: earliest.get(tp) or 0 for tp in beginning})

    async def _hand_over(self, tp: TP, records: list[Any]) -> None:
        if self._is_changelog_tp(tp):  # recovery takes single records
            for record in records:
                await self.wait_first(self.callback(self._to_message(tp, record)), self.suspend_flow.wait())
            return
        message = self._to_message(tp, records[-1])
        message.value = records
        await self.wait_first(self.callback(message), self.suspend_flow.wait())


class BatchTransport(Transport):
    """Faust's aiokafka transport with our consumer."""

    Consumer = BatchConsumer
