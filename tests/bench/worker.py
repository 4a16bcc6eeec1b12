"""Speed of the whole score worker on a real broker, the worker with all its threads on one core, the broker on another.

Events of the simulated shop are produced first; then `clickwake worker --role score --exit-when-idle 1` works them off.
*Events per second*: events of the log over the time from the first to the last record of `conversions.v1` (timestamps
set by the worker when it sends). *CPU per event*: the worker's CPU time, all threads, between those two moments, over
the same events; interpolated between readings 50 ms apart. So neither counts the start of the process.

    python -m tests.bench worker
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import psutil
from confluent_kafka import Consumer, Producer, TopicPartition

from models.registry.store import ModelStore, version_for
from streams import broker, simulator
from streams.contracts.snapshots import LearnedUpTo, Manifest, ModelFile
from streams.contracts.topics import Name, physical
from streams.learning import ConversionFamily, RetrievalFamily
from streams.ops import cluster, topics
from streams.ops.clock import SystemClock
from streams.ops.settings import BrokerSettings, KafkaSettings
from streams.replay.local import new_families, replay
from streams.replay.partitions import bounds
from streams.replay.produce import Sender
from streams.replay.sources.rows import SourceEvent
from tests.bench import report

WORKER_CORE, BROKER_CORE = 0, 1
READ_EVERY_S = 0.05
WITHIN_S = 900.0


class Log:
    """A source of so many events of the simulated shop, made once."""

    total_bytes: int | None = None
    bytes_read = 0

    def __init__(self, seed: int, events: int) -> None:
        shop = simulator.Shop(simulator.SimulatorOptions(seed=seed, events=events))
        encode = msgspec.json.Encoder().encode
        start_ms = shop.options.start_ms
        self.events = events
        self._rows = [SourceEvent(0, i.item_id.encode(), encode(i), start_ms, "catalog") for i in shop.catalog()]
        for a in shop.stream():
            self._rows.append(
                SourceEvent(0, a.key, a.value, a.arrival_ms, "events" if a.kind == "event" else "catalog")
            )

    def __iter__(self) -> Iterator[SourceEvent]:
        return iter(self._rows)


class Environment(NamedTuple):
    """Topics under a prefix of their own, and a model store."""

    kafka: KafkaSettings
    folder: Path

    @property
    def bootstrap(self) -> str:
        assert self.kafka.bootstrap is not None
        return self.kafka.bootstrap

    @property
    def store(self) -> ModelStore:
        return ModelStore(self.folder / "models")

    def variables(self) -> Mapping[str, str]:
        return {
            "CLICKWAKE_KAFKA__BOOTSTRAP": self.bootstrap,
            "CLICKWAKE_KAFKA__TOPIC_PREFIX": self.kafka.topic_prefix,
            "CLICKWAKE_KAFKA__PARTITIONS": str(self.kafka.partitions),
            "CLICKWAKE_MODEL__STORE": str(self.folder / "models"),
            "CLICKWAKE_LOG__FORMAT": "json",
        }


def run(seed: int, events: int, partitions: int) -> dict[str, Any]:
    """All cases on one broker; `events` of each log, a quarter of it with recommendations."""
    log = Log(seed, events)
    conversion, retrieval = _trained(log)
    cases: list[tuple[str, Log, list[ConversionFamily | RetrievalFamily]]] = [
        ("no model yet: prior, empty recommendations", log, []),
        ("trained conversion model, empty recommendations", log, [conversion]),
        ("trained conversion model, 20 recommendations per view", Log(seed, events // 4), [conversion, retrieval]),
    ]
    os.sched_setaffinity(0, {BROKER_CORE})  # the broker inherits it
    with tempfile.TemporaryDirectory(prefix="clickwake-bench-") as name:
        settings = BrokerSettings(port=0, data_dir=Path(name) / "kafka")
        info = broker.start(settings)
        try:
            measured = {}
            for number, (case, its_log, families) in enumerate(cases):
                kafka = KafkaSettings(bootstrap=info.bootstrap, topic_prefix=f"b{number}.", partitions=partitions)
                measured[case] = _case(Environment(kafka, Path(name) / str(number)), its_log, families)
            return measured
        finally:
            broker.stop(settings)


def _trained(log: Log) -> tuple[ConversionFamily, RetrievalFamily]:
    """Both models, learned from this very log: what is measured is speed, not quality."""
    conversion, retrieval = new_families()
    assert isinstance(conversion, ConversionFamily)
    assert isinstance(retrieval, RetrievalFamily)
    never = {conversion.name: 2**62, retrieval.name: 2**62}
    for _ in replay(log, families=(conversion, retrieval), every_ms=never):
        pass
    return conversion, retrieval


def _case(environment: Environment, log: Log, families: Sequence[ConversionFamily | RetrievalFamily]) -> dict[str, Any]:
    kafka = environment.kafka
    environment.folder.mkdir()
    with cluster.admin_client(environment.bootstrap, kafka.request_timeout_s) as admin:
        topics.apply(admin, kafka)
    for family in families:
        _publish(environment, family)
    sent = Sender(environment.bootstrap, kafka.topic_prefix).run(log)
    if sent.acknowledged != sent.read:
        raise RuntimeError(f"only {sent.acknowledged} of {sent.read} records were produced")
    readings = _work_off(environment)
    times_ms = _timestamps(environment, Name.CONVERSIONS)
    first_s, last_s = times_ms[0] / 1000, times_ms[-1] / 1000
    cpu_s = _at(readings, last_s) - _at(readings, first_s)
    sizes = {
        topic.value: _records(environment, topic) for topic in (Name.RECOMMENDATIONS, Name.EXAMPLES, Name.USER_STATE)
    }
    return {
        "events": log.events,
        "partitions": kafka.partitions,
        "seconds": last_s - first_s,
        "events_per_s": log.events / (last_s - first_s),
        "cpu_us_per_event": cpu_s / log.events * 1e6,
        "cpu_share_of_the_core": cpu_s / (last_s - first_s),
        "records": {Name.CONVERSIONS.value: len(times_ms)} | sizes,
    }


def _publish(environment: Environment, family: ConversionFamily | RetrievalFamily) -> None:
    """As the learn role does."""
    files = family.files()
    version = version_for(family.examples, files)
    stored = environment.store.write(family.name, version, files)
    manifest = Manifest(
        name=family.name,
        version=version,
        learner_epoch=1,
        learned=(LearnedUpTo(partition=0, next_offset=family.examples, seq=None),),
        feature_schema=family.feature_schema,
        trained_ms=0,
        examples=family.examples,
        files=tuple(ModelFile(name=file.name, sha256=file.sha256, size=file.size) for file in stored),
        metrics={},
        software={},
    )
    producer = Producer({"bootstrap.servers": environment.bootstrap, "acks": "all"})
    topic = physical(environment.kafka.topic_prefix, Name.SNAPSHOTS)
    producer.produce(topic, msgspec.json.encode(manifest), family.name.encode())
    if producer.flush(30):
        raise RuntimeError("the manifest was not acknowledged")


def _work_off(environment: Environment) -> list[tuple[float, float]]:
    """Run the worker to its end; readings of (wall clock, its CPU time so far), seconds."""
    command = ["taskset", "-c", str(WORKER_CORE), sys.executable, "-m", "streams", "worker"]
    command += ["--role", "score", "--exit-when-idle", "1"]
    clock, readings = SystemClock(), []
    log_file = environment.folder / "worker.log"
    with log_file.open("wb") as out:
        process = subprocess.Popen(command, env={**os.environ, **environment.variables()}, stdout=out, stderr=out)
    watched = psutil.Process(process.pid)
    deadline_s = time.monotonic() + WITHIN_S
    while process.poll() is None:
        try:
            spent = watched.cpu_times()
        except psutil.NoSuchProcess:
            break
        readings.append((clock.now_ms() / 1000, spent.user + spent.system))
        if time.monotonic() > deadline_s:
            process.kill()
        time.sleep(READ_EVERY_S)
    if process.wait() != 0:
        raise RuntimeError(f"the worker ended with {process.returncode}:\n{log_file.read_text()[-3000:]}")
    return readings


def _timestamps(environment: Environment, topic: Name) -> list[int]:
    """Timestamps of all records of a topic, ascending, ms."""
    name = physical(environment.kafka.topic_prefix, topic)
    consumer = Consumer({"bootstrap.servers": environment.bootstrap, "group.id": "bench", "enable.auto.commit": False})
    try:
        ends = bounds(consumer, environment.bootstrap, [name])[name]
        consumer.assign([TopicPartition(name, number, begin) for number, (begin, _) in ends.items()])
        wanted = sum(end - begin for begin, end in ends.values())
        found: list[int] = []
        while len(found) < wanted:
            messages = consumer.consume(10_000, timeout=5.0)
            if not messages:
                raise RuntimeError(f"{name} gave {len(found)} of {wanted} records")
            found += [message.timestamp()[1] for message in messages if message.error() is None]
        return sorted(found)
    finally:
        consumer.close()


def _records(environment: Environment, topic: Name) -> int:
    name = physical(environment.kafka.topic_prefix, topic)
    consumer = Consumer({"bootstrap.servers": environment.bootstrap, "group.id": "bench"})
    try:
        ends = bounds(consumer, environment.bootstrap, [name])[name]
        return sum(end - begin for begin, end in ends.values())
    finally:
        consumer.close()


def _at(readings: Sequence[tuple[float, float]], wall_s: float) -> float:
    """CPU time at a moment, linear between the readings around it."""
    place = bisect_left(readings, (wall_s, 0.0))
    if place == 0 or place == len(readings):
        return readings[min(place, len(readings) - 1)][1]
    (before_s, before), (after_s, after) = readings[place - 1], readings[place]
    return before + (after - before) * (wall_s - before_s) / (after_s - before_s)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench worker", description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--dry", action="store_true", help="print only, write no result file")
    given = parser.parse_args(arguments)
    measured = run(given.seed, given.events, given.partitions)
    command = (
        f"python -m tests.bench worker --seed {given.seed} --events {given.events} --partitions {given.partitions}"
    )
    report.finish("worker", command, [given.seed], measured, dry=given.dry)
