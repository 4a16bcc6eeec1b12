"""Drives real workers on a real broker the way an operator does: as processes, with signals, through topics.

`Engine` is one environment (its own topic prefix and model store), `Worker` one process in it. `fold` is what must come
out: the folds of the program, run over the log as Kafka holds it, with no Kafka around them.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from models.conversion.scorer import ConversionScorer
from streams import user_state
from streams.catalog import Catalog
from streams.contracts.identity import Source
from streams.contracts.outputs import ModelRef
from streams.contracts.topics import Name, physical
from streams.decisions.context import Models
from streams.features.view import PRIOR_CONVERSION_RATE
from streams.ingest import Record
from streams.ops.settings import KafkaSettings
from streams.scoring import Output, PartitionFold
from streams.serving import CONVERSION_SPEC

SESSION_TIMEOUT_S = 6
"""The broker's smallest: a killed member holds its partitions for so long."""

OUTPUT_TOPICS = (Name.CONVERSIONS, Name.RECOMMENDATIONS, Name.EXAMPLES, Name.REJECTED)
Log = dict[int, list[Record]]


def wait_for(what: str, holds: Callable[[], Any], within_s: float = 60.0, every_s: float = 0.1) -> Any:
    """The first true value of `holds()`; an assertion error after `within_s`."""
    deadline_s = time.monotonic() + within_s
    while True:
        value = holds()
        if value:
            return value
        assert time.monotonic() < deadline_s, f"not within {within_s:g} s: {what}"
        time.sleep(every_s)


class Worker:
    """A worker process. `lines` are its log lines so far."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log_file: Path, folder: Path) -> None:
        self.log_file = log_file
        with log_file.open("wb") as log:
            self.process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=subprocess.STDOUT)

    @property
    def text(self) -> str:
        return self.log_file.read_text("utf-8", errors="replace")

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines() if line.startswith("{") and line.endswith("}")]

    def said(self, event: str, **fields: Any) -> list[dict[str, Any]]:
        """Lines of this event with these fields."""
        return [
            line
            for line in self.lines
            if line.get("event") == event and all(line.get(name) == value for name, value in fields.items())
        ]

    def wait_said(self, event: str, within_s: float = 60.0, **fields: Any) -> dict[str, Any]:
        def found() -> list[dict[str, Any]]:
            lines = self.said(event, **fields)
            assert lines or self.process.poll() is None, f"ended with {self.process.returncode}: {self.text[-3000:]}"
            return lines

        return wait_for(f"{event} {fields}", found, within_s)[0]  # type: ignore[no-any-return]

    def wait(self, within_s: float = 90.0) -> int:
        """Its exit code, once it has ended of itself."""
        try:
            return self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still runs after {within_s:g} s: {self.text[-3000:]}") from None

    def stop(self, number: int = signal.SIGTERM, within_s: float = 60.0) -> int:
        self.process.send_signal(number)
        return self.wait(within_s)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)

    @property
    def endpoint(self) -> str:
        """`http://host:port` of metrics and health."""
        return str(self.wait_said("worker starts")["metrics"]).removesuffix("/metrics")

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"{self.endpoint}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, series: str, /, **labels: str) -> float:
        """Sum of the series of this name with these labels; 0 if there is none."""
        total = 0.0
        for line in self.get("/metrics")[1].splitlines():
            found = re.fullmatch(r"([a-z_]+)(?:\{(.*)\})? (\S+)", line)
            if found and found.group(1) == series:
                present = dict(re.findall(r'(\w+)="([^"]*)"', found.group(2) or ""))
                if all(present.get(key) == value for key, value in labels.items()):
                    total += float(found.group(3))
        return total


@dataclass
class Engine:
    """One environment on the broker."""

    kafka: KafkaSettings
    folder: Path
    started: list[Worker] = field(default_factory=list)

    @property
    def bootstrap(self) -> str:
        assert self.kafka.bootstrap is not None
        return self.kafka.bootstrap

    @property
    def store(self) -> Path:
        return self.folder / "models"

    @property
    def workplace(self) -> Path:
        """Working folder of the workers; nothing else is in it."""
        return self.folder / "workplace"

    def topic(self, name: Name) -> str:
        return physical(self.kafka.topic_prefix, name)

    def group(self, role: str = "score") -> str:
        return f"{self.kafka.topic_prefix}clickwake-{role}"

    def environment(self, **settings: object) -> dict[str, str]:
        """The caller's environment without settings, plus ours; `settings` as `engine__epoch=2`."""
        chosen: dict[str, object] = {
            "kafka__bootstrap": self.bootstrap,
            "kafka__topic_prefix": self.kafka.topic_prefix,
            "kafka__partitions": self.kafka.partitions,
            "model__store": self.store,
            "engine__session_timeout_s": SESSION_TIMEOUT_S,
            "engine__delivery_timeout_s": SESSION_TIMEOUT_S - 1,
            "log__format": "json",
            **settings,
        }
        ours = ("CLICKWAKE_", "PYTHONDONTWRITEBYTECODE")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        # Dozens of workers start in a test run: they compile the libraries once between them.
        inherited["PYTHONPYCACHEPREFIX"] = str(self.folder.parent / "bytecode")
        return {**inherited, **{f"CLICKWAKE_{name.upper()}": str(value) for name, value in chosen.items()}}

    def start(self, role: str = "score", *, exit_when_idle: float | None = None, **settings: object) -> Worker:
        command = [sys.executable, "-m", "streams", "worker", "--role", role]
        if exit_when_idle is not None:
            command += ["--exit-when-idle", str(exit_when_idle)]
        self.workplace.mkdir(exist_ok=True)
        log_file = self.folder / f"{role}-{len(self.started)}.log"
        worker = Worker(command, self.environment(**settings), log_file, self.workplace)
        self.started.append(worker)
        return worker

    def run(
        self, role: str = "score", *, exit_when_idle: float = 1.0, within_s: float = 120.0, **settings: object
    ) -> Worker:
        """A worker that has processed everything and left with 0."""
        worker = self.start(role, exit_when_idle=exit_when_idle, **settings)
        code = worker.wait(within_s)
        assert code == 0, f"exit code {code}: {worker.text[-3000:]}"
        return worker

    def close(self) -> None:
        for worker in self.started:
            worker.kill()

    @contextmanager
    def running(self, role: str = "score", **settings: object) -> Iterator[Worker]:
        worker = self.start(role, **settings)
        try:
            yield worker
        finally:
            worker.kill()

    @cached_property
    def admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})

    def reconnect(self) -> None:
        """After the broker was away: its clients may wait long before they look again."""
        vars(self).pop("admin", None)

    def ends(self, name: Name) -> dict[int, int]:
        """Partition -> offset after its last record."""
        topic = self.topic(name)
        partitions = self.admin.list_topics(timeout=10).topics[topic].partitions
        asked = {TopicPartition(topic, number): OffsetSpec.latest() for number in partitions}
        return {tp.partition: answer.result(10).offset for tp, answer in self.admin.list_offsets(asked).items()}

    def count(self, name: Name) -> int:
        return sum(self.ends(name).values())

    def committed(self, role: str = "score") -> dict[int, tuple[int, str]]:
        """Partition -> (committed offset, its metadata), for partitions with one."""
        asked = ConsumerGroupTopicPartitions(self.group(role))
        (answer,) = self.admin.list_consumer_group_offsets([asked]).values()
        return {
            tp.partition: (tp.offset, tp.metadata or "") for tp in answer.result(10).topic_partitions if tp.offset >= 0
        }

    def commit(self, partition: int, offset: int, name: Name = Name.EVENTS, role: str = "score") -> None:
        """Commit as another program would, without metadata."""
        place = TopicPartition(self.topic(name), partition, offset)
        (done,) = self.admin.alter_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(self.group(role), [place])]
        ).values()
        done.result(10)

    def send(self, records: Iterable[Sent], name: Name = Name.EVENTS) -> None:
        """Write records as they are; those without a partition go where their key hashes."""
        failures: list[str] = []
        producer = Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "linger.ms": 5,
                "message.max.bytes": 2 * 1024 * 1024,
            }
        )

        def told(error: KafkaError | None, _: object) -> None:
            if error is not None:
                failures.append(error.str())

        for record in records:
            place = {} if record.partition is None else {"partition": record.partition}
            headers = list(record.headers) or None
            producer.produce(self.topic(name), record.value, record.key, headers=headers, on_delivery=told, **place)
            producer.poll(0)
        assert producer.flush(30) == 0
        assert not failures, failures[:3]

    def read(self, name: Name) -> Log:
        """All records of a topic as of now, by partition, in offset order."""
        topic, ends = self.topic(name), self.ends(name)
        found: Log = {partition: [] for partition in ends}
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "reads-only",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "fetch.queue.backoff.ms": 5,
            }
        )
        try:
            waiting = {partition for partition, end in ends.items() if end}
            consumer.assign([TopicPartition(topic, partition, 0) for partition in waiting])
            deadline_s = time.monotonic() + 60
            while waiting:
                assert time.monotonic() < deadline_s, f"{topic} can't be read to its end"
                for message in consumer.consume(5000, 0.2):
                    partition = message.partition()
                    if message.error() is not None:
                        assert message.error().code() == KafkaError._PARTITION_EOF, message.error().str()
                        waiting.discard(partition)
                    elif message.offset() < ends[partition]:
                        headers = [(key, value) for key, value in message.headers() or ()]
                        arrival_ms = message.timestamp()[1]
                        record = Record(message.offset(), arrival_ms, message.key(), message.value(), headers)
                        found[partition].append(record)
        finally:
            consumer.close()
        return found

    def states(self) -> dict[bytes, bytes]:
        """The changelog's last record per key."""
        return {
            record.key or b"": record.value or b""
            for records in self.read(Name.USER_STATE).values()
            for record in records
        }

    def ledgers(self) -> dict[int, user_state.Ledger]:
        states = self.states()
        keys = {partition: user_state.ledger_key(partition) for partition in range(self.kafka.partitions)}
        return {p: user_state.decode_ledger(states[key]) for p, key in keys.items() if key in states}


class Sent(NamedTuple):
    """A record to write."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()
    partition: int | None = None


def event(kind: str, number: int, user: str, ts_ms: int, **fields: object) -> Sent:
    """A well-formed event."""
    body = {"type": kind, "event_id": f"{user}-{number}", "user_id": user, "ts_ms": ts_ms, **fields}
    return Sent(user.encode(), msgspec.json.encode(body))


@dataclass
class Folded:
    """What the folds make of a log. `outputs`: topic -> partition -> records in order."""

    outputs: dict[Name, dict[int, list[Output]]]
    states: dict[bytes, bytes]
    watermarks: dict[int, int]


def prior_models(catalog: Catalog) -> Models:
    """What a worker uses while there is no snapshot."""
    return Models(
        conversion=ConversionScorer.from_prior(CONVERSION_SPEC, PRIOR_CONVERSION_RATE),
        conversion_ref=ModelRef("conversion", ""),
        retrieval=None,
        retrieval_ref=ModelRef("retrieval", ""),
        sellable=catalog.sellable,
        newest_items=catalog.newest(),
        catalog_offset=catalog.offset,
    )


def fold(log: Log, catalog: Catalog | None = None, *, batch: int = 700) -> Folded:
    """Fold every partition from its beginning, without Kafka."""
    models = prior_models(catalog or Catalog())
    outputs: dict[Name, dict[int, list[Output]]] = {name: defaultdict(list) for name in OUTPUT_TOPICS}
    states: dict[bytes, bytes] = {}
    watermarks = {}
    for partition, records in log.items():
        partition_fold = PartitionFold(Source(Name.EVENTS.value, 1, partition), states.get)
        for first in range(0, len(records), batch):
            effects = partition_fold.apply(records[first : first + batch], models)
            for output in effects.outputs:
                outputs[output.topic][partition].append(output)
            states.update(effects.states)
            partition_fold.persisted(effects)
        watermarks[partition] = partition_fold.watermark_ms
    return Folded(outputs, states, watermarks)


def seq_of(record: Record) -> tuple[int, int]:
    offset, index = json.loads(record.value or b"")["seq"]
    return offset, index


def without_repeats(records: Iterable[Record]) -> list[Record]:
    """What a subscriber keeps of one partition who remembers the largest sequence number."""
    kept: list[Record] = []
    newest = (-1, -1)
    for record in records:
        seq = seq_of(record)
        if seq > newest:
            newest = seq
            kept.append(record)
    return kept


def assert_as_folded(engine: Engine, *, repeats: bool = False, log: Log | None = None) -> Folded:
    """Outputs and states on the broker are those of the folds over its log: every field, every byte.

    `repeats`: records may have been sent again; then what a subscriber keeps must be the outputs, and every repeat must
    have the id of one of them.
    """
    log = engine.read(Name.EVENTS) if log is None else log
    catalog = Catalog()
    for record in engine.read(Name.CATALOG)[0]:
        catalog.apply(record.key, record.value, record.offset + 1)
    folded = fold(log, catalog)
    for name in OUTPUT_TOPICS:
        for partition, records in engine.read(name).items():
            expected = folded.outputs[name][partition]
            _assert_equal(f"{name} {partition}", without_repeats(records) if repeats else records, expected)
            ids = {json.loads(o.value)["id"] for o in expected}
            assert len(ids) == len(expected), f"{name}: ids are not unique"
            assert {json.loads(r.value or b"")["id"] for r in records} == ids
    states = engine.states()
    assert states.keys() == folded.states.keys()
    different = [key for key, value in folded.states.items() if states[key] != value]
    assert not different, f"{len(different)} of {len(states)} states differ from the fold"
    assert_position(engine, log, folded)
    return folded


def _assert_equal(place: str, found: Sequence[Record], expected: Sequence[Output]) -> None:
    """All of both, or the first place where they part: pytest can't show a difference of thousands of records."""
    for record, output in itertools.zip_longest(found, expected):
        is_equal = (
            record
            and output
            and (record.key, record.value, list(record.headers))
            == (
                output.key,
                output.value,
                output.headers,
            )
        )
        assert is_equal, f"{place}: {len(found)} for {len(expected)} outputs; the first other: {record} for {output}"


def assert_position(engine: Engine, log: Log, folded: Folded) -> None:
    """Committed is the end of the log, with the watermark that belongs to it, and the ledger knows every record."""
    ledgers = engine.ledgers()
    for partition, (offset, metadata) in engine.committed().items():
        ledger, records = ledgers[partition], log[partition]
        assert offset == records[-1].offset + 1 == ledger.applied + 1
        assert metadata == f"v1 watermark_ms={folded.watermarks[partition]} arrival_ms={records[-1].arrival_ms}"
        assert ledger.events + ledger.rejected + ledger.duplicates + ledger.ticks == len(records)
    assert engine.committed().keys() == {partition for partition, records in log.items() if records}
