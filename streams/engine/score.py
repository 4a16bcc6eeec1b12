"""The score role: a worker for each assigned partition, fed by one Faust agent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any

import msgspec
import structlog
from aiokafka.admin import AIOKafkaAdminClient
from faust.types import TP

from models.registry.store import ModelStore
from streams.catalog import Catalog
from streams.contracts.events import Tick
from streams.contracts.identity import Source
from streams.contracts.rejected import RejectCode
from streams.contracts.topics import Name, physical
from streams.engine import app as apps
from streams.engine.delivery import Delivery, Outgoing
from streams.engine.follower import TopicFollower
from streams.engine.groups import group_of
from streams.engine.model_set import ModelSet
from streams.engine.partition import PartitionWorker
from streams.engine.position import Clockwork
from streams.engine.state import StateTable
from streams.ops.clock import Clock
from streams.ops.health import Condition, Health
from streams.ops.metrics import Application, Metrics, Stage
from streams.ops.settings import Settings
from streams.scoring import Effects, PartitionFold

_log = structlog.get_logger(__name__)
_APPLICATION = {"conversion": Application.CONVERSION, "recommendations": Application.RECOMMENDATION}
_DRAIN_S = 10.0


class RetentionPassedError(Exception):
    """The log no longer has the records that the group should read next."""


class ScoreRole:
    """Everything of one score process between start and stop.

    Args:
        failed: told of what breaks a promise; the process must end then.
    """

    def __init__(
        self,
        settings: Settings,
        bootstrap: str,
        *,
        metrics: Metrics,
        health: Health,
        clock: Clock,
        failed: Callable[[BaseException], None],
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._health = health
        self._clock = clock
        self._failed = failed
        self._started_s = monotonic()
        self._events = self._topic_of(Name.EVENTS)
        self._workers: dict[int, PartitionWorker] = {}
        self._opening = asyncio.Lock()
        self._ended_generation: int | None = None
        self._draining = False
        self._ticked_s: dict[int, float] = {}

        self.app = apps.new_app(settings, bootstrap, "score")
        self.state = StateTable(self.app, self._topic_of(Name.USER_STATE), settings.kafka.partitions)
        apps.consume(self.app, self._events, settings.kafka.partitions, self._on_batch)
        self._delivery = Delivery(
            bootstrap, client_id=f"{settings.engine.app_id}-score", timeout_s=settings.engine.delivery_timeout_s
        )
        self._admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        self._catalog = Catalog()
        self._models = ModelSet(
            ModelStore(settings.model.store),
            self._catalog,
            on_use=self._on_model,
            on_refuse=lambda name: metrics.snapshot_refused.labels(name).inc(),
        )
        self._followers = [
            TopicFollower(bootstrap, self._topic_of(Name.CATALOG), self._catalog.apply, failed),
            TopicFollower(bootstrap, self._topic_of(Name.SNAPSHOTS), self._models.announce, failed),
        ]

    async def start(self) -> None:
        """Catalogue and models first, then join the group."""
        for follower in self._followers:
            await follower.start()
        await self._models.loaded()
        self._health.set(Condition.MODEL_LOADED, True)
        await self._delivery.start()
        await self._admin.start()
        apps.finalize(self.app)
        self.app.on_rebalance_complete.connect(self._on_recovering)
        await self.app.start()
        self.app.consumer.on_revoke = self._on_revoke

    async def stop(self) -> None:
        """Finish the batches in work, commit, leave the group."""
        self._draining = True
        await self._drain(set(self._workers))
        if self.app.started:
            await self.app.consumer.commit()
            await self.app.stop()
        await self._delivery.stop()
        await self._admin.close()
        for follower in self._followers:
            await follower.stop()

    async def look_after(self) -> None:
        """About once a second: health, gauges, new partitions, ticks."""
        ready = bool(self.app.tables.actives_ready) and not self.app.rebalancing
        assigned = bool(self.app.consumer.assignment())
        self._health.set(Condition.ASSIGNED, assigned, "no partition is assigned to this worker")
        self._health.set(Condition.RECOVERED, ready, "user state is being read back from the changelog")
        self._metrics.state_users.set(self.state.records)
        self._metrics.state_bytes.set(self.state.bytes)
        if ready:
            await self._take_partitions()
            self._metrics.topic(Name.EVENTS).lag.set(self._lag())
        if ready and self._settings.engine.tick_idle_s:
            for partition, worker in list(self._workers.items()):
                await self._tick_if_idle(partition, worker)

    def _lag(self) -> int:
        """Records of this worker's partitions that are in the log and not yet queued here, as far as fetches told."""
        ends = {p: self.app.consumer.highwater(TP(self._events, p)) for p in self._workers}
        return sum(max((end or 0) - self._workers[p].next_offset, 0) for p, end in ends.items())

    async def _on_batch(self, event: Any) -> None:
        try:
            tp, records = event.message.tp, event.value
            worker = await self._worker_of(tp, event.message.generation_id)
            if worker is None:
                event.ack()  # not finished, so not committed: the next owner reads it
                return
            if records[0].offset > worker.next_offset:
                await self._require_kept(tp, worker.next_offset)
            await worker.put(event)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001  an agent that raises would skip the batch
            self._failed(error)

    async def _take_partitions(self) -> None:
        """Also those without a record to read: their time must run on, and what is wrong with them must show."""
        generation = self.app.consumer_generation_id
        for tp in self.app.consumer.assignment():
            if tp.topic == self._events:
                await self._worker_of(tp, generation)

    async def _worker_of(self, tp: TP, generation: int) -> PartitionWorker | None:
        """The partition's worker, made when it is first asked for; none if the assignment that asks for it has ended: a
        batch of then would overtake those before it, and a fold of then may have missed what another worker did."""
        async with self._opening:
            if self._is_over(generation):
                return None
            worker = self._workers.get(tp.partition)
            if worker is None:
                worker = await self._open(tp)
                if self._is_over(generation):
                    await worker.drain(0.0)
                    return None
                self._workers[tp.partition] = worker
            return worker

    def _is_over(self, generation: int) -> bool:
        """The partitions of this generation were revoked; from then until the next one begins there are none."""
        return self._draining or generation == self._ended_generation or generation != self.app.consumer_generation_id

    async def _open(self, tp: TP) -> PartitionWorker:
        """A worker for the partition, at the watermark that belongs to its committed offset."""
        next_offset, clockwork = await self._position(tp)
        source = Source(Name.EVENTS.value, self._settings.engine.epoch, tp.partition)
        fold = PartitionFold(
            source, self.state.get, watermark_ms=clockwork.watermark_ms, keys=self.state.keys(tp.partition)
        )
        if self._started_s:
            self._metrics.recovery.observe(monotonic() - self._started_s)
            self._started_s = 0.0
        _log.info("partition taken", partition=tp.partition, watermark_ms=clockwork.watermark_ms)
        return PartitionWorker(
            fold,
            next_offset=next_offset,
            arrival_ms=clockwork.arrival_ms,
            state=self.state,
            delivery=self._delivery,
            topic_of=self._topic_of,
            models=self._models.current,
            finish=lambda next_offset, metadata: self.app.consumer.finish(tp, next_offset, metadata),
            observe=self._observe,
            failed=self._failed,
        )

    async def _position(self, tp: TP) -> tuple[int, Clockwork]:
        """The next offset to read and what was committed with it; the log's beginning before the first commit."""
        group = group_of(self._settings, "score")
        committed = (await self._admin.list_consumer_group_offsets(group)).get((tp.topic, tp.partition))
        if committed is None or committed.offset < 0:
            return (await self.app.consumer.earliest_offsets(tp)).get(tp) or 0, Clockwork()
        await self._require_kept(tp, committed.offset)
        return committed.offset, Clockwork.decode(committed.metadata)

    async def _require_kept(self, tp: TP, next_offset: int) -> None:
        """Tell a gap that retention left from one that a transaction's marker leaves."""
        earliest = (await self.app.consumer.earliest_offsets(tp)).get(tp)
        if earliest is not None and earliest > next_offset:
            raise RetentionPassedError(
                f"{tp.topic} partition {tp.partition} begins at offset {earliest}, but the next to read is "
                f"{next_offset}: {earliest - next_offset} records were deleted unread. Raise the retention; "
                "to accept the loss, reset the group to the earliest offset."
            )

    async def _on_revoke(self, revoked: set[TP]) -> None:
        self._ended_generation = self.app.consumer_generation_id
        await self._drain({tp.partition for tp in revoked if tp.topic == self._events})

    async def _drain(self, partitions: set[int]) -> None:
        workers = [self._workers.pop(partition) for partition in sorted(partitions) if partition in self._workers]
        await asyncio.gather(*(worker.drain(_DRAIN_S) for worker in workers))

    async def _on_recovering(self, *_: Any, **__: Any) -> None:
        self.state.measure()
        _log.info("state recovered", users=self.state.records)

    async def _tick_if_idle(self, partition: int, worker: PartitionWorker) -> None:
        """Let an idle partition's time run on. The tick is a record of the log, so a replay sees it too."""
        every_s = self._settings.engine.tick_idle_s
        if worker.idle_s < every_s or monotonic() - self._ticked_s.get(partition, 0.0) < every_s:
            return
        ts_ms = worker.tick_ms(self._clock)
        if ts_ms is not None:
            self._ticked_s[partition] = monotonic()
            await self._delivery.send(partition, [Outgoing(self._events, None, msgspec.json.encode(Tick(ts_ms=ts_ms)))])

    def _topic_of(self, name: Name) -> str:
        return physical(self._settings.kafka.topic_prefix, name)

    def _on_model(self, name: str, version: str, feature_schema: str) -> None:
        self._metrics.use_model(name, version, feature_schema)
        _log.info("model in use", model=name, version=version)

    def _observe(self, effects: Effects, fold_s: float, emit_s: float) -> None:
        tally, metrics = effects.tally, self._metrics
        topic = metrics.topic(Name.EVENTS)
        topic.consumed.inc(tally.records)
        topic.replayed.inc(tally.replayed)
        topic.duplicate.inc(tally.duplicates)
        topic.late.inc(tally.late)
        topic.last_event.set(tally.newest_ms / 1000)
        for code, count in tally.rejected.items():
            topic.rejected(RejectCode(code)).inc(count)
        metrics.stage(Stage.FOLD).observe(fold_s)
        metrics.stage(Stage.EMIT).observe(emit_s)
        now_ms = self._clock.now_ms()
        for (kind, degraded), arrivals in tally.emitted.items():
            output = metrics.output(_APPLICATION[kind])
            output.emitted(len(arrivals), degraded=degraded)
            output.delay.observe_many([max(now_ms - arrival_ms, 0) / 1000 for arrival_ms in arrivals])
