"""A log played through the very folds of the live system, in this process: no Kafka, no files, no wall clock.

One loop takes the part of the shells. Records go to partitions by key as a producer would send them, each partition is
a `PartitionFold`, examples go to a `LearnFold` per family as soon as their batch is done, and snapshots pass through
the same files as in the registry.

*Time* is that of the log: the arrival times of its records. At every multiple of a family's pace in `EVERY_MS` its
snapshot is taken, holding the examples of all earlier arrivals, and is in use for every record from then on. So no
prediction sees an example of a later arrival, and the result doesn't depend on how fast the machine is. What live
operation adds, the seconds to publish and load a snapshot, is taken as nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from kafka.partitioner import murmur2

from models.conversion.scorer import ConversionScorer
from models.registry.store import version_for
from streams.catalog import Catalog
from streams.contracts.identity import Source
from streams.contracts.outputs import ModelRef
from streams.contracts.topics import Name
from streams.decisions.context import Models
from streams.features.view import PRIOR_CONVERSION_RATE
from streams.ingest import Record
from streams.learning import FAMILIES, ConversionFamily, LearnFold, RetrievalFamily
from streams.replay.sources.rows import SourceEvent
from streams.scoring import Effects, PartitionFold
from streams.serving import CONVERSION_SPEC, SERVED

HOUR_MS = 3_600_000
EVERY_MS: Mapping[str, int] = {ConversionFamily.name: HOUR_MS, RetrievalFamily.name: HOUR_MS}
"""Pace of the snapshots in log time. Labels come a week after their touch, so an hour of age costs next to nothing."""

BATCH_RECORDS = 500


class Batch(NamedTuple):
    """What one partition made of consecutive records of it, and the models that it used."""

    partition: int
    records: list[Record]
    effects: Effects
    models: Models


def new_families() -> tuple[ConversionFamily | RetrievalFamily, ...]:
    """One of each, with nothing learned."""
    return tuple(family() for family in FAMILIES)


def replay(
    rows: Iterable[SourceEvent],
    *,
    partitions: int = 1,
    families: Iterable[ConversionFamily | RetrievalFamily] | None = None,
    every_ms: Mapping[str, int] = EVERY_MS,
    batch_records: int = BATCH_RECORDS,
    serve: Callable[[Models], Models] = lambda models: models,
) -> Iterator[Batch]:
    """The batches of a log, in log order; within the same stretch of the log by partition.

    Args:
        rows: events and catalogue records in the order of their arrival.
        partitions: of the event topic.
        families: what learns, from the state that it is in; default `new_families()`. Without the retrieval family
            recommendations stay empty, without the conversion family its predictions stay the prior.
        every_ms: pace of each family's snapshots, log time.
        batch_records: records of all partitions that are folded before the next examples are learned.
        serve: may change the models that go into use, to watch or to replace them.

    Raises:
        ValueError: a number isn't positive.
    """
    if min(partitions, batch_records, *every_ms.values()) < 1:
        raise ValueError(f"partitions {partitions}, batch_records {batch_records} and every_ms must be at least 1")
    run = _Run(partitions, new_families() if families is None else families, every_ms, serve)
    for row in rows:
        # What changes the models comes between batches, as in a worker.
        if row.topic == "catalog" or run.waiting >= batch_records or run.snapshot_due(row.ts_ms):
            yield from run.flush()
        run.move_time(row.ts_ms)
        if row.topic == "catalog":
            run.catalog.apply(row.key, row.value, row.line)
        else:
            run.add(row)
    yield from run.flush()


class _Run:
    """The folds, what waits to be folded, and the models in use."""

    def __init__(
        self,
        partitions: int,
        families: Iterable[ConversionFamily | RetrievalFamily],
        every_ms: Mapping[str, int],
        serve: Callable[[Models], Models],
    ) -> None:
        self.catalog = Catalog()
        self.waiting = 0
        self._partitions = [_Partition(number) for number in range(partitions)]
        self._learners = {family.name: LearnFold(family) for family in families}
        self._every_ms = every_ms
        self._serve = serve
        self._due_ms: dict[str, int] = {}
        self._refs = {family.name: ModelRef(family.name, "") for family in FAMILIES}
        self._serving: dict[str, Any] = {
            ConversionFamily.name: ConversionScorer.from_prior(CONVERSION_SPEC, PRIOR_CONVERSION_RATE),
            RetrievalFamily.name: None,
        }

    def add(self, row: SourceEvent) -> None:
        number = (murmur2(row.key) & 0x7FFFFFFF) % len(self._partitions) if len(self._partitions) > 1 else 0
        self._partitions[number].add(row)
        self.waiting += 1

    def snapshot_due(self, at_ms: int) -> bool:
        return any(at_ms >= due_ms for due_ms in self._due_ms.values())

    def move_time(self, at_ms: int) -> None:
        """Take the snapshots whose time has come. Time begins with the first record."""
        for name, learner in self._learners.items():
            every_ms = self._every_ms[name]
            due_ms = self._due_ms.get(name)
            if due_ms is not None and at_ms < due_ms:
                continue
            self._due_ms[name] = (at_ms // every_ms + 1) * every_ms
            if due_ms is not None:
                self._publish(name, learner.family)

    def flush(self) -> Iterator[Batch]:
        """Fold what waits, all with one set of models; then learn from it."""
        if not self.waiting:
            return
        self.waiting = 0
        models = self._serve(self._models())
        for partition in self._partitions:
            if partition.records:
                batch = partition.fold(models)
                examples = partition.examples_of(batch.effects)
                for learner in self._learners.values():
                    learner.apply(partition.number, examples)
                yield batch

    def _models(self) -> Models:
        return Models(
            conversion=self._serving[ConversionFamily.name],
            conversion_ref=self._refs[ConversionFamily.name],
            retrieval=self._serving[RetrievalFamily.name],
            retrieval_ref=self._refs[RetrievalFamily.name],
            sellable=self.catalog.sellable,
            newest_items=self.catalog.newest(),
            catalog_offset=self.catalog.offset,
        )

    def _publish(self, name: str, family: ConversionFamily | RetrievalFamily) -> None:
        # The number of examples says whether there is anything new: writing out a model costs more than learning.
        if not family.examples or self._refs[name].version.startswith(f"{family.examples:012d}-"):
            return
        files = family.files()
        self._serving[name] = SERVED[name].load(files)
        self._refs[name] = ModelRef(name, version_for(family.examples, files))


class _Partition:
    """A partition of the event topic with its offsets, its stored states, and that of the examples."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.records: list[Record] = []
        self._next_offset = 0
        self._next_example = 0
        self._stored: dict[bytes, bytes] = {}
        self._fold = PartitionFold(Source(Name.EVENTS.value, 1, number), self._stored.get)

    def add(self, row: SourceEvent) -> None:
        self.records.append(Record(self._next_offset, row.ts_ms, row.key, row.value))
        self._next_offset += 1

    def fold(self, models: Models) -> Batch:
        records, self.records = self.records, []
        effects = self._fold.apply(records, models)
        self._stored.update(effects.states)
        self._fold.persisted(effects)
        return Batch(self.number, records, effects, models)

    def examples_of(self, effects: Effects) -> Sequence[Record]:
        """The examples among the outputs, as the learner would read them from its topic."""
        examples = []
        for output in effects.outputs:
            if output.topic is Name.EXAMPLES:
                examples.append(Record(self._next_example, 0, output.key, output.value))
                self._next_example += 1
        return examples
