"""The learn role: learns from the examples of all partitions, publishes versioned snapshots, commits what they contain.

The offset is committed only when the snapshot that includes it has been announced, and the marks inside the snapshot
say what to skip: between a crash and the newest snapshot everything is learned again from that snapshot's state, so
nothing counts twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib.metadata import version as version_of
from time import monotonic
from typing import Any

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NotCoordinatorForGroupError,
)

from models.registry.store import ModelStore, version_for
from streams.contracts.snapshots import Manifest, ModelFile
from streams.contracts.topics import Name, physical
from streams.engine import app as apps
from streams.engine.delivery import Delivery, Outgoing
from streams.engine.groups import group_of
from streams.engine.model_set import read_manifest
from streams.engine.position import Clockwork
from streams.ingest import Record
from streams.learning import FAMILIES, LearnFold
from streams.ops.health import Condition, Health
from streams.ops.metrics import Metrics
from streams.ops.settings import Settings

_log = structlog.get_logger(__name__)
_CAUGHT_UP_S = 1.0
_SESSION_END_S = 5.0
_LOOK_EVERY_S = 0.5
_SOFTWARE = {name: version_of(name) for name in ("river", "numpy", "safetensors")}


class NotAloneError(Exception):
    """A second learn worker shares the examples, so neither sees all of them."""


class LearnRole:
    """Everything of the learn process between start and stop."""

    def __init__(
        self,
        settings: Settings,
        bootstrap: str,
        *,
        metrics: Metrics,
        health: Health,
        failed: Callable[[BaseException], None],
    ) -> None:
        self._settings = settings
        self._bootstrap = bootstrap
        self._metrics = metrics
        self._health = health
        self._failed = failed
        self._store = ModelStore(settings.model.store)
        self._examples = physical(settings.kafka.topic_prefix, Name.EXAMPLES)
        self._snapshots = physical(settings.kafka.topic_prefix, Name.SNAPSHOTS)
        self._every_s = {"conversion": settings.model.conversion_every_s, "retrieval": settings.model.retrieval_every_s}
        self._folds: dict[str, LearnFold] = {}
        self._epoch = 1
        self._published: dict[str, dict[int, int]] = {}
        self._published_s: dict[str, float] = {}
        self._counted: dict[str, int] = {}
        self._fed_s = monotonic()
        self._publishing = asyncio.Lock()
        self._draining = False

        self.app = apps.new_app(settings, bootstrap, "learn")
        apps.consume(self.app, self._examples, settings.kafka.partitions, self._on_batch)
        self._delivery = Delivery(
            bootstrap, client_id=f"{settings.engine.app_id}-learn", timeout_s=settings.engine.delivery_timeout_s
        )

    async def start(self) -> None:
        """Wait to be alone, take up the newest snapshots, then join the group."""
        await self._require_alone()
        await self._restore()
        self._health.set(Condition.MODEL_LOADED, True)
        await self._delivery.start()
        apps.finalize(self.app)
        await self.app.start()

    async def stop(self) -> None:
        """Publish what was learned, commit, leave the group."""
        self._draining = True
        if self.app.started:
            await self._publish_due(everything=True)
            await self.app.consumer.commit()
            await self.app.stop()
        await self._delivery.stop()

    async def look_after(self) -> None:
        """About once a second: health, and the snapshots that are due: at their pace, or at once when caught up."""
        assigned = self._assigned()
        if assigned and len(assigned) < self._settings.kafka.partitions:
            # Raised, so that nothing of half the examples is published.
            raise NotAloneError(
                f"only partitions {sorted(assigned)} of {self._examples} are assigned to this learn worker: "
                "another one is running, or kafka.partitions is too large. Run one learn worker."
            )
        self._health.set(Condition.ASSIGNED, bool(assigned), "no partition is assigned to this worker")
        self._health.set(Condition.RECOVERED, True)
        await self._publish_due(everything=monotonic() - self._fed_s > _CAUGHT_UP_S)

    def _assigned(self) -> set[int]:
        return {tp.partition for tp in self.app.consumer.assignment() if tp.topic == self._examples}

    async def _on_batch(self, event: Any) -> None:
        try:
            if not self._draining:
                records = [Record(r.offset, r.timestamp, r.key, r.value) for r in event.value]
                for fold in self._folds.values():
                    fold.apply(event.message.partition, records)
                self._fed_s = monotonic()
                self._count()
            event.ack()
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001  an agent that raises would skip the batch
            self._failed(error)

    def _count(self) -> None:
        for name, fold in self._folds.items():
            learned = fold.family.examples - self._counted.get(name, 0)
            self._metrics.model_examples.labels(name).inc(learned)
            self._counted[name] = fold.family.examples

    async def _publish_due(self, *, everything: bool) -> None:
        async with self._publishing:
            for name, fold in self._folds.items():
                marks = {mark.partition: mark.next_offset for mark in fold.learned()}
                pause_s = monotonic() - self._published_s.get(name, 0.0)
                if marks != self._published.get(name) and (everything or pause_s >= self._every_s[name]):
                    await self._publish(name, fold, marks)
            self._release()

    async def _publish(self, name: str, fold: LearnFold, marks: dict[int, int]) -> None:
        """Files to the store, then the manifest to the topic; then the marks may be committed."""
        # All of one moment: learning goes on while the files are written.
        family, learned, trained_ms = fold.family, fold.learned(), fold.trained_ms
        files, metrics, examples = family.files(), family.metrics(), family.examples
        version = version_for(examples, files)
        stored = await asyncio.to_thread(self._store.write, name, version, files)
        manifest = Manifest(
            name=name,
            version=version,
            learner_epoch=self._epoch,
            learned=learned,
            feature_schema=family.feature_schema,
            trained_ms=trained_ms,
            examples=examples,
            files=tuple(ModelFile(name=file.name, sha256=file.sha256, size=file.size) for file in stored),
            metrics=metrics,
            software=_SOFTWARE,
        )
        await self._delivery.send(0, [Outgoing(self._snapshots, name.encode(), msgspec.json.encode(manifest))])
        self._published[name], self._published_s[name] = marks, monotonic()
        self._metrics.use_model(name, version, family.feature_schema)
        if "log_loss" in metrics:
            self._metrics.model_log_loss.labels(name).set(metrics["log_loss"])
        if "calibration_ratio" in metrics:
            self._metrics.model_calibration.labels(name).set(metrics["calibration_ratio"])
        _log.info("snapshot published", model=name, version=version, examples=examples)
        kept = self._store.versions(name)[-self._settings.model.keep_versions :]
        await asyncio.to_thread(self._store.prune, name, {*kept, version})

    def _release(self) -> None:
        """Commit what every family's snapshot includes."""
        if len(self._published) < len(self._folds):
            return
        for partition in self._assigned():
            offsets = [marks.get(partition) for marks in self._published.values()]
            if all(offset is not None for offset in offsets):
                tp = next(tp for tp in self.app.consumer.assignment() if tp[:2] == (self._examples, partition))
                self.app.consumer.finish(
                    tp, min(offset for offset in offsets if offset is not None), Clockwork().encode()
                )

    async def _require_alone(self) -> None:
        """A second learn worker stops here, before its joining would take partitions from the first. A killed one is a
        member until its session is over."""
        group = group_of(self._settings, "learn")
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap)
        await admin.start()
        try:
            deadline_s = monotonic() + self._settings.engine.session_timeout_s + _SESSION_END_S
            while await _members(admin, group):
                if monotonic() > deadline_s:
                    raise NotAloneError(
                        f"the consumer group {group} has a member that stays: another learn worker is running. "
                        "Run one learn worker."
                    )
                await asyncio.sleep(_LOOK_EVERY_S)
        finally:
            await admin.close()

    async def _restore(self) -> None:
        manifests = await self._newest_manifests()
        for family in FAMILIES:
            manifest = manifests.get(family.name)
            if manifest is None:
                self._folds[family.name] = LearnFold(family())
                continue
            files = await asyncio.to_thread(self._store.read, family.name, manifest.version, manifest.files)
            fold = self._folds[family.name] = LearnFold(family.restored(files), manifest.learned)
            fold.trained_ms = manifest.trained_ms
            self._counted[family.name] = fold.family.examples
            self._published[family.name] = {mark.partition: mark.next_offset for mark in manifest.learned}
            self._epoch = max(self._epoch, manifest.learner_epoch + 1)
            _log.info("snapshot taken up", model=family.name, version=manifest.version, examples=manifest.examples)

    async def _newest_manifests(self) -> dict[str, Manifest]:
        """The highest-ranking manifest of each model on the topic."""
        partition = TopicPartition(self._snapshots, 0)
        newest: dict[str, Manifest] = {}
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap, group_id=None, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            consumer.assign([partition])
            end = (await consumer.end_offsets([partition]))[partition]
            while await consumer.position(partition) < end:
                for record in (await consumer.getmany(partition, timeout_ms=500)).get(partition, ()):
                    manifest = read_manifest(record.value)
                    if manifest is not None and (
                        manifest.name not in newest or manifest.rank >= newest[manifest.name].rank
                    ):
                        newest[manifest.name] = manifest
        finally:
            await consumer.stop()
        return newest


async def _members(admin: AIOKafkaAdminClient, group: str) -> int:
    """How many members the group has, dying ones included; while a fresh cluster has no coordinator yet, count one."""
    try:
        (answer,) = await admin.describe_consumer_groups([group])
    except (GroupCoordinatorNotAvailableError, GroupLoadInProgressError, NotCoordinatorForGroupError):
        return 1
    (description,) = answer.groups
    return len(description[5])  # error, group, state, protocol type, protocol, members
