"""What a demo stands on: its folder, a broker of its own or a place on a given one, and how all of it is put away."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from streams import broker
from streams.broker import process
from streams.broker.folder import DataFolder
from streams.broker.server import STOP_DEADLINE_S
from streams.contracts.topics import Name, physical
from streams.ops import cluster, topics
from streams.ops.settings import Settings

FOLDER = Path(".clickwake/demo")
RETRIEVAL_EVERY_S = 5.0
"""Recommendations should be seen to improve within a minute."""

_DELETED_WITHIN_S = 20.0
_PAUSE_S = 0.1


class DemoError(Exception):
    """The demo can't begin or go on; the message says why and what to do."""


@dataclass(frozen=True)
class Ground:
    """Where one demo runs. `folder` is absolute; `settings` are those of its worker."""

    folder: Path
    settings: Settings
    own_broker: bool
    keep: bool

    @property
    def bootstrap(self) -> str:
        if self.settings.kafka.bootstrap is None:
            raise ValueError("the broker isn't started yet")
        return self.settings.kafka.bootstrap

    @property
    def prefix(self) -> str:
        return self.settings.kafka.topic_prefix

    @property
    def models(self) -> Path:
        return self.folder / "models"

    @property
    def worker_log(self) -> Path:
        return self.folder / "worker.log"


def choose(settings: Settings, *, keep: bool) -> Ground:
    """The ground for these settings; nothing is touched yet.

    On a given cluster each run has topics of its own, so that none but its own are ever deleted.
    """
    folder = FOLDER.resolve()
    own_broker = settings.kafka.bootstrap is None
    if own_broker:
        kafka = settings.kafka.model_copy(update={"replication_factor": 1})
    else:
        prefix = f"{settings.kafka.topic_prefix}demo.{uuid.uuid4().hex[:8]}."
        kafka = settings.kafka.model_copy(update={"topic_prefix": prefix})
    model = {"store": folder / "models"}
    if "retrieval_every_s" not in settings.model.model_fields_set:
        model["retrieval_every_s"] = RETRIEVAL_EVERY_S  # type: ignore[assignment]
    chosen = settings.model_copy(
        update={
            "kafka": kafka,
            "broker": settings.broker.model_copy(update={"data_dir": folder / "broker", "port": 0}),
            "model": settings.model.model_copy(update=model),
            "metrics": settings.metrics.model_copy(update={"bind": "127.0.0.1", "port": 0}),
            "log": settings.log.model_copy(update={"format": "json", "level": "info"}),  # `worker` reads it
        }
    )
    return Ground(folder, chosen, own_broker, keep)


@contextmanager
def locked(ground: Ground) -> Iterator[int]:
    """Hold the folder; yields the descriptor, which a process that inherits it holds on to.

    Raises:
        DemoError: another demo has it, or it can't be made.
    """
    try:
        ground.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(ground.folder, os.O_RDONLY)
    except OSError as error:
        raise DemoError(f"can't use the folder {ground.folder}: {error.strerror}. Start in another one.") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoError(
                f"another demo runs in {ground.folder}, or is still cleaning up. End it, or start in another folder."
            ) from None
        yield descriptor
    finally:
        os.close(descriptor)


def prepare(ground: Ground, tell: Callable[[str], None]) -> Ground:
    """Start or reach the broker and create the topics; the ground with the address filled in.

    Raises:
        KafkaUnreachableError, DependencyUnreachableError, BrokerError, KafkaRefusedError: as those say.
    """
    shutil.rmtree(ground.models, ignore_errors=True)
    ground.worker_log.unlink(missing_ok=True)
    if ground.own_broker:
        info = broker.start(ground.settings.broker, fresh=True, on_progress=tell)
        kafka = ground.settings.kafka.model_copy(update={"bootstrap": info.bootstrap})
        ground = replace(ground, settings=ground.settings.model_copy(update={"kafka": kafka}))
    tell("creating the topics")
    kafka = ground.settings.kafka
    with cluster.admin_client(ground.bootstrap, kafka.request_timeout_s) as admin:
        topics.apply(admin, kafka)
    _wake_coordinator(ground)
    return ground


def _wake_coordinator(ground: Ground) -> None:
    """A cluster makes its topic of group offsets at the first question, and has no coordinator for a second or so."""
    from confluent_kafka import Consumer, KafkaException, TopicPartition

    events = TopicPartition(physical(ground.prefix, Name.EVENTS), 0)
    consumer = Consumer({"bootstrap.servers": ground.bootstrap, "group.id": f"{ground.prefix}demo", "log_level": 0})
    deadline_s = time.monotonic() + ground.settings.kafka.request_timeout_s
    try:
        while True:
            try:
                consumer.committed([events], timeout=1.0)
                return
            except KafkaException as error:
                if time.monotonic() > deadline_s:
                    raise cluster.KafkaUnreachableError(
                        f"Kafka at {ground.bootstrap} has no group coordinator: {error.args[0].str()}"
                    ) from None
                time.sleep(_PAUSE_S)
    finally:
        consumer.close()


def put_away(ground: Ground, *, keep_log: bool) -> None:
    """Stop the broker, or delete this run's topics and groups on a given one, and remove the data. Idempotent.

    With `ground.keep` all of it stays.

    Raises:
        BrokerError, KafkaUnreachableError, KafkaRefusedError: it can't be stopped or deleted.
    """
    if ground.keep:
        return
    if ground.own_broker:
        _stop_broker(ground)
        shutil.rmtree(ground.settings.broker.data_dir, ignore_errors=True)
    else:
        _delete_from_cluster(ground)
    shutil.rmtree(ground.models, ignore_errors=True)
    if not keep_log:
        ground.worker_log.unlink(missing_ok=True)


def _stop_broker(ground: Ground) -> None:
    """Also one that an interrupted start hadn't taken note of yet."""
    broker.stop(ground.settings.broker)
    folder = DataFolder.at(ground.settings.broker.data_dir)
    unknown = process.find(folder)
    if unknown is not None:
        process.end(folder, unknown, STOP_DEADLINE_S)


def _delete_from_cluster(ground: Ground) -> None:
    """By exact name and by the run's own prefix; a group whose members are gone a moment may still count as busy."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    cluster.require_reachable(ground.bootstrap)
    admin = AdminClient({"bootstrap.servers": ground.bootstrap, "log_level": 0})
    names = {spec.name for spec in topics.wanted(ground.settings.kafka)}
    try:
        there = names & admin.list_topics(timeout=_DELETED_WITHIN_S).topics.keys()
        if there:
            for future in admin.delete_topics(sorted(there)).values():
                future.result(_DELETED_WITHIN_S)
        listed = admin.list_consumer_groups(request_timeout=_DELETED_WITHIN_S).result(_DELETED_WITHIN_S)
        groups = [group.group_id for group in listed.valid if group.group_id.startswith(ground.prefix)]
        if groups:
            for future in admin.delete_consumer_groups(groups).values():
                future.result(_DELETED_WITHIN_S)
    except KafkaException as error:
        raise cluster.KafkaRefusedError(
            f"deleting the demo's topics and groups ({ground.prefix}*): {error.args[0].str()}. Delete them yourself."
        ) from None
